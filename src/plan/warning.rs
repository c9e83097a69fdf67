//! What a plan says beside its numbers: a code for programs, words for people, and what can be done.

use std::fmt;

use crate::kafka::{PartitionId, TopicName, TopicPartition};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $text:literal)*) => {
        /// What a warning is about. The texts are stable; new ones may be added.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum WarningCode {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl WarningCode {
            /// The code as programs read it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The commit lies below the log start: the source has deleted unread records.
    Expired "expired"
    /// The source's retention will delete records before the copy can reach them.
    Expiring "expiring"
    /// The commits do not say what is unread; `plan.undecided` chose the start.
    Undecided "undecided"
    /// A commit lies beyond the log's end.
    Ahead "ahead"
    /// Records behind an open transaction are held back.
    OpenTransaction "open_transaction"
    /// A source group has members.
    ActiveGroup "active_group"
    /// The source is still being written.
    MovingEnd "moving_end"
    /// The list of groups, or a group's commits, may lack some for want of permission.
    GroupsHidden "groups_hidden"
    /// Configurations that may not be read.
    ConfigsHidden "configs_hidden"
    /// The target topic has another number of partitions.
    PartitionCount "partition_count"
    /// The source accepts larger batches than the target.
    BatchTooLarge "batch_too_large"
    /// The target will refuse records for their timestamps.
    TimestampRejected "timestamp_rejected"
    /// The target stamps its own time.
    TimestampsReplaced "timestamps_replaced"
    /// The target would delete records that the source still keeps.
    ExpiresOnArrival "expires_on_arrival"
    /// Batches are compressed again with another codec.
    CodecRecompressed "codec_recompressed"
    /// A compacted target topic refuses records without a key.
    CompactedNullKey "compacted_null_key"
    /// The target partition holds records that this migration did not write.
    NotEmpty "not_empty"
    /// A group of a kind that has no committed offsets to move.
    UnsupportedGroup "unsupported_group"
    /// A changelog topic of a streams application is not selected.
    StreamsState "streams_state"
    /// Records older than the target remembers producers: those lanes go one batch at a time.
    ProducerStateShort "producer_state_short"
    /// The target re-encodes batches and drops producer stamps.
    StampsNotKept "stamps_not_kept"
    /// The target lost records that it had acknowledged.
    Truncated "truncated"
    /// A start below the recorded one cannot be met any more.
    PlanChanged "plan_changed"
    /// The source's topic was deleted or made again: what was copied from it can't be compared any more.
    SourceGone "source_gone"
    /// A topic or partition does not exist.
    TopicMissing "topic_missing"
    /// The target will not let topics be created as they must be.
    CreateRefused "create_refused"
    /// An internal topic is left out.
    TopicLeftOut "topic_left_out"
    /// A topic configuration is not carried over.
    ConfigLeftOut "config_left_out"
    /// `min.insync.replicas` cannot be met.
    MinIsr "min_isr"
    /// The target may not be written.
    WriteDenied "write_denied"
    /// The target stores a message format below v2.
    TargetFormat "target_format"
    /// The target does not know a codec.
    CodecUnsupported "codec_unsupported"
    /// Until when committed offsets live on the target without a consumer.
    OffsetsExpire "offsets_expire"
    /// Source and target are one and the same cluster.
    SameCluster "same_cluster"
    /// The target's receive buffers bound the speed over a long way.
    SmallSocketBuffers "small_socket_buffers"
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the operator allows although it is usually a mistake: the flags of `kferry run`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Permit {
    /// `--append`: write behind records that are there already.
    Append,
    /// `--allow-active`: producers or consumers of the source still run.
    AllowActive,
    /// `--allow-expiry`: the target may delete what arrives.
    AllowExpiry,
}

impl Permit {
    /// The flag as it is typed.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Append => "--append",
            Self::AllowActive => "--allow-active",
            Self::AllowExpiry => "--allow-expiry",
        }
    }
}

/// Whether `kferry run` starts in spite of a warning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// It starts.
    Note,
    /// It refuses unless this is allowed.
    Unless(Permit),
    /// It refuses.
    Refuse,
}

/// One thing to know before a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// What it is about, for programs.
    pub code: WarningCode,
    /// Whether it keeps a run from starting.
    pub weight: Weight,
    /// The topic, where it is about one.
    pub topic: Option<TopicName>,
    /// The partition, where it is about one.
    pub partition: Option<PartitionId>,
    /// What is the case, with its numbers, for people.
    pub message: String,
    /// What can be done; empty where nothing needs to be.
    pub advice: String,
}

impl Warning {
    /// A note about neither a topic nor a partition, without advice.
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self {
            code,
            weight: Weight::Note,
            topic: None,
            partition: None,
            message: message.into(),
            advice: String::new(),
        }
    }

    /// About this topic.
    #[must_use]
    pub fn topic(self, topic: &TopicName) -> Self {
        Self { topic: Some(topic.clone()), ..self }
    }

    /// About this partition.
    #[must_use]
    pub fn at(self, at: &TopicPartition) -> Self {
        Self { topic: Some(at.topic.clone()), partition: Some(at.partition), ..self }
    }

    /// With what can be done.
    #[must_use]
    pub fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    /// With this weight.
    #[must_use]
    pub fn weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }
}

impl Warning {
    /// What is the case; what can be done. Without the code and the place.
    pub fn words(&self) -> String {
        if self.advice.is_empty() { self.message.clone() } else { format!("{}; {}", self.message, self.advice) }
    }
}

/// The place and the words, without the code.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.topic, self.partition) {
            (Some(topic), Some(partition)) => write!(f, "{topic}/{partition}: ")?,
            (Some(topic), None) => write!(f, "{topic}: ")?,
            (None, _) => {}
        }
        f.write_str(&self.words())
    }
}

/// Why `kferry run` does not start: all warnings of one code that keep it from starting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What it is about, for programs.
    pub code: WarningCode,
    /// The first of them, in the order of topics and partitions.
    pub first: Warning,
    /// How many more there are.
    pub others: usize,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.first)?;
        if self.others > 0 {
            write!(f, " (and {} more)", crate::kafka::units::Count(i64::try_from(self.others).unwrap_or(i64::MAX)))?;
        }
        match self.first.weight {
            Weight::Unless(permit) => write!(f, "; to go on all the same: {}", permit.flag()),
            Weight::Note | Weight::Refuse => Ok(()),
        }
    }
}
