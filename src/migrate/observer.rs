//! What is told while a run goes on.

use crate::copy::{Lanes, Progress};
use crate::kafka::TopicName;

/// A part of the story that begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// Topics that the target lacks are being created.
    Creating(&'a [TopicName]),
    /// Records are being copied.
    Copying {
        /// Lanes.
        lanes: usize,
        /// Source offsets of all lanes together.
        records: i64,
    },
    /// What was written is compared with the target's own offsets.
    Verifying,
}

/// Whoever shows a run to a person.
pub trait Observer: Send {
    /// A part of the story begins.
    fn step(&mut self, step: Step<'_>);

    /// The copy went on; called several times a second. `lanes` gives the state of every lane to whoever wants it.
    fn progress(&mut self, progress: &Progress, lanes: Lanes<'_>);
}
