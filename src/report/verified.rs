//! What a verification came to, as text.

use std::time::Duration;

use super::columns::table;
use super::table::many;
use crate::kafka::Offset;
use crate::kafka::units::{Count, Span};
use crate::migrate::Ended;
use crate::plan::Warning;
use crate::state::Skipped;
use crate::verify::{Extent, Level, Mismatch, Verdict};

/// So many partitions are shown one by one.
const FEW: usize = 20;

/// So many differences of a partition are shown one by one.
const FEW_DIFFERENCES: usize = 10;

/// One partition's claim and what was found about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Checked {
    /// What the copy claims.
    pub extent: Extent,
    /// What was left out, with its reasons.
    pub skipped: Vec<Skipped>,
    /// What was found.
    pub verdict: Verdict,
}

/// The result of a verification.
#[derive(Clone, PartialEq, Debug)]
pub struct Verified {
    /// The migration's name.
    pub name: String,
    /// The level that was asked for.
    pub level: Level,
    /// Every partition, by topic and number.
    pub partitions: Vec<Checked>,
    /// Wall time.
    pub elapsed: Duration,
    /// Whether it was told to stop.
    pub stopped: bool,
}

impl Verified {
    /// How it ended as a whole.
    pub fn ended(&self) -> Ended {
        let any = |test: fn(&Verdict) -> bool| self.partitions.iter().any(|checked| test(&checked.verdict));
        if self.stopped {
            Ended::Stopped
        } else if any(|verdict| verdict.error.is_some()) {
            Ended::Failed
        } else if any(Verdict::differs) {
            Ended::Differs
        } else {
            Ended::Done
        }
    }

    /// The first problem and how many partitions share the fate.
    pub fn problem(&self) -> Option<String> {
        let mut problems = self.partitions.iter().filter_map(|checked| checked.verdict.problem());
        let first = problems.next()?;
        Some(match problems.count() {
            0 => first,
            more => format!("{first} (and {} more)", many(more, "partition")),
        })
    }

    /// What to know although it is no difference, once per topic.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings: Vec<Warning> =
            self.partitions.iter().filter_map(|checked| checked.verdict.warning()).collect();
        warnings.dedup();
        warnings
    }

    /// The level that every partition has reached.
    fn reached(&self) -> Level {
        self.partitions.iter().filter_map(|checked| checked.verdict.level).min().unwrap_or(self.level)
    }

    fn sum(&self, of: fn(&Verdict) -> i64) -> i64 {
        self.partitions.iter().map(|checked| of(&checked.verdict)).fold(0, i64::saturating_add)
    }
}

/// The result's text; every line ends with a line feed.
pub fn verified(verified: &Verified) -> String {
    let mut lines = vec![headline(verified)];
    let sections = [partitions(verified), differences(verified), failures(verified), notes(verified)];
    for section in sections.into_iter().filter(|section| !section.is_empty()) {
        lines.push(String::new());
        lines.extend(section);
    }
    lines.join("\n") + "\n"
}

fn headline(verified: &Verified) -> String {
    let compared = format!(
        "{} of {} in {}",
        many(usize::try_from(verified.sum(|verdict| verdict.findings.same)).unwrap_or_default(), "record"),
        many(verified.partitions.len(), "partition"),
        Span(verified.elapsed)
    );
    match verified.ended() {
        Ended::Done if verified.partitions.is_empty() => "Nothing was moved, so there is nothing to compare".to_owned(),
        Ended::Done => format!("Verified by {}: {compared}, no difference", verified.reached()),
        Ended::Stopped => format!("Stopped: {compared} are the same"),
        Ended::Failed => format!("Failed: {compared} are the same, but not all could be compared"),
        Ended::Differs => {
            let differences = verified.partitions.iter().map(|checked| checked.verdict.findings.differences());
            let differences = differences.fold(0, u64::saturating_add);
            let differences = many(usize::try_from(differences).unwrap_or(usize::MAX), "difference");
            format!("Differs: {differences}; {compared} are the same")
        }
    }
}

