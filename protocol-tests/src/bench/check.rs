//! The short version: counts and memory only, on embedded brokers, so that a busy machine changes nothing.

use super::contestants::{self, Contestant};
use super::options::Options;
use super::record::Run;
use super::rounds::Stage;
use super::sets::{Scale, Set};

/// What kferry may hold beside its budget and its partitions.
const OWN: u64 = 32 << 20;
/// The default of `run.memory`.
const BUDGET: u64 = 64 << 20;
/// What a partition may take.
const PARTITION: u64 = 2 << 10;
/// What a plan of very many groups may take.
const PLAN: u64 = 256 << 20;
/// A Produce request has to carry this many of the source's tiny batches.
const JOINED: u64 = 100;

/// Runs kferry on small sets and holds it to its bounds; whether all hold.
///
/// # Errors
/// What the benchmark itself could not do.
#[allow(clippy::print_stdout, reason = "for a person or a log")]
pub fn play(options: &Options) -> Result<bool, String> {
    let mut stage = Stage::build(options)?;
    let kferry = contestants::ours();
    let mut holds = true;
    for (what, set) in sets() {
        let (run, batches) = moved(&mut stage, &kferry, &set)?;
        if let Some(cause) = &run.failure {
            println!("{what}: FAILED: {cause}");
            holds = false;
            continue;
        }
        let bound = match set.name.as_str() {
            "wide" => PLAN,
            _ => OWN + BUDGET + PARTITION * set.partition_count() as u64,
        };
        let peak = run.peak.unwrap_or(u64::MAX);
        holds &= tell(&what, "KiB of memory at most", peak >> 10, bound >> 10);
        if set.name == "tiny" {
            let produces = run.target.map_or(u64::MAX, |counts| counts.produces);
            holds &= tell(&what, "Produce requests at most", produces, batches / JOINED);
        }
    }
    Ok(holds)
}

fn sets() -> Vec<(String, Set)> {
    let scale = |mib: u64| Scale { bytes: mib << 20, batches: 40_000 };
    let named = |name: &str, mib, what: &str| Set::named(name, scale(mib)).map(|set| (format!("{name}, {what}"), set));
    let sized = [
        named("big", 64, "64 MiB"),
        named("big", 1024, "1 GiB"),
        named("lz4", 64, "64 MiB"),
        named("tiny", 0, "40,000 batches"),
    ];
    let counted = [10, 10_000].map(|count| (format!("{count} partitions"), Set::partitions(count)));
    // Its groups stay on the source: it comes last.
    let planned = named("wide", 0, "plan");
    sized.into_iter().flatten().chain(counted).chain(planned).collect()
}

fn moved(stage: &mut Stage, kferry: &Contestant, set: &Set) -> Result<(Run, u64), String> {
    let filled = stage.fill(set.clone())?;
    let run = match set.name.as_str() {
        "wide" => stage.plan(&filled, 0)?,
        _ => stage.run(&filled, kferry, 0, None)?,
    };
    stage.clear()?;
    Ok((run, filled.load.batches))
}

#[allow(clippy::print_stdout, reason = "for a person or a log")]
fn tell(what: &str, of: &str, figure: u64, bound: u64) -> bool {
    let holds = figure <= bound;
    println!("{what}: {of} {bound}: {figure}, {}", if holds { "holds" } else { "BROKEN" });
    holds
}
