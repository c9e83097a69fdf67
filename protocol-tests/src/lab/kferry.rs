//! The binary under test, run as its users run it: a process of its own in a directory of its own.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{env, thread};

use serde_json::Value;
use tempfile::TempDir;

use super::wait;

/// Where the binary is.
#[derive(Clone, Debug)]
pub struct Kferry {
    binary: PathBuf,
    name: Option<String>,
}

/// A call that is being put together.
#[derive(Debug)]
pub struct Call {
    command: Command,
    dir: TempDir,
    limit: Duration,
    answer: &'static str,
}

/// A process that runs. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Running {
    process: Child,
    said: Option<[JoinHandle<Vec<u8>>; 2]>,
    dir: Option<TempDir>,
    limit: Duration,
}

/// What a call came to.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; 128 + signal where one ended it, as a shell says.
    pub code: i32,
    /// The result.
    pub stdout: String,
    /// Progress, logs and errors.
    pub stderr: String,
    dir: TempDir,
}

impl Kferry {
    /// The binary at `path` (`env!("CARGO_BIN_EXE_kferry-under-test")`).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { binary: path.into(), name: None }
    }

    /// The same binary, running migrations of this name where a call does not say another one: scenarios share clusters.
    #[must_use]
    pub fn named(&self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self.clone() }
    }

    /// A call with these arguments, in an empty directory, with no `KFERRY_…` variable but the name and those of
    /// [`Call::env`].
    pub fn call<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Call {
        let dir = tempfile::Builder::new().prefix("kferry-run-").tempdir().expect("a temporary directory");
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(dir.path());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("KFERRY_") {
                command.env_remove(name);
            }
        }
        command.envs(self.name.iter().map(|name| ("KFERRY_NAME", name)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Call { command, dir, limit: Duration::from_secs(120), answer: "" }
    }
}

impl Call {
    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// One variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// A file in its directory.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).expect("a file in a temporary directory");
        self
    }

    /// What is typed on its stdin, which then ends.
    #[must_use]
    pub fn typing(mut self, answer: &'static str) -> Self {
        self.answer = answer;
        self
    }

    /// In the directory of an earlier call, to find its files there.
    #[must_use]
    pub fn after(mut self, earlier: Outcome) -> Self {
        self.command.current_dir(earlier.dir.path());
        self.dir = earlier.dir;
        self
    }

    /// How long it may take (2 minutes unless said).
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it takes longer than it may.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Runs it with `--output json` and reads the document on stdout.
    ///
    /// # Panics
    /// When it takes too long or stdout isn't exactly one JSON document.
    #[track_caller]
    pub fn json(self) -> (Outcome, Value) {
        let outcome = self.args(["--output", "json"]).run();
        let json = outcome.json();
        (outcome, json)
    }

    /// Starts it, for scenarios that interrupt.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let mut process = self.command.spawn().unwrap_or_else(|cause| panic!("{:?}: {cause}", self.command));
        if let Some(mut stdin) = process.stdin.take() {
            // A program that doesn't ask may be gone already.
            let _ = stdin.write_all(self.answer.as_bytes());
        }
        let stdout = process.stdout.take().map(listen).expect("a pipe");
        let stderr = process.stderr.take().map(listen).expect("a pipe");
        Running { process, said: Some([stdout, stderr]), dir: Some(self.dir), limit: self.limit }
    }
}

impl Running {
    /// Sends a signal by name (`INT`, `TERM`, `KILL`, `STOP`, `CONT`).
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name}");
    }

    /// Whether it still runs, or stands still.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer than it may, with what it said.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let ended = wait::attempt(self.limit, || match self.process.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(other),
        });
        if ended.is_err() {
            let _ = self.process.kill();
        }
        let mut said = self.said.take().expect("listeners").map(|listener| listener.join().expect("a listener"));
        let [stdout, stderr] = said.each_mut().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let Ok(status) = ended else {
            panic!("still running after {:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.limit);
        };
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Outcome { code, stdout, stderr, dir: self.dir.take().expect("its directory") }
    }
}

impl Drop for Running {
    #[allow(clippy::print_stderr, reason = "for whoever reads why a test failed")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let ended = self.process.wait();
        // A test that waited for something in vain: what the process said tells why.
        if let Some([_, stderr]) = self.said.take().filter(|_| thread::panicking()) {
            let said = stderr.join().unwrap_or_default();
            tell(&format!("ended with {ended:?} after it said\n{}", String::from_utf8_lossy(&said)));
        }
    }
}

impl Outcome {
    /// Its directory, with what it left there.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The one JSON document on stdout.
    ///
    /// # Panics
    /// When stdout holds anything else, with everything it said.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| panic!("no JSON: {cause}\n{self}"))
    }

    /// Itself, if it ended with this exit code.
    ///
    /// # Panics
    /// Otherwise, with everything it said.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.code == code, "exit code {} instead of {code}\n{self}", self.code);
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

fn listen(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut said = Vec::new();
        let _ = pipe.read_to_end(&mut said);
        said
    })
}

/// For whoever looks at a test that failed.
#[allow(clippy::print_stderr, reason = "the harness shows it with the test")]
fn tell(text: &str) {
    eprintln!("{text}");
}
