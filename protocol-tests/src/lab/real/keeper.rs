//! A JVM on a leash.
//!
//! Brokers must not outlive the test process, however that ends: a return, a panic, Ctrl-C, kill -9. No destructor
//! survives the last one, so each JVM runs under a small shell that holds the read end of a pipe. Only this process
//! holds the write end (pipes are close-on-exec), and the kernel closes it with us: then the shell kills the JVM and
//! removes its data. A JVM that dies by itself, or by [`Keeper::kill`], leaves its data for a restart.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// `$1` is what to remove when the owner is gone; the rest is the command. The JVM's pid goes to stdout. `read` returns
/// only when the pipe is closed, and with `-t 0` says whether it is.
const SHELL: &str = r#"
data=$1; shift
exec 3<&0
"$@" </dev/null >&2 3<&- &
jvm=$!
echo "$jvm"
( read -r -u 3; kill -KILL "$jvm" ) &
leash=$!
wait "$jvm"
if read -t 0 -u 3; then
    rm -rf -- "$data"
else
    kill -KILL "$leash"
fi
"#;

/// One running JVM.
#[derive(Debug)]
pub struct Keeper {
    shell: Child,
    leash: Option<ChildStdin>,
    jvm: u32,
}

impl Keeper {
    /// Starts `program` (`java`) with `arguments`, its output appended to `log`. `data` is removed when this value, or
    /// this whole process, is gone.
    ///
    /// # Errors
    /// When there is no shell or the log can't be written.
    pub fn start(program: &str, arguments: &[String], data: &Path, log: &Path) -> Result<Self, String> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let log_file = open().map_err(|cause| format!("{}: {cause}", log.display()))?;
        let mut shell = Command::new("bash")
            .args(["-c", SHELL, "keeper"])
            .arg(data)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Ctrl-C at the terminal is for the tests; they bring their brokers down themselves.
            .process_group(0)
            .spawn()
            .map_err(|cause| format!("bash: {cause}"))?;
        let leash = shell.stdin.take();
        let mut said = String::new();
        let stdout = shell.stdout.take().ok_or("bash: no stdout")?;
        BufReader::new(stdout).read_line(&mut said).map_err(|cause| format!("bash: {cause}"))?;
        let jvm = said.trim().parse().map_err(|_| format!("bash said {said:?} instead of a pid"))?;
        Ok(Self { shell, leash, jvm })
    }

    /// The JVM's process id.
    pub fn pid(&self) -> u32 {
        self.jvm
    }

    /// Whether the JVM still runs (or is stopped by a signal).
    pub fn is_alive(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// Sends a signal by name (`STOP`, `CONT`, `TERM`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.jvm.to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to process {}", self.jvm);
    }

    /// Kills the JVM as a power cut would, and waits until it is gone. Its data stays.
    pub fn kill(mut self) {
        self.signal("KILL");
        self.shell.wait().expect("the keeper's shell can be waited for");
    }

    /// Asks the JVM to shut down, and waits until it has. Its data stays.
    pub fn shut_down(mut self) {
        self.signal("TERM");
        self.shell.wait().expect("the keeper's shell can be waited for");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.shell.wait();
    }
}

/// The end of a log file, for an error message.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(40);
    format!("--- end of {} ---\n{}", log.display(), lines.get(from..).unwrap_or_default().join("\n"))
}

/// Where a node keeps what.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    pub(super) properties: PathBuf,
}

impl Home {
    /// The places of the process `name` below `root`.
    pub(super) fn new(root: &Path, name: &str) -> Self {
        Self {
            data: root.join(name),
            log: root.join(format!("{name}.log")),
            properties: root.join(format!("{name}.properties")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::{Home, Keeper};
    use crate::lab::wait;

    fn sleeper(root: &Path) -> (Keeper, Home) {
        let home = Home::new(root, "sleeper");
        fs::create_dir(&home.data).unwrap();
        (Keeper::start("sleep", &["1000".into()], &home.data, &home.log).unwrap(), home)
    }

    fn runs(pid: u32) -> bool {
        // A zombie still has its entry, but no command line any more.
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn what_is_dropped_is_killed_and_its_data_removed() {
        let root = tempfile::tempdir().unwrap();
        let (keeper, home) = sleeper(root.path());
        let pid = keeper.pid();
        // It has no command line in the moment of its exec.
        wait::until("it runs", Duration::from_secs(10), || runs(pid).then_some(()));
        drop(keeper);
        assert!(!runs(pid) && !home.data.exists());
    }

    #[test]
    fn what_is_killed_or_dies_leaves_its_data_for_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let (keeper, home) = sleeper(root.path());
        let pid = keeper.pid();
        keeper.kill();
        assert!(!runs(pid) && home.data.exists());
    }

    #[test]
    fn a_death_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path(), "short");
        let mut keeper = Keeper::start("true", &[], &home.data, &home.log).unwrap();
        wait::until("it is seen to be dead", Duration::from_secs(10), || (!keeper.is_alive()).then_some(()));
    }
}
