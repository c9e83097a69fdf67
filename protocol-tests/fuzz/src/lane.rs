//! A lane that is fed with arbitrary answers, and what must hold for whatever it wants to write.

use crate::input::Input;
use crate::items::{Formats, answers};
use bytes::Bytes;
use kferry::batch::{AppendTime, Codec, CodecSet, Outgoing, Rules, batches};
use kferry::cluster::AbortedTransaction;
use kferry::cluster::retry::RetryPolicy;
use kferry::copy::{Action, Event, Lane, LaneEnd, LaneSetup, Patience, ProduceResult};
use kferry::kafka::{Offset, ProducerEpoch, ProducerId, Sequence, Span, TopicPartition};
use kferry::state::{Checkpoint, Writer};
use protocol_tests::broker::batch::{Header, Next, OVERHEAD, attribute, crc_matches, next_batch, walk};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the records of one batch may take when they are decompressed.
const CAP: usize = 1 << 20;

/// The most answers without a batch that a lane bears with.
const PATIENCE: usize = 100;

/// Where the first record must land.
const TARGET_END: i64 = 1_000;

/// The first sequence: soon it wraps.
const FIRST_SEQUENCE: i32 = i32::MAX - 5;

/// Attribute bits that no batch may be sent with.
const UNSENDABLE: i16 =
    attribute::APPEND_TIME | attribute::TRANSACTIONAL | attribute::CONTROL | attribute::DELETE_HORIZON;

/// Size of what stands in front of the items where no transaction was aborted.
pub const CHOICES: usize = 32;

/// What an input says of the lane, in front of the items.
pub struct Choices {
    setup: LaneSetup,
    aborted: Vec<AbortedTransaction>,
    crowded: bool,
}

impl Choices {
    fn read(input: &mut Input<'_>) -> Self {
        let flags = input.number(1);
        let has = |bit: u32| flags >> bit & 1 == 1;
        let without = Codec::from_bits(input.number(1) as i16 - 1);
        let depth = input.number(1) as usize % 5 + 1;
        let aborted = input.number(1) % 16;
        let limit = input.number(4) as usize;
        let start = input.signed() & i64::MAX;
        let length = input.signed() & i64::MAX;
        let rules = Rules {
            max_batch_bytes: has(0).then_some(limit),
            latest_timestamp: has(1).then_some(1_700_000_000_000),
            codecs: without.map_or(CodecSet::ALL, |codec| CodecSet::ALL.without(codec)),
            recompress: has(2).then_some(Codec::Lz4),
            append_time: if has(3) { AppendTime::TargetStamps } else { AppendTime::Keep },
            max_decoded_bytes: CAP,
            ..Rules::default()
        };
        let setup = LaneSetup {
            surveyed: true,
            at: TopicPartition::new("fuzzed", 0),
            checkpoint: Checkpoint::begin(Span::new(start, start.saturating_add(length)), Offset(TARGET_END)),
            writer: Writer { producer: ProducerId(7), epoch: ProducerEpoch(1), origin: -i64::from(FIRST_SEQUENCE) },
            resumed: false,
            marks: Vec::new(),
            late_bound: Duration::ZERO,
            depth,
            old_before: if has(4) { i64::MAX } else { 0 },
            rules: rules.into(),
            skip_corrupt: has(5),
            patience: Patience::new(RetryPolicy::default(), 1),
        };
        input.take(CHOICES - 24);
        let transaction = |input: &mut Input<'_>| AbortedTransaction {
            producer: ProducerId(input.signed()),
            first_offset: Offset(input.signed()),
        };
        let aborted = (0..aborted).map(|_| transaction(input)).collect();
        Self { setup, aborted, crowded: has(6) }
    }

    /// Choices for a span, without limits; what a seed begins with.
    pub fn seed(span: Span, aborted: &[AbortedTransaction]) -> Vec<u8> {
        let mut out = vec![0, 0, 2, aborted.len() as u8, 0, 0, 0, 0];
        out.extend_from_slice(&span.start.0.to_be_bytes());
        out.extend_from_slice(&span.len().to_be_bytes());
        out.resize(CHOICES, 0);
        for transaction in aborted {
            out.extend_from_slice(&transaction.producer.0.to_be_bytes());
            out.extend_from_slice(&transaction.first_offset.0.to_be_bytes());
        }
        out
    }
}

