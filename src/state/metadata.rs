//! A checkpoint as the metadata of a commit: JSON of at most 4,096 characters, which is what brokers take by default
//! (`offset.metadata.max.bytes`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Created, Place, Writer};
use super::journal::Journal;
use super::skipped::{SkipReason, Skipped};
use super::store::State;
use crate::cluster::CommitOffset;
use crate::kafka::{Cursor, CursorError, Offset, ProducerEpoch, ProducerId, Span, TopicId, TopicPartition, put_varint};

/// The version of the format.
const VERSION: u32 = 1;

/// The most characters of a commit's metadata.
const CHARACTERS: usize = 4_096;

/// A checkpoint that can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MetadataError {
    /// It is no checkpoint at all, or a damaged one.
    #[error("not kferry's: {0}")]
    Foreign(String),
    /// A newer kferry wrote it.
    #[error("written by a newer kferry: format {0}, and this one knows {VERSION}")]
    Newer(u32),
}

#[derive(Serialize, Deserialize)]
struct Document {
    /// The format's version; its name tells that the group is kferry's.
    kferry: u32,
    span: [i64; 2],
    next: i64,
    records: i64,
    start: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writer: Option<(i64, i16, i64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unstamped: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    journal: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    places: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    skipped: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<(i64, i64)>,
    at: i64,
    host: String,
}

/// Writes a checkpoint. Where it would be too long places are left out, evenly spread: they can be counted again from the
/// ones around them.
pub fn encode(checkpoint: &Checkpoint) -> String {
    let mut document = Document::from(checkpoint);
    if checkpoint.places.is_empty() {
        return text(&document);
    }
    let bare = text(&document).chars().count() + r#","places":"""#.len();
    let room = CHARACTERS.saturating_sub(bare) / 4 * 3;
    let mut every = 1;
    loop {
        let kept: Vec<Place> = checkpoint.places.iter().copied().step_by(every).collect();
        let packed = places(checkpoint, &kept);
        if packed.len() <= room || kept.len() < 2 {
            document.places = if packed.len() <= room { STANDARD_NO_PAD.encode(packed) } else { String::new() };
            return text(&document);
        }
        every += 1;
    }
}

fn text(document: &Document) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// Reads a checkpoint.
///
/// # Errors
///
/// It is none, it is damaged, or it is newer than this program.
pub fn decode(metadata: &str) -> Result<Checkpoint, MetadataError> {
    #[derive(Deserialize)]
    struct Version {
        kferry: u32,
    }
    let foreign = |error: serde_json::Error| MetadataError::Foreign(error.to_string());
    let Version { kferry } = serde_json::from_str(metadata).map_err(foreign)?;
    if kferry > VERSION {
        return Err(MetadataError::Newer(kferry));
    }
    serde_json::from_str::<Document>(metadata).map_err(foreign)?.read()
}

/// Reads all that is stored; of the first partition that can't be read its name and why.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_all(state: &State) -> Result<BTreeMap<TopicPartition, Checkpoint>, (TopicPartition, MetadataError)> {
    let read = |(at, (_, metadata)): (&TopicPartition, &(Offset, String))| match decode(metadata) {
        Ok(checkpoint) => Ok((at.clone(), checkpoint)),
        Err(cause) => Err((at.clone(), cause)),
    };
    state.iter().map(read).collect()
}

impl Checkpoint {
    /// What is committed for it, written at this time (ms since 1970) by this host.
    pub fn entry(&self, at: &TopicPartition, at_ms: i64, host: &str) -> CommitOffset {
        let metadata = encode(&Self { at_ms, host: host.to_owned(), ..self.clone() });
        CommitOffset { at: at.clone(), offset: self.target_end(), metadata }
    }
}

