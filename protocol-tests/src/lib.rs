//! What kferry is tested with: the embedded broker, the lab for real Apache Kafka, the scenarios' tools, and logs made up
//! at random, and a simulation of everything that can go wrong.

pub mod bench;
pub mod broker;
pub mod example;
pub mod lab;
pub mod model;
pub mod simulation;
