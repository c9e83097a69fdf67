//! What is started once, when first needed, and stopped when nobody will need it again.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::broker::{self, Embedded};

use super::java::{self, Java};
use super::real::{Cluster, Spec};
use super::site::Site;
use super::version::Version;

/// Something that starts when it is first asked for. A failed start is remembered: the scenarios after it fail at once.
type Once<T> = OnceLock<Result<T, String>>;

/// Which side of a pair a cluster is kept for: `2.8.2->2.8.2` needs two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Read from; scenarios with one cluster use it too.
    Source,
    /// Written to.
    Target,
}

/// Broker properties.
pub type Properties = &'static [(&'static str, &'static str)];

/// Which brokers a scenario is run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broker {
    /// The embedded broker, behaving like this release.
    Embedded(broker::Version),
    /// Real Apache Kafka.
    Real(Version),
}

impl Broker {
    /// Its name in the names of tests.
    pub fn name(self) -> String {
        match self {
            Self::Embedded(version) => format!("embedded-{}", version.name().trim_end_matches(".0")),
            Self::Real(version) => version.to_string(),
        }
    }

    /// The release it is, or behaves like.
    pub fn version(self) -> Version {
        match self {
            Self::Embedded(version) => version.name().parse().expect("the name of a release"),
            Self::Real(version) => version,
        }
    }

    /// Starts a cluster of so many nodes, with broker properties over the lab's own.
    ///
    /// # Errors
    /// What failed.
    pub fn start(self, nodes: usize, properties: Properties, java: Arc<JavaSlot>) -> Result<Site, String> {
        match self {
            Self::Embedded(version) => {
                let embedded = Embedded::start(version, nodes).map_err(|cause| cause.to_string())?;
                for (key, value) in properties {
                    embedded.with_core(|core| core.set_broker_config(key, value));
                }
                Ok(Site::embedded(embedded, self.version(), java))
            }
            Self::Real(version) => {
                let spec = Spec { nodes, ..Spec::single(version) };
                let cluster = Cluster::start(properties.iter().fold(spec, |spec, (key, value)| spec.with(key, value)))?;
                Ok(Site::real(cluster, java))
            }
        }
    }
}

/// A cluster that starts when a scenario first asks for it. When the last scenario that holds it is done, it stops.
#[derive(Debug)]
pub struct Slot {
    broker: Broker,
    nodes: usize,
    properties: Properties,
    java: Arc<JavaSlot>,
    site: Once<Site>,
}

impl Slot {
    fn new(broker: Broker, nodes: usize, properties: Properties, java: &Arc<JavaSlot>) -> Self {
        Self { broker, nodes, properties, java: Arc::clone(java), site: OnceLock::new() }
    }

    /// The running cluster.
    ///
    /// # Panics
    /// When it can't be started, with the reason.
    pub fn site(&self) -> &Site {
        let start = || self.broker.start(self.nodes, self.properties, Arc::clone(&self.java));
        let started = self.site.get_or_init(start);
        started.as_ref().unwrap_or_else(|cause| panic!("{cause}"))
    }
}

/// The Java clients, one process each, shared by all clusters.
#[derive(Debug, Default)]
pub struct JavaSlot {
    usual: Once<Java>,
    newest: Once<Java>,
}

impl JavaSlot {
    /// The client that speaks to every broker.
    ///
    /// # Panics
    /// When it can't be started, with the reason.
    pub fn usual(&self) -> &Java {
        let started = self.usual.get_or_init(|| Java::start(java::CLIENT));
        started.as_ref().unwrap_or_else(|cause| panic!("{cause}"))
    }

    /// The newest client, for brokers from 2.1.
    ///
    /// # Panics
    /// When it can't be started, with the reason.
    pub fn newest(&self) -> &Java {
        let started = self.newest.get_or_init(|| Java::start(java::NEW_CLIENT));
        started.as_ref().unwrap_or_else(|cause| panic!("{cause}"))
    }
}

/// Hands out slots while the list of tests is made.
#[derive(Debug, Default)]
pub struct Park {
    java: Arc<JavaSlot>,
    slots: BTreeMap<(Side, Broker), Arc<Slot>>,
}

impl Park {
    /// The slot of a cluster of one node that many scenarios share.
    pub fn shared(&mut self, side: Side, broker: Broker) -> Arc<Slot> {
        let java = &self.java;
        let slot = self.slots.entry((side, broker)).or_insert_with(|| Arc::new(Slot::new(broker, 1, &[], java)));
        Arc::clone(slot)
    }

    /// The slot of a cluster that one scenario has for itself.
    pub fn own(&self, broker: Broker, nodes: usize, properties: Properties) -> Slot {
        Slot::new(broker, nodes, properties, &self.java)
    }
}
