// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/quic-go/quic-go"
)

const piece = 65536

// pattern is what a stream carries: one block over and over, with a number of the stream's own added, so that neither bytes nor streams
// can be exchanged unseen.
type pattern []byte

func newPattern(stream int64) pattern {
	block := make([]byte, piece)
	for i := range block {
		block[i] = byte(i*31 + (i>>8)*17 + int(stream)*7)
	}
	return block
}

// at has the bytes from an offset on, up to the block's end.
func (p pattern) at(offset, max int64) []byte {
	from := offset % piece
	return p[from:min(piece, from+max)]
}

func (p pattern) write(to io.Writer, from, end int64) error {
	for offset := from; offset < end; {
		n, err := to.Write(p.at(offset, end-offset))
		if err != nil {
			return err
		}
		offset += int64(n)
	}
	return nil
}

// expect reads and compares what lies between two offsets, and not a byte more.
func (p pattern) expect(from io.Reader, start, end int64) error {
	buffer := make([]byte, piece)
	for offset := start; offset < end; {
		expected := p.at(offset, end-offset)
		if _, err := io.ReadFull(from, buffer[:len(expected)]); err != nil {
			return fmt.Errorf("at %d: %w", offset, err)
		}
		if !bytes.Equal(buffer[:len(expected)], expected) {
			return fmt.Errorf("other bytes came back, at %d or behind", offset)
		}
		offset += int64(len(expected))
	}
	return nil
}

func expectEnd(from io.Reader) error {
	var one [1]byte
	n, err := from.Read(one[:])
	if n > 0 {
		return errors.New("more came back than was sent")
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// exchange sends bytes from an offset on, and their end, while it compares what comes back, up to its end.
func exchange(to io.WriteCloser, from io.Reader, p pattern, start, end int64) error {
	wrote := make(chan error, 1)
	go func() {
		if err := p.write(to, start, end); err != nil {
			wrote <- err
			return
		}
		wrote <- to.Close()
	}()
	if err := p.expect(from, start, end); err != nil {
		return err
	}
	if err := expectEnd(from); err != nil {
		return err
	}
	return <-wrote
}

// back is a server's: what comes goes back.
func back(to io.WriteCloser, from io.Reader) {
	if _, err := io.CopyBuffer(struct{ io.Writer }{to}, from, make([]byte, piece)); err == nil {
		_ = to.Close()
	}
}

// supply is a server's, of a benchmark: the first eight bytes say how many are wanted back, behind the end of what else comes.
func supply(stream *quic.Stream) {
	var wanted [8]byte
	if _, err := io.ReadFull(stream, wanted[:]); err != nil {
		return
	}
	if _, err := sink(stream); err != nil {
		return
	}
	if newPattern(0).write(stream, 0, int64(binary.BigEndian.Uint64(wanted[:]))) == nil {
		_ = stream.Close()
	}
}

// sink reads up to the end, and returns how much it was.
func sink(from io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, from, make([]byte, piece))
}
