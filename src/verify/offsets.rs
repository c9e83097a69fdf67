//! Level `offsets`: the records counted while copying equal the target's own offsets.

use super::extent::Extent;
use crate::kafka::Offset;
use crate::kafka::units::Count;

/// Who may have written behind what a copy wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Nobody: the copy has just ended, and the log ends with it.
    Ours,
    /// Others, since: the log ends with the copy or further on.
    Open,
}

/// What does not fit in a lane's claim and in where the target's log ends.
pub(super) fn offsets_differ(extent: &Extent, log_end: Offset, tail: Tail) -> Option<String> {
    let Extent { target, records, .. } = extent;
    if target.len() != *records {
        return Some(format!("{} records in target offsets {target}", Count(*records)));
    }
    let (end, now) = (Count(target.end.get()), Count(log_end.get()));
    match tail {
        Tail::Ours if log_end != target.end => Some(format!("log end {now} instead of {end}")),
        Tail::Open if log_end < target.end => Some(format!("log end {now}, at least {end} was written")),
        Tail::Ours | Tail::Open => None,
    }
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
            skipped: Vec::new(),
            source_id: None,
            target_id: None,
        }
    }

    #[test]
    fn what_others_wrote_later_is_no_difference_and_what_is_gone_is() {
        let differ = |end, tail| offsets_differ(&extent(), Offset(end), tail);
        assert_eq!((differ(200, Tail::Ours), differ(200, Tail::Open), differ(5_000, Tail::Open)), (None, None, None));
        assert_eq!(differ(201, Tail::Ours).as_deref(), Some("log end 201 instead of 200"));
        assert_eq!(differ(199, Tail::Open).as_deref(), Some("log end 199, at least 200 was written"));
        let miscounted = offsets_differ(&Extent { records: 201, ..extent() }, Offset(200), Tail::Open);
        assert_eq!(miscounted.as_deref(), Some("201 records in target offsets [0, 200)"));
    }
}
