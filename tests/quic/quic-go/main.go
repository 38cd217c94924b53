// SPDX-License-Identifier: Apache-2.0

// A QUIC server and client by quic-go, for netbroker's tests: tests/quic/README.md has the command line, which all peers share.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

type arguments struct {
	verb      string
	address   string
	name      string
	alpn      string
	ca        string
	clientCA  string
	cert      string
	key       string
	resetKey  string
	idle      time.Duration
	retry     bool
	datagrams bool
	keyUpdate bool
	bench     bool
	words     []string // the scenario and what belongs to it
}

func (a *arguments) switches() map[string]*bool {
	return map[string]*bool{"--retry": &a.retry, "--datagrams": &a.datagrams, "--key-update": &a.keyUpdate, "--bench": &a.bench}
}

func (a *arguments) values() map[string]*string {
	return map[string]*string{
		"--listen": &a.address, "--to": &a.address, "--name": &a.name, "--alpn": &a.alpn, "--ca": &a.ca, "--client-ca": &a.clientCA,
		"--cert": &a.cert, "--key": &a.key, "--reset-key": &a.resetKey,
	}
}

// set takes one argument and returns how many words it was.
func (a *arguments) set(words []string) (int, error) {
	if target := a.switches()[words[0]]; target != nil {
		*target = true
		return 1, nil
	}
	if len(words) < 2 {
		return 0, fmt.Errorf("%s lacks its value", words[0])
	}
	if target := a.values()[words[0]]; target != nil {
		*target = words[1]
		return 2, nil
	}
	switch words[0] {
	case "--idle":
		ms, err := strconv.Atoi(words[1])
		a.idle = time.Duration(ms) * time.Millisecond
		return 2, err
	case "--preferred-address":
		return 0, fmt.Errorf("quic-go offers no preferred address")
	}
	return 0, fmt.Errorf("there is no argument %s", words[0])
}

func parse(words []string) (*arguments, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf("a verb is missing: serve or dial")
	}
	a := &arguments{verb: words[0]}
	for words = words[1:]; len(words) > 0; {
		if !strings.HasPrefix(words[0], "--") {
			a.words = append(a.words, words[0])
			words = words[1:]
			continue
		}
		n, err := a.set(words)
		if err != nil {
			return nil, err
		}
		words = words[n:]
	}
	return a, nil
}

// number is the one at index behind the scenario's name.
func (a *arguments) number(index int) (int64, error) {
	if len(a.words) <= index+1 {
		return 0, fmt.Errorf("the scenario lacks a number")
	}
	return strconv.ParseInt(a.words[index+1], 10, 63)
}

// numbers are the first two.
func (a *arguments) numbers() (int64, int64, error) {
	first, err := a.number(0)
	if err != nil {
		return 0, 0, err
	}
	second, err := a.number(1)
	return first, second, err
}

func run(words []string) error {
	a, err := parse(words)
	if err != nil {
		return err
	}
	switch a.verb {
	case "serve":
		return serve(a)
	case "dial":
		return dial(a)
	}
	return fmt.Errorf("there is no verb %s; there are serve and dial", a.verb)
}

func main() {
	// What the kernel lets sockets have is not what is tested here.
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	if err := run(os.Args[1:]); err != nil {
		reportFailure(err)
		os.Exit(1)
	}
}
