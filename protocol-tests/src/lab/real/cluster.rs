//! One cluster of real brokers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::super::probe::{Client, Probe};
use super::super::{Version, wait};
use super::keeper::{Home, Keeper, tail};
use super::setup::{self, Ports};
use super::{jars, ports};

/// How long a cluster may take until it serves; the machine may be busy compiling.
const READY: Duration = Duration::from_secs(120);

/// What to start.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The release.
    pub version: Version,
    /// How many brokers.
    pub nodes: usize,
    /// The address that they listen on.
    pub host: String,
    /// Broker properties over the lab's own.
    pub properties: Vec<(String, String)>,
    /// The heap of each broker.
    pub heap_mib: u32,
    /// What the brokers' JVMs are to be good at.
    pub tuning: Tuning,
}

/// What a JVM is to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// To be up soon and to take little, for tests.
    Start,
    /// To serve, with the flags of Kafka's own start scripts, for measurements.
    Serve,
}

impl Spec {
    /// One broker with the lab's defaults.
    pub fn single(version: Version) -> Self {
        Self {
            version,
            nodes: 1,
            host: "127.0.0.1".to_owned(),
            properties: Vec::new(),
            heap_mib: 384,
            tuning: Tuning::Start,
        }
    }

    /// Three brokers; internal topics have three copies.
    pub fn three(version: Version) -> Self {
        Self { nodes: 3, ..Self::single(version) }
    }

    /// With brokers as in production: a full compiler, a heap of 1 GiB, and Kafka's own numbers of threads.
    #[must_use]
    pub fn serving(self) -> Self {
        let spec = Self { heap_mib: 1024, tuning: Tuning::Serve, ..self };
        spec.with("num.network.threads", "3").with("num.io.threads", "8")
    }

    /// With one broker property set.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.into(), value.into()));
        self
    }
}

/// A running cluster. Its brokers are addressed by index, from 0; their node ids are one higher.
#[derive(Debug)]
pub struct Cluster {
    spec: Spec,
    ports: Vec<Ports>,
    nodes: Vec<Mutex<Node>>,
    zookeeper: Option<Keeper>,
    jars: PathBuf,
    root: TempDir,
}

#[derive(Debug)]
struct Node {
    home: Home,
    running: Option<Keeper>,
}

impl Cluster {
    /// Starts a cluster and waits until it answers and can create a topic.
    ///
    /// # Errors
    /// What failed, with the end of the logs.
    pub fn start(spec: Spec) -> Result<Self, String> {
        let place = format!("cannot start Apache Kafka {}", spec.version);
        let jars = jars::of(spec.version)?;
        let root =
            tempfile::Builder::new().prefix("kferry-lab-").tempdir().map_err(|cause| format!("{place}: {cause}"))?;
        setup::write_logging(root.path())?;
        let ports = (0..spec.nodes).map(|_| Ports { broker: ports::free(), controller: ports::free() }).collect();
        let home = |index| Home::new(root.path(), &format!("broker-{}", setup::node_id(index)));
        let nodes = (0..spec.nodes).map(|index| Mutex::new(Node { home: home(index), running: None })).collect();
        let mut cluster = Self { spec, ports, nodes, zookeeper: None, jars, root };
        cluster.boot().map_err(|cause| format!("{place}: {cause}\n{}", cluster.logs()))?;
        Ok(cluster)
    }

