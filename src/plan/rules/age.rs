//! What follows from the age of the records to be moved.
//!
//! Brokers answer "the first offset whose record is not older than a time". Each question here names the time it is
//! about, so that the survey asks exactly for these, and reads the answer of each partition.

use std::collections::{BTreeMap, BTreeSet};

use super::pair::{Pair, pairs};
use super::{Rules, select};
use crate::kafka::units::Count;
use crate::kafka::{Offset, Span, TopicName};
use crate::plan::facts::Survey;
use crate::plan::plan::LanePlan;
use crate::plan::warning::{Permit, Warning, WarningCode, Weight};
use crate::topics::Effective;

const HOUR_MS: i64 = 3_600_000;

/// A question about the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Question {
    /// Does the source delete some within the next hour?
    Expiring,
    /// Would the target delete some that the source keeps?
    ExpiresOnArrival,
    /// Would the target forget their producer?
    ProducerState,
    /// Are some older than the target takes?
    TooOld,
    /// Are some further in the future than the target takes?
    TooNew,
}

/// The times (ms since 1970) that the rules ask about, by topic. `survey` needs no answers yet.
pub fn times_needed(survey: &Survey, rules: &Rules<'_>) -> BTreeMap<TopicName, BTreeSet<i64>> {
    let taken = select(&survey.source.groups, &survey.source.names, rules);
    let pairs = pairs(survey, &taken.topics, rules);
    let times = |pair: &Pair<'_>| questions(pair, survey).into_iter().map(|(_, at, _)| at).collect();
    pairs.iter().map(|pair| (pair.name.clone(), times(pair))).collect()
}

/// Says what the answers mean for the lanes of a topic.
pub(super) fn ages(pair: &Pair<'_>, survey: &Survey, partitions: &[LanePlan], warnings: &mut Vec<Warning>) {
    for (question, at, limit) in questions(pair, survey) {
        for lane in pair.lanes(partitions) {
            let seen = pair.source.partitions.get(&lane.at.partition);
            let Some(first) = seen.and_then(|seen| seen.first_since.get(&at)) else { continue };
            warnings.extend(answer(question, limit, *first, lane));
        }
    }
}

/// The questions that can be asked of a topic: each with its time, and the limit in ms it comes from.
fn questions(pair: &Pair<'_>, survey: &Survey) -> Vec<(Question, i64, i64)> {
    let now = survey.at_ms;
    let ago = |age: i64| now.saturating_sub(age);
    let mut asked = Vec::new();
    let kept = retention(pair.source_value("cleanup.policy"), pair.source_number("retention.ms"));
    if let Some(kept) = kept.filter(|&kept| kept < i64::MAX) {
        asked.push((Question::Expiring, ago(kept.saturating_sub(HOUR_MS)), kept));
    }
    let there = retention(pair.target_value("cleanup.policy").as_deref(), pair.target_number("retention.ms"));
    if let (Some(kept), Some(there)) = (kept, there)
        && there < kept
    {
        asked.push((Question::ExpiresOnArrival, ago(there), there));
    }
    if pair.target_value("message.timestamp.type").as_deref() == Some("LogAppendTime") {
        return asked;
    }
    let broker = |name| survey.target.broker_configs.as_ref().and_then(|configs| configs.number(name));
    // KIP-854 (Kafka 3.4) gave producers a setting of their own.
    if let Some(expiry) = broker("producer.id.expiration.ms").or_else(|| broker("transactional.id.expiration.ms")) {
        asked.push((Question::ProducerState, ago(expiry), expiry));
    }
    // KIP-937 (Kafka 3.6) split the older setting in two; it holds in both directions.
    let both = pair.target_number("message.timestamp.difference.max.ms");
    let limit = |name| pair.target_number(name).or(both).filter(|&limit| limit < i64::MAX);
    if let Some(before) = limit("message.timestamp.before.max.ms") {
        asked.push((Question::TooOld, ago(before), before));
    }
    if let Some(after) = limit("message.timestamp.after.max.ms") {
        asked.push((Question::TooNew, now.saturating_add(after).saturating_add(1), after));
    }
    asked
}

/// How long records are kept, in ms; `i64::MAX` for ever. `None` where it is not known.
fn retention(policy: Option<&str>, ms: Option<i64>) -> Option<i64> {
    if !policy?.split(',').any(|part| part.trim() == "delete") {
        return Some(i64::MAX);
    }
    ms.map(|ms| if ms < 0 { i64::MAX } else { ms })
}

fn answer(question: Question, limit: i64, first: Option<Offset>, lane: &LanePlan) -> Option<Warning> {
    let span = lane.span;
    if question == Question::TooNew {
        let first = first.filter(|first| span.contains(*first))?;
        let message = format!(
            "the record at {} is further in the future than the {} the target takes",
            Count(first.get()),
            time(limit)
        );
        let warning = Warning::new(WarningCode::TimestampRejected, message).at(&lane.at);
        return Some(warning.advice("raise message.timestamp.after.max.ms of the target's topic"));
    }
    let older = Span { start: span.start, end: first.map_or(span.end, |first| first.min(span.end)) };
    if older.is_empty() {
        return None;
    }
    let (count, limit) = (Count(older.len()), time(limit));
    let (code, weight, message, advice) = match question {
        Question::Expiring => (
            WarningCode::Expiring,
            Weight::Note,
            format!("{count} records are about as old as the {limit} the source keeps them: it may delete them first"),
            "raise retention.ms of the source's topic until they have moved",
        ),
        Question::ExpiresOnArrival => (
            WarningCode::ExpiresOnArrival,
            Weight::Unless(Permit::AllowExpiry),
            format!("{count} records are older than the {limit} the target keeps them: it would delete what arrives"),
            "raise retention.ms of the target's topic",
        ),
        Question::ProducerState => (
            WarningCode::ProducerStateShort,
            Weight::Note,
            format!("{count} records are older than the {limit} the target remembers producers: one batch at a time"),
            "",
        ),
        Question::TooOld | Question::TooNew => (
            WarningCode::TimestampRejected,
            Weight::Note,
            format!("{count} records are older than the {limit} the target takes"),
            "raise message.timestamp.before.max.ms of the target's topic",
        ),
    };
    Some(Warning::new(code, message).at(&lane.at).weight(weight).advice(advice))
}

/// A limit as an operator thinks of it.
fn time(ms: i64) -> String {
    match ms {
        _ if ms != 0 && ms % 86_400_000 == 0 => format!("{} d", Count(ms / 86_400_000)),
        _ if ms != 0 && ms % HOUR_MS == 0 => format!("{} h", ms / HOUR_MS),
        _ => format!("{} ms", Count(ms)),
    }
}
