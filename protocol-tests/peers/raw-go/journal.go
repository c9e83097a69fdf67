package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	journalGroup = "raw-go-journal"
	// What is noted of a partition, in bytes: as much as kferry notes of one with a single batch.
	noteBytes = 240
	// A coordinator that is not there yet is asked for again.
	coordinatorTries, coordinatorPause = 100, 100 * time.Millisecond
)

// journal notes on the target what is about to be produced, as whoever must do who may be killed at any time and doubles
// nothing: an offset commit per partition, which is answered before the records are sent.
type journal struct {
	one         sync.Mutex
	coordinator *conn
}

func openJournal(target string) (*journal, error) {
	c, err := dial(target)
	if err != nil {
		return nil, err
	}
	defer c.socket.Close()
	for range coordinatorTries {
		var body writer
		body.text(journalGroup)
		answer, err := c.call(findCoordinatorKey, findCoordinatorVersion, body)
		if err != nil {
			return nil, err
		}
		code := answer.i16()
		answer.i32()
		host, port := answer.text(), answer.i32()
		if err := answer.done(); err != nil {
			return nil, err
		}
		if code == 0 {
			coordinator, err := dial(fmt.Sprintf("%s:%d", host, port))
			return &journal{coordinator: coordinator}, err
		}
		time.Sleep(coordinatorPause)
	}
	return nil, errors.New("the journal's group has no coordinator")
}

// note is back when all that a frame brought is noted.
func (j *journal) note(logs []log) error {
	var body writer
	body.text(journalGroup)
	body.i32(-1)
	body.text("")
	body.i64(-1)
	perTopic(&body, logs, func(l log) {
		body.i32(l.index)
		body.i64(l.next)
		body.text(strings.Repeat("j", noteBytes))
	})
	j.one.Lock()
	defer j.one.Unlock()
	answer, err := j.coordinator.call(offsetCommitKey, offsetCommitVersion, body)
	if err != nil {
		return fmt.Errorf("noting at %s: %w", j.coordinator.address, err)
	}
	answer.each(func() {
		topic := answer.text()
		answer.each(func() {
			index, code := answer.i32(), answer.i16()
			if code != 0 && err == nil {
				err = fmt.Errorf("noting %s/%d: %w", topic, index, kafkaError(code))
			}
		})
	})
	return errors.Join(err, answer.done())
}
