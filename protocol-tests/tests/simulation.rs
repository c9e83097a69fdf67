//! The copy's exactness under every fault of the fault model, over thousands of seeds. `KFERRY_SEEDS=1000000` runs more of
//! them; `KFERRY_SEED=17` shows all that happens in one.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "all of this file is tests and their helpers")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::{panic, thread};

use protocol_tests::simulation::{Coverage, Report, simulate};

/// Seeds that are run where nothing else is asked for.
const SEEDS: u64 = 20_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn every_record_arrives_exactly_once_whatever_goes_wrong() {
    if let Some(seed) = number("KFERRY_SEED") {
        let report = simulate(seed, true);
        report.trace.iter().for_each(|line| println!("{line}"));
        assert_eq!(report.violation, None);
        return;
    }
    let seeds = number("KFERRY_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        let (mut coverage, mut wrong) = (Coverage::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || wrong.len() > 20 {
                return (coverage, wrong);
            }
            match panic::catch_unwind(|| simulate(seed, false)) {
                Ok(Report { coverage: own, violation, .. }) => {
                    coverage.merge(&own);
                    wrong.extend(violation.map(|violation| (seed, violation)));
                }
                Err(_) => wrong.push((seed, "panicked".to_owned())),
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (mut coverage, mut wrong) = (Coverage::default(), Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (own, found) = worker.join().expect("no panic");
            coverage.merge(&own);
            wrong.extend(found);
        }
    });
    wrong.sort_unstable();
    let told: Vec<String> = wrong.iter().map(|(seed, what)| format!("KFERRY_SEED={seed}: {what}")).collect();
    assert!(wrong.is_empty(), "replay with\n{}", told.join("\n"));
    println!("{seeds} seeds; faults by the moment at which they met a lane:\n{coverage}");
    if seeds >= SEEDS {
        assert_eq!(coverage.missing(), [], "never happened");
        assert_eq!(coverage.surprising(), [], "listed as impossible");
    }
}

#[test]
fn a_seed_happens_the_same_way_every_time() {
    for seed in 0..50 {
        let [first, second] = [simulate(seed, true), simulate(seed, true)];
        assert_eq!(first.trace, second.trace);
        assert!(first.trace.len() > 5);
    }
}