/// Runs a lane to its end over the answers of an input.
pub fn drive(data: &[u8], formats: Formats) {
    let mut input = Input(data);
    let choices = Choices::read(&mut input);
    let answers = answers(input.0, formats);
    let source = Source::of(&answers);
    let mut target = Target::new(&choices.setup);
    let (mut lane, mut answers) = (Lane::new(choices.setup.clone()), answers.into_iter());
    lane.on(Duration::ZERO, Event::Stamps { kept: true });
    let (mut now, mut in_flight, mut empty) = (Duration::ZERO, Vec::new(), 0);
    let end = loop {
        match lane.next(now) {
            // Nothing lies behind the answers, whatever the isolation.
            Some(Action::Fetch { beyond: true, .. }) => {
                let (records, aborted) = (batches(Bytes::new()), Vec::new());
                lane.on(now, Event::Fetched { records, aborted, crowded: false });
            }
            Some(Action::Fetch { .. }) => {
                let records = answers.next();
                empty += usize::from(records.is_none());
                assert!(empty < PATIENCE, "the lane asks for ever");
                lane.on(
                    now,
                    Event::Fetched {
                        crowded: choices.crowded && records.is_some(),
                        records: batches(records.unwrap_or_default()),
                        aborted: choices.aborted.clone(),
                    },
                );
            }
            Some(Action::Produce(batch)) => {
                target.take(&batch, &source);
                in_flight.insert(0, i64::from(batch.records()));
                assert!(in_flight.len() <= choices.setup.depth);
            }
            Some(Action::Store) => {
                lane.checkpoint();
                lane.on(now, Event::Stored);
            }
            Some(Action::Settle) => panic!("every answer is clear"),
            Some(Action::Wait(until)) => {
                assert!(until > now, "the lane waits for the past");
                now = until;
            }
            Some(Action::Finish(end)) => break end,
            None => {
                let records = in_flight.pop().expect("a lane with nothing under way has something to do");
                let base = Offset(target.answered);
                target.answered += records;
                lane.on(now, Event::Produced(ProduceResult::Appended { base }));
            }
        }
    };
    assert_eq!(lane.written(), Span::new(TARGET_END, TARGET_END + target.records));
    if end == LaneEnd::Copied && choices.aborted.is_empty() && lane.skipped().is_empty() {
        source.was_copied(choices.setup.checkpoint.span, target.records);
    }
}

/// A record as consumers of the source see it: timestamp, key, value, headers.
type Seen = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// What the answers hold, by a reading of its own.
struct Source {
    records: BTreeMap<i64, Vec<Seen>>,
    /// Payloads of batches whose records don't fit their header.
    crooked: Vec<Bytes>,
    /// Whether batches follow each other, each of them whole and sound.
    orderly: bool,
    /// Whether there are messages of the old formats.
    old: bool,
}

impl Source {
    fn of(answers: &[Bytes]) -> Self {
        let mut source = Self { records: BTreeMap::new(), crooked: Vec::new(), orderly: true, old: false };
        let mut behind = 0;
        for answer in answers {
            let mut at = 0;
            while let Next::Batch(range) = next_batch(answer, at) {
                at = range.end;
                let batch = answer.slice(range);
                source.old |= batch[16] < 2;
                if let Some(header) = Header::read(&batch).filter(|header| header.magic == 2) {
                    source.orderly &= header.base_offset >= behind && header.last_offset_delta >= 0;
                    behind = header.last_offset().saturating_add(1);
                    source.add(&header, &batch);
                }
            }
            source.orderly &= at == answer.len();
        }
        source
    }

    fn add(&mut self, header: &Header, batch: &Bytes) {
        let payload = batch.slice(OVERHEAD..);
        if !crc_matches(batch) {
            self.orderly = false;
            return;
        }
        let Some(records) = seen(header, &payload) else {
            self.orderly = false;
            return self.crooked.push(payload);
        };
        if !header.has(attribute::CONTROL) {
            records.into_iter().for_each(|(offset, record)| self.records.entry(offset).or_default().push(record));
        }
    }