impl From<&Checkpoint> for Document {
    fn from(checkpoint: &Checkpoint) -> Self {
        let Checkpoint { span, source_id, target_id, .. } = checkpoint;
        Self {
            kferry: VERSION,
            span: [span.start.get(), span.end.get()],
            next: checkpoint.next.get(),
            records: checkpoint.records,
            start: checkpoint.target_start.get(),
            writer: checkpoint.writer.map(|writer| (writer.producer.get(), writer.epoch.get(), writer.origin)),
            unstamped: checkpoint.unstamped,
            journal: STANDARD_NO_PAD.encode(checkpoint.journal.bytes()),
            places: String::new(),
            skipped: STANDARD_NO_PAD.encode(skipped(checkpoint)),
            source_id: source_id.map(|id| id.to_string()),
            target_id: target_id.map(|id| id.to_string()),
            created: checkpoint.created.as_ref().map(|created| created.finish.clone()),
            groups: checkpoint.groups,
            since: checkpoint.since.map(|(ms, offset)| (ms, offset.get())),
            at: checkpoint.at_ms,
            host: checkpoint.host.clone(),
        }
    }
}

fn skipped(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = Vec::new();
    let mut behind = checkpoint.span.start;
    for Skipped { span, reason } in &checkpoint.skipped {
        put_varint(&mut out, span.start.get().saturating_sub(behind.get()));
        put_varint(&mut out, span.len());
        put_varint(&mut out, *reason as i64);
        behind = span.end;
    }
    out
}

fn places(checkpoint: &Checkpoint, kept: &[Place]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = Place { source: checkpoint.span.start, target: checkpoint.target_start };
    for place in kept {
        put_varint(&mut out, place.source.get().saturating_sub(before.source.get()));
        put_varint(&mut out, place.target.get().saturating_sub(before.target.get()));
        before = *place;
    }
    out
}

impl Document {
    fn read(self) -> Result<Checkpoint, MetadataError> {
        let [start, end] = self.span;
        let span = Span::new(start, end);
        let next = Offset(self.next);
        let target_start = Offset(self.start);
        let sane = 0 <= start && start <= end && start <= self.next && self.records >= 0 && self.start >= 0;
        if !sane || self.records > next.get().saturating_sub(start) {
            return Err(MetadataError::Foreign("its offsets contradict each other".to_owned()));
        }
        let writer =
            |(producer, epoch, origin)| Writer { producer: ProducerId(producer), epoch: ProducerEpoch(epoch), origin };
        Ok(Checkpoint {
            span,
            next,
            records: self.records,
            target_start,
            writer: self.writer.map(writer),
            unstamped: self.unstamped,
            journal: read_journal(next, &unpack("journal", &self.journal)?)?,
            places: read_places(Place { source: span.start, target: target_start }, &unpack("places", &self.places)?)?,
            skipped: read_skipped(span.start, &unpack("skipped", &self.skipped)?)?,
            source_id: self.source_id.as_deref().map(topic_id).transpose()?,
            target_id: self.target_id.as_deref().map(topic_id).transpose()?,
            created: self.created.map(|finish| Created { finish }),
            groups: self.groups,
            since: self.since.map(|(ms, offset)| (ms, Offset(offset))),
            at_ms: self.at,
            host: self.host,
        })
    }
}

fn unpack(what: &str, text: &str) -> Result<Vec<u8>, MetadataError> {
    STANDARD_NO_PAD.decode(text).map_err(|error| MetadataError::Foreign(format!("its {what} is no base64: {error}")))
}

fn foreign(error: &CursorError) -> MetadataError {
    MetadataError::Foreign(error.to_string())
}

fn read_journal(from: Offset, bytes: &[u8]) -> Result<Journal, MetadataError> {
    let mut journal = Journal::new(from);
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let records = cursor.varint("records").map_err(|error| foreign(&error))?;
        let gap = cursor.varlong("gap").map_err(|error| foreign(&error))?;
        journal.read(records, gap).ok_or_else(|| MetadataError::Foreign("its journal makes no sense".to_owned()))?;
    }
    Ok(journal)
}

