//! The document of `kferry status --output json`, version 1.

use serde::Serialize;

use crate::migrate::Status;

/// How far a migration is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StatusDoc {
    /// Always 1.
    pub version: u32,
    /// The migration's name.
    pub name: String,
    /// `active`, `stopped`, `finished` or `none`.
    pub state: &'static str,
    /// The host that runs it, or did last.
    pub host: Option<String>,
    /// The partitions that move.
    pub partitions: Vec<PartitionDoc>,
    /// Sums over them.
    pub totals: TotalsDoc,
    /// Source offsets a second; null where nobody runs it.
    pub rate: Option<f64>,
    /// Seconds at that rate; null where that is not known.
    pub seconds_left: Option<f64>,
    /// Topics whose retention is held back.
    pub held_topics: Vec<String>,
}

/// One partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionDoc {
    /// The topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The first source offset to move.
    pub start: i64,
    /// The next source offset.
    pub next: i64,
    /// The source offset behind the last one.
    pub end: i64,
}

/// Sums.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct TotalsDoc {
    /// Source offsets to move.
    pub records: i64,
    /// Those that are dealt with.
    pub done: i64,
}

impl From<&Status> for StatusDoc {
    fn from(status: &Status) -> Self {
        let partitions = status.lanes.iter().map(|(at, checkpoint)| PartitionDoc {
            topic: at.topic.to_string(),
            partition: at.partition.get(),
            start: checkpoint.span.start.get(),
            next: checkpoint.next.get(),
            end: checkpoint.span.end.get(),
        });
        Self {
            version: 1,
            name: status.name.clone(),
            state: status.activity().as_str(),
            host: status.host().map(str::to_owned),
            partitions: partitions.collect(),
            totals: TotalsDoc { records: status.records(), done: status.done() },
            rate: status.rate(),
            seconds_left: status.seconds_left(),
            held_topics: Vec::new(),
        }
    }
}
