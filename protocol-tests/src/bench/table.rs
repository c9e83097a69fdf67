//! What was measured, for people.

use bytesize::ByteSize;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::contestants::{Contestant, Role};
use super::record::{Extent, Record, Run};

const GIB: f64 = (1_u64 << 30) as f64;
const MIB: f64 = (1_u64 << 20) as f64;

/// One of the figures of a run.
type Figure = fn(&Run) -> Option<f64>;

/// Median, least and most of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// In the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// `None` where nothing was measured.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), least, most })
    }
}

/// When, where and with what.
pub fn heading(record: &Record) -> String {
    let machine = &record.machine;
    let mut lines = format!(
        "{}, {} x {}, {} MiB, Linux {}\n",
        record.date, machine.cores, machine.processor, machine.memory_mib, machine.kernel
    );
    for (name, version) in &record.versions {
        lines += &format!("{name}: {version}\n");
    }
    lines
}

/// What planning a set took.
pub fn plans(runs: &[Run]) -> String {
    let spread = |what: Figure| Spread::of(good(runs, "kferry").filter_map(what));
    let (wall, cpu) = (spread(|run| run.wall), spread(|run| run.cpu));
    let peak = spread(|run| run.peak.map(|bytes| bytes as f64 / MIB));
    let mut lines = format!(
        "plan: {} s {}, {} s of processor time {}, {} MiB at most\n",
        middle(wall, 3),
        range(wall, 3),
        middle(cpu, 3),
        range(cpu, 3),
        middle(peak, 1)
    );
    for (run, cause) in runs.iter().filter_map(|run| Some((run, run.failure.as_ref()?))) {
        lines += &format!("FAILED in round {}: {cause}\n", run.round + 1);
    }
    lines
}

/// The runs of one set.
pub fn of(extent: &Extent, contestants: &[Contestant], runs: &[Run]) -> String {
    let columns = ["", "wall s", "", "CPU s/GiB", "", "peak MiB", "before s", "after s"];
    let ratios = ["wall/limits", "wall/raw", "wall/peer", "CPU/relay", "CPU/broker-relay"];
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns.into_iter().chain(ratios));
    let reference = |role: Role, what: Figure| {
        let named = contestants.iter().filter(|one| one.role == role).map(|one| one.name);
        named.filter_map(|name| median(runs, name, what)).min_by(f64::total_cmp)
    };
    let (wall, cpu): (Figure, Figure) = (|run| run.wall, |run| run.cpu);
    let brokers = reference(Role::Brokers, wall);
    let (raw, peer) = (reference(Role::Raw, wall), reference(Role::Peer, wall));
    let (relay, between) = (reference(Role::Relay, cpu), reference(Role::BrokerRelay, cpu));
    let mut names: Vec<&str> = runs.iter().map(|run| run.contestant.as_str()).collect();
    names.sort_unstable_by_key(|name| contestants.iter().position(|one| one.name == *name));
    names.dedup();
    for name in names {
        let spread = |what: Figure| Spread::of(good(runs, name).filter_map(what));
        let walls = spread(wall);
        let cpus = spread(cpu);
        let gib = extent.bytes as f64 / GIB;
        let per_gib = cpus.map(|cpu| Spread { median: cpu.median / gib, least: cpu.least / gib, most: cpu.most / gib });
        // A relay's wires are not the brokers: only its processor time compares.
        let is_relay = contestants.iter().any(|one| one.name == name && one.role == Role::Relay);
        let by = |limit: Option<f64>| ratio(walls.filter(|_| !is_relay).map(|wall| wall.median), limit);
        table.add_row([
            name.to_owned(),
            middle(walls, 3),
            range(walls, 3),
            middle(per_gib, 2),
            range(per_gib, 2),
            middle(spread(|run| run.peak.map(|bytes| bytes as f64 / MIB)), 1),
            middle(spread(|run| run.before), 2),
            middle(spread(|run| run.after), 2),
            by(brokers),
            by(raw),
            by(peer),
            ratio(cpus.map(|cpu| cpu.median), relay),
            ratio(cpus.map(|cpu| cpu.median), between),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n{table}\n{}", title(extent), notes(extent, runs))
}

fn title(extent: &Extent) -> String {
    format!(
        "{}: {} in {} batches and {} records of {} partitions",
        extent.set,
        ByteSize(extent.bytes),
        extent.batches,
        extent.records,
        extent.partitions
    )
}

/// What counts rather than times say, and what failed.
fn notes(extent: &Extent, runs: &[Run]) -> String {
    let mut notes = String::new();
    for run in runs {
        if let (Some(source), Some(target), 0) = (run.source, run.target, run.round)
            && run.contestant == "kferry"
        {
            notes += &format!(
                "kferry: {} Fetch and {} Produce requests, {} of Produce bodies\n",
                source.fetches,
                target.produces,
                ByteSize(target.produced)
            );
        }
        if let Some(calls) = run.syscalls {
            let each = calls as f64 / (extent.bytes as f64 / MIB);
            notes += &format!("{}: {calls} system calls, {each:.1} per MiB\n", run.contestant);
        }
        if let Some(cause) = &run.failure {
            notes += &format!("{} FAILED in round {}: {cause}\n", run.contestant, run.round + 1);
        }
    }
    notes
}

/// What compares two sets: a huge partition beside many small ones with the huge one alone.
pub fn across(runs: &[Run]) -> String {
    let whole = |set: &str| {
        let runs: Vec<Run> = runs.iter().filter(|run| run.set == set).cloned().collect();
        median(&runs, "kferry", |run| run.wall)
    };
    match (whole("skew"), whole("huge")) {
        (Some(skew), Some(huge)) => format!("kferry: skew by huge alone {:.2}\n", skew / huge),
        _ => String::new(),
    }
}

fn good<'a>(runs: &'a [Run], name: &'a str) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.contestant == name && run.failure.is_none())
}

fn median(runs: &[Run], name: &str, what: Figure) -> Option<f64> {
    Spread::of(good(runs, name).filter_map(what)).map(|spread| spread.median)
}

fn middle(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.digits$}", spread.median))
}

fn range(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(String::new, |spread| format!("({:.digits$}..{:.digits$})", spread.least, spread.most))
}

fn ratio(value: Option<f64>, of: Option<f64>) -> String {
    value.zip(of).map_or_else(|| "-".to_owned(), |(value, of)| format!("{:.2}", value / of))
}

#[cfg(test)]
mod tests {
    use super::{Run, Spread, of};
    use crate::bench::contestants;
    use crate::bench::record::Extent;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_run_that_failed_is_shown_and_not_measured() {
        let extent = Extent { set: "big".to_owned(), partitions: 8, batches: 1, records: 1, bytes: 1 << 30 };
        let run = Run { contestant: "kcat".to_owned(), wall: Some(1.0), ..Run::default() };
        let failed = Run { wall: Some(9.0), failure: Some("exit status: 3".to_owned()), round: 1, ..run.clone() };
        let text = of(&extent, &contestants::all(), &[run, failed]);
        assert!(text.contains("kcat FAILED in round 2: exit status: 3"), "{text}");
        assert!(text.contains("(1.000..1.000)"), "{text}");
    }
}
