//! How far a migration is, as the target remembers it.

use super::agenda::{self, Recorded};
use super::error::MigrateError;
use crate::cluster::Cluster;
use crate::kafka::Offset;
use crate::state::{self, Checkpoint, Holder};

/// What a migration is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// A process runs it.
    Active,
    /// It has begun, is not finished, and nobody runs it.
    Stopped,
    /// Everything was moved and verified, and the groups' offsets are committed.
    Finished,
    /// The target remembers nothing of it.
    None,
}

impl Activity {
    /// The name in results; it stays as it is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::None => "none",
        }
    }
}

/// How far a migration is.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// The migration's name.
    pub name: String,
    /// The process that runs it.
    pub holder: Option<Holder>,
    /// The partitions that move, as the last commits left them.
    pub lanes: Recorded,
    /// Whether everything was moved and verified, and no group is left to be moved on.
    pub finished: bool,
}

/// Asks the target; changes nothing.
///
/// # Errors
///
/// The target can't be asked, or what it remembers can't be understood.
pub async fn status(target: &Cluster, name: &str) -> Result<Status, MigrateError> {
    let reading = state::read(target, name).await.map_err(MigrateError::State)?;
    let recorded = state::decode_all(&reading.state)?;
    let finished = agenda::ended(&recorded).is_some() && recorded.values().all(Checkpoint::is_finished);
    let lanes = recorded.into_iter().filter(|(_, checkpoint)| !checkpoint.span.is_empty()).collect();
    Ok(Status { name: name.to_owned(), holder: reading.holder, lanes, finished })
}

impl Status {
    /// What it is doing.
    pub fn activity(&self) -> Activity {
        match (&self.holder, self.finished) {
            (Some(_), _) => Activity::Active,
            (None, true) => Activity::Finished,
            (None, false) if self.lanes.is_empty() => Activity::None,
            (None, false) => Activity::Stopped,
        }
    }

    /// The host that runs it, or wrote last.
    pub fn host(&self) -> Option<&str> {
        let last = || self.lanes.values().max_by_key(|checkpoint| checkpoint.at_ms);
        self.holder.as_ref().map(|holder| holder.host.as_str()).or_else(|| Some(last()?.host.as_str()))
    }

    /// When it was last written, in ms since 1970.
    pub fn at_ms(&self) -> Option<i64> {
        self.lanes.values().map(|checkpoint| checkpoint.at_ms).max()
    }

    /// Source offsets to move in all.
    pub fn records(&self) -> i64 {
        self.lanes.values().map(|checkpoint| checkpoint.span.len()).sum()
    }

    /// Source offsets that are dealt with.
    pub fn done(&self) -> i64 {
        self.lanes.values().map(done).sum()
    }

    /// Source offsets a second, since the process that runs it began; `None` where none runs or it has not got far.
    pub fn rate(&self) -> Option<f64> {
        self.holder.as_ref()?;
        let begun = self.lanes.values().filter_map(|checkpoint| checkpoint.since).map(|(ms, _)| ms).max()?;
        let of_this = self.lanes.values().filter(|checkpoint| checkpoint.since.is_some_and(|(ms, _)| ms == begun));
        let moved: i64 = of_this.filter_map(|checkpoint| Some(checkpoint.next.get() - checkpoint.since?.1.get())).sum();
        let seconds = (self.at_ms()? - begun) as f64 / 1_000.0;
        (moved > 0 && seconds > 0.0).then(|| moved as f64 / seconds)
    }

    /// How long it will take at that rate, in seconds.
    pub fn seconds_left(&self) -> Option<f64> {
        Some((self.records() - self.done()) as f64 / self.rate()?)
    }
}

/// Source offsets of a partition that are dealt with.
pub fn done(checkpoint: &Checkpoint) -> i64 {
    let Offset(next) = checkpoint.next;
    next.clamp(checkpoint.span.start.get(), checkpoint.span.end.get()) - checkpoint.span.start.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Span, TopicPartition};

    fn status(holder: bool) -> Status {
        let lane = |next, since| {
            let begin = Checkpoint::begin(Span::new(100, 1_100), Offset(0));
            Checkpoint { next: Offset(next), since, at_ms: 20_000, host: "old".to_owned(), ..begin }
        };
        let lanes = [lane(600, Some((10_000, Offset(400)))), lane(1_100, Some((3_000, Offset(100)))), lane(100, None)];
        Status {
            name: "night".to_owned(),
            holder: holder.then(|| Holder { host: "new".to_owned(), pid: 7 }),
            lanes: (0..).zip(lanes).map(|(number, lane)| (TopicPartition::new("t", number), lane)).collect(),
            finished: false,
        }
    }

    #[test]
    fn progress_and_rate_come_from_the_last_commits_of_the_process_that_runs() {
        let status = status(true);
        assert_eq!((status.activity(), status.host()), (Activity::Active, Some("new")));
        assert_eq!((status.records(), status.done()), (3_000, 1_500));
        assert_eq!((status.rate(), status.seconds_left()), (Some(20.0), Some(75.0)));
    }

    #[test]
    fn what_nobody_runs_has_no_rate() {
        let status = status(false);
        assert_eq!((status.activity(), status.host(), status.rate()), (Activity::Stopped, Some("old"), None));
        let none = Status { lanes: Recorded::new(), ..status };
        assert_eq!((none.activity(), none.host()), (Activity::None, None));
    }
}