    /// The bootstrap list, all brokers.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = (0..self.ports.len()).map(|index| self.address(index)).collect();
        addresses.join(",")
    }

    /// The address of one broker.
    pub fn address(&self, index: usize) -> String {
        format!("{}:{}", self.spec.host, self.ports[index].broker)
    }

    /// The release.
    pub fn version(&self) -> Version {
        self.spec.version
    }

    /// Where a broker keeps its logs.
    pub fn data(&self, index: usize) -> PathBuf {
        self.node(index).home.data.clone()
    }

    /// Kills a broker with SIGKILL; its data stays.
    pub fn kill(&self, index: usize) {
        if let Some(keeper) = self.node(index).running.take() {
            keeper.kill();
        }
    }

    /// Shuts a broker down in order; its data stays.
    pub fn shut_down(&self, index: usize) {
        if let Some(keeper) = self.node(index).running.take() {
            keeper.shut_down();
        }
    }

    /// Freezes a broker (SIGSTOP): its connections stay open and silent.
    pub fn freeze(&self, index: usize) {
        self.node(index).running.as_ref().expect("a broker that runs").signal("STOP");
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self, index: usize) {
        self.node(index).running.as_ref().expect("a broker that runs").signal("CONT");
    }

    /// Starts a broker again that was killed or shut down, on its port and data, and waits until all serve.
    pub fn restart(&self, index: usize) {
        if let Err(cause) = self.launch_again(&[index]) {
            panic!("cannot restart broker {}: {cause}\n{}", setup::node_id(index), self.logs());
        }
    }

    /// Shuts all brokers down in order and starts them again.
    pub fn restart_all(&self) {
        (0..self.nodes.len()).for_each(|index| self.shut_down(index));
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        if let Err(cause) = self.launch_again(&all) {
            panic!("cannot restart: {cause}\n{}", self.logs());
        }
    }

    /// The end of every log, for a failed test's message.
    pub fn logs(&self) -> String {
        let logs: Vec<String> = (0..self.nodes.len()).map(|index| tail(&self.node(index).home.log)).collect();
        logs.join("\n")
    }

    fn node(&self, index: usize) -> std::sync::MutexGuard<'_, Node> {
        self.nodes[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn boot(&mut self) -> Result<(), String> {
        let zookeeper = if self.spec.version.is_kraft() { None } else { Some(self.boot_zookeeper()?) };
        for index in 0..self.nodes.len() {
            let home = self.node(index).home.clone();
            let (ports, overrides) = (&self.ports, &self.spec.properties);
            let node = setup::Node { index, host: &self.spec.host, ports, zookeeper, overrides };
            setup::write_broker(&node, &home)?;
            if zookeeper.is_none() {
                self.format(&home)?;
            }
            self.launch(index)?;
        }
        self.await_ready()
    }

    fn boot_zookeeper(&mut self) -> Result<u16, String> {
        let home = Home::new(self.root.path(), "zookeeper");
        let port = ports::free();
        setup::write_zookeeper(port, &home)?;
        let main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
        self.zookeeper =
            Some(self.java((64, Tuning::Start), &[main, &home.properties.display().to_string()], &home)?);
        Ok(port)
    }

    /// Prepares the data directory of a KRaft node.
    fn format(&self, home: &Home) -> Result<(), String> {
        let properties = home.properties.display().to_string();
        let id = setup::cluster_id(&self.ports);
        let call = ["kafka.tools.StorageTool", "format", "-t", &id, "-c", &properties];
        let line = setup::java(self.spec.version, &self.jars, self.root.path(), (64, Tuning::Start), &call);
        let tool = Command::new("java").args(line).output().map_err(|cause| format!("java: {cause}"))?;
        if tool.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&tool.stderr).into_owned()) }
    }

    /// Starts brokers that were stopped until they stay: the controller remembers those that were killed until their sessions
    /// end, and as long new ones give up.
    fn launch_again(&self, stopped: &[usize]) -> Result<(), String> {
        let is_alive = |index: usize| self.node(index).running.as_mut().is_some_and(Keeper::is_alive);
        wait::attempt(READY, || {
            stopped.iter().filter(|index| !is_alive(**index)).try_for_each(|index| self.launch(*index))?;
            self.await_ready()
        })
    }

    fn launch(&self, index: usize) -> Result<(), String> {
        let mut node = self.node(index);
        let properties = node.home.properties.display().to_string();
        node.running =
            Some(self.java((self.spec.heap_mib, self.spec.tuning), &["kafka.Kafka", &properties], &node.home)?);
        Ok(())
    }

    fn java(&self, jvm: (u32, Tuning), call: &[&str], home: &Home) -> Result<Keeper, String> {
        let line = setup::java(self.spec.version, &self.jars, self.root.path(), jvm, call);
        Keeper::start("java", &line, &home.data, &home.log)
    }

    /// Ready is: every broker that was started is alive and knows all others, and a topic can be created (before 0.11,
    /// where the probe can't create one: there is a controller).
    fn await_ready(&self) -> Result<(), String> {
        let started: Vec<usize> = (0..self.nodes.len()).filter(|index| self.node(*index).running.is_some()).collect();
        let fatal = wait::attempt(READY, || {
            for index in &started {
                if !self.node(*index).running.as_mut().is_some_and(Keeper::is_alive) {
                    return Ok(Some(format!("broker {} has exited", setup::node_id(*index))));
                }
                Probe::connect(&self.address(*index))?.sees(started.len())?;
            }
            let client = Client::new(&self.bootstrap());
            let ready =
                if self.spec.version.has_batches() { client.can_create_topics() } else { client.has_controller() };
            ready.map(|()| None)
        });
        match fatal {
            Ok(None) => Ok(()),
            Ok(Some(exit)) => Err(exit),
            Err(refusal) => Err(format!("not ready after {READY:?}: {refusal}")),
        }
    }
}
