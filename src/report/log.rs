//! The text log that a command leaves in the current directory, as the script did.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// A log of its own for each time a command was called; nothing is ever overwritten.
#[derive(Debug)]
pub struct TextLog {
    file: File,
    path: PathBuf,
}

/// More calls of one command than this within one second are no person's.
const MOST_IN_ONE_SECOND: u32 = 100;

impl TextLog {
    /// Creates `kferry-<command>-<UTC time>.log` in `folder`.
    ///
    /// # Errors
    ///
    /// The folder can't be written.
    pub fn create(folder: &Path, command: &str, now: Timestamp) -> io::Result<Self> {
        let stem = format!("kferry-{command}-{}", now.strftime("%Y%m%dT%H%M%SZ"));
        for attempt in 1..=MOST_IN_ONE_SECOND {
            let name = if attempt == 1 { format!("{stem}.log") } else { format!("{stem}-{attempt}.log") };
            let path = folder.join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, format!("{stem}.log and its successors exist")))
    }

    /// Adds a text that ends with a line feed.
    ///
    /// # Errors
    ///
    /// The disk refused it.
    pub fn add(&mut self, text: &dyn Display) -> io::Result<()> {
        let mut file = BufWriter::new(&self.file);
        write!(file, "{text}")?;
        file.flush()
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_in_one_second_get_a_log_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let now: Timestamp = "2026-11-23T01:56:43Z".parse().expect("a time");
        let mut first = TextLog::create(folder.path(), "plan", now).expect("a log");
        let second = TextLog::create(folder.path(), "plan", now).expect("a log");
        assert!(first.path().ends_with("kferry-plan-20261123T015643Z.log"));
        assert!(second.path().ends_with("kferry-plan-20261123T015643Z-2.log"));
        first.add(&"Prepare to migrate\n").expect("written");
        assert_eq!(std::fs::read_to_string(first.path()).expect("read"), "Prepare to migrate\n");
    }
}
