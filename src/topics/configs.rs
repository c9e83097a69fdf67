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
