//! What a call to a cluster can fail with: where it was, what went wrong, what to do.

use crate::kafka::{BrokerId, ErrorCode, GroupId, HostPort, Retry, Side, TopicName, TopicPartition};
use crate::net::{CallError, Cause, DialError};
use crate::wire::{ApiKey, VersionError, WireError};
use std::fmt;
use std::sync::Arc;

/// A failed call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterError {
    /// Where it failed.
    pub place: Box<Place>,
    /// What went wrong.
    pub kind: ErrorKind,
    /// How often it was tried.
    pub attempts: u32,
}

/// Where a call failed, as far as known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which cluster.
    pub side: Side,
    /// Which broker.
    pub broker: Option<Node>,
    /// What was asked; `None` while connecting.
    pub api: Option<ApiKey>,
    /// What it was about.
    pub subject: Subject,
}

/// A broker: its address, and its node id unless it is only known as a bootstrap address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its node id.
    pub id: Option<BrokerId>,
    /// Where it is reached.
    pub address: HostPort,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "broker {id} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// What a call is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The cluster or broker as a whole, or many things.
    Whole,
    /// A topic.
    Topic(TopicName),
    /// A partition.
    Partition(TopicPartition),
    /// A group.
    Group(GroupId),
}

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// No bootstrap address leads to a broker: one error for each.
    Unreachable(Vec<ClusterError>),
    /// The broker can't be connected to.
    Dial(DialError),
    /// The connection ended before the answer.
    Lost {
        /// Why; shared by all calls of the connection.
        cause: Arc<Cause>,
        /// Whether the broker may have got the request: only `false` is certain.
        sent: bool,
    },
    /// The request can't be written: nothing was sent.
    Unwritable(WireError),
    /// The answer can't be read.
    Unreadable(WireError),
    /// The broker does not speak a version of the API that kferry speaks.
    Version(VersionError),
    /// The broker answered with an error.
    Code {
        /// Its code.
        code: ErrorCode,
        /// Its own words.
        message: Option<String>,
    },
    /// The answer says nothing about what was asked.
    Unanswered,
    /// The cluster's metadata does not know the broker.
    UnknownBroker,
}

impl ClusterError {
    pub(super) fn new(place: Place, kind: ErrorKind) -> Self {
        Self { place: Box::new(place), kind, attempts: 1 }
    }

    pub(super) fn from_call(place: Place, error: CallError) -> Self {
        let kind = match error {
            CallError::Lost { cause, sent } => ErrorKind::Lost { cause, sent },
            CallError::Unwritable(error) => ErrorKind::Unwritable(error),
            CallError::Unreadable(error) => ErrorKind::Unreadable(error),
        };
        Self::new(place, kind)
    }

    /// The same error about one of the things that were asked for together.
    #[must_use]
    pub(super) fn about(&self, subject: Subject) -> Self {
        let mut error = self.clone();
        error.place.subject = subject;
        error
    }

