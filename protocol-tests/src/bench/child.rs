//! A process that says a line when it is ready, and ends with its stdin.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// Such a process; it ends when this is dropped, or with this process.
pub struct Child {
    child: std::process::Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    /// Starts it and waits for its first line.
    ///
    /// # Errors
    /// When it can't be started, or ends at once.
    pub fn start(command: &mut Command) -> io::Result<(Self, String)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("a child without a pipe"))?;
        let mut child = Self { child, stdin, stdout: BufReader::new(stdout) };
        let said = child.listen()?;
        Ok((child, said))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something and waits for the line that it answers.
    ///
    /// # Errors
    /// When it is gone.
    pub fn ask(&mut self, words: &str) -> io::Result<String> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{words}")?;
        self.listen()
    }

    fn listen(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err(io::Error::other("it is gone")),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
