//! The APIs that kferry speaks, at which versions, and what a broker and kferry have in common.

use std::collections::BTreeMap;
use std::fmt;

/// Versions from `min` to `max`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRange {
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{} to {}", self.min, self.max) }
    }
}

/// Where an answer's `throttle_time_ms` stands.
#[derive(Clone, Copy)]
pub(super) enum Throttle {
    /// At its beginning, from this version on.
    First(i16),
    /// At its end.
    Last,
    /// Somewhere that nobody has to look for: the answer to the first request of a connection.
    Inside,
}

use Throttle::{First, Inside, Last};

macro_rules! apis {
    ($($number:literal $name:ident $min:literal..=$max:literal flexible $flexible:literal throttle $throttle:expr)*) => {
        /// An API of the Kafka protocol that kferry uses.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum ApiKey {
            $(
                #[doc = concat!("API ", stringify!($number), ".")]
                $name,
            )*
        }

        impl ApiKey {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its number on the wire.
            pub const fn number(self) -> i16 {
                match self { $(Self::$name => $number,)* }
            }

            /// Its name in the protocol guide.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The versions that kferry speaks.
            pub const fn spoken(self) -> VersionRange {
                match self { $(Self::$name => VersionRange { min: $min, max: $max },)* }
            }

            /// Where an answer says for how long the broker will not read from the connection (KIP-219).
            pub(super) const fn throttle(self) -> Throttle {
                match self { $(Self::$name => $throttle,)* }
            }

            /// Whether `version` has compact lengths and tagged fields (KIP-482).
            pub const fn is_flexible(self, version: i16) -> bool {
                let first: i16 = match self { $(Self::$name => $flexible,)* };
                version >= first
            }
        }
    };
}

// Number, name, versions spoken, first flexible version, place of `throttle_time_ms` in the answer. A higher version is
// spoken only where it brings something.
apis! {
    0 Produce 3..=8 flexible 9 throttle Last
    1 Fetch 2..=11 flexible 12 throttle First(1)
    2 ListOffsets 0..=7 flexible 6 throttle First(2)
    3 Metadata 1..=12 flexible 9 throttle First(3)
    8 OffsetCommit 2..=8 flexible 8 throttle First(3)
    9 OffsetFetch 1..=8 flexible 6 throttle First(3)
    10 FindCoordinator 0..=4 flexible 3 throttle First(1)
    11 JoinGroup 2..=4 flexible 6 throttle First(2)
    12 Heartbeat 1..=3 flexible 4 throttle First(1)
    13 LeaveGroup 1..=2 flexible 4 throttle First(1)
    14 SyncGroup 1..=3 flexible 4 throttle First(1)
    15 DescribeGroups 0..=5 flexible 5 throttle First(1)
    16 ListGroups 0..=5 flexible 3 throttle First(1)
    18 ApiVersions 0..=3 flexible 3 throttle Inside
    19 CreateTopics 2..=7 flexible 5 throttle First(2)
    22 InitProducerId 0..=2 flexible 2 throttle First(0)
    32 DescribeConfigs 0..=4 flexible 4 throttle First(0)
    33 AlterConfigs 0..=0 flexible 2 throttle First(0)
    44 IncrementalAlterConfigs 0..=0 flexible 1 throttle First(0)
    69 ConsumerGroupDescribe 0..=0 flexible 0 throttle First(0)
    89 StreamsGroupDescribe 0..=0 flexible 0 throttle First(0)
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A broker and kferry have no version of an API in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VersionError {
    /// Both know the API, at different versions.
    #[error("{api}: the broker speaks versions {theirs}, kferry {ours}")]
    Apart {
        /// The API.
        api: ApiKey,
        /// The broker's versions.
        theirs: VersionRange,
        /// kferry's versions.
        ours: VersionRange,
    },
    /// The broker does not list the API.
    #[error("{api}: the broker does not have it; kferry speaks versions {ours}")]
    Absent {
        /// The API.
        api: ApiKey,
        /// kferry's versions.
        ours: VersionRange,
    },
}

/// What one broker speaks, as its answer to ApiVersions says.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Versions(BTreeMap<i16, VersionRange>);

impl Versions {
    /// From the pairs of API number and versions that a broker listed; of a number listed twice the last counts.
    pub fn new(listed: impl IntoIterator<Item = (i16, VersionRange)>) -> Self {
        Self(listed.into_iter().collect())
    }

    /// The broker's versions of an API.
    pub fn theirs(&self, api: ApiKey) -> Option<VersionRange> {
        self.0.get(&api.number()).copied()
    }

    /// The highest version of an API that both speak, `ours` being what kferry speaks.
    pub fn negotiate(&self, api: ApiKey, ours: VersionRange) -> Result<i16, VersionError> {
        let theirs = self.theirs(api).ok_or(VersionError::Absent { api, ours })?;
        let common = ours.max.min(theirs.max);
        let in_both = common >= ours.min && common >= theirs.min;
        if in_both { Ok(common) } else { Err(VersionError::Apart { api, theirs, ours }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(min: i16, max: i16) -> Versions {
        Versions::new([(ApiKey::Fetch.number(), VersionRange { min, max })])
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        assert_eq!(broker(0, 5).negotiate(ApiKey::Fetch, ApiKey::Fetch.spoken()), Ok(5));
        assert_eq!(broker(0, 17).negotiate(ApiKey::Fetch, ApiKey::Fetch.spoken()), Ok(11));
        assert_eq!(broker(11, 17).negotiate(ApiKey::Fetch, ApiKey::Fetch.spoken()), Ok(11));
    }

    #[test]
    fn without_a_common_version_both_ranges_are_named() {
        let text = |versions: Versions| {
            versions.negotiate(ApiKey::Fetch, ApiKey::Fetch.spoken()).map_err(|error| error.to_string())
        };
        assert_eq!(text(broker(0, 1)), Err("Fetch: the broker speaks versions 0 to 1, kferry 2 to 11".into()));
        assert_eq!(text(broker(12, 12)), Err("Fetch: the broker speaks versions 12, kferry 2 to 11".into()));
        let absent = Err("Fetch: the broker does not have it; kferry speaks versions 2 to 11".into());
        assert_eq!(text(Versions::default()), absent);
    }

    #[test]
    fn an_inverted_range_has_no_version() {
        assert!(broker(9, 5).negotiate(ApiKey::Fetch, ApiKey::Fetch.spoken()).is_err());
    }
}
