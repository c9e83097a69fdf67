//! The source and the target.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::lab::Version;
use crate::lab::real::{Cluster, Spec};
use crate::lab::wait;

use super::embedded::{Counts, Process};

/// Which brokers the benchmark is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum On {
    /// Apache Kafka, one node on each side.
    Real,
    /// The embedded broker, one process on each side.
    Embedded,
}

/// A cluster of one node.
pub struct Site {
    /// `host:port`.
    pub address: String,
    kind: Kind,
}

enum Kind {
    Real(Box<Cluster>),
    Embedded(Process),
}

impl Site {
    /// Starts one; a real one listens on `host`.
    ///
    /// # Errors
    /// What failed.
    pub fn start(on: On, release: Version, host: &str) -> Result<Self, String> {
        match on {
            On::Real => {
                // What a set holds stays until its topics are deleted, and is then gone at once; what is only emptied
                // stays on the disk: the next run must not pay for it.
                let spec = Spec { host: host.to_owned(), ..Spec::single(release) }
                    .serving()
                    .with("log.retention.ms", "-1")
                    .with("log.retention.check.interval.ms", "86400000")
                    .with("log.segment.delete.delay.ms", "0");
                let cluster = Cluster::start(spec)?;
                Ok(Self { address: cluster.address(0), kind: Kind::Real(Box::new(cluster)) })
            }
            On::Embedded => {
                let process = Process::start().map_err(|cause| format!("an embedded broker: {cause}"))?;
                Ok(Self { address: process.address.clone(), kind: Kind::Embedded(process) })
            }
        }
    }

    /// Where its logs are; `None` of an embedded one, which has no files.
    pub fn logs(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Real(cluster) => Some(cluster.data(0)),
            Kind::Embedded(_) => None,
        }
    }

    /// Waits until what was deleted is off the disk and what was written is on it.
    pub fn settle(&self) {
        let Some(data) = self.logs() else { return };
        let deleted = || {
            let names = fs::read_dir(&data).into_iter().flatten().flatten().map(|entry| entry.file_name());
            names.filter(|name| name.to_string_lossy().ends_with("-delete")).count()
        };
        // Where they stay, the figures are a little worse: no reason to give up.
        let _ = wait::attempt(Duration::from_secs(60), || if deleted() == 0 { Ok(()) } else { Err(()) });
        let _ = Command::new("sync").status();
    }

    /// What it was asked since the last call; `None` from real brokers, which don't count.
    ///
    /// # Errors
    /// When it is gone.
    pub fn counts(&mut self) -> Result<Option<Counts>, String> {
        match &mut self.kind {
            Kind::Real(_) => Ok(None),
            Kind::Embedded(process) => process.counts().map(Some).map_err(|cause| cause.to_string()),
        }
    }

    /// Commits offsets for many groups, inside an embedded broker.
    ///
    /// # Errors
    /// When it is gone, or is a real one.
    pub fn commit(&mut self, groups: usize, topics: &[&str]) -> Result<(), String> {
        match &mut self.kind {
            Kind::Real(_) => Err("the set `wide` is for embedded brokers".to_owned()),
            Kind::Embedded(process) => process.commit(groups, topics).map_err(|cause| cause.to_string()),
        }
    }
}
