//! What the operator decided.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Codec;
use crate::config::Settings;
use crate::copy::Limits;
use crate::state::{BootClock, Clock, Holder};
use crate::verify::Level;

/// What the operator decided about the copy, beside what the plan says.
#[derive(Clone, Debug)]
pub struct Choices {
    /// What the copy may use.
    pub limits: Limits,
    /// The codec in place of one that the target can't store; `None`: a partition stops in front of such a batch.
    pub recompress: Option<Codec>,
    /// Whether corrupt batches are left out instead of stopping their partition.
    pub skip_corrupt: bool,
    /// How long a request of a dead process may still land.
    pub late_bound: Duration,
    /// Whether the groups' offsets are committed on the target.
    pub translate_offsets: bool,
    /// Whether commits that others made on the target are replaced.
    pub overwrite_offsets: bool,
    /// Whether recorded ends give way to today's.
    pub extend: bool,
    /// Whether another process that runs this migration is fenced.
    pub take_over: bool,
    /// How closely both sides are compared afterwards.
    pub verify: Level,
    /// Who runs it.
    pub holder: Holder,
    /// The clock that the lock is held by.
    pub clock: Arc<dyn Clock>,
}

impl Choices {
    /// What the settings say, for this process.
    pub fn new(settings: &Settings, holder: Holder) -> Self {
        Self {
            limits: Limits { memory: settings.memory, rate: settings.rate.map(Into::into) },
            recompress: settings.topics.recompress.map(Codec::from),
            skip_corrupt: settings.skip_corrupt,
            late_bound: settings.late_bound,
            translate_offsets: settings.translate_offsets,
            overwrite_offsets: settings.overwrite_offsets,
            extend: false,
            take_over: false,
            verify: settings.verify.into(),
            holder,
            clock: Arc::new(BootClock),
        }
    }
}
