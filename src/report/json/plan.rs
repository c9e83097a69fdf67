//! The plan as one JSON document, version 1: written by `kferry plan --output json`, and readable again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::plan::facts::ClusterIdentity;
use crate::plan::{self, Action, GroupPlan, LanePlan, Plan, Reason};

/// The document. A key whose value is not known is `null`, never missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanDoc<'a> {
    /// Always 1.
    pub version: u32,
    /// The cluster that is read.
    pub source: ClusterDoc,
    /// The cluster that is written.
    pub target: ClusterDoc,
    /// Every partition of the topics that are taken, by topic and number.
    pub partitions: Vec<PartitionDoc>,
    /// Every commit of the selected groups on these topics, by group, topic and number.
    pub groups: Vec<GroupDoc<'a>>,
    /// Sums over the partitions to migrate.
    pub totals: TotalsDoc,
    /// What to know before a run.
    pub warnings: Vec<WarningDoc>,
}

/// A cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterDoc {
    /// The id its brokers tell.
    pub cluster_id: Option<String>,
    /// The addresses kferry was given, `host:port`.
    pub bootstrap: Vec<String>,
}

/// What happens to a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionDoc {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The group that sets the start.
    pub group: Option<String>,
    /// The smallest usable commit.
    pub committed: Option<i64>,
    /// The log start.
    pub earliest: i64,
    /// The first offset to move.
    pub start: i64,
    /// The offset behind the last one to move.
    pub end: i64,
    /// `end - start`: an upper bound where the log has gaps.
    pub records: i64,
    /// An estimate of their size.
    pub bytes: Option<u64>,
    /// Whether it moves.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Offsets between the commit and the log start.
    pub expired: i64,
}

/// A group's commit on a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupDoc<'a> {
    /// The group.
    pub group: Cow<'a, str>,
    /// Its state as the broker spells it.
    pub state: Option<Cow<'a, str>>,
    /// The topic.
    pub topic: Cow<'a, str>,
    /// The partition's number.
    pub partition: i32,
    /// The offset as the source holds it.
    pub committed: i64,
}

/// Sums over the partitions to migrate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TotalsDoc {
    /// Topics.
    pub topics: usize,
    /// Partitions.
    pub partitions: usize,
    /// Records, an upper bound.
    pub records: i64,
    /// An estimate of their size.
    pub bytes: Option<u64>,
}

/// A warning of any document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WarningDoc {
    /// What it is about; new codes may be added.
    pub code: String,
    /// The topic it is about.
    pub topic: Option<String>,
    /// The partition it is about.
    pub partition: Option<i32>,
    /// The words.
    pub message: String,
}

impl<'a> From<&'a Plan> for PlanDoc<'a> {
    fn from(plan: &'a Plan) -> Self {
        let totals = plan.totals();
        // There may be a million of them.
        let mut groups = Vec::with_capacity(plan.groups().iter().map(|group| group.commits.len()).sum());
        groups.extend(plan.groups().iter().flat_map(commits));
        Self {
            version: 1,
            source: plan.source().into(),
            target: plan.target().into(),
            partitions: plan.partitions().iter().map(PartitionDoc::from).collect(),
            groups,
            totals: TotalsDoc {
                topics: totals.topics,
                partitions: totals.partitions,
                records: totals.records,
                bytes: totals.bytes,
            },
            warnings: plan.warnings().iter().map(WarningDoc::from).collect(),
        }
    }
}

impl From<&ClusterIdentity> for ClusterDoc {
    fn from(identity: &ClusterIdentity) -> Self {
        let bootstrap = identity.bootstrap.iter().map(ToString::to_string).collect();
        Self { cluster_id: identity.id.clone(), bootstrap }
    }
}

