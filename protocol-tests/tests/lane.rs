//! A lane of the copy, driven through random logs: what it wants to produce, read by code it does not share, must be
//! what a read_committed consumer of the source is shown.
//!
//! The log is made up by `protocol_tests::model`; the test is both brokers: it answers a Fetch with bytes cut anywhere
//! and the aborted transactions that belong to them, and a Produce in order, as late as it likes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this file is tests and their helpers"
)]

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use kferry::batch::{AppendTime, Codec, CodecSet, Outgoing, Rules, batches};
use kferry::cluster::AbortedTransaction;
use kferry::cluster::retry::RetryPolicy;
use kferry::copy::{Action, Event, Lane, LaneEnd, LaneProblem, LaneSetup, Patience, ProduceResult};
use kferry::kafka::{ErrorCode, Offset, ProducerEpoch, ProducerId, Span, TopicPartition};
use kferry::state::{Checkpoint, Skipped, Writer};
use proptest::prelude::*;
use protocol_tests::broker;
use protocol_tests::lab::Record;
use protocol_tests::model::reader::{Read, complaint, read};
use protocol_tests::model::{Choices, Kinds, Log, Piece, STEP, generate};

const PRODUCER: i64 = 7;
const EPOCH: i16 = 2;
const TARGET_END: i64 = 1_000;
/// More than any record is larger by when it is a batch of its own, whatever the codec makes of it.
const ALONE: usize = 200;

/// What is decided beside the log.
#[derive(Clone, Debug)]
struct Case {
    span: Span,
    rules: Rules,
    skip_corrupt: bool,
    first_sequence: i32,
    depth: usize,
}

/// What came of it.
struct Ran {
    end: LaneEnd,
    sent: Vec<Outgoing>,
    written: Span,
    skipped: Vec<Skipped>,
    volume: (u64, u64),
}

fn case(log: &Log, choices: &mut Choices<'_>) -> Case {
    let stable = log.last_stable_offset();
    let start = choices.between(log.start, stable);
    let end = stable - choices.between(0, stable - start);
    let mut rules = Rules::default();
    if choices.once_in(2) {
        let largest = log.committed(start, end).map(|(_, record)| weight(record)).max().unwrap_or(0);
        rules.max_batch_bytes = Some(ALONE + largest + largest / 50 + choices.below(4_096));
    }
    if choices.once_in(2) {
        rules.append_time = AppendTime::TargetStamps;
    }
    if choices.once_in(3) {
        rules.codecs = CodecSet::ALL.without(Codec::Zstd);
        rules.recompress = Some(Codec::Lz4);
    }
    let first_sequence = if choices.once_in(2) { i32::MAX - 9 } else { 0 };
    let skip_corrupt = choices.once_in(2);
    Case { span: Span::new(start, end), rules, skip_corrupt, first_sequence, depth: 1 + choices.below(5) }
}

/// What a record's fields and the lengths in front of them take at most.
fn weight(record: &Record) -> usize {
    let headers = record.headers.iter().map(|header| header.key.len() + header.value.as_ref().map_or(0, Vec::len) + 10);
    let fields = [&record.key, &record.value].map(|field| field.as_ref().map_or(0, Vec::len));
    40 + fields.iter().sum::<usize>() + headers.sum::<usize>()
}

fn lane(case: &Case) -> Lane {
    let mut lane = Lane::new(LaneSetup {
        at: TopicPartition::new("orders", 0),
        surveyed: true,
        checkpoint: Checkpoint::begin(case.span, Offset(TARGET_END)),
        writer: Writer {
            producer: ProducerId(PRODUCER),
            epoch: ProducerEpoch(EPOCH),
            origin: -i64::from(case.first_sequence),
        },
        resumed: false,
        marks: Vec::new(),
        late_bound: Duration::ZERO,
        depth: case.depth,
        old_before: i64::MIN,
        rules: case.rules.clone().into(),
        skip_corrupt: case.skip_corrupt,
        patience: Patience::new(RetryPolicy::default(), 1),
    });
    lane.on(Duration::ZERO, Event::Stamps { kept: true });
    lane
}

