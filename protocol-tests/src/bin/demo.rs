//! A whole migration on two embedded clusters: the example of the vendor's script is laid out, planned and moved by
//! kferry itself, then both clusters are read by a client that shares no code with it, and what each group has
//! yet to read is compared from its committed offset on.
//!
//!     cargo demo           plan, run, verify, compare; a few seconds
//!     cargo demo --keep    and keep brokers up to play with
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::env;
use std::io;
use std::process::{Command, ExitCode};

use clap::Parser;
use kferry::kafka::units::Count;
use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Embedded, Version};
use protocol_tests::example::{COMMITS, LOGS, UNREAD, fill};
use protocol_tests::lab::Digest;
use protocol_tests::lab::hand::{At, Hand, ProbeHand, Reading};

/// Set in the processes of this program that are to be kferry: a test crate gets no binary of another crate.
const AS_KFERRY: &str = "DEMO_AS_KFERRY";

/// A whole migration on two embedded clusters.
#[derive(Parser, Debug)]
struct Arguments {
    /// Keep brokers up afterwards, with the example on one cluster and nothing on the other
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    if env::var_os(AS_KFERRY).is_some() {
        return kferry::cli::main();
    }
    match demo(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the demo could not be played: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &Arguments) -> io::Result<ExitCode> {
    let source = Embedded::start(Version::V2_8, 3)?;
    let target = Embedded::start(Version::V4_1, 3)?;
    source.with_core(|core| fill(core, now_ms())).map_err(|refused| io::Error::other(format!("{refused:?}")))?;
    let addresses = ["--source", &first(&source), "--target", &first(&target)].map(str::to_owned);
    for command in [&["plan", "--no-log"][..], &["run", "--yes", "--no-log"], &["verify", "--level", "records"]] {
        if !kferry(command, &addresses)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let equal = compare(&source, &target) & go_on(&source, &target);
    if arguments.keep {
        play(&source)?;
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn first(cluster: &Embedded) -> String {
    cluster.bootstrap().into_iter().next().unwrap_or_default()
}

/// Runs kferry as a person would, and shows what was typed.
fn kferry(words: &[&str], addresses: &[String]) -> io::Result<bool> {
    println!("$ kferry {} {}\n", words.join(" "), addresses.join(" "));
    let mut command = Command::new(env::current_exe()?);
    // A person's own settings must not change the demo: neither variables nor a file in the current directory.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("KFERRY_") {
            command.env_remove(name);
        }
    }
    let folder = tempfile::tempdir()?;
    let status = command.env(AS_KFERRY, "1").args(words).args(addresses).current_dir(folder.path()).status()?;
    println!();
    Ok(status.success())
}

/// Reads what was unread on the source and all that is on the target, and shows both; whether they are the same.
fn compare(source: &Embedded, target: &Embedded) -> bool {
    let [source, target] = [source, target].map(|cluster| ProbeHand::new(&cluster.bootstrap().join(",")));
    println!("Read back by another client: every key, value, header and timestamp, in order\n");
    println!("topic  partition   unread on the source    all on the target");
    let mut equal = true;
    for (topic, partition, from, to) in UNREAD {
        let at = At { topic, partition };
        let unread = source.digest(at, Reading { from: Some(from), to: Some(to), committed: false });
        let moved = target.digest(at, Reading::default());
        let verdict = if unread == moved { "equal" } else { "DIFFERENT" };
        println!("{topic}  {partition:>9}   {:>20}   {:>18}   {verdict}", shown(&unread), shown(&moved));
        equal &= unread == moved;
    }
    equal
}

/// Looks up where each group goes on, reads what lies there up to the end on both sides, and shows it; whether they are the
/// same.
fn go_on(source: &Embedded, target: &Embedded) -> bool {
    let [source, target] = [source, target].map(|cluster| ProbeHand::new(&cluster.bootstrap().join(",")));
    println!("\nWhere each group goes on: its committed offset, and what it has not read from there on\n");
    println!("group          topic  partition   on the source                  on the target");
    let mut equal = true;
    for (group, topic, partition, from) in COMMITS {
        let at = At { topic, partition };
        let unread = |hand: &ProbeHand, from| hand.digest(at, Reading { from: Some(from), ..Reading::default() });
        // What a group had not read before it expired can't be read any more.
        let start = LOGS.iter().find(|log| (log.topic, log.partition) == (topic, partition)).map_or(0, |log| log.start);
        let old = unread(&source, from.max(start));
        let to = target.committed(group).get(&(topic.to_owned(), partition)).map(|committed| committed.offset);
        let new = to.map(|to| unread(&target, to));
        let same = new.as_ref() == Some(&old);
        let new = to
            .zip(new)
            .map_or_else(|| "nowhere".to_owned(), |(to, new)| format!("{:>7}: {}", Count(to).to_string(), shown(&new)));
        let old = format!("{:>7}: {}", Count(from).to_string(), shown(&old));
        println!(
            "{group:13}  {topic}  {partition:>9}   {old:<26}   {new:<26}   {}",
            if same { "equal" } else { "DIFFERENT" }
        );
        equal &= same;
    }
    equal
}

fn shown(digest: &Digest) -> String {
    format!("{} {:08x}", Count(i64::try_from(digest.count).unwrap_or(i64::MAX)), digest.crc)
}

/// Keeps the source and a new, empty target up until Enter or the end of stdin.
fn play(source: &Embedded) -> io::Result<()> {
    let target = Embedded::start(Version::V4_1, 3)?;
    let addresses = format!("--source {} --target {}", first(source), first(&target));
    println!("\nThe same source and a new, empty target are up until you press Enter:\n");
    println!("  cargo run -q -p kferry -- plan {addresses}");
    println!("  cargo run -q -p kferry -- run {addresses}");
    println!("  kcat -C -b {} -t test3 -o beginning -e -q | wc -l", first(&target));
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
