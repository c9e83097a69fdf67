//! Every behaviour of kferry and of the brokers it is tested with, one source for both kinds of broker.
//!
//! `KFERRY_REAL` chooses the brokers: unset, the embedded ones; `matrix`, every pair of real Apache Kafka that kferry
//! promises to move data between; or a list such as `2.8.2->4.3.0,4.1.0` for quick work. `cargo kafka` sets `matrix`.
//! Where real brokers are asked for, the embedded ones meet Kafka's own client too.
//!
//! | file | behaviour |
//! |---|---|
//! | `migration.rs` | plan and run on data of an independent client, read back by it |
//! | `plan.rs` | what `kferry plan` finds and decides, and that it changes nothing |
//! | `contents_plan.rs` | what a plan says about the batches themselves: open transactions, codecs, timestamps |
//! | `run.rs` | what `kferry run` moves, proves and refuses |
//! | `produce/` | what a broker does with raw record batches: each row of a table measured on real brokers |
//! | `replication.rs` | three nodes: what lies behind the high watermark, leaders that die |
//! | `client.rs` | Kafka's own client writes, reads, commits and joins groups |
//! | `contents.rs` | logs with transactions, gaps, old formats, odd times, large and corrupt batches, end to end |
//! | `arena.rs` | which brokers, from `KFERRY_REAL` |
//! | `tally.rs` | how many scenarios ran on real brokers, and which were skipped |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod arena;
mod client;
mod contents;
mod contents_plan;
mod migration;
mod plan;
mod produce;
mod replication;
mod run;
mod tally;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use protocol_tests::lab::kferry::Kferry;
use protocol_tests::lab::park::{Park, Side};
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
        run::scenarios(),
        produce::scenarios(),
        replication::scenarios(),
        client::scenarios(),
        contents::scenarios(),
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
            let skip = scenario.skip(&arena.brokers());
            let run: Box<dyn FnOnce() + Send> = match (scenario.body, *arena) {
                (Body::Site(body), Arena::Site(broker)) => {
                    let slot = park.shared(Side::Source, broker);
                    Box::new(move || body(slot.site()))
                }
                (Body::Own(nodes, body), Arena::Site(broker)) => {
                    let slot = park.own(broker, nodes);
                    Box::new(move || body(slot.site()))
                }
                (Body::Pair(body), Arena::Pair(source, target)) => {
                    let [source, target] = [park.shared(Side::Source, source), park.shared(Side::Target, target)];
                    let kferry = kferry.clone();
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
