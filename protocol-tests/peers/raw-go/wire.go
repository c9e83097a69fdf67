package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// API keys and the versions spoken: the last ones before tagged fields, which every broker since 2.3 knows.
const (
	produceKey, produceVersion                 = 0, 7
	fetchKey, fetchVersion                     = 1, 11
	listOffsetsKey, listOffsetsVersion         = 2, 1
	metadataKey, metadataVersion               = 3, 4
	offsetCommitKey, offsetCommitVersion       = 8, 2
	findCoordinatorKey, findCoordinatorVersion = 10, 0
)

// The longest that a connection may stand still.
const patience = time.Minute

const clientID = "raw-go"

// The largest answer that is taken: a fetched batch may exceed what was asked for.
const largestAnswer = 256 << 20

type writer []byte

func (w *writer) i8(v int8)   { *w = append(*w, byte(v)) }
func (w *writer) i16(v int16) { *w = binary.BigEndian.AppendUint16(*w, uint16(v)) }
func (w *writer) i32(v int)   { *w = binary.BigEndian.AppendUint32(*w, uint32(v)) }
func (w *writer) i64(v int64) { *w = binary.BigEndian.AppendUint64(*w, uint64(v)) }
func (w *writer) text(s string) {
	w.i16(int16(len(s)))
	*w = append(*w, s...)
}

// reader reads what a broker answered; after the first byte that is missing it returns zeros.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) number(n int) (v uint64) {
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (r *reader) i8() int8     { return int8(r.number(1)) }
func (r *reader) i16() int16   { return int16(r.number(2)) }
func (r *reader) i32() int     { return int(int32(r.number(4))) }
func (r *reader) i64() int64   { return int64(r.number(8)) }
func (r *reader) text() string { return string(r.take(max(0, int(r.i16())))) }

// each calls f for every element of an array.
func (r *reader) each(f func()) {
	for n := r.i32(); n > 0 && !r.short; n-- {
		f()
	}
}

func (r *reader) done() error {
	if r.short {
		return errors.New("the answer ends too early")
	}
	return nil
}

func kafkaError(code int16) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("Kafka error code %d", code)
}

type conn struct {
	address string
	socket  net.Conn
	next    int
}

func dial(address string) (*conn, error) {
	socket, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &conn{address: address, socket: socket}, nil
}

// send writes a request whose body is in parts.
func (c *conn) send(key, version int16, body ...[]byte) error {
	var head writer
	head.i32(0)
	head.i16(key)
	head.i16(version)
	head.i32(c.next)
	head.text(clientID)
	c.next++
	size := len(head) - 4
	for _, part := range body {
		size += len(part)
	}
	binary.BigEndian.PutUint32(head, uint32(size))
	if err := c.socket.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buffers := append(net.Buffers{head}, body...)
	_, err := buffers.WriteTo(c.socket)
	return err
}

// receive reads the next answer into buffer, which is replaced where it is too small, and skips the correlation id:
// a broker answers the requests of a connection in their order.
func (c *conn) receive(buffer []byte) (*reader, []byte, error) {
	if err := c.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, buffer, err
	}
	var length [4]byte
	if _, err := io.ReadFull(c.socket, length[:]); err != nil {
		return nil, buffer, err
	}
	size := int(binary.BigEndian.Uint32(length[:]))
	if size < 4 || size > largestAnswer {
		return nil, buffer, fmt.Errorf("an answer of %d bytes", size)
	}
	if size > cap(buffer) {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	if _, err := io.ReadFull(c.socket, buffer); err != nil {
		return nil, buffer, err
	}
	return &reader{b: buffer[4:]}, buffer, nil
}

func (c *conn) call(key, version int16, body writer) (*reader, error) {
	if err := c.send(key, version, body); err != nil {
		return nil, err
	}
	answer, _, err := c.receive(nil)
	return answer, err
}
