//! kferry moves what the consumers of one Kafka cluster have not read yet to the same topics and partitions of another
//! cluster, raw record batch by raw record batch, exactly once.
//!
//! The rooms, in the order the data flows. A room may use any room above it, none below; `protocol-tests/tests/tidy.rs`
//! holds that order.
//!
//! - [`kafka`]: the words of the protocol: ids, error codes, a checked reader, units for people
//! - [`config`]: flags, environment and file become one `Settings`
//! - [`wire`]: frames, versions, requests and answers as bytes
//! - [`batch`]: what a record batch holds, whether it may pass as it is, and how it is rewritten where it may not
//! - [`net`]: connections: dialling, pipelining, deadlines, the frame pool
//! - [`cluster`]: a Kafka cluster as its clients see it: metadata, coordinators, the calls, the one retry rule
//! - [`topics`]: what the target's topics must look like, and making them
//! - [`plan`]: the survey of both clusters and the rules that turn it into a plan
//! - [`state`]: what a migration remembers, kept on the target
//! - [`offsets`]: where each group goes on reading on the target
//! - [`copy`]: one state machine per partition, and the engine that serves them all
//! - [`verify`]: proof that what was written is what was read
//! - [`migrate`]: the story of a run, from preflight to outcome
//! - [`report`]: plans and results as text and as stable JSON
//! - [`cli`]: the commands, their flags and exit codes

#![warn(missing_docs)]

pub mod batch;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod copy;
pub mod kafka;
pub mod migrate;
pub mod net;
pub mod offsets;
pub mod plan;
pub mod report;
pub mod state;
pub mod topics;
pub mod verify;
pub mod wire;
