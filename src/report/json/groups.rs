//! The entries of `groups` in the document of a run.

use serde::{Deserialize, Serialize};

use crate::offsets::GroupOutcome;

/// What became of a group's commit on one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupDoc {
    /// The group.
    pub group: String,
    /// The topic, the same on both sides.
    pub topic: String,
    /// The partition, the same on both sides.
    pub partition: i32,
    /// The group's commit on the source; null where it has none.
    pub source_offset: Option<i64>,
    /// Where that lies on the target; null where that is not known, or means nothing.
    pub target_offset: Option<i64>,
    /// `committed`, `kept`, `none`, `active`, `failed` or `uncovered`.
    pub outcome: String,
    /// Why, where the outcome does not say it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl From<&GroupOutcome> for GroupDoc {
    fn from(ended: &GroupOutcome) -> Self {
        Self {
            group: ended.group.to_string(),
            topic: ended.at.topic.to_string(),
            partition: ended.at.partition.get(),
            source_offset: ended.source.map(|offset| offset.get()),
            target_offset: ended.target.map(|offset| offset.get()),
            outcome: ended.outcome.as_str().to_owned(),
            why: ended.why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kafka::{GroupId, Offset, TopicPartition};
    use crate::offsets::Outcome;

    #[test]
    fn an_entry_has_the_stable_fields_and_reads_back_as_written() {
        let mut ended = GroupOutcome {
            group: GroupId::from("billing"),
            at: TopicPartition::new("orders", 3),
            source: Some(Offset(1_000)),
            target: Some(Offset(17)),
            outcome: Outcome::Committed,
            why: None,
        };
        let written = serde_json::to_value(GroupDoc::from(&ended)).expect("JSON");
        let expected = json!({
            "group": "billing", "topic": "orders", "partition": 3, "source_offset": 1_000, "target_offset": 17,
            "outcome": "committed",
        });
        assert_eq!(written, expected);
        (ended.source, ended.target, ended.outcome) = (None, None, Outcome::None);
        let document = GroupDoc::from(&ended);
        let mut written = serde_json::to_value(&document).expect("JSON");
        assert_eq!((&written["source_offset"], &written["outcome"]), (&json!(null), &json!("none")));
        written["new"] = json!("field");
        assert_eq!(serde_json::from_value::<GroupDoc>(written).expect("an entry"), document);
    }
}
