//! An embedded broker in a process of its own, so that its processor time and memory are not those of what is measured.
//!
//! The process is this program again: it prints its address, obeys the words on its stdin, and ends with it, so that it
//! can't outlive the benchmark.

use std::env;
use std::io::{self, BufRead, Write};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_protocol::messages::ApiKey;
use serde::{Deserialize, Serialize};

use super::child::Child;
use crate::broker::{Embedded, Version};

/// What a broker was asked since it was last asked for this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Fetch requests.
    pub fetches: u64,
    /// Produce requests.
    pub produces: u64,
    /// Bytes of their bodies.
    pub produced: u64,
}

/// A broker's process; it ends when this is dropped.
pub struct Process {
    child: Child,
    /// `host:port`.
    pub address: String,
}

impl Process {
    /// Starts this program again as a broker.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start() -> io::Result<Self> {
        let (child, address) = Child::start(Command::new(env::current_exe()?).arg("broker"))?;
        Ok(Self { child, address })
    }

    /// What it was asked since the last call.
    ///
    /// # Errors
    /// When it is gone.
    pub fn counts(&mut self) -> io::Result<Counts> {
        Ok(serde_json::from_str(&self.child.ask("counts")?)?)
    }

    /// Commits an offset for `groups` groups in each of these topics' first partition.
    ///
    /// # Errors
    /// When it is gone.
    pub fn commit(&mut self, groups: usize, topics: &[&str]) -> io::Result<()> {
        self.child.ask(&format!("commit {groups} {}", topics.join(" "))).map(drop)
    }
}

/// Is a broker until stdin ends.
///
/// # Errors
/// When no socket is to be had or the pipes break.
pub fn serve() -> io::Result<()> {
    let broker = Embedded::start(Version::V4_1, 1)?;
    let counts = Arc::new(Mutex::new(Counts::default()));
    let counted = Arc::clone(&counts);
    broker.with_core(|core| {
        core.faults.hook(move |call, body| {
            let mut counts = counted.lock().unwrap_or_else(PoisonError::into_inner);
            match call.api {
                ApiKey::Fetch => counts.fetches += 1,
                ApiKey::Produce => {
                    counts.produces += 1;
                    counts.produced += body.len() as u64;
                }
                _ => {}
            }
            None
        });
    });
    let mut out = io::stdout().lock();
    writeln!(out, "{}", broker.bootstrap().join(","))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["counts"] => {
                let counts = std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner));
                writeln!(out, "{}", serde_json::to_string(&counts)?)?;
            }
            ["commit", groups, topics @ ..] => {
                let groups: usize = groups.parse().map_err(io::Error::other)?;
                commit(&broker, groups, topics);
                writeln!(out, "done")?;
            }
            _ => return Err(io::Error::other(format!("not understood: {line}"))),
        }
    }
    Ok(())
}

fn commit(broker: &Embedded, groups: usize, topics: &[&str]) {
    broker.with_core(|core| {
        for group in 0..groups {
            for topic in topics {
                core.commit(&format!("group-{group:05}"), topic, 0, (group % 10) as i64);
            }
        }
    });
}
