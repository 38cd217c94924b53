// SPDX-License-Identifier: Apache-2.0

// A web server in plain Go, with nothing but the standard library. It knows no module "networking" and asks for no
// address: it serves on the listener that it finds open, as under systemd's socket activation.
//
//	httpd [FD]
//
// FD is the listener's number. Without it, the listener is the one that is called "http" in the environment variable
// NETWORKING_PREOPENS (name=fd:name=fd).
//
//	GET /           a word
//	GET /meet?n=3   waits until n such requests are here at once, and tells each which it was: needs goroutines
//	GET /ticks      waits for a tick of a clock that goes on beside the requests, and tells which it was: needs timers
//	POST /echo      sends back what it was sent
//	GET /quit       ends the server, with status 0, when all who were asking have their answer
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long a request waits for others, or for the clock.
const patience = 20 * time.Second

// The longest body that is echoed.
const maxBody = 16 << 20

// findListener tells the number of the descriptor to serve on.
func findListener() (int, error) {
	if len(os.Args) > 1 {
		return strconv.Atoi(os.Args[1])
	}
	for _, pair := range strings.Split(os.Getenv("NETWORKING_PREOPENS"), ":") {
		if name, number, found := strings.Cut(pair, "="); found && name == "http" {
			return strconv.Atoi(number)
		}
	}
	return -1, errors.New("neither an argument nor NETWORKING_PREOPENS names a listener")
}

// A meeting is where requests wait for each other.
type meeting struct {
	mutex   sync.Mutex
	present int
	full    chan struct{}
}

func (m *meeting) join(needed int) (place int, full <-chan struct{}) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.full == nil {
		m.full = make(chan struct{})
	}
	m.present++
	place, full = m.present, m.full
	if m.present >= needed {
		close(m.full)
		m.present, m.full = 0, nil
	}
	return place, full
}

func (m *meeting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	needed, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		http.Error(w, "n is a number", http.StatusBadRequest)
		return
	}
	place, full := m.join(needed)
	select {
	case <-full:
		fmt.Fprintf(w, "%d of %d\n", place, needed)
	case <-time.After(patience):
		http.Error(w, "nobody came", http.StatusGatewayTimeout)
	}
}

// A clock ticks beside the requests, and tells who waits.
type clock struct {
	mutex sync.Mutex
	count int
	next  chan struct{}
}

func newClock(interval time.Duration) *clock {
	c := &clock{next: make(chan struct{})}
	go func() {
		for range time.Tick(interval) {
			c.mutex.Lock()
			c.count++
			close(c.next)
			c.next = make(chan struct{})
			c.mutex.Unlock()
		}
	}()
	return c
}

func (c *clock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mutex.Lock()
	next := c.next
	c.mutex.Unlock()
	<-next
	c.mutex.Lock()
	defer c.mutex.Unlock()
	fmt.Fprintln(w, c.count)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

func serve() error {
	fd, err := findListener()
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "http"))
	if err != nil {
		return err
	}

	quit := make(chan struct{})
	leave := sync.OnceFunc(func() { close(quit) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "plain Go") })
	mux.Handle("GET /meet", &meeting{})
	mux.Handle("GET /ticks", newClock(20*time.Millisecond))
	mux.HandleFunc("POST /echo", echo)
	mux.HandleFunc("GET /quit", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "goodbye")
		leave()
	})

	server := &http.Server{Handler: mux}
	ended := make(chan error, 1)
	go func() {
		<-quit
		ended <- server.Shutdown(context.Background())
	}()
	fmt.Println("serving")
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

func main() {
	log.SetFlags(0)
	if err := serve(); err != nil {
		log.Fatal("httpd: ", err)
	}
}