fn read_places(mut before: Place, bytes: &[u8]) -> Result<Vec<Place>, MetadataError> {
    let mut places = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let source = cursor.varlong("source offset").map_err(|error| foreign(&error))?;
        let target = cursor.varlong("target offset").map_err(|error| foreign(&error))?;
        before = Place { source: before.source.plus(source), target: before.target.plus(target) };
        places.push(before);
    }
    Ok(places)
}

fn read_skipped(mut behind: Offset, bytes: &[u8]) -> Result<Vec<Skipped>, MetadataError> {
    let mut skipped = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let mut number = |what| cursor.varlong(what).map_err(|error| foreign(&error));
        let (gap, length, reason) = (number("gap")?, number("length")?, number("reason")?);
        let reason = SkipReason::ALL.into_iter().find(|known| *known as i64 == reason);
        let reason = reason.ok_or_else(|| MetadataError::Foreign("it skips for an unknown reason".to_owned()))?;
        let start = behind.plus(gap);
        behind = start.plus(length);
        skipped.push(Skipped { span: Span { start, end: behind }, reason });
    }
    Ok(skipped)
}

fn topic_id(text: &str) -> Result<TopicId, MetadataError> {
    let wrong = || MetadataError::Foreign(format!("{text} is no topic id"));
    let number = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
    TopicId::known(number.to_be_bytes()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::journal::Cut;
    use super::*;

    fn checkpoint() -> Checkpoint {
        let mut journal = Journal::new(Offset(1_500));
        assert!(journal.push(Cut { records: 100, next: Offset(1_600) }));
        assert!(journal.push(Cut { records: 70, next: Offset(1_700) }));
        Checkpoint {
            span: Span::new(1_000, 5_000),
            next: Offset(1_500),
            records: 480,
            target_start: Offset(20),
            writer: Some(Writer { producer: ProducerId(4_000_000), epoch: ProducerEpoch(2), origin: 40 }),
            unstamped: true,
            journal,
            places: vec![Place { source: Offset(1_100), target: Offset(110) }],
            skipped: vec![Skipped { span: Span::new(1_200, 1_210), reason: SkipReason::Lost }],
            source_id: Some(TopicId([7; 16])),
            target_id: None,
            created: Some(Created { finish: [("message.timestamp.type".into(), "LogAppendTime".into())].into() }),
            groups: Some(u32::MAX),
            since: Some((1_799_999_990_000, Offset(1_200))),
            at_ms: 1_800_000_000_000,
            host: "migrate-1".into(),
        }
    }

    #[test]
    fn a_checkpoint_reads_back_as_written_and_says_that_it_is_kferrys() {
        let text = encode(&checkpoint());
        assert!(text.starts_with(r#"{"kferry":1,"#), "{text}");
        assert_eq!(decode(&text), Ok(checkpoint()));
    }

    #[test]
    fn a_partition_is_finished_once_nothing_is_left_in_front_of_its_end() {
        let finished = |next| Checkpoint { next: Offset(next), ..checkpoint() }.is_finished();
        assert_eq!([4_999, 5_000, 5_001].map(finished), [false, true, true]);
    }

    #[test]
    fn the_reasons_for_leaving_out_keep_their_names_in_results() {
        assert_eq!(SkipReason::ALL.map(SkipReason::as_str), ["corrupt", "lost"]);
    }

    #[test]
    fn a_stamp_counts_the_records_since_its_writer_began() {
        let writer = Writer { producer: ProducerId(1), epoch: ProducerEpoch(0), origin: 40 };
        assert_eq!(writer.stamp(480).sequence.get(), 440);
        assert_eq!(writer.stamp(40 + (1 << 31) + 2).sequence.get(), 2);
    }

    #[test]
    fn with_everything_full_it_stays_within_what_brokers_take_and_keeps_places_from_all_over() {
        let mut full = checkpoint();
        let mut next = full.journal.end();
        loop {
            next = next.plus(130);
            if !full.journal.push(Cut { records: 120, next }) {
                break;
            }
        }
        full.places = (1..=400).map(|n| Place { source: Offset(1_000 + n * 10), target: Offset(20 + n * 9) }).collect();
        let text = encode(&full);
        assert!(text.chars().count() <= CHARACTERS, "{}", text.len());
        let read = decode(&text).expect("its own");
        assert_eq!(read.journal, full.journal);
        assert!(read.places.len() > 50, "{}", read.places.len());
        assert!(read.places.iter().all(|place| full.places.contains(place)));
        assert!(read.places.last().expect("some").source.get() > 4_700);
    }

    #[test]
    fn what_is_newer_or_damaged_is_told_apart() {
        assert_eq!(decode(r#"{"kferry":2,"more":[]}"#), Err(MetadataError::Newer(2)));
        for damaged in ["", "stream time", "{}", r#"{"kferry":1}"#, r#"{"kferry":-1}"#] {
            assert!(matches!(decode(damaged), Err(MetadataError::Foreign(_))), "{damaged}");
        }
        for (from, to) in [
            (r#""next":1500"#, r#""next":999"#),
            (r#""records":480"#, r#""records":501"#),
            (r#""records":480"#, r#""records":-1"#),
            (r#""span":[1000,"#, r#""span":[-1,"#),
            (r#""span":[1000,5000]"#, r#""span":[1000,999]"#),
            (r#""start":20"#, r#""start":-1"#),
        ] {
            let text = encode(&checkpoint()).replace(from, to);
            assert!(matches!(decode(&text), Err(MetadataError::Foreign(_))), "{text}");
        }
        assert!(decode(&encode(&checkpoint()).replace(r#""records":480"#, r#""records":500"#)).is_ok());
    }

    #[test]
    fn places_are_left_out_only_where_there_is_no_room_for_them() {
        let place = |n: i64| Place { source: Offset(1_000 + n * 10), target: Offset(20 + n * 9) };
        let named = |places: i64, host: usize| Checkpoint {
            places: (1..=places).map(place).collect(),
            host: "h".repeat(host),
            ..checkpoint()
        };
        assert_eq!(decode(&encode(&named(400, 9))), Ok(named(400, 9)));
        let kept = |places: i64, host: usize| {
            let text = encode(&named(places, host));
            assert!(text.len() <= CHARACTERS, "{} for a host of {host}", text.len());
            decode(&text).expect("its own").places.len()
        };
        let longest = CHARACTERS - text(&Document::from(&named(0, 0))).len();
        assert!((0..longest).step_by(5).all(|host| kept(400, host) <= 400));
        assert_eq!([kept(1, longest), kept(2, longest)], [0, 0]);
        assert!((0..longest).any(|host| kept(2, host) == 1), "one of two");
    }

    #[test]
    fn what_is_committed_says_when_and_where_it_was_written_and_is_read_back_by_its_partition() {
        let [first, second] = [0, 1].map(|partition| TopicPartition::new("t", partition));
        let entry = checkpoint().entry(&first, 5, "migrate-2");
        assert_eq!(entry.offset, Offset(500));
        let mut state = State::from([(first.clone(), (entry.offset, entry.metadata))]);
        let written = Checkpoint { at_ms: 5, host: "migrate-2".to_owned(), ..checkpoint() };
        assert_eq!(decode_all(&state), Ok([(first, written)].into()));
        state.insert(second.clone(), (Offset(0), "stream time".to_owned()));
        assert_eq!(decode_all(&state).expect_err("not kferry's").0, second);
    }

    proptest! {
        #[test]
        fn what_is_read_never_panics(text in ".{0,200}", journal in "[A-Za-z0-9+/]{0,60}") {
            let _ = decode(&text);
            let mut document = Document::from(&checkpoint());
            document.journal = journal.clone();
            document.places = journal.clone();
            document.skipped = journal;
            let _ = document.read();
        }
    }
}
