//! The plan as text: which partitions move from where to where, which are skipped, and what to know before a run.
//!
//! The log gets every partition. A screen gets them too while they fit on a few pages; beyond that it gets one line per
//! topic, and the first few of every other list.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use super::columns::{Cell, columns, table};
use crate::kafka::units::{Bytes, Count};
use crate::kafka::{GroupId, Offset, TopicName};
use crate::plan::facts::ClusterIdentity;
use crate::plan::{Action, GroupCommit, GroupPlan, LanePlan, Plan, Reason, Warning, WarningCode, Weight};

/// How much a text shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Every partition, group and warning.
    Whole,
    /// One line per topic, and the first few of every other list.
    Topics,
}

/// More partitions than this no screen shows one by one.
const PAGES: usize = 100;
/// So many entries of a list stand for the rest.
const FEW: usize = 5;

impl Detail {
    /// What a person can take in on a screen.
    pub fn for_screen(plan: &Plan) -> Self {
        if plan.partitions().len() <= PAGES { Self::Whole } else { Self::Topics }
    }

    const fn few(self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Topics => FEW,
        }
    }
}

/// The plan's text; every line ends with a line feed. It may have a million lines, so that it is made as it is written.
pub fn plan(plan: &Plan, detail: Detail) -> impl Display {
    Text { plan, detail }
}

struct Text<'a> {
    plan: &'a Plan,
    detail: Detail,
}

/// Lines that belong together, made one at a time.
type Section<'a> = Box<dyn Iterator<Item = String> + 'a>;

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { plan, detail } = self;
        writeln!(f, "Prepare to migrate\n{}", clusters(plan))?;
        let [moving, skipped]: [Section<'_>; 2] = match detail {
            Detail::Whole => [Box::new(lanes(plan)), Box::new(skipped(plan))],
            Detail::Topics => [Box::new(topics(plan).into_iter()), Box::new(skipped_by_reason(plan).into_iter())],
        };
        let sections = [moving, skipped, groups(plan, detail), created(plan, detail), warnings(plan, detail)];
        for section in sections {
            let mut section = section.peekable();
            if section.peek().is_some() {
                writeln!(f)?;
            }
            section.try_for_each(|line| writeln!(f, "{line}"))?;
        }
        writeln!(f, "\n{}", totals(plan))
    }
}

fn clusters(plan: &Plan) -> String {
    let named = |identity: &ClusterIdentity| {
        let address = identity.bootstrap.first().map_or_else(String::new, ToString::to_string);
        match &identity.id {
            Some(id) => format!("{address} (cluster {id})"),
            None => address,
        }
    };
    format!("from {} to {}", named(plan.source()), named(plan.target()))
}

fn count(count: usize) -> Count {
    Count(i64::try_from(count).unwrap_or(i64::MAX))
}

fn offset(offset: Offset) -> String {
    Count(offset.get()).to_string()
}

