package main

import "fmt"

const (
	fetchBytes   = 8 << 20
	produceBytes = 8 << 20
	// Answers that a worker holds at once: one is read while the others are on their way to the target.
	frames = 3
	// Produce requests of a worker that wait for their answers.
	inFlight = 5
)

// frame is one fetch answer, to be produced.
type frame struct {
	buffer []byte
	logs   []log
}

// log is what an answer brought of one partition.
type log struct {
	*partition
	batches []batch
}

// entry is one batch of a Produce request; a request takes one per partition.
type entry struct {
	*partition
	batch
}

// sent is a Produce request that waits for its answer; last is the frame that is free again then.
type sent struct{ last []byte }

// copyShare copies partitions of one route: one goroutine fetches, one produces, one reads what the target answers.
func copyShare(way route, partitions []*partition, join bool, notes *journal) error {
	source, err := dial(way.source)
	if err != nil {
		return err
	}
	defer source.socket.Close()
	target, err := dial(way.target)
	if err != nil {
		return err
	}
	defer target.socket.Close()
	free := make(chan []byte, frames)
	for range frames {
		free <- nil
	}
	fetched := make(chan frame)
	waiting := make(chan sent, inFlight-1)
	results := make(chan error, 3)
	go func() {
		defer close(fetched)
		results <- fetchAll(source, partitions, free, fetched)
	}()
	go func() {
		defer close(waiting)
		results <- produceAll(target, fetched, waiting, free, join, notes)
	}()
	go func() { results <- acknowledge(target, waiting, free) }()
	for range cap(results) {
		// The first failure is the cause, and the program ends with it.
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

func fetchAll(source *conn, partitions []*partition, free <-chan []byte, fetched chan<- frame) error {
	for len(partitions) > 0 {
		buffer := <-free
		var body writer
		body.i32(-1)
		body.i32(500)
		body.i32(1)
		body.i32(fetchBytes)
		body.i8(0)
		body.i32(0)
		body.i32(-1)
		perTopic(&body, partitions, func(p *partition) {
			body.i32(p.index)
			body.i32(-1)
			body.i64(p.next)
			body.i64(-1)
			body.i32(fetchBytes)
		})
		body.i32(0)
		body.text("")
		err := source.send(fetchKey, fetchVersion, body)
		var answer *reader
		if err == nil {
			answer, buffer, err = source.receive(buffer)
		}
		if err != nil {
			return fmt.Errorf("fetching from %s: %w", source.address, err)
		}
		logs, err := readFetch(answer, partitions)
		if err != nil {
			return fmt.Errorf("fetching from %s: %w", source.address, err)
		}
		partitions = turned(partitions, logs)
		fetched <- frame{buffer, logs}
	}
	return nil
}

func readFetch(answer *reader, partitions []*partition) (logs []log, err error) {
	asked := make(map[place]*partition, len(partitions))
	for _, p := range partitions {
		asked[place{p.topic, p.index}] = p
	}
	answer.i32()
	if err := kafkaError(answer.i16()); err != nil {
		return nil, err
	}
	answer.i32()
	answer.each(func() {
		topic := answer.text()
		answer.each(func() {
			index, code := answer.i32(), answer.i16()
			answer.take(24)
			answer.each(func() { answer.take(16) })
			answer.i32()
			records := answer.take(max(0, answer.i32()))
			p := asked[place{topic, index}]
			if err != nil || answer.short {
				return
			}
			if err = kafkaError(code); err == nil && p == nil {
				err = fmt.Errorf("nobody asked for it")
			}
			var got log
			if err == nil {
				got, err = p.take(records)
			}
			if err != nil {
				err = fmt.Errorf("%s/%d: %w", topic, index, err)
			} else if got.batches != nil {
				logs = append(logs, got)
			}
		})
	})
	if err == nil {
		err = answer.done()
	}
	return logs, err
}

// take cuts the batches up to the end and moves the partition behind them.
func (p *partition) take(records []byte) (log, error) {
	got := log{partition: p}
	for p.next < p.end {
		first, rest, err := cut(records)
		if err != nil {
			return got, fmt.Errorf("at offset %d: %w", p.next, err)
		}
		if first == nil {
			break
		}
		records = rest
		p.next = first.next()
		got.batches = append(got.batches, first)
	}
	return got, nil
}

// turned leaves out what is finished and puts those that were served last to the end: an answer has room for a few.
func turned(partitions []*partition, logs []log) []*partition {
	served := make(map[*partition]bool, len(logs))
	for _, log := range logs {
		served[log.partition] = true
	}
	var first, last []*partition
	for _, p := range partitions {
		if p.next >= p.end {
			continue
		}
		if served[p] {
			last = append(last, p)
		} else {
			first = append(first, p)
		}
	}
	return append(first, last...)
}

func produceAll(target *conn, fetched <-chan frame, waiting chan<- sent, free chan<- []byte, join bool, notes *journal) error {
	for frame := range fetched {
		if notes != nil && len(frame.logs) > 0 {
			if err := notes.note(frame.logs); err != nil {
				return err
			}
		}
		requests, err := packed(frame.logs, join)
		if err != nil {
			return err
		}
		if len(requests) == 0 {
			free <- frame.buffer
		}
		for i, request := range requests {
			var done sent
			if i == len(requests)-1 {
				done.last = frame.buffer
			}
			if err := produce(target, request); err != nil {
				return fmt.Errorf("producing to %s: %w", target.address, err)
			}
			waiting <- done
		}
	}
	return nil
}

// packed makes Produce requests of what a frame brought.
func packed(logs []log, join bool) ([][]entry, error) {
	for i := range logs {
		ready, err := prepared(logs[i].batches, join)
		if err != nil {
			return nil, fmt.Errorf("%s/%d: %w", logs[i].topic, logs[i].index, err)
		}
		logs[i].batches = ready
	}
	var all [][]entry
	for round := 0; ; round++ {
		var request []entry
		size := 0
		for _, log := range logs {
			if round >= len(log.batches) {
				continue
			}
			next := log.batches[round]
			if size > 0 && size+len(next) > produceBytes {
				all = append(all, request)
				request, size = nil, 0
			}
			request = append(request, entry{log.partition, next})
			size += len(next)
		}
		if request == nil {
			return all, nil
		}
		all = append(all, request)
	}
}

// prepared leaves control batches out, joins where asked to, and patches.
func prepared(fetched []batch, join bool) ([]batch, error) {
	ready := make([]batch, 0, len(fetched))
	var row joiner
	end := func() {
		if joined := row.finish(); joined != nil {
			ready = append(ready, joined)
		}
	}
	for _, next := range fetched {
		if next.i16(attributesAt)&control != 0 {
			continue
		}
		records.Add(int64(next.i32(countAt)))
		if !join || !next.joinable() || len(next) > joinedBytes/2 {
			end()
			ready = append(ready, next)
			continue
		}
		if !row.fits(next) {
			end()
		}
		if err := row.add(next); err != nil {
			return nil, err
		}
	}
	end()
	for _, next := range ready {
		next.patch()
		bytes.Add(int64(len(next)))
	}
	batches.Add(int64(len(ready)))
	return ready, nil
}

// produce sends one request; the batches are written from where they are.
func produce(target *conn, request []entry) error {
	requests.Add(1)
	var body writer
	body.i16(-1)
	body.i16(-1)
	body.i32(30_000)
	var cuts []int
	var payloads [][]byte
	perTopic(&body, request, func(e entry) {
		body.i32(e.index)
		body.i32(len(e.batch))
		cuts = append(cuts, len(body))
		payloads = append(payloads, e.batch)
	})
	var parts [][]byte
	from := 0
	for i, cut := range cuts {
		parts = append(parts, body[from:cut], payloads[i])
		from = cut
	}
	return target.send(produceKey, produceVersion, append(parts, body[from:])...)
}

func acknowledge(target *conn, waiting <-chan sent, free chan<- []byte) error {
	var buffer []byte
	for request := range waiting {
		answer, kept, err := target.receive(buffer)
		if err != nil {
			return fmt.Errorf("producing to %s: %w", target.address, err)
		}
		buffer = kept
		answer.each(func() {
			topic := answer.text()
			answer.each(func() {
				index, code := answer.i32(), answer.i16()
				answer.take(24)
				if code != 0 && err == nil {
					err = fmt.Errorf("producing %s/%d to %s: %w", topic, index, target.address, kafkaError(code))
				}
			})
		})
		if err == nil {
			err = answer.done()
		}
		if err != nil {
			return err
		}
		if request.last != nil {
			free <- request.last
		}
	}
	return nil
}
