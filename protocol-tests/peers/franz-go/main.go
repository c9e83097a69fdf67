// A copier as one writes it with franz-go: one consuming client, one producing client, records in between.
//
// It reads every partition of the topics from the earliest offset to the log end seen at its start and produces each
// record to the same partition of the target, with its timestamp, key and headers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

// How long the copier waits for the next record before it gives up.
const patience = time.Minute

func main() {
	source := flag.String("source", "", "HOST:PORT of the cluster to read")
	target := flag.String("target", "", "HOST:PORT of the cluster to write")
	topics := flag.String("topics", "", "topics, separated by commas; the target must have them")
	compression := flag.String("compression", "none", "none, gzip, snappy, lz4 or zstd")
	flag.Parse()
	if err := run(*source, *target, *topics, *compression); err != nil {
		fmt.Fprintln(os.Stderr, "franz-go:", err)
		os.Exit(1)
	}
}

func run(source, target, topics, compression string) error {
	codec, known := codecs[compression]
	if source == "" || target == "" || topics == "" || !known {
		return errors.New("needs --source, --target, --topics and a --compression that Kafka has")
	}
	began := time.Now()
	ctx := context.Background()
	starts, ends, err := bounds(ctx, source, strings.Split(topics, ","))
	if err != nil {
		return fmt.Errorf("offsets of %s: %w", source, err)
	}
	copied, bytes, err := copyAll(ctx, source, target, codec, starts, ends)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "franz-go: records=%d bytes=%d seconds=%.3f\n", copied, bytes, time.Since(began).Seconds())
	return nil
}

// The offsets to read from and the ends to stop at, of the partitions that hold anything.
func bounds(ctx context.Context, source string, topics []string) (map[string]map[int32]kgo.Offset, map[string]map[int32]int64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(source))
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	admin := kadm.NewClient(client)
	first, err := admin.ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, first.Error()); err != nil {
		return nil, nil, err
	}
	last, err := admin.ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, last.Error()); err != nil {
		return nil, nil, err
	}
	starts := make(map[string]map[int32]kgo.Offset)
	ends := make(map[string]map[int32]int64)
	last.Each(func(end kadm.ListedOffset) {
		start, found := first.Lookup(end.Topic, end.Partition)
		if !found || start.Offset >= end.Offset {
			return
		}
		if starts[end.Topic] == nil {
			starts[end.Topic] = make(map[int32]kgo.Offset)
			ends[end.Topic] = make(map[int32]int64)
		}
		starts[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
		ends[end.Topic][end.Partition] = end.Offset
	})
	return starts, ends, nil
}

func copyAll(
	ctx context.Context, source, target string, codec kgo.CompressionCodec,
	starts map[string]map[int32]kgo.Offset, ends map[string]map[int32]int64,
) (copied, bytes int64, err error) {
	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(source),
		kgo.ConsumePartitions(starts),
		// A log may end with a transaction's marker: without it the end would never be seen.
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(32<<20),
		kgo.FetchMaxPartitionBytes(8<<20),
		kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		return 0, 0, err
	}
	defer consumer.Close()
	producer, err := kgo.NewClient(
		kgo.SeedBrokers(target),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(200_000),
		kgo.MaxBufferedBytes(128<<20),
		// A delivery timeout would count from the records' own timestamps, and fail old ones at once.
		kgo.RecordRetries(20),
	)
	if err != nil {
		return 0, 0, err
	}
	defer producer.Close()

	left := 0
	for _, partitions := range ends {
		left += len(partitions)
	}
	var failure atomic.Pointer[error]
	promise := func(record *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("producing to %s/%d of %s: %w", record.Topic, record.Partition, target, err)
			failure.CompareAndSwap(nil, &err)
		}
	}
	for left > 0 && failure.Load() == nil {
		waiting, cancel := context.WithTimeout(ctx, patience)
		fetches := consumer.PollFetches(waiting)
		cancel()
		if err := fetches.Err(); err != nil {
			return copied, bytes, fmt.Errorf("reading from %s, %d partitions are left: %w", source, left, err)
		}
		fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
			end := ends[fetched.Topic][fetched.Partition]
			for _, record := range fetched.Records {
				if record.Offset >= end {
					break
				}
				// Producing overwrites the offset.
				reached := record.Offset == end-1
				if !record.Attrs.IsControl() {
					copied++
					bytes += int64(len(record.Key) + len(record.Value))
					producer.Produce(ctx, record, promise)
				}
				if reached {
					left--
					consumer.PauseFetchPartitions(map[string][]int32{fetched.Topic: {fetched.Partition}})
				}
			}
		})
	}
	flushing, cancel := context.WithTimeout(ctx, 5*patience)
	defer cancel()
	if err := producer.Flush(flushing); err != nil {
		return copied, bytes, fmt.Errorf("flushing to %s: %w", target, err)
	}
	if failed := failure.Load(); failed != nil {
		return copied, bytes, *failed
	}
	return copied, bytes, nil
}
