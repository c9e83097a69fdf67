//! How far a migration is, as text.

use std::time::Duration;

use super::columns::table;
use super::table::many;
use crate::kafka::TopicPartition;
use crate::kafka::units::{Count, Span};
use crate::migrate::{Activity, Status, done};
use crate::state::Checkpoint;

/// So many topics are shown one by one.
const FEW: usize = 50;

/// The status as text, seen at this time (ms since 1970); every line ends with a line feed.
pub fn status(status: &Status, now_ms: i64) -> String {
    let mut lines = vec![headline(status, now_ms)];
    let lanes: Vec<(&TopicPartition, &Checkpoint)> = status.lanes.iter().collect();
    let topics: Vec<_> = lanes.chunk_by(|a, b| a.0.topic == b.0.topic).collect();
    if !topics.is_empty() {
        lines.push(String::new());
        let rows = topics.iter().take(FEW).filter_map(|lanes| row(lanes)).collect();
        lines.extend(table(["topic", " partitions", " complete", " offsets", " done"], rows));
        if let more @ 1.. = topics.len().saturating_sub(FEW) {
            lines.push(format!("and {}; the JSON lists all", many(more, "more topic")));
        }
    }
    lines.join("\n") + "\n"
}

fn headline(status: &Status, now_ms: i64) -> String {
    let name = &status.name;
    let done = format!("{} of {} offsets ({})", Count(status.done()), Count(status.records()), percent(status));
    let ago = status.at_ms().map(|at| Duration::from_millis(u64::try_from(now_ms - at).unwrap_or_default()));
    let ago = ago.map_or_else(String::new, |ago| format!(", {} ago", Span(ago)));
    let host = status.host().unwrap_or("an unknown host");
    match (status.activity(), &status.holder) {
        (Activity::None, _) => format!("Migration {name}: the target knows nothing of it; check --name and --target"),
        (Activity::Finished, _) => format!("Migration {name}: finished, {done}"),
        (Activity::Active, Some(holder)) => {
            let left = status.seconds_left().map(|seconds| Span(Duration::from_secs_f64(seconds.max(0.0))));
            let rate = status.rate().map(|rate| format!(", {} offsets a second", Count(rate as i64)));
            let left = left.map_or_else(String::new, |left| format!(", about {left} left"));
            format!("Migration {name}: {holder} runs it: {done}{}{left}", rate.unwrap_or_default())
        }
        (Activity::Stopped, _) if status.done() >= status.records() => format!(
            "Migration {name}: copied, {done}, but its verification or its groups' offsets are left{ago}; `kferry run` goes on"
        ),
        (Activity::Stopped | Activity::Active, _) => {
            format!("Migration {name}: stopped at {done}, last written from {host}{ago}; `kferry run` goes on")
        }
    }
}

fn percent(status: &Status) -> String {
    match status.records() {
        0 => "100 %".to_owned(),
        records => format!("{} %", (status.done() as f64 / records as f64 * 100.0).floor()),
    }
}

/// One topic's row.
fn row(lanes: &[(&TopicPartition, &Checkpoint)]) -> Option<[String; 5]> {
    let sum = |of: fn(&Checkpoint) -> i64| Count(lanes.iter().map(|(_, checkpoint)| of(checkpoint)).sum()).to_string();
    let complete = lanes.iter().filter(|(_, checkpoint)| checkpoint.is_finished()).count();
    Some([
        lanes.first()?.0.topic.to_string(),
        lanes.len().to_string(),
        complete.to_string(),
        sum(|checkpoint| checkpoint.span.len()),
        sum(done),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Offset, Span as Offsets};
    use crate::state::Holder;

    fn night(holder: Option<Holder>) -> Status {
        let begin = Checkpoint::begin(Offsets::new(0, 10_000), Offset(0));
        let since = Some((0, Offset(0)));
        let lane =
            |next| Checkpoint { next: Offset(next), since, at_ms: 10_000, host: "a".to_owned(), ..begin.clone() };
        let lanes = [(TopicPartition::new("orders", 0), lane(2_500)), (TopicPartition::new("orders", 1), lane(10_000))];
        Status { name: "night".to_owned(), holder, lanes: lanes.into(), finished: false }
    }

    #[test]
    fn a_migration_that_runs_says_how_fast_and_how_long() {
        let holder = Holder { host: "b".to_owned(), pid: 7 };
        let expected = "\
Migration night: process 7 on host b runs it: 12,500 of 20,000 offsets (62 %), 1,250 offsets a second, about 6.0 s left

topic   partitions  complete  offsets    done
orders           2         1   20,000  12,500
";
        assert_eq!(status(&night(Some(holder)), 12_000), expected);
    }

    #[test]
    fn one_that_stopped_says_where_and_when() {
        let text = status(&night(None), 70_000);
        let first = "Migration night: stopped at 12,500 of 20,000 offsets (62 %), last written from a, 1 min 0 s ago; `kferry run` goes on";
        assert_eq!(text.lines().next(), Some(first));
    }
}
