//! Kafka's own Java client: one long-lived process per client version, driven by JSON lines.
//!
//! It is the independent witness: what it wrote and read was never touched by code of this repository. The sources
//! beside this file are compiled once against kafka-clients 3.9.1 and kept with the jars; that client speaks to brokers
//! from 0.10.2 to 4.3. The same classes run with the 4.3.0 client where a scenario needs what only that one knows.

mod hand;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use serde_json::{Value, json};

use super::Version;
use super::real::jars;

pub use hand::JavaHand;

/// The client that speaks to every broker of the lab.
pub const CLIENT: Version = Version::of(3, 9, 1);

/// The client for what came later, such as groups of the consumer protocol without early access.
pub const NEW_CLIENT: Version = Version::of(4, 3, 0);

const SOURCES: [(&str, &str); 6] = [
    ("Tool.java", include_str!("Tool.java")),
    ("Common.java", include_str!("Common.java")),
    ("Writing.java", include_str!("Writing.java")),
    ("Reading.java", include_str!("Reading.java")),
    ("Groups.java", include_str!("Groups.java")),
    ("Topics.java", include_str!("Topics.java")),
];

/// Longer than the tool's own patience, so that its word on what went wrong comes first.
const PATIENCE: Duration = Duration::from_secs(240);

type Waiting = Arc<Mutex<BTreeMap<u64, Sender<Value>>>>;

/// A running client process. It halts when its stdin closes, that is with this process at the latest.
#[derive(Debug)]
pub struct Java {
    process: Child,
    stdin: Mutex<Option<ChildStdin>>,
    waiting: Waiting,
    next: AtomicU64,
}

impl Java {
    /// Starts the tool with the client of `version`.
    ///
    /// # Errors
    /// When the jars can't be fetched or the tool can't be compiled or started.
    pub fn start(version: Version) -> Result<Self, String> {
        let classes = compile()?;
        let class_path = env::join_paths([classes, jars::of(version)?.join("*")]).map_err(|cause| cause.to_string())?;
        let mut process = Command::new("java")
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .arg("-cp")
            .arg(class_path)
            .arg("Tool")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|cause| format!("java: {cause}"))?;
        let stdin = Mutex::new(process.stdin.take());
        let stdout = process.stdout.take().ok_or("java: no stdout")?;
        let waiting = Waiting::default();
        let answered = Arc::clone(&waiting);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let answer: Value =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("the Java tool said: {line}"));
                let id = answer["id"].as_u64().expect("an answer's id");
                if let Some(asked) = lock(&answered).remove(&id) {
                    let _ = asked.send(answer);
                }
            }
            lock(&answered).clear();
        });
        Ok(Self { process, stdin, waiting, next: AtomicU64::new(1) })
    }

    /// Runs one command; the answer's `ok`, or its error.
    ///
    /// # Errors
    /// What Kafka's client threw.
    pub fn ask(&self, bootstrap: &str, name: &str, mut command: Value) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        command["id"] = json!(id);
        command["do"] = json!(name);
        command["bootstrap"] = json!(bootstrap);
        let (answered, answer) = channel();
        lock(&self.waiting).insert(id, answered);
        {
            let mut stdin = lock(&self.stdin);
            let stdin = stdin.as_mut().ok_or("the Java tool has been stopped")?;
            writeln!(stdin, "{command}").map_err(|cause| format!("the Java tool is gone: {cause}"))?;
        }
        let answer = answer.recv_timeout(PATIENCE).map_err(|cause| format!("{name}: the Java tool: {cause}"))?;
        match answer.get("ok") {
            Some(ok) => Ok(ok.clone()),
            None => Err(format!("{name}: {}", answer["error"].as_str().unwrap_or("no reason"))),
        }
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        lock(&self.stdin).take();
        let _ = self.process.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The directory of the compiled tool, named after what it was compiled from.
fn compile() -> Result<PathBuf, String> {
    let sources = SOURCES.iter().fold(0, |crc, (_, text)| crc32c::crc32c_append(crc, text.as_bytes()));
    let whole = jars::cache().join(format!("tool-{sources:08x}"));
    if whole.is_dir() {
        return Ok(whole);
    }
    let class_path = jars::of(CLIENT)?.join("*");
    let work =
        tempfile::Builder::new().prefix(".tool-").tempdir_in(jars::cache()).map_err(|cause| cause.to_string())?;
    let classes = work.path().join("classes");
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "-proc:none", "-d"]).arg(&classes).arg("-cp").arg(class_path);
    for (name, text) in SOURCES {
        fs::write(work.path().join(name), text).map_err(|cause| cause.to_string())?;
        javac.arg(work.path().join(name));
    }
    let compiled = javac.output().map_err(|cause| format!("javac: {cause}"))?;
    if !compiled.status.success() {
        return Err(format!("javac: {}", String::from_utf8_lossy(&compiled.stderr)));
    }
    match fs::rename(&classes, &whole) {
        Err(cause) if !whole.is_dir() => Err(format!("{}: {cause}", whole.display())),
        _ => Ok(whole),
    }
}