/// Runs a lane to its end between the two brokers.
fn run(log: &Log, case: &Case, choices: &mut Choices<'_>) -> Ran {
    let mut lane = lane(case);
    let mut now = Duration::ZERO;
    let mut sent = Vec::new();
    let mut in_flight = VecDeque::new();
    let mut losses = 3;
    let mut target_end = TARGET_END;
    let mut answer = |lane: &mut Lane, now, in_flight: &mut VecDeque<Outgoing>| {
        let Some(batch) = in_flight.pop_front() else { return false };
        lane.on(now, Event::Produced(appended(&batch, &mut target_end)));
        true
    };
    for _ in 0..100_000 {
        if choices.once_in(3) {
            answer(&mut lane, now, &mut in_flight);
        }
        match lane.next(now) {
            Some(Action::Fetch { from, beyond: true, .. }) => {
                let records = batches(log.fetch_uncommitted(from.get()).records);
                lane.on(now, Event::Fetched { records, aborted: Vec::new(), crowded: false });
            }
            Some(Action::Fetch { from, first, .. }) => lane.on(now, fetched(log, from, first, choices, &mut losses)),
            Some(Action::Produce(batch)) => {
                in_flight.push_back(batch.clone());
                sent.push(batch);
            }
            Some(Action::Store) => {
                lane.checkpoint();
                lane.on(now, Event::Stored);
            }
            Some(Action::Settle) => panic!("every answer is clear"),
            Some(Action::Wait(until)) => now = until,
            Some(Action::Finish(end)) => {
                assert!(in_flight.is_empty(), "it ended with {} batches in flight", in_flight.len());
                let (written, skipped) = (lane.written(), lane.skipped().to_vec());
                return Ran { end, sent, written, skipped, volume: volume(&lane) };
            }
            None => assert!(answer(&mut lane, now, &mut in_flight), "it waits for nothing"),
        }
    }
    panic!("it does not end")
}

/// The source's answer; sometimes it has no room for this partition, and a few times it is lost.
fn fetched(log: &Log, from: Offset, first: bool, choices: &mut Choices<'_>, losses: &mut u32) -> Event {
    if *losses > 0 && choices.once_in(8) {
        *losses -= 1;
        return Event::FetchLost { cause: "cut".to_owned() };
    }
    let crowded = !first && choices.once_in(8);
    let most = match choices.below(3) {
        0 => usize::MAX,
        1 => choices.below(65_536),
        _ => choices.below(1_024),
    };
    let answer = log.fetch(from.get(), most, !crowded, choices.below(3));
    let named = |(producer, first)| AbortedTransaction { producer: ProducerId(producer), first_offset: Offset(first) };
    Event::Fetched {
        records: batches(answer.records),
        aborted: answer.aborted.into_iter().map(named).collect(),
        crowded,
    }
}

/// The target's answer: what it checks first is the CRC.
fn appended(batch: &Outgoing, end: &mut i64) -> ProduceResult {
    if !broker::batch::crc_matches(&bytes(batch)) {
        return ProduceResult::from_answer(ErrorCode::CORRUPT_MESSAGE, Offset(-1), None);
    }
    let base = Offset(*end);
    *end += i64::from(batch.records());
    ProduceResult::Appended { base }
}

fn bytes(batch: &Outgoing) -> Bytes {
    let (head, body) = batch.parts();
    [&head[..], body].concat().into()
}

fn volume(lane: &Lane) -> (u64, u64) {
    let tally = lane.tally();
    let opened = tally.rewritten.values().chain(tally.dropped.values());
    let all = opened.chain([&tally.passed]);
    all.fold((0, 0), |(batches, bytes), volume| (batches + volume.batches, bytes + volume.bytes))
}

/// What is sent, read by other code, with everything checked that concerns one batch.
fn received(ran: &Ran, case: &Case) -> Result<Vec<Read>, TestCaseError> {
    let mut sequence = i64::from(case.first_sequence);
    let mut behind = case.span.start;
    let mut all = Vec::new();
    for batch in &ran.sent {
        let bytes = bytes(batch);
        let read = read(&bytes).map_err(|cause| TestCaseError::fail(format!("{:?}: {cause}", batch.source())))?;
        prop_assert_eq!(complaint(&read), None, "{:?}", batch.source());
        let header = &read.header;
        // A target topic that stamps its own time looks at neither.
        let newest = read.records.iter().map(|record| record.timestamp).max();
        prop_assert!(
            case.rules.append_time != AppendTime::Keep || newest == Some(header.max_timestamp),
            "{:?}",
            header
        );
        let stamp = (header.producer_id, header.producer_epoch, i64::from(header.base_sequence));
        prop_assert_eq!(stamp, (PRODUCER, EPOCH, sequence));
        // Behind 2^31 - 1 comes 0.
        sequence = (sequence + i64::from(header.count)) % (1 << 31);
        prop_assert!(bytes.len() == batch.len() && bytes.len() <= case.rules.max_batch_bytes.unwrap_or(usize::MAX));
        let source = batch.source();
        prop_assert!(
            behind <= source.start && source.start < source.end && source.end <= case.span.end,
            "{:?}",
            source
        );
        behind = source.end;
        all.push(read);
    }
    Ok(all)
}

