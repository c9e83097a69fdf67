//! What a scenario is, and what it needs.

use super::kferry::{Call, Kferry};
use super::park::{Broker, Properties};
use super::site::Site;
use super::version::Version;
use crate::broker::Codec;

/// Two clusters and the program that moves data from one to the other.
#[derive(Clone, Copy, Debug)]
pub struct Lab<'a> {
    /// Where records are.
    pub source: &'a Site,
    /// Where they should be.
    pub target: &'a Site,
    /// The binary under test.
    pub kferry: &'a Kferry,
}

impl Lab<'_> {
    /// A call of `kferry COMMAND` with both addresses.
    pub fn kferry(&self, command: &str) -> Call {
        let [source, target] = [self.source.bootstrap(), self.target.bootstrap()];
        self.kferry.call([command, "--source", &source, "--target", &target])
    }

    /// The codecs that both clusters store.
    pub fn codecs(&self) -> Vec<Codec> {
        let knows_zstd = |site: &Site| site.version() >= Version::of(2, 1, 0);
        let all = Codec::ALL.into_iter();
        all.filter(|codec| *codec != Codec::Zstd || knows_zstd(self.source) && knows_zstd(self.target)).collect()
    }
}

/// A behaviour, told once and run on every broker it applies to.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The room of behaviour (the file it is in).
    pub room: &'static str,
    /// What is true when it passes, as a sentence.
    pub name: &'static str,
    /// The behaviour itself.
    pub body: Body,
    /// Broker properties that its own cluster has over the lab's.
    pub properties: Properties,
    /// The oldest release it applies to.
    since: Option<Version>,
    /// The oldest release it no longer applies to.
    before: Option<Version>,
    /// The oldest release it moves data from, and the oldest one it no longer moves data to.
    from_to: Option<(Version, Version)>,
    /// The oldest release of a source that it no longer applies to.
    source_before: Option<Version>,
    /// Whether it needs Kafka's own client even where the broker is embedded.
    pub java: bool,
    /// What the embedded broker lacks for it.
    real_only: Option<&'static str>,
}

/// What a scenario is given.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// One cluster of one node, shared with others.
    Site(fn(&Site)),
    /// A cluster of so many nodes of its own, because the scenario disturbs it.
    Own(usize, fn(&Site)),
    /// A source and a target; both must be of the releases it applies to.
    Pair(fn(&Lab<'_>)),
}

impl Scenario {
    /// A scenario on one cluster.
    pub const fn site(room: &'static str, name: &'static str, body: fn(&Site)) -> Self {
        Self::new(room, name, Body::Site(body))
    }

    /// A scenario on a cluster of `nodes` nodes that it has for itself.
    pub const fn own(room: &'static str, name: &'static str, nodes: usize, body: fn(&Site)) -> Self {
        Self::new(room, name, Body::Own(nodes, body))
    }

    /// A scenario on a pair of clusters.
    pub const fn pair(room: &'static str, name: &'static str, body: fn(&Lab<'_>)) -> Self {
        Self::new(room, name, Body::Pair(body))
    }

    const fn new(room: &'static str, name: &'static str, body: Body) -> Self {
        Self {
            room,
            name,
            body,
            properties: &[],
            since: None,
            before: None,
            from_to: None,
            source_before: None,
            java: false,
            real_only: None,
        }
    }

    /// With these broker properties over the lab's, on a cluster of its own.
    #[must_use]
    pub const fn with_properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// For releases from this one on.
    #[must_use]
    pub const fn since(mut self, version: Version) -> Self {
        self.since = Some(version);
        self
    }

    /// For releases before this one.
    #[must_use]
    pub const fn before(mut self, version: Version) -> Self {
        self.before = Some(version);
        self
    }

    /// From releases since the first to releases before the second.
    #[must_use]
    pub const fn from_to(mut self, source: Version, target: Version) -> Self {
        self.from_to = Some((source, target));
        self
    }

    /// For sources before this release, whatever the target is.
    #[must_use]
    pub const fn source_before(mut self, version: Version) -> Self {
        self.source_before = Some(version);
        self
    }

    /// With Kafka's own client even where the broker is embedded.
    #[must_use]
    pub const fn with_java(mut self) -> Self {
        self.java = true;
        self
    }

    /// For real brokers alone: `lack` is what the embedded one does not have.
    #[must_use]
    pub const fn real_only(mut self, lack: &'static str) -> Self {
        self.real_only = Some(lack);
        self
    }

    /// Why it does not apply to these brokers, the source first, if it doesn't: a declared skip.
    pub fn skip(&self, brokers: &[Broker]) -> Option<String> {
        let source = brokers.first().map(|source| source.version());
        if let Some(before) = self.source_before.filter(|before| source >= Some(*before)) {
            return Some(format!("from sources before {before}"));
        }
        if let (&[source, target], Some((since, before))) = (brokers, self.from_to)
            && (source.version() < since || target.version() >= before)
        {
            return Some(format!("from {since} on to releases before {before}"));
        }
        brokers.iter().find_map(|broker| self.skip_one(*broker))
    }

    fn skip_one(&self, broker: Broker) -> Option<String> {
        if let (Broker::Embedded(_), Some(lack)) = (broker, self.real_only) {
            return Some(format!("the embedded broker has no {lack}"));
        }
        let version = broker.version();
        if let Some(since) = self.since.filter(|since| version < *since) {
            return Some(format!("from {since} on"));
        }
        self.before.filter(|before| version >= *before).map(|before| format!("before {before}"))
    }
}

/// Lists functions as scenarios that need one cluster: `on_a_site!["produce": a_batch_is_stored, …]`.
#[macro_export]
macro_rules! on_a_site {
    [$room:literal: $($name:ident),+ $(,)?] => {
        vec![$($crate::lab::Scenario::site($room, stringify!($name), $name)),+]
    };
}

/// Lists functions as scenarios that need a cluster of so many nodes for themselves.
#[macro_export]
macro_rules! on_an_own_site {
    [$room:literal, $nodes:literal: $($name:ident),+ $(,)?] => {
        vec![$($crate::lab::Scenario::own($room, stringify!($name), $nodes, $name)),+]
    };
}

/// Lists functions as scenarios that need a source and a target.
#[macro_export]
macro_rules! on_a_pair {
    [$room:literal: $($name:ident),+ $(,)?] => {
        vec![$($crate::lab::Scenario::pair($room, stringify!($name), $name)),+]
    };
}
