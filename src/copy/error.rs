//! Why a lane ended before its end.

use crate::kafka::units::Count;
use crate::kafka::{ErrorCode, Offset, Span};

/// What stopped a lane. Every text names the offsets it is about and, where something can be done, what.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LaneProblem {
    /// The source holds something that this version does not copy.
    #[error("stopped before source offset {}: {reason}; nothing of that batch was written", Count(.offset.get()))]
    Unsupported {
        /// The first offset of the batch.
        offset: Offset,
        /// What the batch is.
        reason: String,
    },
    /// The bytes that the source sent are not a valid record batch.
    #[error("stopped before source offset {}: {what}; nothing of that batch was written. Check the source's disk and network, then run again", Count(.offset.get()))]
    Corrupt {
        /// The first offset that is not valid.
        offset: Offset,
        /// What is wrong with it.
        what: String,
    },
    /// The source no longer has the next offset.
    #[error("source offset {} is gone: the source's log now starts at {}; its retention deleted records while they were copied", Count(.offset.get()), Count(.log_start.get()))]
    Expired {
        /// The next offset that was to be read.
        offset: Offset,
        /// The source's log start now.
        log_start: Offset,
    },
    /// The source refuses to be read.
    #[error("cannot fetch from source offset {}: {code}", Count(.offset.get()))]
    FetchRefused {
        /// The next offset that was to be read.
        offset: Offset,
        /// The refusal.
        code: ErrorCode,
    },
    /// The source could not be read for longer than a retry may last.
    #[error("gave up fetching from source offset {} after {attempts} attempts: {cause}", Count(.offset.get()))]
    FetchFailed {
        /// The next offset that was to be read.
        offset: Offset,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt met.
        cause: String,
    },
    /// The topic was deleted on the source.
    #[error("cannot fetch from source offset {}: the topic no longer exists on the source", Count(.offset.get()))]
    NoTopic {
        /// The next offset that was to be read.
        offset: Offset,
    },
    /// The source answers without records although its log goes on.
    #[error("the source answers without records at offset {} although the plan's end is {}; tried {attempts} times", Count(.offset.get()), Count(.end.get()))]
    NoRecords {
        /// The next offset that was to be read.
        offset: Offset,
        /// The lane's end.
        end: Offset,
        /// How often it was tried.
        attempts: u32,
    },
    /// The target refused a batch: nothing of it is in its log.
    #[error("the target refused the batch of source offsets {span}, {} bytes: {code}{}", Count(*.bytes), .message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// The batch's source offsets, end exclusive.
        span: Span,
        /// The batch's size.
        bytes: i64,
        /// The refusal.
        code: ErrorCode,
        /// The broker's own words.
        message: Option<String>,
    },
    /// Nobody can say whether a batch is in the target's log.
    #[error(
        "no clear answer for source offsets {span}: {cause}. They may or may not be on the target and were not sent again"
    )]
    Unclear {
        /// The source offsets in doubt, end exclusive.
        span: Span,
        /// What happened.
        cause: String,
    },
    /// Somebody else wrote into the target partition.
    #[error("the target put source offsets {span} at offset {} instead of {}: another producer writes to this partition", Count(.base.get()), Count(.expected.get()))]
    Foreign {
        /// The batch's source offsets, end exclusive.
        span: Span,
        /// Where the batch should have gone.
        expected: Offset,
        /// Where it went.
        base: Offset,
    },
    /// The target's log holds records that this migration did not write.
    #[error("the target's log ends at {} instead of {}, with records that the migration's state does not know: another producer wrote to this partition, or the state is older than the log (an old report?)", Count(.end.get()), Count(.expected.get()))]
    ForeignTail {
        /// Where the log should end.
        expected: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// The target lost records that it had acknowledged, and what is left can't be gone on from.
    #[error("the target's log ends at {}, although it had acknowledged records up to {}: it lost them (an unclean leader election?), and where it ends now is not the end of a batch of this migration", Count(.end.get()), Count(.expected.get()))]
    Truncated {
        /// Where the log ended.
        expected: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// The target forgets who writes again and again.
    #[error("the target does not know the producer of this partition any more, {times} times in a row")]
    Forgotten {
        /// How often.
        times: u32,
    },
    /// What was written can't be made durable in the migration's state.
    #[error("stopped: the migration's state can't be kept: {cause}")]
    State {
        /// Why.
        cause: String,
    },
    /// The target has no leader for the partition.
    #[error("the target partition has no leader to write to: {cause}")]
    NoLeader {
        /// What the metadata said.
        cause: String,
    },
}

/// What to do where a log can't be gone on with: records can't be taken out of it, and no position behind them would be
/// right. Deleting the topic is for whoever knows that nobody else's are lost.
fn begin_anew(from: Offset) -> String {
    format!(
        "look whose records the target topic holds, from offset {} on above all: if nobody needs any of them, delete the \
         topic and run with another --name; otherwise delete the group kferry-NAME there and run with --append and \
         without --report: everything moves once more, behind what is there",
        Count(from.get())
    )
}

/// How the code is shown.
const NOT_ENOUGH_REPLICAS: &str = "NOT_ENOUGH_REPLICAS";
const FOLLOWERS: &str = "bring the target's followers back in sync, or lower min.insync.replicas of the topic";

impl LaneProblem {
    /// What a person can do about it; `None` where the text already says all there is.
    pub fn advice(&self) -> Option<String> {
        let (code, bytes) = match self {
            Self::Refused { code, bytes, .. } => (code, bytes),
            Self::FetchRefused { code: ErrorCode::TOPIC_AUTHORIZATION_FAILED, .. } => {
                return Some("give this user Read and Describe on the source topic".to_owned());
            }
            Self::NoTopic { .. } => {
                return Some("what was copied of it stays on the target; the rest is gone with the topic".to_owned());
            }
            Self::FetchRefused { .. } | Self::FetchFailed { .. } | Self::NoRecords { .. } => {
                return Some("see to the source's brokers, then run again: it goes on from there".to_owned());
            }
            Self::Unclear { cause, .. } if cause.starts_with(NOT_ENOUGH_REPLICAS) => {
                return Some(format!("{FOLLOWERS}, then run again: it goes on from there"));
            }
            Self::Unclear { .. } | Self::NoLeader { .. } | Self::Forgotten { .. } => {
                let then = "then run again: it looks what is there and goes on";
                return Some(format!("see to the target's brokers, {then}"));
            }
            Self::Foreign { expected, .. } | Self::ForeignTail { expected, .. } => {
                return Some(format!("stop that producer and {}", begin_anew(*expected)));
            }
            Self::Truncated { end, .. } => return Some(begin_anew(*end)),
            Self::Unsupported { .. } | Self::Corrupt { .. } | Self::Expired { .. } | Self::State { .. } => return None,
        };
        Some(match *code {
            ErrorCode::MESSAGE_TOO_LARGE => {
                format!("raise max.message.bytes of the target topic to at least {bytes}")
            }
            ErrorCode::RECORD_LIST_TOO_LARGE => {
                format!("raise segment.bytes of the target topic to at least {bytes}")
            }
            ErrorCode::NOT_ENOUGH_REPLICAS => FOLLOWERS.to_owned(),
            ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                "give this user Write and IdempotentWrite on the target".to_owned()
            }
            ErrorCode::INVALID_TIMESTAMP => {
                "raise message.timestamp.before.max.ms and message.timestamp.after.max.ms of the target topic"
                    .to_owned()
            }
            ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT => {
                "the target topic stores an old message format: raise its message.format.version to 0.11 or later"
                    .to_owned()
            }
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE => {
                "the target does not know this compression: upgrade it, or recompress the source topic".to_owned()
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_lacked_replicas_to_the_end_is_told_from_one_that_did_not_answer() {
        let advice = |cause: String| LaneProblem::Unclear { span: Span::new(1, 4), cause }.advice().unwrap_or_default();
        assert!(advice(ErrorCode::NOT_ENOUGH_REPLICAS.to_string()).contains("min.insync.replicas"));
        assert!(advice(ErrorCode::REQUEST_TIMED_OUT.to_string()).contains("see to the target's brokers"));
    }
}
