//! Which faults met lanes at which moments of their lives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// The process dies.
    Crash,
    /// The process is told to stop, and does.
    Stop,
    /// The connection is cut; what is sent on it next never leaves.
    CutUnsent,
    /// The connection is cut with all that is on it.
    Cut,
    /// An answer takes long.
    SlowAnswer,
    /// An answer carries a code that says nothing for certain, whatever was done.
    OddAnswer,
    /// The broker stands still.
    Stuck,
    /// Another broker leads, or none for a while.
    LeaderMove,
    /// Followers stop fetching.
    FollowersDown,
    /// Too few followers are in sync.
    TooFewInSync,
    /// The broker's process ends and starts again.
    Restart,
    /// A replica that was not in sync leads: the end of the log is lost.
    Unclean,
    /// The broker looks for producers to forget.
    Forget,
    /// Somebody else writes.
    Foreign,
    /// The broker takes smaller batches only.
    SmallerLimit,
    /// A request of a connection that is closed reaches the log.
    LateRequest,
    /// The source is compacted.
    Compaction,
    /// The source deletes its oldest records.
    Retention,
    /// A Fetch fails.
    FetchFails,
    /// The state takes long to be stored.
    CommitSlow,
    /// A commit is lost on its way.
    CommitLost,
    /// A commit is taken and its answer lost.
    CommitUnanswered,
    /// The state can't be stored any more.
    StateFails,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Crash,
        Self::Stop,
        Self::CutUnsent,
        Self::Cut,
        Self::SlowAnswer,
        Self::OddAnswer,
        Self::Stuck,
        Self::LeaderMove,
        Self::FollowersDown,
        Self::TooFewInSync,
        Self::Restart,
        Self::Unclean,
        Self::Forget,
        Self::Foreign,
        Self::SmallerLimit,
        Self::LateRequest,
        Self::Compaction,
        Self::Retention,
        Self::FetchFails,
        Self::CommitSlow,
        Self::CommitLost,
        Self::CommitUnanswered,
        Self::StateFails,
    ];
}

/// Where a lane stands when something goes wrong. More than one may hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Moment {
    /// No process runs.
    Down,
    /// Nothing of the below: records are read, or waited for.
    Reading,
    /// A batch waits for its journal to become durable.
    Journal,
    /// A batch whose journal is durable waits for its connection.
    Unsent,
    /// A batch is sent and did not reach the log.
    Sent,
    /// A batch is in the log and its answer is not here.
    Appended,
    /// The end of the log is asked for.
    Settling,
    /// The end of the log is not replicated.
    Replication,
    /// A new process does not know yet what is there.
    Resuming,
    /// Batches are cut again as the process before did.
    Replaying,
    /// A batch is cut into smaller ones.
    Splitting,
    /// All is copied and that is not durable.
    Ending,
}

impl Moment {
    /// All of them, with a name that is short.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Down, "down"),
        (Self::Reading, "reading"),
        (Self::Journal, "journal"),
        (Self::Unsent, "unsent"),
        (Self::Sent, "sent"),
        (Self::Appended, "appended"),
        (Self::Settling, "settling"),
        (Self::Replication, "unreplic."),
        (Self::Resuming, "resuming"),
        (Self::Replaying, "replaying"),
        (Self::Splitting, "splitting"),
        (Self::Ending, "ending"),
    ];
}

/// How often each fault met a lane at each moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Coverage {
    cells: BTreeMap<(Fault, Moment), u64>,
}

impl Coverage {
    /// A fault met a lane.
    pub fn note(&mut self, fault: Fault, moments: &BTreeSet<Moment>) {
        moments.iter().for_each(|moment| *self.cells.entry((fault, *moment)).or_default() += 1);
    }

    /// Takes in what another one counted.
    pub fn merge(&mut self, other: &Self) {
        other.cells.iter().for_each(|(cell, count)| *self.cells.entry(*cell).or_default() += count);
    }

    /// What never happened although it can.
    pub fn missing(&self) -> Vec<(Fault, Moment)> {
        let cells = Fault::ALL.into_iter().flat_map(|fault| Moment::ALL.map(|(moment, _)| (fault, moment)));
        cells.filter(|cell| !self.cells.contains_key(cell) && impossible(cell.0, cell.1).is_none()).collect()
    }

    /// What happened although it is listed as impossible.
    pub fn surprising(&self) -> Vec<(Fault, Moment)> {
        self.cells.keys().copied().filter(|cell| impossible(cell.0, cell.1).is_some()).collect()
    }
}

/// Why a fault can't meet a lane at a moment.
fn impossible(fault: Fault, moment: Moment) -> Option<&'static str> {
    use Fault::*;
    use Moment::*;
    match (fault, moment) {
        (Crash | Stop | FetchFails, Down) => Some("no process is there to meet it"),
        (CutUnsent | Cut | SlowAnswer | OddAnswer, Down | Resuming) => Some("no connection carries batches"),
        (CommitSlow | CommitLost | CommitUnanswered | StateFails, Down) => Some("only processes store something"),
        _ => None,
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:16}", "")?;
        Moment::ALL.iter().try_for_each(|(_, name)| write!(f, "{name:>10}"))?;
        for fault in Fault::ALL {
            write!(f, "\n{:16}", format!("{fault:?}"))?;
            for (moment, _) in Moment::ALL {
                match self.cells.get(&(fault, moment)) {
                    Some(count) => write!(f, "{count:>10}")?,
                    None if impossible(fault, moment).is_some() => write!(f, "{:>10}", "-")?,
                    None => write!(f, "{:>10}", 0)?,
                }
            }
        }
        Ok(())
    }
}