/// One row per partition, or per topic where there are many.
fn partitions(verified: &Verified) -> Vec<String> {
    let by_topic = verified.partitions.len() > FEW;
    let row = |some: &[Checked]| {
        let first = some.first()?;
        let sum = |of: fn(&Checked) -> i64| Count(some.iter().map(of).fold(0, i64::saturating_add)).to_string();
        let level = some.iter().map(|checked| checked.verdict.level).min().flatten();
        let at = &first.extent.at;
        Some([
            if by_topic { format!("{} ({})", at.topic, many(some.len(), "partition")) } else { at.to_string() },
            level.map_or("-", Level::as_str).to_owned(),
            sum(|checked| checked.extent.target.len()),
            sum(|checked| i64::try_from(checked.verdict.findings.differences()).unwrap_or(i64::MAX)),
            sum(|checked| checked.verdict.findings.explained),
            sum(|checked| checked.verdict.findings.unverifiable),
        ])
    };
    let together = |a: &Checked, b: &Checked| by_topic && a.extent.at.topic == b.extent.at.topic;
    let rows = verified.partitions.chunk_by(together).filter_map(row).collect();
    let titles = ["partition", "level", " records", " differences", " explained", " unverifiable"];
    let mut lines = table(titles, rows);
    if verified.sum(|verdict| verdict.findings.explained) > 0 {
        lines
            .push("explained: only one side still has them, the other lost them to retention or compaction".to_owned());
    }
    if verified.sum(|verdict| verdict.findings.unverifiable) > 0 {
        lines.push("unverifiable: neither side has them any more, or the source's topic is gone".to_owned());
    }
    lines
}

fn differences(verified: &Verified) -> Vec<String> {
    let differing: Vec<&Checked> = verified.partitions.iter().filter(|checked| checked.verdict.differs()).collect();
    let offset =
        |offset: Option<Offset>| offset.map_or_else(|| "-".to_owned(), |offset| Count(offset.get()).to_string());
    let rows = |checked: &&Checked| {
        let at = checked.extent.at.to_string();
        let listed = &checked.verdict.findings.listed;
        let shown = listed.iter().take(FEW_DIFFERENCES);
        let row = |mismatch: &Mismatch| {
            [at.clone(), offset(mismatch.source), offset(mismatch.target), mismatch.what.to_string()]
        };
        let more = checked.verdict.findings.differences().saturating_sub(FEW_DIFFERENCES as u64);
        let more = (more > 0).then(|| format!("and {} more", Count(i64::try_from(more).unwrap_or(i64::MAX))));
        let rest = more.map(|more| [at.clone(), String::new(), String::new(), more]);
        shown.map(row).chain(rest).collect::<Vec<_>>()
    };
    let rows = differing.iter().take(FEW).flat_map(rows).collect();
    let mut lines = table(["difference", " source offset", " target offset", "what"], rows);
    if let more @ 1.. = differing.len().saturating_sub(FEW) {
        lines.push(format!("and {}; the JSON lists all", many(more, "more partition")));
    }
    lines
}

fn failures(verified: &Verified) -> Vec<String> {
    if verified.stopped {
        return Vec::new();
    }
    let failed = verified.partitions.iter().filter(|checked| checked.verdict.error.is_some());
    let mut lines: Vec<String> = failed.clone().filter_map(|checked| checked.verdict.problem()).take(FEW).collect();
    if let more @ 1.. = failed.count().saturating_sub(FEW) {
        lines.push(format!("and {}; the JSON lists all", many(more, "more partition")));
    }
    lines
}

/// What was compared otherwise than one would think, and what to do next.
fn notes(verified: &Verified) -> Vec<String> {
    let count = |of: fn(&Verdict) -> bool| verified.partitions.iter().filter(|checked| of(&checked.verdict)).count();
    let mut lines: Vec<String> =
        verified.warnings().iter().map(|warning| format!("warning {}: {warning}", warning.code)).collect();
    if let some @ 1.. = count(|verdict| verdict.findings.own_time) {
        lines.push(format!("timestamps of {} are the target's own and were not compared", many(some, "partition")));
    }
    if let some @ 1.. = count(|verdict| verdict.findings.recompressed) {
        lines.push(format!("{} compressed otherwise on the target: compared record by record", are(some)));
    }
    if verified.ended() == Ended::Done && verified.level == Level::Offsets && !verified.partitions.is_empty() {
        lines.push("Next: kferry verify --level digest reads both sides and compares the contents as well".to_owned());
    }
    lines
}