    /// The broker's error code, where it answered one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self.kind {
            ErrorKind::Code { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether a broker may have got the request and acted on it: only `false` is certain.
    pub fn sent(&self) -> bool {
        match &self.kind {
            ErrorKind::Lost { sent, .. } => *sent,
            ErrorKind::Unreadable(_) | ErrorKind::Code { .. } | ErrorKind::Unanswered => true,
            ErrorKind::Unreachable(_)
            | ErrorKind::Dial(_)
            | ErrorKind::Unwritable(_)
            | ErrorKind::Version(_)
            | ErrorKind::UnknownBroker => false,
        }
    }

    /// Whether asking again can help, and what must be looked up first.
    pub fn retry(&self) -> Retry {
        match &self.kind {
            ErrorKind::Code { code, .. } => code.retry(),
            ErrorKind::Dial(_) | ErrorKind::Lost { .. } | ErrorKind::UnknownBroker | ErrorKind::Unanswered => {
                match self.place.subject {
                    Subject::Group(_) => Retry::Coordinator,
                    _ => Retry::Leader,
                }
            }
            ErrorKind::Unreachable(_) => Retry::Later,
            ErrorKind::Unwritable(_) | ErrorKind::Unreadable(_) | ErrorKind::Version(_) => Retry::Never,
        }
    }

    /// What a person can do about it, where that is known.
    pub fn advice(&self) -> Option<String> {
        let side = self.place.side;
        Some(match &self.kind {
            ErrorKind::Unreachable(tried) => tried.first()?.advice()?,
            ErrorKind::Dial(_) if self.place.broker.as_ref().is_some_and(|broker| broker.id.is_some()) => format!(
                "the {side} advertises this address itself: it must be reachable from here (advertised.listeners)"
            ),
            ErrorKind::Dial(_) => format!("check the {side}'s address, and that a broker listens there"),
            ErrorKind::Lost { cause, .. } => match **cause {
                Cause::NotKafka { .. } | Cause::ClosedAtOnce => {
                    format!("check that the {side}'s address is a plain Kafka listener")
                }
                Cause::TimedOut { .. } if self.place.api.is_none() => {
                    format!("something takes connections there: check that the {side}'s address is a Kafka listener")
                }
                Cause::TimedOut { .. } => format!("check the {side}'s brokers and the network in between"),
                _ => return None,
            },
            ErrorKind::Unreadable(_) if self.place.api.is_none() => {
                format!("check that the {side}'s address is a plain Kafka listener")
            }
            ErrorKind::Version(_) => match side {
                Side::Source => "kferry reads Apache Kafka 0.10.0 and later".to_owned(),
                Side::Target => "kferry writes to Apache Kafka 0.11 and later".to_owned(),
            },
            ErrorKind::Code { code, .. } => code_advice(*code, side)?,
            _ => return None,
        })
    }
}

fn code_advice(code: ErrorCode, side: Side) -> Option<String> {
    Some(match code {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => match side {
            Side::Source => "grant kferry's user READ, DESCRIBE and DESCRIBE_CONFIGS on the topic".to_owned(),
            Side::Target => "grant kferry's user WRITE, READ, DESCRIBE and DESCRIBE_CONFIGS on the topic".to_owned(),
        },
        ErrorCode::GROUP_AUTHORIZATION_FAILED => "grant kferry's user DESCRIBE and READ on the group".to_owned(),
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => match side {
            Side::Source => "grant kferry's user DESCRIBE on the cluster".to_owned(),
            Side::Target => "grant kferry's user CREATE and IDEMPOTENT_WRITE on the cluster".to_owned(),
        },
        ErrorCode::NOT_ENOUGH_REPLICAS => {
            "bring the partition's replicas back, or lower min.insync.replicas of the topic".to_owned()
        }
        ErrorCode::INVALID_REPLICATION_FACTOR => {
            format!("the {side} has too few brokers for it: set topics.replication_factor")
        }
        ErrorCode::INVALID_SESSION_TIMEOUT => {
            "set the brokers' group.min.session.timeout.ms to at most 10,000 and group.max.session.timeout.ms to at least that"
                .to_owned()
        }
        ErrorCode::OFFSET_METADATA_TOO_LARGE => {
            format!("set offset.metadata.max.bytes of the {side}'s brokers to at least 4096, the default")
        }
        ErrorCode::POLICY_VIOLATION => format!("the {side} has a policy for new topics: create the topic by hand"),
        ErrorCode::LEADER_NOT_AVAILABLE | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
            format!("check that all brokers of the {side} are up")
        }
        _ => return None,
    })
}

impl std::error::Error for ClusterError {}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { side, broker, .. } = &*self.place;
        write!(f, "cannot {} ", self.place.tried())?;
        match broker {
            Some(node) => write!(f, "the {side}'s {node}: ")?,
            None => write!(f, "the {side}: ")?,
        }
        write!(f, "{}", self.kind)?;
        if self.attempts > 1 { write!(f, " (tried {} times)", self.attempts) } else { Ok(()) }
    }
}

