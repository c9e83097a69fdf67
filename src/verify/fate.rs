//! What became of the topics that were copied from and to.

use std::fmt;

use crate::cluster::ClusterError;
use crate::kafka::{ErrorCode, Offset, Side, TopicId};

/// What became of a topic since a migration began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone {
    /// The cluster that held it.
    pub side: Side,
    /// Whether another one of its name is there now.
    pub made_again: bool,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = if self.made_again { " and made again" } else { "" };
        write!(f, "the {}'s topic was deleted{again} since this migration began", self.side)
    }
}

impl Gone {
    /// Whether the topic is another one than that which was recorded. Brokers before 2.8 know no ids: there only a topic
    /// that is missing shows.
    pub fn of(side: Side, recorded: Option<TopicId>, now: Option<TopicId>, is_missing: bool) -> Option<Self> {
        let made_again = matches!((recorded, now), (Some(then), Some(now)) if then != now);
        (made_again || is_missing).then_some(Self { side, made_again })
    }
}

/// Whether a partition is not there, as often as it was asked for.
pub(super) fn is_missing(end: Option<&Result<Offset, ClusterError>>) -> bool {
    let error = end.and_then(|end| end.as_ref().err());
    error.is_some_and(|error| error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
}
