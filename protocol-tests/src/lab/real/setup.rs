//! What the lab's JVMs are started with.

use std::fs;
use std::path::Path;

use super::super::Version;
use super::cluster::Tuning;
use super::keeper::Home;

/// A cluster id that no other cluster has: 22 characters that are base64 of 16 bytes.
pub(super) fn cluster_id(ports: &[Ports]) -> String {
    // No two clusters of this machine share a port, and no two processes a pid. The last character holds only two bits.
    let port = ports.first().map_or(0, |ports| ports.broker);
    format!("kferry{:010}{port:05}A", std::process::id())
}

/// The ports of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) broker: u16,
    pub(super) controller: u16,
}

/// Everything that decides a node's properties.
pub(super) struct Node<'a> {
    /// From 0.
    pub(super) index: usize,
    /// The address that all nodes listen on.
    pub(super) host: &'a str,
    pub(super) ports: &'a [Ports],
    /// The port of ZooKeeper, for releases that need one.
    pub(super) zookeeper: Option<u16>,
    /// What the caller sets, over everything else.
    pub(super) overrides: &'a [(String, String)],
}

/// The id of the node at `index`.
pub(super) fn node_id(index: usize) -> usize {
    index + 1
}

/// Writes the properties of one broker.
pub(super) fn write_broker(node: &Node<'_>, home: &Home) -> Result<(), String> {
    let copies = node.ports.len().min(3).to_string();
    let isr = if node.ports.len() >= 3 { "2" } else { "1" };
    let mine = node.ports[node.index];
    let broker = format!("PLAINTEXT://{}:{}", node.host, mine.broker);
    let mut lines = String::new();
    let mut set = |key: &str, value: &str| lines += &format!("{key}={value}\n");
    set("log.dirs", &home.data.display().to_string());
    set("advertised.listeners", &broker);
    set("offsets.topic.replication.factor", &copies);
    set("offsets.topic.num.partitions", "8");
    set("transaction.state.log.replication.factor", &copies);
    set("transaction.state.log.num.partitions", "4");
    set("transaction.state.log.min.isr", isr);
    set("group.initial.rebalance.delay.ms", "0");
    set("auto.create.topics.enable", "false");
    set("delete.topic.enable", "true");
    set("controlled.shutdown.enable", "false");
    // The default allocates 128 MiB before the first record.
    set("log.cleaner.dedupe.buffer.size", "4194304");
    // The default lets a log wait 15 s before the cleaner looks again.
    set("log.cleaner.backoff.ms", "200");
    set("num.network.threads", "2");
    set("num.io.threads", "4");
    if let Some(zookeeper) = node.zookeeper {
        set("broker.id", &node_id(node.index).to_string());
        set("listeners", &broker);
        set("zookeeper.connect", &format!("127.0.0.1:{zookeeper}"));
        set("zookeeper.connection.timeout.ms", "30000");
    } else {
        let voters: Vec<String> = (node.ports.iter().enumerate())
            .map(|(index, ports)| format!("{}@127.0.0.1:{}", node_id(index), ports.controller))
            .collect();
        set("node.id", &node_id(node.index).to_string());
        set("process.roles", "broker,controller");
        set("listeners", &format!("{broker},CONTROLLER://127.0.0.1:{}", mine.controller));
        set("controller.quorum.voters", &voters.join(","));
        set("controller.listener.names", "CONTROLLER");
        set("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
    }
    for (key, value) in node.overrides {
        set(key, value);
    }
    write(&home.properties, &lines)
}

/// Writes the properties of a ZooKeeper.
pub(super) fn write_zookeeper(port: u16, home: &Home) -> Result<(), String> {
    let data = home.data.display();
    let lines = format!(
        "dataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\ntickTime=2000\n\
         admin.enableServer=false\n"
    );
    write(&home.properties, &lines)
}

/// The command line of a JVM with a heap (MiB) and a tuning, without `java` itself.
pub(super) fn java(
    version: Version,
    jars: &Path,
    root: &Path,
    (heap_mib, tuning): (u32, Tuning),
    call: &[&str],
) -> Vec<String> {
    let tuned: &[&str] = match tuning {
        Tuning::Start => &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
        Tuning::Serve => {
            &["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
        }
    };
    let mut line: Vec<String> = tuned.iter().map(ToString::to_string).collect();
    let all = [
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ];
    line.extend(all.map(String::from));
    line.push(format!("-Xmx{heap_mib}m"));
    if version < Version::of(4, 0, 0) {
        line.push(format!("-Dlog4j.configuration=file:{}", root.join(LOG4J).display()));
    }
    line.extend(["-cp".into(), format!("{}/*", jars.display())]);
    line.extend(call.iter().map(ToString::to_string));
    line
}

const LOG4J: &str = "log4j.properties";

/// Writes where releases with log4j 1 log to.
pub(super) fn write_logging(root: &Path) -> Result<(), String> {
    let lines = "log4j.rootLogger=INFO, err\n\
                 log4j.appender.err=org.apache.log4j.ConsoleAppender\n\
                 log4j.appender.err.layout=org.apache.log4j.PatternLayout\n\
                 log4j.appender.err.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %m (%c)%n\n";
    write(&root.join(LOG4J), lines)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|cause| format!("{}: {cause}", path.display()))
}