impl Place {
    /// What was tried, up to the preposition in front of the place.
    fn tried(&self) -> String {
        let Some(api) = self.api else { return "connect to".to_owned() };
        let (what, preposition) = match api {
            ApiKey::Produce => ("append to", "on"),
            ApiKey::Fetch => ("read", "from"),
            ApiKey::ListOffsets => ("look up offsets of", "on"),
            ApiKey::Metadata => ("look up", "on"),
            ApiKey::OffsetFetch => ("read the committed offsets of", "from"),
            ApiKey::OffsetCommit => ("commit offsets of", "on"),
            ApiKey::JoinGroup | ApiKey::SyncGroup => ("join", "on"),
            ApiKey::Heartbeat => ("stay in", "on"),
            ApiKey::LeaveGroup => ("leave", "on"),
            ApiKey::FindCoordinator => ("find the coordinator of", "on"),
            ApiKey::DescribeGroups | ApiKey::ConsumerGroupDescribe | ApiKey::StreamsGroupDescribe => ("describe", "on"),
            ApiKey::ListGroups => return "list the groups of".to_owned(),
            ApiKey::ApiVersions => return "connect to".to_owned(),
            ApiKey::CreateTopics => ("create", "on"),
            ApiKey::InitProducerId => return "get a producer id from".to_owned(),
            ApiKey::DescribeConfigs => ("read the configs of", "from"),
            ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => ("set the configs of", "on"),
        };
        let all = match api {
            ApiKey::Metadata => "brokers and topics",
            ApiKey::Produce | ApiKey::Fetch | ApiKey::ListOffsets => "partitions",
            ApiKey::CreateTopics | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => "topics",
            ApiKey::DescribeConfigs => "topics or the broker",
            _ => "groups",
        };
        match &self.subject {
            Subject::Whole => format!("{what} {all} {preposition}"),
            subject => format!("{what} {subject} {preposition}"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the cluster"),
            Self::Topic(topic) => write!(f, "topic {topic}"),
            Self::Partition(at) => write!(f, "{at}"),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(tried) => {
                f.write_str("no bootstrap address answers")?;
                tried.iter().try_for_each(|error| match &error.place.broker {
                    Some(node) => write!(f, "; {node}: {}", error.kind),
                    None => write!(f, "; {}", error.kind),
                })
            }
            Self::Dial(error) => error.fmt(f),
            Self::Lost { cause, .. } => cause.fmt(f),
            Self::Unwritable(error) | Self::Unreadable(error) => error.fmt(f),
            Self::Version(error) => error.fmt(f),
            Self::Code { code, message: None } => code.fmt(f),
            Self::Code { code, message: Some(message) } => write!(f, "{code}: {message}"),
            Self::Unanswered => f.write_str("the answer says nothing about it"),
            Self::UnknownBroker => f.write_str("the cluster does not list this broker"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(api: Option<ApiKey>, subject: Subject, kind: ErrorKind) -> ClusterError {
        let address = HostPort { host: "kafka-3".to_owned(), port: 9092 };
        let broker = Some(Node { id: Some(BrokerId(3)), address });
        ClusterError::new(Place { side: Side::Target, broker, api, subject }, kind)
    }

    #[test]
    fn an_error_says_what_was_tried_where_and_why() {
        let partition = Subject::Partition(TopicPartition::new("orders", 7));
        let kind = ErrorKind::Code { code: ErrorCode::MESSAGE_TOO_LARGE, message: Some("too big".to_owned()) };
        let mut shown = error(Some(ApiKey::Produce), partition, kind);
        shown.attempts = 3;
        assert_eq!(
            shown.to_string(),
            "cannot append to orders/7 on the target's broker 3 (kafka-3:9092): MESSAGE_TOO_LARGE: too big (tried 3 times)"
        );
    }

    #[test]
    fn a_dead_connection_says_whether_the_request_may_have_arrived() {
        let lost = |sent| {
            let cause = Arc::new(Cause::NotKafka { bytes: 131 });
            error(None, Subject::Whole, ErrorKind::Lost { cause, sent })
        };
        assert!(lost(true).sent() && !lost(false).sent());
        assert_eq!(
            lost(true).to_string(),
            "cannot connect to the target's broker 3 (kafka-3:9092): answered with 131 bytes that are not Kafka's \
             protocol (a TLS or HTTP port?)"
        );
    }

    #[test]
    fn a_refusal_that_a_broker_setting_causes_names_the_setting() {
        for (code, setting) in [
            (ErrorCode::OFFSET_METADATA_TOO_LARGE, "offset.metadata.max.bytes"),
            (ErrorCode::INVALID_SESSION_TIMEOUT, "group.min.session.timeout.ms"),
            (ErrorCode::NOT_ENOUGH_REPLICAS, "min.insync.replicas"),
        ] {
            let refused = error(Some(ApiKey::OffsetCommit), Subject::Whole, ErrorKind::Code { code, message: None });
            assert!(refused.advice().is_some_and(|advice| advice.contains(setting)), "{code}");
        }
    }

    #[test]
    fn missing_rights_are_named_for_the_side() {
        let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        let denied = error(Some(ApiKey::Produce), Subject::Whole, ErrorKind::Code { code, message: None });
        assert!(denied.advice().is_some_and(|advice| advice.contains("WRITE")));
        assert_eq!(denied.retry(), Retry::Never);
    }
}
