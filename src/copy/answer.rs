//! What an answer to Produce says for certain.

use crate::kafka::{ErrorCode, Offset};

/// What is known about one batch after its Produce request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProduceResult {
    /// The broker appended it at this offset.
    Appended {
        /// The offset of the batch's first record on the target.
        base: Offset,
    },
    /// The broker refused it: nothing of it is in the log.
    Refused {
        /// The refusal.
        code: ErrorCode,
        /// The broker's own words, where it sent some.
        message: Option<String>,
    },
    /// The broker refused it because of its sequence. A batch that is sent for the first time, behind one that was refused,
    /// is not in the log; nothing else makes this answer certain.
    OutOfOrder,
    /// It may be in the log or not.
    Unclear {
        /// What the broker answered.
        cause: String,
    },
    /// There is no answer: the batch may be in the log or not, and may still get there.
    Lost {
        /// What happened instead.
        cause: String,
    },
}

impl ProduceResult {
    /// Reads a partition's part of a Produce answer.
    ///
    /// Only the codes that real brokers send before they append count as refusals. 7 and 20 mean appended but not
    /// replicated in time; 3, 6, 56 and -1 may come after the append; a code that is newer than the table proves nothing.
    pub fn from_answer(code: ErrorCode, base: Offset, message: Option<String>) -> Self {
        match code {
            ErrorCode::NONE => Self::Appended { base },
            ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::INVALID_TIMESTAMP
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::INVALID_PRODUCER_EPOCH
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::UNKNOWN_PRODUCER_ID
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            | ErrorCode::INVALID_RECORD
            | ErrorCode::UNKNOWN_TOPIC_ID => Self::Refused { code, message },
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => Self::OutOfOrder,
            other => Self::Unclear {
                cause: match message {
                    Some(message) => format!("{other} ({message})"),
                    None => other.to_string(),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_follow_an_append_are_unclear() {
        for code in [-1, 3, 6, 7, 20, 46, 56, 9_999] {
            let result = ProduceResult::from_answer(ErrorCode(code), Offset(-1), None);
            assert!(matches!(result, ProduceResult::Unclear { .. }), "{code}: {result:?}");
        }
    }

    #[test]
    fn a_sequence_out_of_order_is_neither() {
        let result = ProduceResult::from_answer(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, Offset(-1), None);
        assert_eq!(result, ProduceResult::OutOfOrder);
    }

    #[test]
    fn codes_that_brokers_send_before_they_append_are_refusals() {
        for code in [2, 10, 18, 19, 29, 32, 43, 47, 53, 59, 76, 87, 100] {
            let result = ProduceResult::from_answer(ErrorCode(code), Offset(-1), None);
            assert!(matches!(result, ProduceResult::Refused { .. }), "{code}: {result:?}");
        }
    }
}
