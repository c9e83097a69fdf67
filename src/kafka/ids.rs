//! Identifiers as newtypes, so that mixing two up does not compile.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The plain number, for encoders and arithmetic.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as the broker spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

number!(
    /// The place of a record in its partition, counted from 0.
    Offset(i64)
);
number!(
    /// The number of a partition in its topic, counted from 0.
    PartitionId(i32)
);
number!(
    /// A broker's node id.
    BrokerId(i32)
);
number!(
    /// How often a partition's leader has changed (KIP-101).
    LeaderEpoch(i32)
);
number!(
    /// The id that `InitProducerId` hands out (KIP-98).
    ProducerId(i64)
);
number!(
    /// The epoch of a producer id; a higher one fences a lower one, per partition.
    ProducerEpoch(i16)
);
number!(
    /// The sequence number of a batch's first record, per producer and partition (KIP-98).
    Sequence(i32)
);
name!(
    /// A topic's name.
    TopicName
);
name!(
    /// A consumer group's id.
    GroupId
);

impl Offset {
    /// The offset `count` records further on; stays at the largest offset rather than wrap.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Sequence {
    /// The sequence `count` records further on: after 2^31 - 1 comes 0, as brokers count.
    #[must_use]
    pub const fn plus(self, count: i32) -> Self {
        let sum = self.0 as i64 + count as i64;
        Self((sum & 0x7fff_ffff) as i32)
    }
}

/// A topic's id (KIP-516): it tells a re-created topic from the one before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// `None` for the all-zero id that brokers send where they have none.
    pub fn known(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// A partition of a topic, ordered by topic name, then number; shown as `orders/7`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// A partition by name and number.
    pub fn new(topic: impl Into<TopicName>, partition: i32) -> Self {
        Self { topic: topic.into(), partition: PartitionId(partition) }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A range of offsets: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first offset of the range.
    pub start: Offset,
    /// The offset behind the last one.
    pub end: Offset,
}

impl Span {
    /// The range from `start` up to and without `end`.
    pub const fn new(start: i64, end: i64) -> Self {
        Self { start: Offset(start), end: Offset(end) }
    }

    /// How many offsets lie in the range; 0 where `end` is not above `start`.
    pub const fn len(self) -> i64 {
        let length = self.end.0.saturating_sub(self.start.0);
        if length > 0 { length } else { 0 }
    }

    /// Whether no offset lies in the range.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `offset` lies in the range.
    pub const fn contains(self, offset: Offset) -> bool {
        self.start.0 <= offset.0 && offset.0 < self.end.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// What an idempotent producer writes into a batch header so that the broker can tell order and duplicates (KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The producer id.
    pub producer: ProducerId,
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record.
    pub sequence: Sequence,
}

/// Which of the two clusters something belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// The cluster that is read.
    Source,
    /// The cluster that is written.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// A broker's address as a person or a broker gives it: a host name, IPv4 or bracketed IPv6 address, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// The name or address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || HostPortError { text: text.to_owned() };
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(refused)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address,
            None if host.contains([':', '[', ']', '/']) => return Err(refused()),
            None => host,
        };
        let port: u16 = port.parse().map_err(|_| refused())?;
        if host.is_empty() || port == 0 {
            return Err(refused());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// An address that is not `host:port`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not an address: write host:port, for example kafka-1:9092 or [::1]:9092")]
pub struct HostPortError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero_behind_the_largest() {
        assert_eq!(Sequence(i32::MAX - 1).plus(1), Sequence(i32::MAX));
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX).plus(3), Sequence(2));
    }

    #[test]
    fn a_topic_id_is_shown_with_all_its_digits() {
        let mut bytes = [0; 16];
        (bytes[1], bytes[15]) = (0xa1, 0x05);
        assert_eq!(TopicId(bytes).to_string(), "00a10000000000000000000000000005");
        assert_eq!(TopicId([0xff; 16]).to_string(), "f".repeat(32));
    }

    #[test]
    fn an_address_needs_a_host_and_a_port() {
        assert_eq!("kafka-1:9092".parse(), Ok(HostPort { host: "kafka-1".into(), port: 9092 }));
        assert_eq!("[::1]:9092".parse(), Ok(HostPort { host: "::1".into(), port: 9092 }));
        for wrong in
            ["", "kafka-1", "kafka-1:", ":9092", "::1:9092", "kafka-1:0", "kafka-1:99999", "http://kafka-1:9092"]
        {
            assert!(wrong.parse::<HostPort>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        let address: HostPort = "[fe80::1]:9092".parse().expect("an address");
        assert_eq!(address.to_string(), "[fe80::1]:9092");
    }

    #[test]
    fn a_span_that_ends_before_it_starts_is_empty() {
        assert_eq!(Span::new(5, 3).len(), 0);
        assert!(Span::new(3, 5).contains(Offset(4)));
        assert!(!Span::new(3, 5).contains(Offset(5)));
    }
}
