//! What happens in one round of the differential run: a topic, and what several producers write to it.

use crate::broker::Codec;
use crate::lab::disk::{COMPACTED, SEGMENT_MS};
use crate::lab::hand::{End, Writing};
use crate::lab::record::{Fill, Record};

use super::choices::Choices;
use super::content::{Times, record};

/// How many transactional producers there are.
pub const TRANSACTIONAL: usize = 3;

/// What both clusters of the run can do.
#[derive(Clone, Debug)]
pub struct Abilities {
    /// The codecs that both store.
    pub codecs: Vec<Codec>,
    /// The message.format.version that source topics may have.
    pub formats: Vec<&'static str>,
    /// Now, ms since 1970: but for the last one of a log that is cleaned, no record is later.
    pub now_ms: i64,
    /// Later than any transaction's marker, which carries the broker's time, and not too late for any broker.
    pub closing_ms: i64,
}

/// A round.
#[derive(Clone, Debug)]
pub struct Round {
    /// How many partitions the topic has.
    pub partitions: i32,
    /// The source topic's configs.
    pub source: Vec<(&'static str, String)>,
    /// The target topic's configs.
    pub target: Vec<(&'static str, String)>,
    /// Whether the source's log is cleaned before it is copied.
    pub compacted: bool,
    /// Whether the target stamps its own time, so that times can't be compared.
    pub stamps: bool,
    /// What is written, in order.
    pub writes: Vec<Write>,
    /// Where each partition's group stands, in parts of 65,536 of the log; `None`: it never committed.
    pub commits: Vec<Option<i64>>,
}

/// One producer's call.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where to.
    pub partition: i32,
    /// How.
    pub how: Writing,
    /// By which transactional producer, and how it leaves its transaction.
    pub transaction: Option<(usize, End)>,
    /// What.
    pub what: What,
}

/// Records, few or many.
#[derive(Clone, Debug)]
pub enum What {
    /// These.
    Records(Vec<Record>),
    /// Made up from a number.
    Fill(Fill),
}

/// The decisions that hold for all writes of a round.
struct Frame {
    abilities: Abilities,
    partitions: i32,
    compacted: bool,
    old: bool,
    /// The largest value, in bytes.
    largest: usize,
    start_ms: i64,
}

impl Round {
    /// A round, made up.
    pub fn choose(choices: &mut Choices<'_>, abilities: &Abilities) -> Self {
        let compacted = choices.once_in(3);
        let old = !compacted && !abilities.formats.is_empty() && choices.once_in(4);
        let small_target = choices.once_in(3);
        let frame = Frame {
            abilities: abilities.clone(),
            partitions: 1 + choices.below(4) as i32,
            compacted,
            old,
            largest: if small_target { 6_000 } else { 300_000 },
            start_ms: abilities.now_ms - 86_400_000,
        };
        let mut source = vec![("retention.ms", "-1".to_owned())];
        source.push((
            "compression.type",
            choices.one_of(&["producer", "producer", "gzip", "lz4", "uncompressed"]).to_owned(),
        ));
        if compacted {
            source.extend(COMPACTED.map(|(key, value)| (key, value.to_owned())));
        }
        if old {
            source.push(("message.format.version", choices.one_of(&abilities.formats).to_owned()));
        } else if !compacted && choices.once_in(4) {
            source.push(("message.timestamp.type", "LogAppendTime".to_owned()));
        }
        let mut target = vec![("retention.ms", "-1".to_owned())];
        let stamps = choices.once_in(5);
        target.extend(stamps.then(|| ("message.timestamp.type", "LogAppendTime".to_owned())));
        target.extend(small_target.then(|| ("max.message.bytes", "30000".to_owned())));
        let writes = frame.writes(choices);
        let commit = |_| (!choices.once_in(4)).then(|| choices.between(0, 65_536));
        let commits = (0..frame.partitions).map(commit).collect();
        Self { partitions: frame.partitions, source, target, compacted, stamps, writes, commits }
    }
}

impl Frame {
    fn writes(&self, choices: &mut Choices<'_>) -> Vec<Write> {
        let count = 3 + choices.below(30);
        let mut writes: Vec<Write> = (0..count as i64).map(|index| self.write(choices, index)).collect();
        if self.compacted {
            // Only segments that a later record has closed are cleaned, and only in front of open transactions.
            let closing = (0..self.partitions).map(|partition| Write {
                partition,
                how: Writing::default(),
                transaction: None,
                what: What::Records(vec![Record::new(self.abilities.closing_ms, "closing", "")]),
            });
            writes.extend(closing);
        }
        writes
    }

