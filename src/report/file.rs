//! `--report FILE`: the result as JSON, written from the start and kept current.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::json::run::RunDoc;
use crate::copy::{Lanes, Progress};
use crate::migrate::{LaneOutcome, Migration, Outcome};

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
    /// It exists and is something else.
    #[error("{} exists and is not a report of migration `{name}` between these clusters: name another file, or remove it", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// This migration's name.
        name: String,
    },
}

/// A report that is kept current.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    empty: Outcome,
    next: Duration,
}

impl ReportFile {
    /// Writes the report of a run that has not moved anything yet. Only an earlier report of the same migration is
    /// replaced.
    ///
    /// # Errors
    ///
    /// Another file is there, or the folder can't be written.
    pub fn create(path: &Path, migration: &Migration<'_>) -> Result<Self, ReportError> {
        let empty = migration.begun();
        let replaces = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(cause) => return Err(ReportError::Io { path: path.to_owned(), cause }),
            Ok(found) => serde_json::from_slice(&found).is_ok_and(|found: RunDoc| found.continues(&empty)),
        };
        if !replaces {
            return Err(ReportError::Other { path: path.to_owned(), name: empty.name });
        }
        let file = Self { path: path.to_owned(), empty, next: WRITE_EVERY };
        file.write(&file.empty)?;
        Ok(file)
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
        let lanes = lanes().into_iter().map(LaneOutcome::from).collect();
        let now = Outcome { lanes, elapsed: progress.elapsed, ..self.empty.clone() };
        self.write(&now)
    }
}
