//! Each rule of a plan on a survey made by hand.

mod activity;
mod age;
mod bounds;
mod codecs;
mod properties;
mod select;
mod target;
mod transactions;

use crate::kafka::{PartitionId, TopicName};
use crate::plan::{LanePlan, Plan, WarningCode};

/// The only partition 0 of a topic.
fn lane<'a>(plan: &'a Plan, topic: &str) -> &'a LanePlan {
    partition(plan, topic, 0)
}

fn partition<'a>(plan: &'a Plan, topic: &str, number: i32) -> &'a LanePlan {
    let here = |lane: &&LanePlan| lane.at.topic.as_str() == topic && lane.at.partition == PartitionId(number);
    plan.partitions().iter().find(here).expect("a planned partition")
}

fn taken(plan: &Plan) -> Vec<&str> {
    plan.topics().keys().map(TopicName::as_str).collect()
}

/// The texts of the warnings with this code.
fn said(plan: &Plan, code: WarningCode) -> Vec<String> {
    plan.warnings().iter().filter(|warning| warning.code == code).map(ToString::to_string).collect()
}

/// The codes that keep a run without permits from starting.
fn refused(plan: &Plan) -> Vec<&'static str> {
    plan.refusals(&std::collections::BTreeSet::new()).iter().map(|refusal| refusal.code.as_str()).collect()
}