    fn write(&self, choices: &mut Choices<'_>, index: i64) -> Write {
        let batch_size = choices.one_of(&[200, 16_384, 16_384, 200_000, 1_000_000]);
        let idempotent = !self.old && !choices.once_in(3);
        let codec = match choices.one_of(&self.abilities.codecs) {
            // The old formats have no zstd; brokers answer with an unexpected error.
            Codec::Zstd if self.old => Codec::Gzip,
            codec => codec,
        };
        let how = Writing { codec, batch_size, idempotent };
        let partition = choices.below(self.partitions as usize) as i32;
        let transaction = (!self.old && choices.once_in(2)).then(|| {
            let end = choices.one_of(&[End::Open, End::Commit, End::Abort]);
            (choices.below(TRANSACTIONAL), end)
        });
        let how = Writing { idempotent: how.idempotent || transaction.is_some(), ..how };
        Write { partition, how, transaction, what: self.what(choices, index) }
    }

    fn what(&self, choices: &mut Choices<'_>, index: i64) -> What {
        let time = self.start_ms + index * 3 * SEGMENT_MS;
        if !self.compacted && choices.once_in(6) {
            let (count, size) = (200 + choices.below(4_000) as u64, choices.below(1_000));
            return What::Fill(Fill { count, size, seed: u64::from(choices.byte()), timestamp: time });
        }
        let times = if choices.once_in(3) { Times::Mixed } else { Times::Rising };
        let count = match choices.below(4) {
            0 => 1,
            1 | 2 => 1 + choices.below(12),
            _ => 1 + choices.below(120),
        };
        let most = if count > 12 { 2_000.min(self.largest) } else { self.largest };
        What::Records((0..count).map(|at| self.fit(choices, times, most, at as i64, time)).collect())
    }

    /// A record that Kafka's own client writes to this topic.
    fn fit(&self, choices: &mut Choices<'_>, times: Times, most: usize, at: i64, time: i64) -> Record {
        let made = record(choices, at, times, most);
        // It refuses times before 1970, and newer brokers those that are to come.
        let wild = made.timestamp.clamp(0, self.abilities.now_ms);
        let timestamp = if self.compacted || times == Times::Rising { time + at } else { wild };
        let keys = if choices.once_in(3) { 400 } else { 12 };
        let key = if self.compacted { Some(format!("key-{}", choices.below(keys)).into_bytes()) } else { made.key };
        let mut headers = if self.old { Vec::new() } else { made.headers };
        for header in &mut headers {
            header.key = String::from_utf8_lossy(&header.key).into_owned().into_bytes();
        }
        Record { timestamp, key, headers, ..made }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::choices::Seeded;

    #[test]
    fn a_seed_gives_one_round_and_rounds_differ() {
        let (now_ms, closing_ms) = (1_800_000_000_000, 1_800_000_999_000);
        let abilities = Abilities { codecs: Codec::ALL.to_vec(), formats: vec!["0.10.2"], now_ms, closing_ms };
        let round = |seed| Round::choose(&mut Choices::new(&Seeded(seed).bytes(40_000)), &abilities);
        assert_eq!(format!("{:?}", round(1)), format!("{:?}", round(1)));
        let rounds: Vec<Round> = (0..60).map(round).collect();
        assert!(rounds.iter().any(|round| round.compacted) && rounds.iter().any(|round| round.stamps));
        let writes = || rounds.iter().flat_map(|round| &round.writes);
        assert!(writes().any(|write| matches!(write.what, What::Fill(_))));
        for end in [End::Open, End::Commit, End::Abort] {
            assert!(writes().any(|write| write.transaction.is_some_and(|(_, left)| left == end)));
        }
    }
}
