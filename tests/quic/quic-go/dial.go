// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	datagramDeadline = 2 * time.Second // after which a datagram's echo counts as lost
	beat             = 100 * time.Millisecond
	beatSize         = 100 // in bytes: nobody answers a small packet by a reset
)

// dialler is a client with one socket.
type dialler struct {
	*arguments
	to         *net.UDPAddr
	transport  *quic.Transport
	tls        *tls.Config
	keyUpdates atomic.Int64
}

func newDialler(a *arguments, socket net.PacketConn, mayResume bool) (*dialler, error) {
	to, err := net.ResolveUDPAddr("udp", a.address)
	if err != nil {
		return nil, err
	}
	config, err := clientTLS(a, mayResume)
	if err != nil {
		return nil, err
	}
	return &dialler{arguments: a, to: to, transport: &quic.Transport{Conn: socket}, tls: config}, nil
}

func (d *dialler) connect() (*quic.Conn, error) {
	config := quicConfig(d.arguments, nil)
	if d.words[0] == "key-update" {
		config = quicConfig(d.arguments, &d.keyUpdates)
	}
	return d.transport.Dial(context.Background(), d.to, d.tls, config)
}

func finish(conn *quic.Conn) {
	_ = conn.CloseWithError(0, "")
}

func exchangeOne(conn *quic.Conn, stream, size int64) error {
	s, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	return exchange(s, s, newPattern(stream), 0, size)
}

// atOnce does something so many times, side by side.
func atOnce(n int64, do func(i int64) error) error {
	results := make(chan error, n)
	for i := range n {
		go func() { results <- do(i) }()
	}
	for range n {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

func (d *dialler) echo(conn *quic.Conn) (members, error) {
	streams, size, err := d.numbers()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = atOnce(streams, func(i int64) error { return exchangeOne(conn, i, size) })
	return members{"streams": streams, "bytes": streams * size, "ms": time.Since(start).Milliseconds(), "peer": conn.RemoteAddr().String()}, err
}

func (d *dialler) uni(conn *quic.Conn) (members, error) {
	size, err := d.number(0)
	if err != nil {
		return nil, err
	}
	to, err := conn.OpenUniStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	p := newPattern(1)
	wrote := make(chan error, 1)
	go func() { wrote <- errors.Join(p.write(to, 0, size), to.Close()) }()
	from, err := conn.AcceptUniStream(context.Background())
	if err != nil {
		return nil, err
	}
	return members{"bytes": size}, errors.Join(p.expect(from, 0, size), expectEnd(from), <-wrote)
}

func (d *dialler) sendDatagrams(conn *quic.Conn) (members, error) {
	n, size, err := d.numbers()
	if err != nil {
		return nil, err
	}
	received := 0
	for i := range n {
		datagram := bytes.Repeat([]byte{byte(i)}, int(size))
		binary.BigEndian.PutUint64(datagram, uint64(i))
		if err := conn.SendDatagram(datagram); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), datagramDeadline)
		back, err := conn.ReceiveDatagram(ctx)
		cancel()
		if err == nil && bytes.Equal(back, datagram) {
			received++
		}
	}
	return members{"sent": n, "received": received}, nil
}

// keyUpdate has the library update them: it does so by itself, from 100 packets on.
func (d *dialler) keyUpdate(conn *quic.Conn) (members, error) {
	size, err := d.number(0)
	if err != nil {
		return nil, err
	}
	for i := range int64(3) {
		if err := exchangeOne(conn, i, size); err != nil {
			return nil, err
		}
	}
	return members{"key_updates": d.keyUpdates.Load()}, nil
}

// rebind lets a stream go on from another port, and the server is not told.
func (d *dialler) rebind(conn *quic.Conn) (members, error) {
	size, err := d.number(0)
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	p := newPattern(5)
	if err := errors.Join(p.write(stream, 0, size/2), p.expect(stream, 0, size/2)); err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	before := d.transport.Conn.(*movingSocket).move(socket)
	after := socket.LocalAddr().(*net.UDPAddr).Port
	return members{"bytes": size, "before": before, "after": after}, exchange(stream, stream, p, size/2, size)
}

func (d *dialler) resume(first *quic.Conn) (members, error) {
	if err := exchangeOne(first, 0, 1000); err != nil {
		return nil, err
	}
	finish(first)
	second, err := d.connect()
	if err != nil {
		return nil, err
	}
	defer finish(second)
	resumed := second.ConnectionState().TLS.DidResume
	return members{"resumed": resumed}, exchangeOne(second, 1, 1000)
}

// ending tells how the connection ended, and how long after the last answer.
func ending(conn *quic.Conn, last time.Time) members {
	<-conn.Context().Done()
	err := context.Cause(conn.Context())
	return members{"cause": cause(err), "error": err.Error(), "ms": time.Since(last).Milliseconds()}
}

