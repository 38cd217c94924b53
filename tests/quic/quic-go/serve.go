// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"

	"github.com/quic-go/quic-go"
)

func listen(a *arguments) (*net.UDPConn, error) {
	address, err := net.ResolveUDPAddr("udp", a.address)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP("udp", address)
}

// serve answers bidirectional streams and datagrams by what they are, and a unidirectional stream by one of its own.
func serve(a *arguments) error {
	config, err := serverTLS(a)
	if err != nil {
		return err
	}
	socket, err := listen(a)
	if err != nil {
		return err
	}
	transport := &quic.Transport{
		Conn:                socket,
		StatelessResetKey:   resetKey(a),
		VerifySourceAddress: func(net.Addr) bool { return a.retry },
	}
	listener, err := transport.Listen(config, quicConfig(a, nil))
	if err != nil {
		return err
	}
	fmt.Printf("port %d\n", socket.LocalAddr().(*net.UDPAddr).Port)
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		go serveConnection(a, conn)
	}
}

func serveConnection(a *arguments, conn *quic.Conn) {
	reportEvent("accepted", members{"peer": conn.RemoteAddr().String()})
	go acceptUnidirectional(conn)
	if a.datagrams {
		go returnDatagrams(conn)
	}
	for {
		stream, err := conn.AcceptStream(context.Background())
		if err != nil {
			<-conn.Context().Done()
			reportClosed(context.Cause(conn.Context()))
			return
		}
		if a.bench {
			go supply(stream)
		} else {
			// Keys are updated by the library, from 100 packets on.
			go back(stream, stream)
		}
	}
}

func acceptUnidirectional(conn *quic.Conn) {
	for {
		from, err := conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			if to, err := conn.OpenUniStreamSync(context.Background()); err == nil {
				back(to, from)
			}
		}()
	}
}

func returnDatagrams(conn *quic.Conn) {
	for {
		datagram, err := conn.ReceiveDatagram(context.Background())
		if err != nil {
			return
		}
		_ = conn.SendDatagram(datagram)
	}
}
