//! `--report FILE`: the result as JSON, written from the start and kept current.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::json::run::RunDoc;
use crate::copy::{Lanes, Progress};
use crate::migrate::{LaneOutcome, Migration, Outcome, Recorded};
use crate::plan::Plan;
use crate::state::MetadataError;

/// How often the file is written anew.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// The file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It can't be read or written.
    #[error("cannot write the report {}: {cause}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// What it remembers can't be understood.
    #[error("the report {} can't be read: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: MetadataError,
    },
    /// It exists and is something else.
    #[error("{} exists and is not a report of migration `{name}` between these clusters: name another file, or remove it", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// This migration's name.
        name: String,
    },
}

/// A file that a report may be written to.
#[derive(Debug)]
pub struct ReportPlace {
    path: PathBuf,
    /// Whether an earlier report of the migration is there.
    found: bool,
}

/// A report that is kept current.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    empty: Outcome,
    next: Duration,
}

impl ReportPlace {
    /// Writes the report of a run that has not moved anything yet. `None` where it has nothing to do and an earlier report
    /// says more.
    ///
    /// # Errors
    ///
    /// The folder can't be written.
    pub fn begin(self, migration: &Migration<'_>) -> Result<Option<ReportFile>, ReportError> {
        if self.found && migration.is_idle() {
            return Ok(None);
        }
        let file = ReportFile { path: self.path, empty: migration.begun(), next: WRITE_EVERY };
        file.write(&file.empty)?;
        Ok(Some(file))
    }
}

impl ReportFile {
    /// Takes a file for the report of a migration, and what an earlier report there remembers. Only an earlier report of
    /// the same migration is replaced.
    ///
    /// # Errors
    ///
    /// Another file is there, or it can't be read.
    pub fn open(path: &Path, name: &str, plan: &Plan) -> Result<(ReportPlace, Recorded), ReportError> {
        let place = |found| ReportPlace { path: path.to_owned(), found };
        let found = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((place(false), Recorded::new())),
            Err(cause) => return Err(ReportError::Io { path: path.to_owned(), cause }),
            Ok(found) => serde_json::from_slice(&found).ok().filter(|found: &RunDoc| found.continues(name, plan)),
        };
        let found = found.ok_or_else(|| ReportError::Other { path: path.to_owned(), name: name.to_owned() })?;
        let recorded = found.recorded();
        Ok((place(true), recorded.map_err(|cause| ReportError::Unreadable { path: path.to_owned(), cause })?))
    }

    /// Puts `outcome` in place of what the file said; a reader sees one or the other, never half of it.
    ///
    /// # Errors
    ///
    /// The operating system refused; what the file said before is still there.
    pub fn write(&self, outcome: &Outcome) -> Result<(), ReportError> {
        let failed = |cause| ReportError::Io { path: self.path.clone(), cause };
        let json = serde_json::to_vec(&RunDoc::from(outcome)).map_err(|error| failed(error.into()))?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(".part");
        fs::write(&beside, json).and_then(|()| fs::rename(&beside, &self.path)).map_err(failed)
    }

    /// Writes the file anew if it is time to.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn progress(&mut self, progress: &Progress, lanes: Lanes<'_>) -> Result<(), ReportError> {
        if progress.elapsed < self.next {
            return Ok(());
        }
        self.next = progress.elapsed + WRITE_EVERY;
        let mut now = Outcome { elapsed: progress.elapsed, ..self.empty.clone() };
        let mut moved: BTreeMap<_, _> = lanes().into_iter().map(|lane| (lane.at.clone(), lane)).collect();
        for lane in &mut now.lanes {
            if let Some(moved) = moved.remove(&lane.at) {
                *lane = LaneOutcome::from(moved);
            }
        }
        self.write(&now)
    }
}
