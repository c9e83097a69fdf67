//! The plan: which records of which partitions move, what stays and why. Once made it cannot change.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::facts::{ClusterIdentity, GroupKind};
use super::warning::{Permit, Refusal, Warning, WarningCode, Weight};
use crate::batch::CodecSet;
use crate::kafka::{GroupId, Offset, Span, TopicId, TopicName, TopicPartition};
use crate::topics::Mirrored;

/// Whether a partition is a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Its records move.
    Migrate,
    /// Nothing of it moves.
    Skip,
}

/// Why a partition's span is what it is: the first that fits, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The commits do not say what is unread; `plan.undecided` chose the start.
    Undecided,
    /// The smallest commit lies below the log start.
    Expired,
    /// The log holds nothing.
    Empty,
    /// Everything has been read.
    Consumed,
    /// There is something to read.
    Unread,
}

impl Reason {
    /// The word, as the JSON and the text show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Expired => "expired",
            Self::Empty => "empty",
            Self::Consumed => "consumed",
            Self::Unread => "unread",
        }
    }
}

/// A committed offset to translate: where a group goes on reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The group.
    pub group: GroupId,
    /// The first offset the group has not read and can still read: its commit, raised to the span's start where that
    /// has expired, lowered to the span's end where it lies behind the last stable offset. Both bounds are inclusive.
    pub source: Offset,
}

/// What happens to one partition. It is a lane where its span holds something, and skipped otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LanePlan {
    /// The partition, the same on both sides.
    pub at: TopicPartition,
    /// The source topic's id, where the brokers have ids.
    pub topic_id: Option<TopicId>,
    /// What moves; its end is the last stable offset.
    pub span: Span,
    /// Why the span is what it is.
    pub reason: Reason,
    /// The group whose commit sets the start; `None` where none does.
    pub group: Option<GroupId>,
    /// The smallest usable commit, also where it has expired; `None` where there is none.
    pub committed: Option<Offset>,
    /// The log start.
    pub earliest: Offset,
    /// How many offsets lie between the commit and the log start.
    pub expired: i64,
    /// How many offsets behind the span are held back by an open transaction.
    pub held_back: i64,
    /// About how many bytes the span holds; `None` where that is not known.
    pub bytes: Option<u64>,
    /// Where each selected group with a usable commit goes on, ordered by source offset, then group.
    pub marks: Vec<Mark>,
}

impl LanePlan {
    /// How many offsets move: an upper bound of the records, as logs have gaps.
    pub const fn records(&self) -> i64 {
        self.span.len()
    }

    /// Whether it is a lane.
    pub const fn action(&self) -> Action {
        if self.span.is_empty() { Action::Skip } else { Action::Migrate }
    }
}

/// A selected group with commits on the topics of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupPlan {
    /// Its id.
    pub id: GroupId,
    /// Its kind.
    pub kind: GroupKind,
    /// Its state as the broker spells it; `None` where it may not be described.
    pub state: Option<String>,
    /// How many members it has; `None` where it may not be described.
    pub members: Option<usize>,
    /// Its commits on topics of the plan, by partition.
    pub commits: Vec<GroupCommit>,
}

/// One commit of a [`GroupPlan`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupCommit {
    /// The partition.
    pub at: TopicPartition,
    /// The offset as the source holds it.
    pub committed: Offset,
    /// How many offsets of the lane the group has not read; 0 also for a commit beyond the log's end.
    pub unread: i64,
}

/// Sums over the lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Topics with at least one lane.
    pub topics: usize,
    /// Lanes.
    pub partitions: usize,
    /// Offsets to move, an upper bound of the records.
    pub records: i64,
    /// About how many bytes; `None` where one lane's are not known.
    pub bytes: Option<u64>,
}

/// What would be moved, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan(Parts);

/// What a plan is made of, named once for the rules that make it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Parts {
    pub(super) at_ms: i64,
    pub(super) source: ClusterIdentity,
    pub(super) target: ClusterIdentity,
    pub(super) codecs: CodecSet,
    pub(super) topics: BTreeMap<TopicName, i32>,
    pub(super) partitions: Vec<LanePlan>,
    pub(super) groups: Vec<GroupPlan>,
    pub(super) create: Vec<Mirrored>,
    pub(super) left_out: BTreeSet<TopicName>,
    pub(super) warnings: Vec<Warning>,
}

