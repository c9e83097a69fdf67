// A simple raw copier: batches are fetched and produced as they are, with a new header, by a few pairs of connections.
//
// It copies every partition of the topics from its log start to the log end seen at the beginning. Nothing is repeated:
// the first error ends it. With --join, rows of uncompressed batches become batches of up to 512 KiB. With --journal, what is
// produced next is noted on the target first.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// options is what a copy was asked for.
type options struct {
	source, target string
	topics         []string
	pairs          int
	join, journal  bool
}

// partition is one log on its way; its worker alone changes it.
type partition struct {
	topic     string
	index     int
	next, end int64
}

// route is the broker that a partition is read from and the one that it is written to.
type route struct{ source, target string }

var records, batches, bytes, requests atomic.Int64

func main() {
	var o options
	flag.StringVar(&o.source, "source", "", "HOST:PORT of the cluster to read")
	flag.StringVar(&o.target, "target", "", "HOST:PORT of the cluster to write")
	topics := flag.String("topics", "", "topics, separated by commas; the target must have them")
	flag.IntVar(&o.pairs, "connections", 3, "connections to each broker")
	flag.BoolVar(&o.join, "join", false, "join rows of uncompressed batches")
	flag.BoolVar(&o.journal, "journal", false, "note on the target what is produced next")
	flag.Parse()
	o.topics = strings.Split(*topics, ",")
	began := time.Now()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "raw-go:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "raw-go: records=%d bytes=%d batches=%d requests=%d seconds=%.3f\n",
		records.Load(), bytes.Load(), batches.Load(), requests.Load(), time.Since(began).Seconds())
}

func run(o options) error {
	if o.source == "" || o.target == "" || o.topics[0] == "" || o.pairs < 1 {
		return errors.New("needs --source, --target and --topics, and at least one connection")
	}
	sources, err := leaders(o.source, o.topics)
	if err != nil {
		return fmt.Errorf("metadata of %s: %w", o.source, err)
	}
	targets, err := leaders(o.target, o.topics)
	if err != nil {
		return fmt.Errorf("metadata of %s: %w", o.target, err)
	}
	routes := make(map[route][]*partition)
	for place, source := range sources {
		target, found := targets[place]
		if !found {
			return fmt.Errorf("%s has no %s/%d", o.target, place.topic, place.index)
		}
		way := route{source, target}
		routes[way] = append(routes[way], &partition{topic: place.topic, index: place.index})
	}
	var notes *journal
	if o.journal {
		if notes, err = openJournal(o.target); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		defer notes.coordinator.socket.Close()
	}
	var group sync.WaitGroup
	failed := make(chan error, 1)
	for way, partitions := range routes {
		partitions, err := bounded(way.source, partitions)
		if err != nil {
			return fmt.Errorf("offsets of %s: %w", way.source, err)
		}
		for _, share := range shares(partitions, o.pairs) {
			group.Go(func() {
				if err := copyShare(way, share, o.join, notes); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
	}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	select {
	case err := <-failed:
		return err
	case <-finished:
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// shares deals the partitions out, the longest first, so that no worker gets all the long ones.
func shares(partitions []*partition, n int) [][]*partition {
	slices.SortFunc(partitions, func(a, b *partition) int { return cmp.Compare(b.end-b.next, a.end-a.next) })
	dealt := make([][]*partition, min(n, len(partitions)))
	for i, p := range partitions {
		dealt[i%len(dealt)] = append(dealt[i%len(dealt)], p)
	}
	return dealt
}

type place struct {
	topic string
	index int
}

// leaders is the address of the leader of each partition.
func leaders(bootstrap string, topics []string) (map[place]string, error) {
	c, err := dial(bootstrap)
	if err != nil {
		return nil, err
	}
	defer c.socket.Close()
	var body writer
	body.i32(len(topics))
	for _, topic := range topics {
		body.text(topic)
	}
	body.i8(0)
	answer, err := c.call(metadataKey, metadataVersion, body)
	if err != nil {
		return nil, err
	}
	answer.i32()
	addresses := make(map[int]string)
	answer.each(func() {
		id, host, port := answer.i32(), answer.text(), answer.i32()
		answer.text()
		addresses[id] = fmt.Sprintf("%s:%d", host, port)
	})
	answer.text()
	answer.i32()
	found := make(map[place]string)
	answer.each(func() {
		code, topic := answer.i16(), answer.text()
		answer.i8()
		if code != 0 {
			err = errors.Join(err, fmt.Errorf("%s: %w", topic, kafkaError(code)))
		}
		answer.each(func() {
			code, index, leader := answer.i16(), answer.i32(), answer.i32()
			answer.each(func() { answer.i32() })
			answer.each(func() { answer.i32() })
			address, known := addresses[leader]
			if !known {
				err = errors.Join(err, fmt.Errorf("%s/%d has no leader: %w", topic, index, kafkaError(code)))
			}
			found[place{topic, index}] = address
		})
	})
	return found, errors.Join(err, answer.done())
}

// bounded sets log start and log end of the partitions, and leaves out those that are empty.
func bounded(leader string, partitions []*partition) ([]*partition, error) {
	c, err := dial(leader)
	if err != nil {
		return nil, err
	}
	defer c.socket.Close()
	byPlace := make(map[place]*partition)
	for _, p := range partitions {
		byPlace[place{p.topic, p.index}] = p
	}
	ask := func(timestamp int64, set func(p *partition, offset int64)) error {
		var body writer
		body.i32(-1)
		perTopic(&body, partitions, func(p *partition) {
			body.i32(p.index)
			body.i64(timestamp)
		})
		answer, err := c.call(listOffsetsKey, listOffsetsVersion, body)
		if err != nil {
			return err
		}
		answer.each(func() {
			topic := answer.text()
			answer.each(func() {
				index, code := answer.i32(), answer.i16()
				answer.i64()
				offset := answer.i64()
				p, asked := byPlace[place{topic, index}]
				if code != 0 || !asked {
					err = errors.Join(err, fmt.Errorf("%s/%d: %w", topic, index, kafkaError(code)))
					return
				}
				set(p, offset)
			})
		})
		return errors.Join(err, answer.done())
	}
	if err := ask(-2, func(p *partition, offset int64) { p.next = offset }); err != nil {
		return nil, err
	}
	if err := ask(-1, func(p *partition, offset int64) { p.end = offset }); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(partitions, func(p *partition) bool { return p.next >= p.end }), nil
}

// perTopic writes the partitions as the array of topics that most requests have.
func perTopic[P interface{ name() string }](body *writer, partitions []P, write func(P)) {
	topics := make(map[string][]P)
	for _, p := range partitions {
		topics[p.name()] = append(topics[p.name()], p)
	}
	body.i32(len(topics))
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		body.text(topic)
		body.i32(len(topics[topic]))
		for _, p := range topics[topic] {
			write(p)
		}
	}
}

func (p *partition) name() string { return p.topic }
