//! The lab: where scenarios meet brokers.
//!
//! A scenario gets a [`Lab`] (a source and a target) or a [`Site`] (one cluster) and works through them without
//! asking which kind of broker is behind: the embedded one or real Apache Kafka ([`real`]). Data goes in and comes out
//! by a client that shares no code with kferry ([`hand`]): Kafka's own Java client ([`java`]) for real brokers, the small
//! blocking [`probe`] for embedded ones and for hand-made batches, [`inside`] for the oldest of those. [`disk`] is what
//! happens to logs behind the clients' backs. [`park`] starts each cluster once per process, [`kferry`] runs the binary
//! under test as its users do.
//!
//! The lab is test code: what goes wrong in it is a failed test, said by a panic with everything needed to see why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod batch;
pub mod disk;
pub mod hand;
pub mod inside;
pub mod java;
pub mod kferry;
pub mod park;
pub mod probe;
pub mod real;
pub mod record;
pub mod scenario;
pub mod site;
pub mod version;
pub mod wait;

pub use super::broker::Codec;
pub use record::{Digest, Header, Record};
pub use scenario::{Lab, Scenario};
pub use site::{Site, Topic};
pub use version::Version;
