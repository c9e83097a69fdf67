//! Every behaviour of kferry and of the brokers it is tested with, one source for both kinds of broker.
//!
//! `KFERRY_REAL` chooses the brokers: unset, the embedded ones; `matrix`, pairs of all real Apache Kafka that kferry
//! promises to move data between; or a list such as `2.8.2->4.3.0,4.1.0` for quick work. `cargo kafka` sets `matrix`.
//! Where real brokers are asked for, the embedded ones meet Kafka's own client too.
//!
//! | file | behaviour |
//! |---|---|
//! | `migration.rs` | plan and run on data of an independent client, read back by it |
//! | `plan.rs` | what `kferry plan` finds and decides, and that it changes nothing |
//! | `contents_plan.rs` | what a plan says about the batches themselves: open transactions, codecs, timestamps |
//! | `run.rs` | what `kferry run` moves, proves and refuses |
//! | `creation.rs` | topics that somebody else makes between a run's plan and its creating them |
//! | `verify.rs` | what `kferry verify` finds, explains, and can not compare |
//! | `produce/` | what a broker does with raw record batches: each row of a table measured on real brokers |
//! | `groups.rs` | where groups go on: their offsets translated and committed, or why not |
//! | `resume.rs` | runs that end early and are run again, and what must not be gone on with |
//! | `faults.rs` | runs whose brokers die, stand still or forget, and that stand still themselves |
//! | `slow.rs` | a migration that takes its time, to be disturbed |
//! | `replication.rs` | three nodes: what lies behind the high watermark, leaders that die |
//! | `lock.rs` | who may run a migration, and where its state is |
//! | `client.rs` | Kafka's own client writes, reads, commits and joins groups |
//! | `contents.rs` | logs with transactions, gaps, old formats, odd times, large and corrupt batches, end to end |
//! | `arena.rs` | which brokers, from `KFERRY_REAL` |
//! | `tally.rs` | how many scenarios ran on real brokers, and which were skipped |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod arena;
mod client;
mod contents;
mod contents_plan;
mod creation;
mod faults;
mod groups;
mod lock;
mod migration;
mod plan;
mod produce;
mod replication;
mod resume;
mod run;
mod slow;
mod tally;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use protocol_tests::lab::kferry::Kferry;
use protocol_tests::lab::park::{Broker, Park, Side};
use protocol_tests::lab::scenario::Body;
use protocol_tests::lab::{Lab, Scenario};

use arena::Arena;
use tally::Tally;

/// Every scenario.
fn scenarios() -> Vec<Scenario> {
    let rooms = [
        migration::scenarios(),
        plan::scenarios(),
        contents_plan::scenarios(),
        creation::scenarios(),
        run::scenarios(),
        groups::scenarios(),
        produce::scenarios(),
        replication::scenarios(),
        resume::scenarios(),
        faults::scenarios(),
        lock::scenarios(),
        client::scenarios(),
        contents::scenarios(),
        verify::scenarios(),
    ];
    rooms.concat()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let arenas = match arena::chosen() {
        Ok(arenas) => arenas,
        Err(cause) => {
            eprintln!("KFERRY_REAL: {cause}");
            return ExitCode::from(2);
        }
    };
    let tally = Arc::new(Tally::default());
    let asked_for_real = arenas.iter().any(Arena::is_real);
    // Real brokers work while a scenario waits, embedded ones do not.
    arguments.test_threads.get_or_insert(if asked_for_real { 2 } else { 8 });
    let trials = trials(&arenas, asked_for_real, &tally);
    let listing = arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    if listing || !asked_for_real {
        return conclusion.exit_code();
    }
    eprintln!("{tally}");
    if tally.none_ran() { ExitCode::FAILURE } else { conclusion.exit_code() }
}

/// Rooms that are about what happens on the target: there each target has its turn with the newest source alone.
const OF_THE_TARGET: [&str; 3] = ["creation", "resume", "verify"];

/// Why a scenario has its turn with another source.
fn repeats(scenario: &Scenario, arena: &Arena, arenas: &[Arena]) -> Option<String> {
    let Arena::Pair(source, target) = arena else { return None };
    let same_kind = |one: &Broker, other: &Broker| matches!(one, Broker::Real(_)) == matches!(other, Broker::Real(_));
    let newer = |other: &Arena| match other {
        Arena::Pair(newer, same) => {
            same.name() == target.name() && same_kind(newer, source) && newer.version() > source.version()
        }
        Arena::Site(_) => false,
    };
    let repeats = OF_THE_TARGET.contains(&scenario.room) && arenas.iter().any(newer);
    repeats.then(|| "with the newest source".to_owned())
}

/// One trial for each scenario and arena that fit together, arena by arena: a cluster stops when its last is done.
fn trials(arenas: &[Arena], asked_for_real: bool, tally: &Arc<Tally>) -> Vec<Trial> {
    let mut park = Park::default();
    let kferry = Kferry::new(env!("CARGO_BIN_EXE_kferry-under-test"));
    let mut trials = Vec::new();
    for arena in arenas {
        for scenario in scenarios() {
            // Without Java there are only the embedded brokers and the probe; with it, embedded brokers meet Java alone.
            if !arena.is_real() && scenario.java != asked_for_real {
                continue;
            }
            let tally = Arc::clone(tally);
            let skip = scenario.skip(&arena.brokers()).or_else(|| repeats(&scenario, arena, arenas));
            let run: Box<dyn FnOnce() + Send> = match (scenario.body, *arena) {
                (Body::Site(body), Arena::Site(broker)) => {
                    let slot = park.shared(Side::Source, broker);
                    Box::new(move || body(slot.site()))
                }
                (Body::Own(nodes, body), Arena::Site(broker)) => {
                    let slot = park.own(broker, nodes, scenario.properties);
                    Box::new(move || body(slot.site()))
                }
                (Body::Pair(body), Arena::Pair(source, target)) => {
                    let [source, target] = [park.shared(Side::Source, source), park.shared(Side::Target, target)];
                    let kferry = kferry.named(format!("lab-{}", trials.len()));
                    Box::new(move || body(&Lab { source: source.site(), target: target.site(), kferry: &kferry }))
                }
                _ => continue,
            };
            let real = arena.is_real();
            let name = format!("{}::{}::{}", arena.name(), scenario.room, scenario.name);
            trials.push(Trial::ignorable_test(name, move || -> Result<Completion, Failed> {
                if let Some(reason) = skip {
                    tally.skipped(real, &reason);
                    return Ok(Completion::ignored_with(reason));
                }
                tally.ran(real);
                run();
                Ok(Completion::Completed)
            }));
        }
    }
    trials
}
