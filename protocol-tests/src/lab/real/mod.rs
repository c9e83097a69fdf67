//! Real Apache Kafka on loopback: the jars come from Maven Central, the nodes are child processes that cannot outlive
//! this one.
//!
//! [`jars`] fetches a release once, `setup` writes what its brokers are started with, [`keeper`] holds a JVM on a
//! leash, [`cluster`] starts the nodes, waits until they serve, and stops, kills and restarts them by index.

pub mod cluster;
pub mod jars;
pub mod keeper;
mod ports;
mod setup;

pub use cluster::{Cluster, Spec};