fn are(partitions: usize) -> String {
    format!("{} {}", many(partitions, "partition"), if partitions == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Span as Offsets, TopicPartition};
    use crate::verify::{Findings, VerifyError, What};

    fn checked(partition: i32, findings: Findings) -> Checked {
        let at = TopicPartition::new("orders", partition);
        let (source, target) = (Offsets::new(500, 1_700), Offsets::new(0, 1_000));
        Checked {
            extent: Extent {
                at: at.clone(),
                source,
                target,
                records: 1_000,
                skipped: Vec::new(),
                source_id: None,
                target_id: None,
            },
            skipped: Vec::new(),
            verdict: Verdict { at, level: Some(Level::Digest), findings, error: None },
        }
    }

    fn right() -> Findings {
        Findings { same: 1_000, ..Findings::default() }
    }

    fn of(partitions: Vec<Checked>) -> Verified {
        let elapsed = Duration::from_millis(840);
        Verified { name: "night".to_owned(), level: Level::Digest, partitions, elapsed, stopped: false }
    }

    #[test]
    fn what_is_right_is_said_with_what_could_not_be_compared() {
        let lossy = Findings { same: 700, explained: 200, unverifiable: 100, recompressed: true, ..right() };
        let result = of(vec![checked(0, right()), checked(1, lossy)]);
        assert_eq!((result.ended(), result.problem()), (Ended::Done, None));
        assert_eq!(
            verified(&result),
            "\
Verified by digest: 1,700 records of 2 partitions in 0.8 s, no difference

partition  level   records  differences  explained  unverifiable
orders/0   digest    1,000            0          0             0
orders/1   digest    1,000            0        200           100
explained: only one side still has them, the other lost them to retention or compaction
unverifiable: neither side has them any more, or the source's topic is gone

1 partition is compressed otherwise on the target: compared record by record
"
        );
    }

    #[test]
    fn differences_are_listed_with_both_offsets() {
        let altered = |n| Mismatch {
            source: Some(Offset(1_500 + n)),
            target: Some(Offset(n)),
            what: What::Altered(vec!["key", "value"]),
        };
        let extra = Mismatch { source: None, target: Some(Offset(7)), what: What::Extra };
        let listed = std::iter::once(extra).chain((8..30).map(altered)).collect();
        let result = of(vec![checked(0, right()), checked(1, Findings { listed, more: 5, same: 972, ..right() })]);
        let first = "orders/1: 28 differences, the first at target offset 7: extra";
        assert_eq!((result.ended(), result.problem().as_deref()), (Ended::Differs, Some(first)));
        let text = verified(&result);
        assert!(
            text.starts_with("Differs: 28 differences; 1,972 records of 2 partitions in 0.8 s are the same\n"),
            "{text}"
        );
        let listed = "
difference  source offset  target offset  what
orders/1                -              7  extra
orders/1            1,508              8  key,value
";
        assert!(text.contains(listed), "{text}");
        assert!(text.contains("and 18 more\n"), "{text}");
    }

    #[test]
    fn what_could_not_be_compared_is_named_and_beats_a_difference() {
        let mut failed = checked(0, Findings::default());
        failed.verdict.level = None;
        failed.verdict.error = Some(VerifyError::Changing { at: failed.extent.at.clone() });
        let missing = Mismatch { source: Some(Offset(1)), target: Some(Offset(1)), what: What::Missing };
        let differing = checked(1, Findings { listed: vec![missing], ..right() });
        let mut result = of(vec![failed, differing]);
        assert_eq!(result.ended(), Ended::Failed);
        let text = verified(&result);
        let named = "orders/0: the source loses records while it is compared; verify again when its retention and its cleaner are idle";
        assert!(text.contains(named), "{text}");
        assert!(text.contains("orders/0   -"), "{text}");
        result.stopped = true;
        assert_eq!(result.ended(), Ended::Stopped);
    }
}
