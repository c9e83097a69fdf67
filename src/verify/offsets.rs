//! Level `offsets`: the records counted while copying equal the target's own offsets.

use std::fmt;

use super::Extent;
use crate::kafka::Offset;
use crate::kafka::units::Count;

/// How closely source and target were compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Offsets and counts; the content is vouched for by the CRC chain.
    Offsets,
}

impl Level {
    /// The name in configuration and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offsets => "offsets",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The target tells other offsets than the lane counted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{}: {} records were written to target offsets {}, but the target's log ends at {} instead of {}",
    .extent.at, Count(.extent.records), .extent.target, Count(.log_end.get()), Count(.extent.target.end.get())
)]
pub struct Difference {
    /// What the lane claims.
    pub extent: Extent,
    /// Where the target's log ends.
    pub log_end: Offset,
}

/// Compares a lane's claim with the target's log end as the target tells it after the copy.
pub fn check_offsets(extent: &Extent, log_end: Offset) -> Result<Level, Box<Difference>> {
    if extent.target.end == log_end && extent.target.len() == extent.records {
        return Ok(Level::Offsets);
    }
    Err(Box::new(Difference { extent: extent.clone(), log_end }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Span, TopicPartition};

    fn extent() -> Extent {
        Extent {
            at: TopicPartition::new("orders", 7),
            source: Span::new(100, 350),
            target: Span::new(0, 200),
            records: 200,
        }
    }

    #[test]
    fn a_log_that_ends_where_the_count_says_is_verified() {
        assert_eq!(check_offsets(&extent(), Offset(200)), Ok(Level::Offsets));
    }

    #[test]
    fn a_log_end_that_is_off_by_one_is_a_difference() {
        let difference = check_offsets(&extent(), Offset(199)).expect_err("one record is missing");
        assert_eq!(
            difference.to_string(),
            "orders/7: 200 records were written to target offsets [0, 200), but the target's log ends at 199 instead of 200"
        );
        assert!(check_offsets(&extent(), Offset(201)).is_err());
        assert!(check_offsets(&Extent { records: 201, ..extent() }, Offset(200)).is_err());
    }
}