/// What a lane may have counted: the batches and bytes that overlap its span. Where a compressed message set begins is
/// seen only inside, so that one behind the end may be among them.
fn tallies(log: &Log, case: &Case) -> Vec<(u64, u64)> {
    let (start, end) = (case.span.start.get(), case.span.end.get());
    let add = |(batches, bytes): (u64, u64), piece: &Piece| (batches + 1, bytes + piece.bytes.len() as u64);
    let exact = log.overlapping(start, end).fold((0, 0), add);
    let behind = log
        .pieces
        .iter()
        .find(|piece| start < end && piece.base >= end && piece.magic < 2 && piece.codec != broker::Codec::None);
    [Some(exact), behind.map(|piece| add(exact, piece))].into_iter().flatten().collect()
}

/// Every record that a consumer of the source is shown, once, in order and with nothing changed.
fn compare(log: &Log, case: &Case, ran: &Ran, sent: &[Read]) -> Result<usize, TestCaseError> {
    let (start, end) = (case.span.start.get(), case.span.end.get());
    let mut expected = log.committed(start, end).peekable();
    let mut count = 0;
    for (batch, read) in ran.sent.iter().zip(sent) {
        let source = batch.source();
        for got in &read.records {
            let Some((piece, wanted)) = expected.next() else {
                return Err(TestCaseError::fail(format!("one too many: {got:?}")));
            };
            prop_assert!(source.contains(Offset(wanted.offset)), "{} comes from {:?}", wanted.offset, source);
            prop_assert_eq!(comparable(got, wanted, case), comparable(wanted, wanted, case));
            prop_assert_eq!(read.codec, codec(piece, case), "{:?}", source);
            count += 1;
        }
        let ahead = expected.peek().map_or(i64::MAX, |(_, record)| record.offset);
        prop_assert!(source.end.get() <= ahead, "{} is in no batch before {:?}", ahead, source);
        for offset in source.start.get() - 1..=source.end.get() + 1 {
            let before = log.committed(source.start.get(), offset.min(source.end.get())).count();
            prop_assert_eq!(batch.records_before(Offset(offset)) as usize, before, "before {} in {:?}", offset, source);
        }
    }
    prop_assert!(expected.next().is_none(), "{} records and no more, of {:?}", count, case.span);
    Ok(count)
}

/// What must be the same: all but the offset, and the time where the target stamps its own.
fn comparable(record: &Record, source: &Record, case: &Case) -> Record {
    let stamps = source.append_time && case.rules.append_time == AppendTime::TargetStamps;
    let timestamp = if stamps { 0 } else { record.timestamp };
    Record { offset: 0, append_time: false, timestamp, ..record.clone() }
}

fn codec(piece: &Piece, case: &Case) -> broker::Codec {
    match case.rules.recompress {
        Some(_) if piece.codec == broker::Codec::Zstd => broker::Codec::Lz4,
        _ => piece.codec,
    }
}

fn kinds() -> Kinds {
    Kinds { old: true, corrupt: false, largest: 40_000 }
}

/// The bytes of a log; a failure shows what they make.
#[derive(Clone)]
struct Steps(Vec<[u8; STEP]>);

impl fmt::Debug for Steps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", generate(&self.0, Kinds { corrupt: true, ..kinds() }))
    }
}

fn steps() -> impl Strategy<Value = Steps> {
    prop::collection::vec(any::<[u8; STEP]>(), 0..40).prop_map(Steps)
}

