//! The Java client as a scenario's hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::hand::{At, Committed, End, Hand, Reading, Writing};
use super::super::park::JavaSlot;
use super::super::record::{Digest, Fill, Record};

/// Kafka's own client, pointed at one cluster.
#[derive(Debug)]
pub struct JavaHand {
    java: Arc<JavaSlot>,
    bootstrap: String,
}

impl JavaHand {
    /// A hand for the cluster behind `bootstrap`.
    pub fn new(java: Arc<JavaSlot>, bootstrap: String) -> Self {
        Self { java, bootstrap }
    }

    /// Runs any command of the tool.
    ///
    /// # Panics
    /// With what the client threw.
    #[track_caller]
    pub fn ask(&self, name: &str, command: Value) -> Value {
        self.java.usual().ask(&self.bootstrap, name, command).unwrap_or_else(|cause| panic!("{cause}"))
    }

    /// Runs a command by the newest client.
    ///
    /// # Panics
    /// With what the client threw.
    #[track_caller]
    pub fn ask_newest(&self, name: &str, command: Value) -> Value {
        self.java.newest().ask(&self.bootstrap, name, command).unwrap_or_else(|cause| panic!("{cause}"))
    }
}

impl Hand for JavaHand {
    fn write(&self, at: At<'_>, records: &[Record], how: Writing, transaction: Option<(&str, End)>) -> Vec<i64> {
        let mut command = json!({ "topic": at.topic, "partition": at.partition, "config": config(how) });
        command["records"] = records.iter().map(Record::to_json).collect();
        if let Some((id, end)) = transaction {
            command["transaction"] = json!(id);
            command["end"] = json!(name(end));
        }
        let answer = self.ask("produce", command);
        answer["offsets"].as_array().expect("offsets").iter().map(number).collect()
    }

    fn end_transaction(&self, id: &str, end: End) {
        self.ask("end_transaction", json!({ "transaction": id, "end": name(end) }));
    }

    fn fill(&self, at: At<'_>, fill: &Fill, how: Writing) {
        let command = json!({
            "topic": at.topic, "partition": at.partition, "config": config(how),
            "count": fill.count, "size": fill.size, "seed": fill.seed, "timestamp": fill.timestamp,
        });
        self.ask("fill", command);
    }

    fn read(&self, at: At<'_>, what: Reading) -> Vec<Record> {
        let answer = self.ask("read", range(at, what));
        answer["records"].as_array().expect("records").iter().map(Record::from_json).collect()
    }

    fn digest(&self, at: At<'_>, what: Reading) -> Digest {
        let digest = self.ask("digest", range(at, what));
        Digest {
            count: digest["count"].as_u64().expect("a count"),
            crc: digest["crc"].as_u64().and_then(|crc| crc.try_into().ok()).expect("a CRC"),
        }
    }

    fn commit(&self, group: &str, at: At<'_>, committed: &Committed) {
        let offset = json!({
            "topic": at.topic, "partition": at.partition,
            "offset": committed.offset, "metadata": committed.metadata,
        });
        self.ask("commit", json!({ "group": group, "offsets": [offset] }));
    }

    fn committed(&self, group: &str) -> BTreeMap<(String, i32), Committed> {
        let answer = self.ask("committed", json!({ "group": group }));
        let entry = |offset: &Value| {
            let at = (text(&offset["topic"]), i32::try_from(number(&offset["partition"])).expect("a partition"));
            (at, Committed { offset: number(&offset["offset"]), metadata: text(&offset["metadata"]) })
        };
        answer["offsets"].as_array().expect("offsets").iter().map(entry).collect()
    }

    fn configs(&self, topic: &str) -> BTreeMap<String, String> {
        let answer = self.ask("configs", json!({ "topic": topic }));
        let configs = answer["configs"].as_object().expect("configs").iter();
        configs.filter_map(|(key, config)| Some((key.clone(), config["value"].as_str()?.to_owned()))).collect()
    }

    fn join(&self, group: &str, topic: &str) {
        self.ask("join", json!({ "group": group, "member": "holder", "topics": [topic] }));
    }

    fn leave(&self, group: &str) {
        self.ask("leave", json!({ "group": group, "member": "holder" }));
    }
}

fn config(how: Writing) -> Value {
    json!({
        "compression.type": how.codec.name(),
        "batch.size": how.batch_size.to_string(),
        "enable.idempotence": how.idempotent.to_string(),
    })
}

fn range(at: At<'_>, what: Reading) -> Value {
    let isolation = if what.committed { "read_committed" } else { "read_uncommitted" };
    json!({
        "topic": at.topic, "partition": at.partition, "from": what.from, "to": what.to,
        "config": { "isolation.level": isolation },
    })
}

fn name(end: End) -> &'static str {
    match end {
        End::Commit => "commit",
        End::Abort => "abort",
        End::Open => "open",
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
