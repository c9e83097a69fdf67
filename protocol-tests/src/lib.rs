//! What kferry is tested with: the embedded broker, the lab for real Apache Kafka, the scenarios' tools, logs made up at
//! random, a simulation of everything that can go wrong, and the benchmark.

pub mod bench;
pub mod broker;
pub mod example;
pub mod lab;
pub mod model;
pub mod simulation;
