// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
	"time"
)

// movingSocket is a socket that can get another port, as behind a NAT: the library does not notice.
type movingSocket struct {
	mutex    sync.Mutex
	current  *net.UDPConn
	deadline time.Time
}

func (m *movingSocket) socket() *net.UDPConn {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.current
}

// move goes on with another socket, and returns the port before.
func (m *movingSocket) move(to *net.UDPConn) int {
	m.mutex.Lock()
	before := m.current
	m.current = to
	_ = to.SetReadDeadline(m.deadline)
	m.mutex.Unlock()
	port := before.LocalAddr().(*net.UDPAddr).Port
	_ = before.Close()
	return port
}

func (m *movingSocket) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		socket := m.socket()
		n, from, err := socket.ReadFrom(buffer)
		// The old one was closed under the reader.
		if err != nil && socket != m.socket() {
			continue
		}
		return n, from, err
	}
}

func (m *movingSocket) WriteTo(buffer []byte, to net.Addr) (int, error) {
	return m.socket().WriteTo(buffer, to)
}

func (m *movingSocket) SetReadDeadline(t time.Time) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.deadline = t
	return m.current.SetReadDeadline(t)
}

func (m *movingSocket) Close() error                       { return m.socket().Close() }
func (m *movingSocket) LocalAddr() net.Addr                { return m.socket().LocalAddr() }
func (m *movingSocket) SetDeadline(t time.Time) error      { return m.SetReadDeadline(t) }
func (m *movingSocket) SetWriteDeadline(t time.Time) error { return m.socket().SetWriteDeadline(t) }