    /// After a whole copy of a log without transactions: every record of the span, none else.
    fn was_copied(&self, span: Span, records: i64) {
        if self.orderly && !self.old {
            assert_eq!(records, self.records.range(span.start.0..span.end.0).count() as i64, "records are missing");
        }
    }
}

/// The records by their offsets; `None` where they don't fit the header.
fn seen(header: &Header, payload: &Bytes) -> Option<Vec<(i64, Seen)>> {
    let plain = Codec::from_bits(header.codec())?.decode(payload.clone(), CAP).ok()?;
    let mut least = 0;
    let records = walk(&plain, header.count).ok()?.into_iter().map(|record| {
        let fits = (least..=header.last_offset_delta).contains(&record.offset_delta);
        least = record.offset_delta.saturating_add(1);
        let timestamp = match header.has(attribute::APPEND_TIME) {
            true => header.max_timestamp,
            false => header.base_timestamp.wrapping_add(record.timestamp_delta),
        };
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = record.each_header().ok()?.into_iter().map(|(key, value)| (key.to_vec(), owned(value))).collect();
        let offset = header.base_offset.checked_add(i64::from(record.offset_delta))?;
        fits.then_some((offset, (timestamp, owned(record.key), owned(record.value), headers)))
    });
    records.collect()
}

/// What was written so far.
struct Target {
    setup: LaneSetup,
    source: Offset,
    sequence: Sequence,
    records: i64,
    /// The target offset behind the last batch that was answered.
    answered: i64,
}

impl Target {
    fn new(setup: &LaneSetup) -> Self {
        let (source, sequence) = (setup.checkpoint.span.start, Sequence(FIRST_SEQUENCE));
        Self { setup: setup.clone(), source, sequence, records: 0, answered: TARGET_END }
    }

    fn take(&mut self, batch: &Outgoing, source: &Source) {
        let (head, body) = batch.parts();
        let bytes = [&head[..], body].concat();
        let header = Header::read(&bytes).expect("a header");
        let rules = &self.setup.rules;
        assert_eq!((header.size(), batch.len()), (bytes.len(), bytes.len()));
        assert!(crc_matches(&bytes), "a batch with a checksum that its bytes do not make");
        assert_eq!((header.magic, header.base_offset, header.attributes & UNSENDABLE), (2, 0, 0));
        assert!(header.count > 0 && header.count - 1 == header.last_offset_delta, "{header:?}");
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, self.sequence.0));
        assert!(rules.max_batch_bytes.is_none_or(|limit| bytes.len() <= limit), "too large");
        assert!(rules.latest_timestamp.is_none_or(|limit| header.max_timestamp <= limit), "too new");
        assert!(
            Codec::from_bits(header.codec())
                .is_some_and(|codec| { rules.codecs.contains(codec) || rules.recompress == Some(codec) })
        );
        let span = batch.source();
        assert!(
            self.source <= span.start && span.start < span.end && span.end <= self.setup.checkpoint.span.end,
            "{span}"
        );
        self.source = span.end;
        self.sequence = self.sequence.plus(header.count);
        self.records += i64::from(header.count);
        if !source.old && !source.crooked.contains(body) {
            self.same_records(batch, &header, body, source);
        }
    }

    /// The records are those of the source at the offsets that the batch says they had.
    fn same_records(&self, batch: &Outgoing, header: &Header, body: &Bytes, source: &Source) {
        let written = seen(header, body).expect("records that fit their header");
        let before = |offset: i64| batch.records_before(Offset(offset));
        let span = batch.source();
        let kept: Vec<_> = source
            .records
            .range(span.start.0..span.end.0)
            .filter(|(offset, _)| before(**offset) < before(**offset + 1))
            .collect();
        assert_eq!((before(span.start.0), before(span.end.0)), (0, header.count));
        assert_eq!(kept.len(), written.len(), "records at {span} come from nowhere");
        let stamped = self.setup.rules.append_time == AppendTime::TargetStamps;
        for ((place, record), (offset, candidates)) in written.iter().zip(kept) {
            let same = |seen: &Seen| {
                (stamped || seen.0 == record.0) && (&seen.1, &seen.2, &seen.3) == (&record.1, &record.2, &record.3)
            };
            assert!(candidates.iter().any(same), "record {place} differs from the source's at {offset}: {record:?}");
        }
    }
}
