//! What is told while a run goes on.

use super::agenda::Recorded;
use crate::copy::{Lanes, Progress};
use crate::kafka::TopicName;
use crate::state::News;
use crate::verify::{self, Level};

/// A part of the story that begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Step<'a> {
    /// Another process holds, or held, the lock.
    Lock(&'a News),
    /// The migration has begun before: this is what the target remembers.
    Resuming(&'a Recorded),
    /// Topics that the target lacks are being created.
    Creating(&'a [TopicName]),
    /// Records are being copied.
    Copying {
        /// Lanes.
        lanes: usize,
        /// Source offsets of all lanes together.
        records: i64,
    },
    /// What was written is compared at this level.
    Verifying(Level),
    /// The comparison of both sides went on.
    Compared(&'a verify::Progress),
    /// The offsets of this many groups are being committed on the target.
    Groups(usize),
}

/// Whoever shows a run to a person.
pub trait Observer: Send {
    /// A part of the story begins.
    fn step(&mut self, step: Step<'_>);

    /// The copy went on; called several times a second. `lanes` gives the state of every lane to whoever wants it.
    fn progress(&mut self, progress: &Progress, lanes: Lanes<'_>);
}
