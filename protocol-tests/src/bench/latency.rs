//! A long way: the brokers in one network namespace, kferry in another one, and a delay [`line`](super::line) between them, so that
//! TCP's own windows decide what a connection carries. Needs root and `/dev/net/tun`; nothing outside the two namespaces is
//! changed, and the kernel takes both away with their processes.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::real::jars;

use super::child::Child;
use super::contestants;
use super::options::Options;
use super::record::Run;
use super::rounds::Stage;
use super::sets::{Scale, Set};

/// The addresses of the two ends; nobody else is in these namespaces.
const FAR: &str = "10.255.0.1";
const NEAR: &str = "10.255.0.2";
/// What a default broker lets a connection carry in a round trip, in bytes (`socket.send.buffer.bytes` and
/// `socket.receive.buffer.bytes`).
const WINDOW: f64 = 102_400.0;
/// What kferry is told unless the operator tells it something: what is on its way takes more than the default.
pub(super) const MEMORY: &str = "--memory=128MiB";
/// What many partitions should reach, in bytes a second, and the part of its limit that a single one should.
const MANY: f64 = 80e6;
const SINGLE: f64 = 0.8;

/// Measures over a round trip of so many ms; whether all goals were reached. Starts itself again in a namespace of its own.
///
/// # Errors
/// What the machine does not allow, or the benchmark could not do.
pub fn play(options: &Options, round_trip: u64) -> Result<bool, String> {
    if options.far { measure(options, round_trip) } else { enter(options) }
}

fn enter(options: &Options) -> Result<bool, String> {
    let needs = |what: String| format!("--latency needs root, network namespaces and /dev/net/tun: {what}");
    let tun = File::options().read(true).write(true).open("/dev/net/tun");
    tun.map_err(|cause| needs(format!("/dev/net/tun: {cause}")))?;
    run("unshare", &["--net", "true"]).map_err(needs)?;
    // Behind the door there is no network to fetch anything from.
    jars::of(options.release)?;
    if options.kferry.is_none() {
        contestants::built("kferry", "kferry")?;
    }
    let own = env::current_exe().map_err(|cause| cause.to_string())?;
    let arguments = env::args_os().skip(1);
    let status = Command::new("unshare").arg("--net").arg(own).arg("--far").args(arguments).status();
    status.map(|status| status.success()).map_err(|cause| format!("unshare: {cause}"))
}

#[allow(clippy::print_stdout, reason = "for a person")]
fn measure(options: &Options, round_trip: u64) -> Result<bool, String> {
    let way = Way::lay(round_trip, options.limit)?;
    let mut stage = Stage::far(options, FAR, &way.near)?;
    let kferry = contestants::ours();
    let single = WINDOW * 1000.0 / round_trip as f64;
    let mut reached = true;
    for (partitions, bytes, goal) in [(64, options.size.as_u64(), MANY), (1, 32 << 20, SINGLE * single)] {
        let filled = stage.fill(Set::spread(partitions, Scale { bytes, batches: 0 }))?;
        if partitions > 1 {
            let warns = stage.plan_says()?.contains("small_socket_buffers");
            println!("plan warns small_socket_buffers: {}", if warns { "yes" } else { "NO" });
            reached &= warns;
        }
        for round in 0..options.rounds {
            let run = stage.run(&filled, &kferry, round, None)?;
            reached &= tell(&run, filled.load.bytes as f64, goal);
        }
        stage.clear()?;
    }
    Ok(reached)
}

#[allow(clippy::print_stdout, reason = "for a person")]
fn tell(run: &Run, bytes: f64, goal: f64) -> bool {
    if let Some(cause) = &run.failure {
        println!("{} FAILED: {cause}", run.set);
        return false;
    }
    let wall = run.wall.unwrap_or(f64::INFINITY);
    let rate = bytes / wall;
    let reached = rate >= goal;
    println!(
        "{}: {:.1} MB/s in {wall:.1} s, goal {:.1} MB/s, {}; {:.1} s before, {:.1} s after, {} MiB at most",
        run.set,
        rate / 1e6,
        goal / 1e6,
        if reached { "reached" } else { "MISSED" },
        run.before.unwrap_or_default(),
        run.after.unwrap_or_default(),
        run.peak.unwrap_or_default() >> 20,
    );
    reached
}

/// Both namespaces and what lies between; it ends when this is dropped, or with this process.
struct Way {
    /// The namespace at the near end, as a file.
    near: PathBuf,
    /// Carries packets as long as it lives.
    _line: Child,
    /// Keeps the namespace.
    _holder: Child,
}

impl Way {
    /// Lays it from this namespace, which must be one of its own.
    fn lay(round_trip: u64, limit: u64) -> Result<Self, String> {
        let own = env::current_exe().map_err(|cause| cause.to_string())?;
        run("ip", &["link", "set", "lo", "up"])?;
        let holder = speaking(Command::new("unshare").args(["--net", "sh", "-c", "echo ready; exec cat"]))?;
        let (near, pid) = (PathBuf::from(format!("/proc/{}/ns/net", holder.id())), holder.id().to_string());
        let one_way = (round_trip / 2).to_string();
        let seconds = limit.saturating_mul(100).to_string();
        let line = speaking(Command::new(own).args(["line", &one_way, &seconds, "near", "far"]))?;
        let way = Self { near, _line: line, _holder: holder };
        run("ip", &["link", "set", "near", "netns", &pid])?;
        let net = format!("--net={}", way.near.display());
        run("nsenter", &[&net, "ip", "link", "set", "lo", "up"])?;
        for (within, device, own, other) in [(None, "far", FAR, NEAR), (Some(&net), "near", NEAR, FAR)] {
            for arguments in [
                vec!["ip", "addr", "add", own, "peer", other, "dev", device],
                vec!["ip", "link", "set", device, "txqueuelen", "10000", "up"],
            ] {
                match within {
                    Some(net) => run("nsenter", &[&[net.as_str()], arguments.as_slice()].concat())?,
                    None => run("ip", arguments.get(1..).unwrap_or_default())?,
                }
            }
        }
        Ok(way)
    }
}

fn speaking(command: &mut Command) -> Result<Child, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    Child::start(command).map(|(child, _)| child).map_err(|cause| format!("{program}: {cause}"))
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|cause| format!("{program}: {cause}"))?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program} {}: {}", arguments.join(" "), said())) }
}

/// The program, in another network namespace if there is one.
pub fn within(namespace: Option<&Path>, program: &Path) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace.display())).arg(program);
    command
}
