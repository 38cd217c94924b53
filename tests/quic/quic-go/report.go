// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/quic-go/quic-go"
)

// members of a JSON object. Results and events are one a line.
type members map[string]any

func report(m members) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	// One call, so that lines of several goroutines stay whole.
	fmt.Printf("%s\n", text)
}

func transportCause(err *quic.TransportError) string {
	if err.ErrorCode.IsCryptoError() {
		return "tls"
	}
	return "transport"
}

// cause says why a connection ended, in the words that all peers share.
func cause(err error) string {
	var reset *quic.StatelessResetError
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var application *quic.ApplicationError
	var transport *quic.TransportError
	var version *quic.VersionNegotiationError
	switch {
	case errors.As(err, &reset):
		return "stateless-reset"
	case errors.As(err, &idle), errors.As(err, &handshake):
		return "idle-timeout"
	case errors.As(err, &application):
		return "application"
	case errors.As(err, &version):
		return "version"
	case errors.As(err, &transport):
		return transportCause(transport)
	}
	return "other"
}

func reportEvent(name string, m members) {
	all := members{"event": name}
	maps.Copy(all, m)
	report(all)
}

func reportClosed(err error) {
	reportEvent("closed", members{"cause": cause(err), "error": err.Error()})
}

func reportFailure(err error) {
	report(members{"ok": false, "cause": cause(err), "error": err.Error()})
}

func reportDone(scenario string, m members) {
	all := members{"ok": true, "scenario": scenario}
	maps.Copy(all, m)
	report(all)
}
