//! One contestant as a child process, and what it takes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use wait4::Wait4;

/// How often the child and the target are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Lines of a failed child's stderr that are shown.
const SHOWN: usize = 15;

/// What a child took.
#[derive(Debug)]
pub struct Taken {
    /// When it was started.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Seconds of processor time, user and system, its children included.
    pub cpu: f64,
    /// Largest resident set, its children's added, in bytes.
    pub peak: u64,
    /// Why it failed, with the end of its stderr.
    pub failure: Option<String>,
}

/// How a child is run.
pub struct Terms<'a> {
    /// A folder for its output and its working directory.
    pub folder: &'a Path,
    /// How long it may take.
    pub limit: Duration,
    /// Whether it ends by itself; otherwise it is killed when all is done.
    pub ends: bool,
}

/// The time, which real processes live in.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Runs a child to its end, and looks on: `look` says whether all is done.
///
/// # Errors
/// When the child can't be started or waited for.
pub fn run(mut command: Command, terms: &Terms<'_>, mut look: impl FnMut() -> bool) -> Result<Taken, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let said = terms.folder.join("stderr");
    let output = |path: &Path| File::create(path).map_err(|cause| format!("{}: {cause}", path.display()));
    command.stdin(Stdio::null()).stdout(output(&terms.folder.join("stdout"))?).stderr(output(&said)?);
    command.current_dir(terms.folder);
    let started = now();
    let child = command.spawn().map_err(|cause| format!("{program}: {cause}"))?;
    let pid = child.id();
    let (tell, told) = mpsc::channel();
    let waiter = thread::spawn(move || tell.send((child.wait4(), now())));
    let mut memory = BTreeMap::new();
    let mut ordered = None;
    let (mut done, mut look_at) = (false, started);
    let (used, ended) = loop {
        let begun = now();
        if begun >= look_at {
            done = look();
            // Of many partitions a look takes long: it must not keep the target busy.
            look_at = begun + begun.elapsed() * 10;
        }
        remember(pid, &mut memory);
        let late = started.elapsed() > terms.limit;
        if ordered.is_none() && (late || done && !terms.ends) {
            ordered = Some(late);
            kill(&family(pid));
        }
        match told.recv_timeout(LOOK) {
            Ok(end) => break end,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{program}: nobody waits for it")),
        }
    };
    look();
    let _ = waiter.join();
    let used = used.map_err(|cause| format!("{program}: {cause}"))?;
    let failure = match ordered {
        Some(true) => Some(format!("still running after {} s\n{}", terms.limit.as_secs(), tail(&said))),
        Some(false) => None,
        None => failed(used.status).map(|how| format!("{how}\n{}", tail(&said))),
    };
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Ok(Taken { started, ended, cpu, peak: memory.values().sum(), failure })
}

fn failed(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| status.to_string())
}

/// The child, its children, and theirs.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        at += 1;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all
}

/// Notes the largest resident set of each process in bytes. The kernel keeps it, so that no peak between two looks is lost;
/// it counts from the program's start, unlike what `wait4` says, which begins with what the parent held.
fn remember(pid: u32, memory: &mut BTreeMap<u32, u64>) {
    for pid in family(pid) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        if let Some(kib) = kib {
            memory.insert(pid, kib << 10);
        }
    }
}

fn kill(pids: &[u32]) {
    // One that is gone already needs no signal.
    let _ = Command::new("kill").arg("-KILL").args(pids.iter().map(u32::to_string)).stderr(Stdio::null()).status();
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{Terms, run};

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_child_is_measured_with_its_own_children_and_fails_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let terms = Terms { folder: folder.path(), limit: Duration::from_secs(60), ends: true };
        // The inner shell counts for a while.
        let script = "sh -c 'n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done'; echo no luck >&2; exit 3";
        let taken = run(shell(script), &terms, || false).unwrap();
        assert!(taken.cpu > 0.01 && taken.peak > 100 << 10, "{taken:?}");
        assert_eq!(taken.failure.as_deref(), Some("exit status: 3\nno luck"));
    }

    #[test]
    fn a_child_that_never_ends_is_killed_when_all_is_done_or_when_it_is_late() {
        let folder = tempfile::tempdir().unwrap();
        let terms = Terms { folder: folder.path(), limit: Duration::from_secs(60), ends: false };
        assert_eq!(run(shell("sleep 1000 & wait"), &terms, || true).unwrap().failure, None);
        let late = Terms { limit: Duration::from_millis(50), ..terms };
        let failure = run(shell("sleep 1000 & wait"), &late, || false).unwrap().failure.unwrap_or_default();
        assert!(failure.starts_with("still running after"), "{failure}");
    }
}
