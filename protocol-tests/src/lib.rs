//! What kferry is tested with: the embedded broker, the lab for real Apache Kafka, and the scenarios' tools.

pub mod broker;
pub mod example;
pub mod lab;