/// `1 topic`, `2 topics`.
pub(super) fn many(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// One row per lane.
fn lanes(plan: &Plan) -> impl Iterator<Item = String> {
    fn row(lane: &LanePlan) -> [Cell<'_>; 7] {
        let LanePlan { at, span, group, reason, .. } = lane;
        [
            at.topic.as_str().into(),
            at.partition.to_string().into(),
            Count(span.start.get()).into(),
            Count(span.end.get()).into(),
            Count(lane.records()).into(),
            group.as_ref().map_or("-", GroupId::as_str).into(),
            reason.as_str().into(),
        ]
    }
    let titles = ["topic", " partition", " start", " end", " records", "start set by", "reason"];
    columns(titles, plan.lanes().map(row))
}

/// One row per topic that has lanes.
fn topics(plan: &Plan) -> Vec<String> {
    let row = |lanes: &[LanePlan]| {
        let moving = || lanes.iter().filter(|lane| lane.action() == Action::Migrate);
        let groups: BTreeSet<&GroupId> = moving().filter_map(|lane| lane.group.as_ref()).collect();
        let records = moving().map(LanePlan::records).fold(0, i64::saturating_add);
        let by = match (groups.first(), groups.len()) {
            (None, _) => "-".to_owned(),
            (Some(one), 1) => one.to_string(),
            (Some(one), n) => format!("{one} and {} more", count(n - 1)),
        };
        let topic = lanes.first()?.at.topic.to_string();
        let partitions = format!("{} of {}", count(moving().count()), count(lanes.len()));
        Some([topic, partitions, Count(records).to_string(), by])
    };
    let by_topic = plan.partitions().chunk_by(|a, b| a.at.topic == b.at.topic);
    let moving = by_topic.filter(|lanes| lanes.iter().any(|lane| lane.action() == Action::Migrate));
    table(["topic", " partitions", " records", "starts set by"], moving.filter_map(row).collect())
}

/// One line per partition that nothing is left of.
fn skipped(plan: &Plan) -> impl Iterator<Item = String> {
    let skipped = plan.partitions().iter().filter(|lane| lane.action() == Action::Skip);
    skipped.map(|lane| format!("skip migrate... {}: {}", lane.at, why_skipped(lane)))
}

fn why_skipped(lane: &LanePlan) -> String {
    let end = offset(lane.span.end);
    let commit = lane.committed.map(offset);
    let by =
        lane.group.as_ref().map_or_else(|| "the smallest commit is".to_owned(), |group| format!("{group} committed"));
    match (lane.reason, commit) {
        (Reason::Expired, Some(commit)) => {
            format!("expired: {by} {commit}, but the log starts at {}, which is also the end", offset(lane.earliest))
        }
        (Reason::Consumed, Some(commit)) if lane.committed > Some(lane.span.end) => {
            format!("consumed: {by} {commit}, behind the end {end}")
        }
        (Reason::Consumed, Some(commit)) => format!("consumed: {by} {commit}, which is the end"),
        (Reason::Undecided, _) => format!("undecided: no usable commit; nothing moves before the end {end}"),
        (Reason::Empty, _) => format!("empty: the log starts and ends at {end}"),
        (reason, _) => reason.as_str().to_owned(),
    }
}

/// One line per reason.
fn skipped_by_reason(plan: &Plan) -> Vec<String> {
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    for lane in plan.partitions().iter().filter(|lane| lane.action() == Action::Skip) {
        *reasons.entry(lane.reason).or_default() += 1;
    }
    reasons
        .iter()
        .map(|(reason, n)| format!("skip migrate... {}: {}", many(*n, "partition"), reason.as_str()))
        .collect()
}

/// What each group has not read yet, by topic.
fn groups(plan: &Plan, detail: Detail) -> Section<'_> {
    fn by_topic(group: &GroupPlan) -> impl Iterator<Item = (&GroupId, &[GroupCommit])> + Clone {
        group.commits.chunk_by(|a, b| a.at.topic == b.at.topic).map(|commits| (&group.id, commits))
    }
    fn row<'a>((group, commits): (&'a GroupId, &'a [GroupCommit])) -> [Cell<'a>; 4] {
        let unread = commits.iter().map(|commit| commit.unread).fold(0, i64::saturating_add);
        let topic = commits.first().map_or("", |first| first.at.topic.as_str());
        [group.as_str().into(), topic.into(), count(commits.len()).into(), Count(unread).into()]
    }
    let all = plan.groups().iter().flat_map(by_topic);
    let shown = if detail == Detail::Whole { usize::MAX } else { PAGES };
    let hidden = if detail == Detail::Whole { 0 } else { all.clone().skip(PAGES).count() };
    let lines = columns(["group", "topic", " partitions", " unread records"], all.take(shown).map(row));
    Box::new(lines.chain((hidden > 0).then(|| format!("… and {} more in the log", count(hidden)))))
}

/// What the target lacks.
fn created(plan: &Plan, detail: Detail) -> Section<'_> {
    let one = |name: &TopicName, partitions: i32| {
        format!("  {name} ({})", many(usize::try_from(partitions).unwrap_or_default(), "partition"))
    };
    let names = plan.create().iter().map(move |topic| one(&topic.spec.name, topic.spec.partitions));
    headed(format!("{} to create on the target", many(plan.create().len(), "topic")), names, detail)
}

/// A heading and the first few lines under it; nothing where there are none.
fn headed<'a>(heading: String, entries: impl ExactSizeIterator<Item = String> + 'a, detail: Detail) -> Section<'a> {
    let heading = (entries.len() > 0).then_some(heading);
    let hidden = entries.len().saturating_sub(detail.few());
    let more = (hidden > 0).then(|| format!("  … and {} more in the log", count(hidden)));
    Box::new(heading.into_iter().chain(entries.take(detail.few())).chain(more))
}

/// The warnings, those that keep a run from starting first.
fn warnings<'a>(plan: &'a Plan, detail: Detail) -> Section<'a> {
    let mut by_code: BTreeMap<(Reverse<Weight>, WarningCode), Vec<&Warning>> = BTreeMap::new();
    for warning in plan.warnings() {
        by_code.entry((Reverse(warning.weight), warning.code)).or_default().push(warning);
    }
    let section = move |((Reverse(weight), code), warnings): ((_, WarningCode), Vec<&'a Warning>)| {
        let heading = match weight {
            Weight::Note => format!("warning {code}"),
            Weight::Unless(permit) => format!("warning {code} (run refuses without {})", permit.flag()),
            Weight::Refuse => format!("warning {code} (run refuses)"),
        };
        headed(heading, warnings.into_iter().map(|warning| format!("  {warning}")), detail)
    };
    Box::new(by_code.into_iter().flat_map(section))
}

