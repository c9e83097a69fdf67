//! What follows from the age of the records to be moved.
//!
//! Brokers answer "the first offset whose record is not older than a time". Each question here names the time it is
//! about, so that the survey asks exactly for these, and reads the answer of each partition.

use std::collections::{BTreeMap, BTreeSet};

use super::pair::{Pair, pairs};
use super::{Rules, partitions, select};
use crate::kafka::units::Count;
use crate::kafka::{Offset, Span, TopicName, TopicPartition};
use crate::plan::facts::{SourcePartition, Survey};
use crate::plan::plan::LanePlan;
use crate::plan::warning::{Permit, Warning, WarningCode, Weight};
use crate::topics::{AFTER, BEFORE, Effective, timestamp_limit};

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
    /// Are some older than this setting of the target allows?
    TooOld(&'static str),
    /// Are some further in the future than this setting of the target allows?
    TooNew(&'static str),
}

/// Behind it lie all records that have a timestamp. One without (-1) is never refused, and no broker deletes it for its
/// age: a log segment without timestamps is as old as its file.
const EPOCH: i64 = 0;

impl Question {
    /// Whether records without a timestamp are none of those it is about.
    const fn is_of_timestamps(self) -> bool {
        // Of a producer without timestamps brokers think that it was last seen before 1970.
        !matches!(self, Self::ProducerState)
    }

    /// Whether it is about the records in front of the one that the broker names, not about that one.
    const fn is_of_old(self) -> bool {
        !matches!(self, Self::TooNew(_))
    }
}

/// The times (ms since 1970) that the rules ask about, by topic. `survey` needs no answers yet.
pub fn times_needed(survey: &Survey, rules: &Rules<'_>) -> BTreeMap<TopicName, BTreeSet<i64>> {
    let taken = select(&survey.source.groups, &survey.source.names, rules);
    let pairs = pairs(survey, &taken.topics, rules);
    let times = |pair: &Pair<'_>| {
        let asked = questions(pair, survey);
        let timed = asked.iter().any(|(question, ..)| question.is_of_timestamps()).then_some(EPOCH);
        asked.into_iter().map(|(_, at, _)| at).chain(timed).collect()
    };
    pairs.iter().map(|pair| (pair.name.clone(), times(pair))).collect()
}

/// Says what the answers mean for the lanes of a topic.
pub(super) fn ages(pair: &Pair<'_>, survey: &Survey, partitions: &[LanePlan], warnings: &mut Vec<Warning>) {
    for (question, at, limit) in questions(pair, survey) {
        for lane in pair.lanes(partitions) {
            let Some(seen) = pair.source.partitions.get(&lane.at.partition) else { continue };
            let Some(first) = seen.first_since.get(&at) else { continue };
            let span = Span { start: begin(question, seen, lane.span), end: lane.span.end };
            warnings.extend(answer(question, limit, *first, span, lane));
        }
    }
}

/// The starts of lanes of which the answers say that what is there is too old, up to the first record that is not. It may
/// be that nothing is there: the cleaner leaves gaps, and so do the markers of transactions. Those that would stop a run
/// come first. `survey` has the answers.
pub fn gaps_in_question(survey: &Survey, rules: &Rules<'_>) -> Vec<(TopicPartition, Span)> {
    let taken = select(&survey.source.groups, &survey.source.names, rules);
    let pairs = pairs(survey, &taken.topics, rules);
    let partitions = partitions(&pairs, &taken.groups, rules.undecided, &mut Vec::new());
    let mut starts: BTreeMap<&TopicPartition, (bool, Span)> = BTreeMap::new();
    for pair in &pairs {
        for (question, at, _) in questions(pair, survey).into_iter().filter(|(question, ..)| question.is_of_old()) {
            for lane in pair.lanes(&partitions) {
                let Some(seen) = pair.source.partitions.get(&lane.at.partition) else { continue };
                let Some(first) = seen.first_since.get(&at) else { continue };
                let older = older(*first, lane.span);
                // Anything behind the start is a record that a broker named.
                if older.is_empty() || begin(question, seen, lane.span) > lane.span.start {
                    continue;
                }
                let (harmless, widest) = starts.entry(&lane.at).or_insert((true, older));
                *harmless &= question != Question::ExpiresOnArrival;
                widest.end = widest.end.max(older.end);
            }
        }
    }
    let mut starts: Vec<_> = starts.into_iter().collect();
    starts.sort_by_key(|&(at, (harmless, _))| (harmless, at.partition, &at.topic));
    starts.into_iter().map(|(at, (_, span))| (at.clone(), span)).collect()
}

/// Where the first record of a lane is that a question can be about.
fn begin(question: Question, seen: &SourcePartition, lane: Span) -> Offset {
    let timed = seen.first_since.get(&EPOCH).filter(|_| question.is_of_timestamps());
    let start = timed.map_or(lane.start, |timed| timed.unwrap_or(lane.end).max(lane.start));
    seen.gap.filter(|gap| gap.contains(start)).map_or(start, |gap| gap.end)
}

/// The offsets in front of the first record that is not older.
fn older(first: Option<Offset>, span: Span) -> Span {
    Span { start: span.start, end: first.map_or(span.end, |first| first.min(span.end)) }
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
    let limit = |newer| timestamp_limit(|name| pair.target_number(name), newer);
    if let Some((before, setting)) = limit(BEFORE) {
        asked.push((Question::TooOld(setting), ago(before), before));
    }
    if let Some((after, setting)) = limit(AFTER) {
        asked.push((Question::TooNew(setting), now.saturating_add(after).saturating_add(1), after));
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

/// `span`: those records of the lane that the question is about.
fn answer(question: Question, limit: i64, first: Option<Offset>, span: Span, lane: &LanePlan) -> Option<Warning> {
    if let Question::TooNew(setting) = question {
        let first = first.filter(|first| span.contains(*first))?;
        let message = format!(
            "the record at {} is further in the future than the {} the target takes",
            Count(first.get()),
            time(limit)
        );
        let warning = Warning::new(WarningCode::TimestampRejected, message).at(&lane.at);
        return Some(warning.advice(format!("raise {setting} of the target's topic")));
    }
    let older = older(first, span);
    if older.is_empty() {
        return None;
    }
    // Not every offset behind the first record need hold one.
    let (count, limit) = (format!("up to {}", Count(older.len())), time(limit));
    let (code, weight, message, advice) = match question {
        Question::Expiring => (
            WarningCode::Expiring,
            Weight::Note,
            format!("{count} records are about as old as the {limit} the source keeps them: it may delete them first"),
            "raise retention.ms of the source's topic until they have moved".to_owned(),
        ),
        Question::ExpiresOnArrival => (
            WarningCode::ExpiresOnArrival,
            Weight::Unless(Permit::AllowExpiry),
            format!("{count} records are older than the {limit} the target keeps them: it would delete what arrives"),
            "raise retention.ms of the target's topic".to_owned(),
        ),
        Question::ProducerState => (
            WarningCode::ProducerStateShort,
            Weight::Note,
            format!("{count} records are older than the {limit} the target remembers producers: one batch at a time"),
            String::new(),
        ),
        Question::TooOld(setting) | Question::TooNew(setting) => (
            WarningCode::TimestampRejected,
            Weight::Note,
            format!("{count} records are older than the {limit} the target takes"),
            format!("raise {setting} of the target's topic"),
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