func (d *dialler) idleUntilClosed(conn *quic.Conn) (members, error) {
	if err := exchangeOne(conn, 0, 1000); err != nil {
		return nil, err
	}
	last := time.Now()
	reportEvent("ready", nil)
	return ending(conn, last), nil
}

// untilClosed says something again and again until the connection is over.
func (d *dialler) untilClosed(conn *quic.Conn) (members, error) {
	stream, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	go func() {
		for ticks := time.NewTicker(beat); conn.Context().Err() == nil; <-ticks.C {
			_, _ = stream.Write(make([]byte, beatSize))
		}
	}()
	buffer := make([]byte, beatSize)
	last := time.Now()
	for n := 0; ; n++ {
		if _, err := stream.Read(buffer); err != nil {
			return ending(conn, last), nil
		}
		last = time.Now()
		if n == 0 {
			reportEvent("ready", nil)
		}
	}
}

// transfer is one stream of a benchmark (supply).
func transfer(conn *quic.Conn, up, down int64) error {
	stream, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	header := binary.BigEndian.AppendUint64(nil, uint64(down))
	if _, err := stream.Write(header); err != nil {
		return err
	}
	if err := errors.Join(newPattern(0).write(stream, 0, up), stream.Close()); err != nil {
		return err
	}
	n, err := sink(stream)
	if err == nil && n != down {
		err = fmt.Errorf("%d bytes came instead of %d", n, down)
	}
	return err
}

func (d *dialler) throughput(conn *quic.Conn) (members, error) {
	streams, err := d.number(1)
	if err != nil {
		return nil, err
	}
	total, err := d.number(2)
	if err != nil {
		return nil, err
	}
	share := total / max(streams, 1)
	up, down := share, int64(0)
	if d.words[1] == "down" {
		up, down = 0, share
	}
	start := time.Now()
	err = atOnce(streams, func(int64) error { return transfer(conn, up, down) })
	return members{"streams": streams, "bytes": share * streams, "seconds": time.Since(start).Seconds()}, err
}

// handshakes includes the one that was made already.
func (d *dialler) handshakes(start time.Time, first *quic.Conn) (members, error) {
	n, err := d.number(0)
	if err != nil {
		return nil, err
	}
	finish(first)
	for range n - 1 {
		conn, err := d.connect()
		if err != nil {
			return nil, err
		}
		finish(conn)
	}
	return members{"handshakes": n, "seconds": time.Since(start).Seconds()}, nil
}

func (d *dialler) streams(conn *quic.Conn) (members, error) {
	n, err := d.number(0)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for i := range n {
		if err := exchangeOne(conn, i, 1); err != nil {
			return nil, err
		}
	}
	return members{"streams": n, "seconds": time.Since(start).Seconds()}, nil
}

// hold keeps connections that do nothing, until somebody ends this program.
func (d *dialler) hold(first *quic.Conn) (members, error) {
	n, err := d.number(0)
	if err != nil {
		return nil, err
	}
	for i := range n {
		conn := first
		if i > 0 {
			if conn, err = d.connect(); err != nil {
				return nil, err
			}
		}
		if err := exchangeOne(conn, i, 1); err != nil {
			return nil, err
		}
	}
	reportEvent("ready", members{"connections": n})
	<-first.Context().Done()
	return nil, context.Cause(first.Context())
}

func (d *dialler) scenario(start time.Time, conn *quic.Conn) (members, error) {
	switch d.words[0] {
	case "echo":
		return d.echo(conn)
	case "uni":
		return d.uni(conn)
	case "datagrams":
		return d.sendDatagrams(conn)
	case "key-update":
		return d.keyUpdate(conn)
	case "rebind":
		return d.rebind(conn)
	case "resume":
		return d.resume(conn)
	case "idle":
		return d.idleUntilClosed(conn)
	case "until-closed":
		return d.untilClosed(conn)
	case "throughput":
		return d.throughput(conn)
	case "handshakes":
		return d.handshakes(start, conn)
	case "streams":
		return d.streams(conn)
	case "hold":
		return d.hold(conn)
	}
	return nil, fmt.Errorf("there is no scenario %s", d.words[0])
}

func clientSocket(a *arguments) (net.PacketConn, error) {
	socket, err := net.ListenUDP("udp", nil)
	if err == nil && a.words[0] == "rebind" {
		return &movingSocket{current: socket}, nil
	}
	return socket, err
}

func dial(a *arguments) error {
	if len(a.words) == 0 {
		return errors.New("a scenario is missing")
	}
	socket, err := clientSocket(a)
	if err != nil {
		return err
	}
	d, err := newDialler(a, socket, a.words[0] == "resume")
	if err != nil {
		return err
	}
	start := time.Now()
	conn, err := d.connect()
	if err != nil {
		return err
	}
	result, err := d.scenario(start, conn)
	finish(conn)
	_ = d.transport.Close()
	if err != nil {
		return err
	}
	reportDone(a.words[0], result)
	return nil
}