fn totals(plan: &Plan) -> String {
    let totals = plan.totals();
    if totals.partitions == 0 {
        return "nothing to migrate".to_owned();
    }
    let bytes = totals.bytes.map_or_else(String::new, |bytes| format!(", about {}", Bytes(bytes)));
    let records: &dyn Display = &Count(totals.records);
    format!(
        "{records} records{bytes} to migrate in {} of {}",
        many(totals.partitions, "partition"),
        many(totals.topics, "topic")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{Scene, example};

    #[test]
    fn the_script_s_example_reads_as_its_users_know_it() {
        let scene = example().broker_configs(&[("offsets.retention.minutes", "10080")]).there("test3", &[(0, 7)]);
        let expected = "\
Prepare to migrate
from 10.0.0.1:9092 (cluster ckafka-47bd7goz) to broker.example:9094 (cluster ckafka-kzamzogr)

topic  partition    start      end  records  start set by   reason
test3          0  187,800  264,322   76,522  test123-group  unread

skip migrate... test1/0: expired: test123-group committed 3,713, but the log starts at 5,226, which is also the end
skip migrate... test2/0: consumed: test123-group committed 1,000, which is the end
skip migrate... test4/0: empty: the log starts and ends at 0

group          topic  partitions  unread records
test123-group  test1           1               0
test123-group  test2           1               0
test123-group  test3           1          76,522
test34-group   test3           1          63,322
test34-group   test4           1               0

3 topics to create on the target
  test1 (1 partition)
  test2 (1 partition)
  test4 (1 partition)

warning not_empty (run refuses without --append)
  test3/0: the target holds 7 records already; if an earlier run wrote them, use its --report FILE, not --append
warning expired
  test1/0: test123-group committed 3,713, but the log starts at 5,226: 1,513 offsets are gone from the source
warning offsets_expire
  the target forgets the committed offsets of a group without consumers after 7 days; start the consumers there before, \
or raise offsets.retention.minutes

76,522 records to migrate in 1 partition of 1 topic
";
        assert_eq!(plan(&scene.plan(), Detail::Whole).to_string(), expected);
        assert_eq!(Detail::for_screen(&scene.plan()), Detail::Whole);
    }

    #[test]
    fn thousands_of_partitions_are_a_line_per_topic_on_a_screen_and_whole_in_the_log() {
        let mut scene = Scene::new();
        let all: Vec<i32> = (0..400).collect();
        for topic in ["a", "b", "c"] {
            scene = scene.topic(topic, &[(0, 1_000); 400]).there(topic, &[(0, 5); 400]);
        }
        let commits: Vec<_> = all.iter().flat_map(|&number| [("a", number, 10), ("b", number, 1_000)]).collect();
        scene = scene.group("first", &commits).group("second", &[("c", 0, 4)]);
        let made = scene.plan();
        assert_eq!(Detail::for_screen(&made), Detail::Topics);
        let expected = "\
Prepare to migrate
from 10.0.0.1:9092 (cluster ckafka-47bd7goz) to broker.example:9094 (cluster ckafka-kzamzogr)

topic  partitions  records  starts set by
a      400 of 400  396,000  first
c      400 of 400  399,996  second

skip migrate... 400 partitions: consumed

group   topic  partitions  unread records
first   a             400         396,000
first   b             400               0
second  c               1             996

warning not_empty (run refuses without --append)
  a/0: the target holds 5 records already; if an earlier run wrote them, use its --report FILE, not --append
  a/1: the target holds 5 records already; if an earlier run wrote them, use its --report FILE, not --append
  a/2: the target holds 5 records already; if an earlier run wrote them, use its --report FILE, not --append
  a/3: the target holds 5 records already; if an earlier run wrote them, use its --report FILE, not --append
  a/4: the target holds 5 records already; if an earlier run wrote them, use its --report FILE, not --append
  … and 795 more in the log
warning undecided
  c/1: second: commits on the topic, but none on this partition: it moves from the log start, so that nothing can be missed
  c/2: second: commits on the topic, but none on this partition: it moves from the log start, so that nothing can be missed
  c/3: second: commits on the topic, but none on this partition: it moves from the log start, so that nothing can be missed
  c/4: second: commits on the topic, but none on this partition: it moves from the log start, so that nothing can be missed
  c/5: second: commits on the topic, but none on this partition: it moves from the log start, so that nothing can be missed
  … and 394 more in the log

795,996 records to migrate in 800 partitions of 2 topics
";
        assert_eq!(plan(&made, Detail::Topics).to_string(), expected);
        let whole = plan(&made, Detail::Whole).to_string();
        assert_eq!(whole.lines().filter(|line| line.starts_with("skip migrate... b/")).count(), 400);
        assert_eq!(whole.lines().filter(|line| line.starts_with("c ")).count(), 400);
        assert!(!whole.contains('…'));
    }

    #[test]
    fn an_empty_plan_says_so() {
        let text = plan(&Scene::new().plan(), Detail::Whole).to_string();
        assert!(text.starts_with("Prepare to migrate\n"), "{text}");
        assert!(text.ends_with("\nnothing to migrate\n"), "{text}");
    }
}