fn decisions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lane_copies_what_a_read_committed_consumer_is_shown(steps in steps(), decisions in decisions()) {
        let log = generate(&steps.0, kinds());
        let mut choices = Choices::new(&decisions);
        let case = case(&log, &mut choices);
        let ran = run(&log, &case, &mut choices);
        prop_assert_eq!(&ran.end, &LaneEnd::Copied);
        prop_assert_eq!(&ran.skipped, &[]);
        let sent = received(&ran, &case)?;
        let count = compare(&log, &case, &ran, &sent)?;
        prop_assert_eq!(ran.written, Span::new(TARGET_END, TARGET_END + count as i64));
        let tallied = tallies(&log, &case);
        prop_assert!(tallied.contains(&ran.volume), "the tally of {:?}: {:?} instead of {:?}", case.span, ran.volume, tallied);
    }

    #[test]
    fn a_corrupt_batch_stops_the_lane_in_front_of_it(steps in steps(), decisions in decisions()) {
        let log = generate(&steps.0, Kinds { corrupt: true, ..kinds() });
        let mut choices = Choices::new(&decisions);
        let case = Case { skip_corrupt: false, ..case(&log, &mut choices) };
        let mut overlapping = log.overlapping(case.span.start.get(), case.span.end.get());
        // What nobody is shown need not be read.
        let Some(first) = overlapping.find(|piece| piece.corrupt && log.is_committed(piece) && !piece.records.is_empty()) else {
            return Ok(());
        };
        let ran = run(&log, &case, &mut choices);
        let at = first.base.max(case.span.start.get());
        let named = match &ran.end {
            LaneEnd::Failed(LaneProblem::Corrupt { offset, .. }) => offset.get(),
            LaneEnd::Failed(LaneProblem::Refused { span, code: ErrorCode::CORRUPT_MESSAGE, .. }) => span.start.get(),
            end => return Err(TestCaseError::fail(format!("{end:?}, and offset {at} is corrupt"))),
        };
        prop_assert!(named <= at, "{} is named, {} is corrupt", named, at);
        let before = Case { span: Span::new(case.span.start.get(), named), ..case };
        let good = ran.sent.iter().filter(|batch| batch.source().end.get() <= named).cloned().collect();
        let ran = Ran { sent: good, ..ran };
        let count = compare(&log, &before, &ran, &received(&ran, &before)?)?;
        prop_assert_eq!(ran.written, Span::new(TARGET_END, TARGET_END + count as i64));
    }

    #[test]
    fn corrupt_batches_are_copied_around_and_listed(steps in steps(), decisions in decisions()) {
        let log = generate(&steps.0, Kinds { corrupt: true, ..kinds() });
        let mut choices = Choices::new(&decisions);
        let case = Case { skip_corrupt: true, ..case(&log, &mut choices) };
        let ran = run(&log, &case, &mut choices);
        prop_assert_eq!(&ran.end, &LaneEnd::Copied);
        let sent = received(&ran, &case)?;
        compare(&log, &case, &ran, &sent)?;
        let (start, end) = (case.span.start.get(), case.span.end.get());
        let lost = log.overlapping(start, end).filter(|piece| piece.corrupt && log.is_committed(piece));
        for record in lost.flat_map(|piece| &piece.records).filter(|record| (start..end).contains(&record.offset)) {
            let listed = ran.skipped.iter().any(|skipped| skipped.span.contains(Offset(record.offset)));
            prop_assert!(listed, "{} is on neither list: {:?}", record.offset, ran.skipped);
        }
        for (_, record) in log.committed(start, end) {
            let listed = ran.skipped.iter().any(|skipped| skipped.span.contains(Offset(record.offset)));
            prop_assert!(!listed, "{} was copied and is listed: {:?}", record.offset, ran.skipped);
        }
    }
}

/// More where somebody asks for more (`PROPTEST_CASES`).
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

#[test]
fn tiny_batches_that_wait_become_one() {
    // The zero step is one record in a batch of its own.
    let mut tiny = [0; STEP];
    tiny[0] = 15;
    let log = generate(&[tiny; 40], kinds());
    let case = Case {
        span: Span::new(log.start, log.end()),
        rules: Rules::default(),
        skip_corrupt: false,
        first_sequence: 0,
        depth: 1,
    };
    let ran = run(&log, &case, &mut Choices::new(&[]));
    let sent = received(&ran, &case).unwrap();
    assert_eq!(compare(&log, &case, &ran, &sent).unwrap(), 40);
    // Only the first goes alone: nothing waits behind it yet.
    assert!(sent.len() <= 2, "{} batches", sent.len());
}
