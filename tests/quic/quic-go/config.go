// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// Streams of the peer's that may be open at once.
const streamsMax = 1000

func pool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return p, nil
}

// baseTLS is what both sides have in common.
func baseTLS(a *arguments) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{a.alpn}}
	if a.cert == "" {
		return config, nil
	}
	identity, err := tls.LoadX509KeyPair(a.cert, a.key)
	config.Certificates = []tls.Certificate{identity}
	return config, err
}

func serverTLS(a *arguments) (*tls.Config, error) {
	config, err := baseTLS(a)
	if err != nil || a.clientCA == "" {
		return config, err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs, err = pool(a.clientCA)
	return config, err
}

func clientTLS(a *arguments, mayResume bool) (*tls.Config, error) {
	config, err := baseTLS(a)
	if err != nil {
		return nil, err
	}
	config.ServerName = a.name
	if mayResume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	config.RootCAs, err = pool(a.ca)
	return config, err
}

// counter counts the key updates of either side, among all that the library tells of a connection.
type counter struct {
	n *atomic.Int64
}

func (c counter) AddProducer() qlogwriter.Recorder { return c }
func (c counter) SupportsSchemas(string) bool      { return false }
func (c counter) Close() error                     { return nil }
func (c counter) RecordEvent(event qlogwriter.Event) {
	if update, ok := event.(qlog.KeyUpdated); ok && update.KeyType == qlog.KeyTypeServer1RTT && update.Trigger != qlog.KeyUpdateTLS {
		c.n.Add(1)
	}
}

// quicConfig has the library's defaults but for what is asked for. Key updates are counted in n; nil: they are not.
func quicConfig(a *arguments, n *atomic.Int64) *quic.Config {
	config := &quic.Config{
		MaxIdleTimeout:        a.idle,
		MaxIncomingStreams:    streamsMax,
		MaxIncomingUniStreams: streamsMax,
		EnableDatagrams:       a.datagrams,
	}
	if n != nil {
		config.Tracer = func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return counter{n} }
	}
	return config
}

// resetKey is derived, so that it is the same after a restart.
func resetKey(a *arguments) *quic.StatelessResetKey {
	if a.resetKey == "" {
		return nil
	}
	key := quic.StatelessResetKey(sha256.Sum256([]byte(a.resetKey)))
	return &key
}
