//! What was measured, as a document.

use std::fs;
use std::process::Command;

use serde::Serialize;

use super::embedded::Counts;

/// Everything that one call of the benchmark measured.
#[derive(Debug, Serialize)]
pub struct Record {
    /// UTC.
    pub date: String,
    /// What it ran on.
    pub machine: Machine,
    /// Name and version of each program.
    pub versions: Vec<(String, String)>,
    /// As it was called.
    pub arguments: Vec<String>,
    /// The data sets.
    pub sets: Vec<Extent>,
    /// Every run, in order.
    pub runs: Vec<Run>,
}

/// A machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of them the system sees.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The system's kernel.
    pub kernel: String,
}

/// How large a set was.
#[derive(Clone, Debug, Serialize)]
pub struct Extent {
    /// Its name.
    pub set: String,
    /// Partitions.
    pub partitions: usize,
    /// Batches in the source's logs.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Bytes of the source's logs.
    pub bytes: u64,
}

/// One contestant's run. What does not apply to it, or was not reached, is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// What was moved.
    pub set: String,
    /// Who moved it.
    pub contestant: String,
    /// In which round.
    pub round: usize,
    /// Seconds from the first record on the target to the last.
    pub wall: Option<f64>,
    /// Seconds from the start to the first record.
    pub before: Option<f64>,
    /// Seconds from the last record to the end.
    pub after: Option<f64>,
    /// Seconds of processor time.
    pub cpu: Option<f64>,
    /// Largest resident set in bytes.
    pub peak: Option<u64>,
    /// What the source was asked, where the broker counts.
    pub source: Option<Counts>,
    /// What the target was asked, where the broker counts.
    pub target: Option<Counts>,
    /// How often it moved the set; its times and calls are those of once.
    pub times: u64,
    /// System calls; such a run has no times.
    pub syscalls: Option<u64>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        Self {
            processor: field(&text("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 10,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// Whether a line holds digits on both sides of a dot.
fn has_version(line: &str) -> bool {
    line.as_bytes()
        .windows(3)
        .any(|three| matches!(three, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit()))
}

/// The first line that says a version; what went wrong where none does.
pub fn version(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let line = said.lines().find(|line| has_version(line));
            line.unwrap_or_default().trim().to_owned()
        }
        Err(cause) => cause.to_string(),
    }
}
