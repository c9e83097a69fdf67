//! The deterministic simulation of what makes the copy exact: the program's own lanes and checkpoints between a source and
//! a target that are made up at random, with everything going wrong that the fault model knows.
//!
//! There is no async, no thread and no clock here: one queue of events (`world`), one generator of chance (`dice`). The
//! lanes are the program's; the target's logs are the embedded broker's ([`target`]); `client` and `looks` stand in for the engine
//! that serves lanes, `wires` for the connections, `books` for the state that is kept on the target. `faults` makes things go
//! wrong, [`coverage`] counts at which moments it did, and `judge` compares the target with what was to be moved.
//!
//! The fault model: the process, a broker, a connection may end or stand still at any moment; a commit of the state may be
//! lost, taken without an answer, or late; a request of a closed connection is appended within a bound or never, beside its
//! repetition on a new connection; leaders move, followers lag, the end of a log is lost; brokers forget producers by the
//! time of their records; the source is compacted and loses its oldest records, while it is copied and between two runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod books;
mod client;
pub mod coverage;
pub mod dice;
mod faults;
mod judge;
mod looks;
pub mod source;
pub mod target;
mod wires;
mod world;

pub use coverage::Coverage;

/// What came of one seed.
#[derive(Debug)]
pub struct Report {
    /// Which faults met lanes at which moments.
    pub coverage: Coverage,
    /// What must not happen and did.
    pub violation: Option<String>,
    /// What happened, line by line, where that was asked for.
    pub trace: Vec<String>,
}

/// Simulates a seed.
pub fn simulate(seed: u64, traced: bool) -> Report {
    world::World::new(seed, traced).run_all()
}
