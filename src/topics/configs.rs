//! A resource's configuration as `DescribeConfigs` shows it.

use std::collections::BTreeMap;

/// Where an effective value comes from (KIP-226; before it, brokers only tell overrides from the rest).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigOrigin {
    /// Set on the topic itself: an override.
    Topic,
    /// Inherited from the brokers' settings, static or dynamic.
    Broker,
    /// Kafka's own default.
    Default,
}

/// One effective value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigValue {
    /// The value in effect; `None` where the broker shows none (unset, or sensitive).
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: ConfigOrigin,
}

/// The effective configuration of a topic or a broker, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Configs(BTreeMap<String, ConfigValue>);

impl Configs {
    /// The value in effect; `None` where the broker does not know the name or shows no value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.value.as_deref()
    }

    /// The value in effect as a whole number; `None` also where it is not one.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.value(name)?.trim().parse().ok()
    }

    /// Whether the broker knows a configuration of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names and values set on the topic itself, sorted by name.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, held)| {
            (held.origin == ConfigOrigin::Topic).then_some((name.as_str(), held.value.as_deref()?))
        })
    }
}

impl FromIterator<(String, ConfigValue)> for Configs {
    fn from_iter<T: IntoIterator<Item = (String, ConfigValue)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}