impl From<&LanePlan> for PartitionDoc {
    fn from(lane: &LanePlan) -> Self {
        Self {
            topic: lane.at.topic.to_string(),
            partition: lane.at.partition.get(),
            group: lane.group.as_ref().map(ToString::to_string),
            committed: lane.committed.map(|offset| offset.get()),
            earliest: lane.earliest.get(),
            start: lane.span.start.get(),
            end: lane.span.end.get(),
            records: lane.records(),
            bytes: lane.bytes,
            action: lane.action(),
            reason: lane.reason,
            expired: lane.expired,
        }
    }
}

impl From<&plan::Warning> for WarningDoc {
    fn from(warning: &plan::Warning) -> Self {
        Self {
            code: warning.code.to_string(),
            topic: warning.topic.as_ref().map(ToString::to_string),
            partition: warning.partition.map(|partition| partition.get()),
            message: warning.words(),
        }
    }
}

fn commits(group: &GroupPlan) -> impl Iterator<Item = GroupDoc<'_>> {
    group.commits.iter().map(|commit| GroupDoc {
        group: group.id.as_str().into(),
        state: group.state.as_deref().map(Cow::from),
        topic: commit.at.topic.as_str().into(),
        partition: commit.at.partition.get(),
        committed: commit.committed.get(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{Scene, example};

    #[test]
    fn the_script_s_example_as_a_document() {
        let plan = example().plan();
        let document = PlanDoc::from(&plan);
        let partition = |topic, group, committed, earliest, start, end, records, action, reason, expired| {
            json!({"topic": topic, "partition": 0, "group": group, "committed": committed, "earliest": earliest,
                   "start": start, "end": end, "records": records, "bytes": null, "action": action, "reason": reason,
                   "expired": expired})
        };
        let group = |group, topic, committed| json!({"group": group, "state": "Empty", "topic": topic, "partition": 0, "committed": committed});
        let (g123, g34) = ("test123-group", "test34-group");
        let expected = json!({
            "version": 1,
            "source": {"cluster_id": "ckafka-47bd7goz", "bootstrap": ["10.0.0.1:9092"]},
            "target": {"cluster_id": "ckafka-kzamzogr", "bootstrap": ["broker.example:9094"]},
            "partitions": [
                partition("test1", g123, 3_713, 5_226, 5_226, 5_226, 0, "skip", "expired", 1_513),
                partition("test2", g123, 1_000, 0, 1_000, 1_000, 0, "skip", "consumed", 0),
                partition("test3", g123, 187_800, 120_000, 187_800, 264_322, 76_522, "migrate", "unread", 0),
                partition("test4", g34, 0, 0, 0, 0, 0, "skip", "empty", 0),
            ],
            "groups": [
                group(g123, "test1", 3_713),
                group(g123, "test2", 1_000),
                group(g123, "test3", 187_800),
                group(g34, "test3", 201_000),
                group(g34, "test4", 0),
            ],
            "totals": {"topics": 1, "partitions": 1, "records": 76_522, "bytes": null},
            "warnings": [{
                "code": "expired",
                "topic": "test1",
                "partition": 0,
                "message": "test123-group committed 3,713, but the log starts at 5,226: 1,513 offsets are gone from the \
                            source",
            }],
        });
        assert_eq!(serde_json::to_value(&document).expect("JSON"), expected);
    }

    #[test]
    fn what_is_not_known_is_null_and_a_document_reads_back_as_written() {
        let mut scene = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 99)]);
        (scene.survey.source.identity.id, scene.group_mut("g").state) = (None, None);
        let plan = scene.plan();
        let document = PlanDoc::from(&plan);
        let written = serde_json::to_value(&document).expect("JSON");
        for unknown in ["/source/cluster_id", "/partitions/0/group", "/partitions/0/committed", "/groups/0/state"] {
            assert_eq!(written.pointer(unknown), Some(&Value::Null), "{unknown}");
        }
        let mut later = written;
        later["new"] = json!("field");
        assert_eq!(serde_json::from_value::<PlanDoc<'_>>(later).expect("a plan"), document);
    }
}
