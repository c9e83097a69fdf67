package main

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Places in the header of a record batch.
const (
	lengthAt     = 8
	epochAt      = 12
	magicAt      = 16
	crcAt        = 17
	attributesAt = 21
	lastDeltaAt  = 23
	baseTimeAt   = 27
	maxTimeAt    = 35
	producerAt   = 43
	countAt      = 57
	headerSize   = 61
)

const (
	codecBits   = 0x07
	appendTime  = 0x08
	control     = 0x20
	sendable    = codecBits
	joinedBytes = 512 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is one whole record batch, header included.
type batch []byte

func (b batch) i16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
func (b batch) i32(at int) int   { return int(int32(binary.BigEndian.Uint32(b[at:]))) }
func (b batch) i64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

func (b batch) set16(at int, v int16) { binary.BigEndian.PutUint16(b[at:], uint16(v)) }
func (b batch) set32(at, v int)       { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
func (b batch) set64(at int, v int64) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }

func (b batch) base() int64 { return b.i64(0) }
func (b batch) next() int64 { return b.base() + int64(b.i32(lastDeltaAt)) + 1 }

// cut takes the first batch off the records of an answer; nil when only a part of one is left.
func cut(records []byte) (first batch, rest []byte, err error) {
	if len(records) < headerSize {
		return nil, nil, nil
	}
	size := batch(records).i32(lengthAt) + epochAt
	if size < headerSize {
		return nil, nil, errors.New("a batch is shorter than its header")
	}
	if size > len(records) {
		return nil, nil, nil
	}
	if records[magicAt] != 2 {
		return nil, nil, errors.New("only record batches of magic 2 can be copied raw")
	}
	return batch(records[:size:size]), records[size:], nil
}

// patch makes the batch one of a producer without idempotence, in place.
func (b batch) patch() {
	b.set64(0, 0)
	b.set32(epochAt, -1)
	b.set16(attributesAt, b.i16(attributesAt)&sendable)
	b.set64(producerAt, -1)
	b.set16(producerAt+8, -1)
	b.set32(producerAt+10, -1)
	b.set32(crcAt, int(crc32.Checksum(b[attributesAt:], castagnoli)))
}

// joinable: its records can be read without decompressing, and their timestamps are their own.
func (b batch) joinable() bool {
	return b.i16(attributesAt)&(codecBits|appendTime|control) == 0
}

// joiner writes the records of a row of batches into one.
type joiner struct {
	out        batch
	count      int
	base, last int64
}

func (j *joiner) fits(b batch) bool { return len(j.out)+len(b) <= joinedBytes }

func (j *joiner) add(b batch) error {
	if j.out == nil {
		j.out = make(batch, headerSize, joinedBytes+headerSize)
		copy(j.out, b[:headerSize])
		j.base, j.last = b.i64(baseTimeAt), b.i64(maxTimeAt)
	}
	j.last = max(j.last, b.i64(maxTimeAt))
	shift := b.i64(baseTimeAt) - j.base
	rest := []byte(b[headerSize:])
	for n := b.i32(countAt); n > 0; n-- {
		length, n := binary.Varint(rest)
		if n <= 0 || length < 3 || int64(len(rest)-n) < length {
			return errors.New("a record exceeds its batch")
		}
		record := rest[n : n+int(length)]
		rest = rest[n+int(length):]
		time, timeSize := binary.Varint(record[1:])
		if timeSize <= 0 {
			return errors.New("a record without timestamp")
		}
		_, offsetSize := binary.Varint(record[1+timeSize:])
		if offsetSize <= 0 {
			return errors.New("a record without offset")
		}
		j.record(record[0], shift+time, record[1+timeSize+offsetSize:])
	}
	return nil
}

func (j *joiner) record(attributes byte, time int64, content []byte) {
	var head [1 + 2*binary.MaxVarintLen64]byte
	head[0] = attributes
	size := 1 + binary.PutVarint(head[1:], time)
	size += binary.PutVarint(head[size:], int64(j.count))
	j.out = binary.AppendVarint(j.out, int64(size+len(content)))
	j.out = append(j.out, head[:size]...)
	j.out = append(j.out, content...)
	j.count++
}

// finish returns the joined batch, not patched yet, and empties the joiner.
func (j *joiner) finish() batch {
	out := j.out
	if out != nil {
		out.set32(lengthAt, len(out)-epochAt)
		out.set32(lastDeltaAt, j.count-1)
		out.set64(maxTimeAt, j.last)
		out.set32(countAt, j.count)
	}
	*j = joiner{}
	return out
}