impl Plan {
    /// Fixes the parts: partitions by topic and number, groups by id, warnings by weight, code and place.
    pub(super) fn new(mut parts: Parts) -> Self {
        parts.partitions.sort_by(|a, b| a.at.cmp(&b.at));
        parts.groups.sort_by(|a, b| a.id.cmp(&b.id));
        parts.warnings.sort_by(|a, b| {
            let rank = |warning: &Warning| (Reverse(warning.weight), warning.code);
            rank(a).cmp(&rank(b)).then_with(|| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)))
        });
        Self(parts)
    }

    /// With more to know before a run.
    #[must_use]
    pub fn warned(mut self, more: Vec<Warning>) -> Self {
        self.0.warnings.extend(more);
        Self::new(self.0)
    }

    /// When the survey began, in milliseconds since 1970 UTC.
    pub const fn at_ms(&self) -> i64 {
        self.0.at_ms
    }

    /// The cluster that is read.
    pub const fn source(&self) -> &ClusterIdentity {
        &self.0.source
    }

    /// The cluster that is written.
    pub const fn target(&self) -> &ClusterIdentity {
        &self.0.target
    }

    /// The codecs that the target's brokers can store.
    pub const fn codecs(&self) -> CodecSet {
        self.0.codecs
    }

    /// The topics that are taken, with the source's partition counts.
    pub const fn topics(&self) -> &BTreeMap<TopicName, i32> {
        &self.0.topics
    }

    /// Every partition of the topics that are taken, by topic and number, skipped ones too.
    pub fn partitions(&self) -> &[LanePlan] {
        &self.0.partitions
    }

    /// One of them.
    pub fn partition(&self, at: &TopicPartition) -> Option<&LanePlan> {
        let place = self.0.partitions.binary_search_by(|lane| lane.at.cmp(at)).ok()?;
        self.0.partitions.get(place)
    }

    /// The partitions to move, by topic and number.
    pub fn lanes(&self) -> impl Iterator<Item = &LanePlan> + Clone {
        self.0.partitions.iter().filter(|lane| lane.action() == Action::Migrate)
    }

    /// The selected groups with commits on the topics that are taken, by id.
    pub fn groups(&self) -> &[GroupPlan] {
        &self.0.groups
    }

    /// The topics that the target lacks, as they must be created there, by name.
    pub fn create(&self) -> &[Mirrored] {
        &self.0.create
    }

    /// The topics that selected groups have commits on, and that are not moved: internal or gone.
    pub const fn left_out(&self) -> &BTreeSet<TopicName> {
        &self.0.left_out
    }

    /// What to know before a run, the gravest first.
    pub fn warnings(&self) -> &[Warning] {
        &self.0.warnings
    }

    /// Sums over the lanes.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { bytes: Some(0), ..Totals::default() };
        let mut topics = BTreeSet::new();
        for lane in self.lanes() {
            topics.insert(&lane.at.topic);
            totals.partitions += 1;
            totals.records = totals.records.saturating_add(lane.records());
            totals.bytes = totals.bytes.zip(lane.bytes).map(|(sum, bytes)| sum.saturating_add(bytes));
        }
        totals.topics = topics.len();
        totals
    }

    /// Why a run with these permits must not start: one entry per code; none where it may.
    pub fn refusals(&self, permits: &BTreeSet<Permit>) -> Vec<Refusal> {
        self.refusals_besides(permits, |_| false)
    }

    /// As [`Self::refusals`], where the migration remembers partitions that are `ours`: what they hold is no reason.
    pub fn refusals_besides(&self, permits: &BTreeSet<Permit>, ours: impl Fn(&TopicPartition) -> bool) -> Vec<Refusal> {
        let appends = |warning: &Warning| {
            let at = warning.topic.clone().zip(warning.partition);
            at.is_some_and(|(topic, partition)| ours(&TopicPartition { topic, partition }))
        };
        let stops = |warning: &&Warning| match warning.weight {
            Weight::Note => false,
            Weight::Unless(Permit::Append) if appends(warning) => false,
            Weight::Unless(permit) => !permits.contains(&permit),
            Weight::Refuse => true,
        };
        let mut refusals: BTreeMap<WarningCode, Refusal> = BTreeMap::new();
        for warning in self.0.warnings.iter().filter(stops) {
            refusals.entry(warning.code).and_modify(|refusal| refusal.others += 1).or_insert_with(|| Refusal {
                code: warning.code,
                first: warning.clone(),
                others: 0,
            });
        }
        refusals.into_values().collect()
    }
}
