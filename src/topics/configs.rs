//! Reading a resource's effective configuration.

use crate::cluster::{ConfigSource, Configs};

/// What the rules want to know of a configuration.
pub trait Effective {
    /// The value in effect; `None` where the broker does not know the name or shows no value.
    fn effective(&self, name: &str) -> Option<&str>;

    /// The value in effect as a whole number; `None` also where it is not one.
    fn number(&self, name: &str) -> Option<i64> {
        self.effective(name)?.trim().parse().ok()
    }

    /// The names and values set on the topic itself, by name.
    fn overrides(&self) -> impl Iterator<Item = (&str, &str)>;
}

/// The setting that limits how old record timestamps may be.
pub const BEFORE: &str = "message.timestamp.before.max.ms";
/// The setting that limits how far in the future record timestamps may be.
pub const AFTER: &str = "message.timestamp.after.max.ms";
/// The setting for both directions that these two have replaced (KIP-937, Kafka 3.6).
pub const DIFFERENCE: &str = "message.timestamp.difference.max.ms";

/// The limit of [`BEFORE`] or [`AFTER`] in ms, and the setting it comes from: brokers that have the newer ones too (3.6 to
/// 3.9) heed the older one as long as the newer is at its default, no limit.
pub fn timestamp_limit(number: impl Fn(&str) -> Option<i64>, newer: &'static str) -> Option<(i64, &'static str)> {
    let limit = |name| number(name).filter(|&limit| limit < i64::MAX).map(|limit| (limit, name));
    limit(newer).or_else(|| limit(DIFFERENCE))
}

impl Effective for Configs {
    fn effective(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.as_deref()
    }

    fn overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        // Brokers before 1.1 say of an override only that it is no default.
        let own = |source| matches!(source, ConfigSource::DynamicTopic | ConfigSource::Other);
        self.iter()
            .filter(move |(_, held)| own(held.source))
            .filter_map(|(name, held)| Some((name.as_str(), held.value.as_deref()?)))
    }
}
