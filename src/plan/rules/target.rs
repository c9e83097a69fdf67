//! What the target would refuse, replace or lose.

use super::codecs::codecs;
use super::pair::{Pair, There};
use super::{Rules, count, many};
use crate::kafka::units::{Bytes, Count};
use crate::kafka::{Span, TopicName, TopicPartition};
use crate::plan::facts::{Survey, TargetFacts, TargetTopic};
use crate::plan::plan::LanePlan;
use crate::plan::warning::{Permit, Warning, WarningCode, Weight};
use crate::topics::{Effective, Mirrored, command, release};

/// Slower than this over one connection, a buffer is worth a word: bytes a second.
const SLOW: f64 = 5e6;

/// Says what holds for the target as a whole.
pub(super) fn cluster(survey: &Survey, rules: &Rules<'_>, groups: usize, warnings: &mut Vec<Warning>) {
    let target = &survey.target;
    if is_same(survey) {
        let message = "both addresses lead to one and the same cluster";
        let warning = Warning::new(WarningCode::SameCluster, message).weight(Weight::Refuse);
        warnings.push(warning.advice("check them"));
    }
    if rules.translate_offsets && groups > 0 {
        warnings.extend(offsets_expire(target));
    }
    let Some(configs) = &target.broker_configs else {
        let message = "the configuration of the target's brokers may not be read: what depends on it is not predicted";
        let advice = "grant DescribeConfigs on the cluster to see more";
        warnings.push(Warning::new(WarningCode::ConfigsHidden, message).advice(advice));
        return;
    };
    let buffer = configs.number("socket.receive.buffer.bytes").and_then(|bytes| u32::try_from(bytes).ok());
    if let (Some(buffer), Some(round_trip)) = (buffer, target.round_trip) {
        let speed = f64::from(buffer) / round_trip.as_secs_f64().max(1e-6);
        if speed < SLOW {
            let message = format!(
                "the target's socket.receive.buffer.bytes of {} allows about {:.1} MB/s per connection at {} ms",
                Count(i64::from(buffer)),
                speed / 1e6,
                round_trip.as_millis()
            );
            let advice = "set it to -1 on the target's brokers to let the operating system grow it";
            warnings.push(Warning::new(WarningCode::SmallSocketBuffers, message).advice(advice));
        }
    }
}

/// How long committed offsets live without a consumer. Where the configuration is hidden, the default tells: a day, and
/// since Kafka 2.0, which brought Produce 6, a week (KIP-186).
fn offsets_expire(target: &TargetFacts) -> Option<Warning> {
    let (minutes, by_default) = match &target.broker_configs {
        Some(configs) => (configs.number("offsets.retention.minutes")?, ""),
        None if target.produce_version < 6 => (1_440, ", by default"),
        None => (7 * 1_440, ", by default"),
    };
    let life = match usize::try_from(minutes).unwrap_or_default() {
        minutes if minutes % 1_440 == 0 => many(minutes / 1_440, "day"),
        minutes => many(minutes, "minute"),
    };
    let message =
        format!("the target forgets the committed offsets of a group without consumers after {life}{by_default}");
    let advice = "start the consumers there before, or raise offsets.retention.minutes";
    Some(Warning::new(WarningCode::OffsetsExpire, message).advice(advice))
}

/// Whether source and target are one cluster. The ids alone don't tell: they are copied along with configuration files.
/// A broker's address or a topic's id that both show does.
fn is_same(survey: &Survey) -> bool {
    let (source, target) = (&survey.source.identity, &survey.target.identity);
    let topic = |(name, topic): (&TopicName, &TargetTopic)| {
        topic.id.is_some() && survey.source.topics.get(name).is_some_and(|source| source.id == topic.id)
    };
    source.id == target.id && (!source.brokers.is_disjoint(&target.brokers) || survey.target.topics.iter().any(topic))
}

/// Says what holds for one topic.
pub(super) fn topic(
    pair: &Pair<'_>,
    survey: &Survey,
    rules: &Rules<'_>,
    partitions: &[LanePlan],
    warnings: &mut Vec<Warning>,
) {
    match &pair.there {
        There::Missing(mirrored) => missing(pair, mirrored, survey, rules, warnings),
        There::Exists(topic) => existing(pair, topic, survey, rules, partitions, warnings),
    }
    if pair.lanes(partitions).next().is_some() {
        records(pair, survey, warnings);
        codecs(pair, survey, rules, partitions, warnings);
    }
}

/// The topic must be created.
fn missing(pair: &Pair<'_>, mirrored: &Mirrored, survey: &Survey, rules: &Rules<'_>, warnings: &mut Vec<Warning>) {
    let mut say = |code, weight, message: String, advice: String| {
        warnings.push(Warning::new(code, message).topic(pair.name).weight(weight).advice(advice));
    };
    if !rules.topics.create {
        let message = format!(
            "the target has no such topic ({}), and topics.create is false",
            many(pair.source.partitions.len(), "partition")
        );
        let bootstrap = survey.target.identity.bootstrap.first();
        let advice = bootstrap.map_or_else(String::new, |at| format!("create it: {}", command(&mirrored.spec, at)));
        say(WarningCode::TopicMissing, Weight::Refuse, message, advice);
        return;
    }
    if !mirrored.left_out.is_empty() {
        let named = mirrored.left_out.iter().map(|config| format!("{} ({})", config.name, config.because.as_str()));
        let message = format!("created without {}", named.collect::<Vec<_>>().join(", "));
        say(WarningCode::ConfigLeftOut, Weight::Note, message, String::new());
    }
    match mirrored.factor {
        None if mirrored.spec.replication_factor < 0 && survey.target.create_topics_version < 4 => {
            let message = "the target is older than 2.4 and does not show its default.replication.factor".into();
            say(WarningCode::CreateRefused, Weight::Refuse, message, "set topics.replication_factor".into());
        }
        Some(factor) if factor > i64::from(count(survey.target.identity.brokers.len())) => {
            let message = format!(
                "to be created with {factor} replicas, but the target has {}",
                many(survey.target.identity.brokers.len(), "broker")
            );
            say(WarningCode::CreateRefused, Weight::Refuse, message, "set topics.replication_factor".into());
        }
        None | Some(_) => {}
    }
}

/// What keeps records from moving to a topic that has `theirs` partitions instead of `ours`.
pub fn other_count(topic: &TopicName, ours: usize, theirs: usize) -> Option<Warning> {
    if ours == theirs {
        return None;
    }
    let message = format!("{ours} partitions on the source, {theirs} on the target");
    let advice = if theirs < ours {
        format!("add partitions there, as kferry keeps their numbers: kafka-topics.sh --alter --partitions {ours}")
    } else {
        "kferry keeps the partitions' numbers: if nobody needs what the target's topic holds, delete it, and it is created \
         again"
            .into()
    };
    let warning = Warning::new(WarningCode::PartitionCount, message).topic(topic);
    Some(warning.advice(advice).weight(Weight::Refuse))
}

/// What keeps records from moving to a partition that holds some that no migration is known to have written.
pub fn not_empty(at: &TopicPartition, held: i64) -> Warning {
    let message = format!("the target holds {} records already", Count(held));
    let advice = "if an earlier run wrote them, use its --report FILE, not --append";
    let warning = Warning::new(WarningCode::NotEmpty, message).at(at);
    warning.advice(advice).weight(Weight::Unless(Permit::Append))
}

/// The topic is there: its partitions, what they hold, and how many replicas follow.
fn existing(
    pair: &Pair<'_>,
    topic: &TargetTopic,
    survey: &Survey,
    rules: &Rules<'_>,
    partitions: &[LanePlan],
    warnings: &mut Vec<Warning>,
) {
    if let Some(warning) = other_count(pair.name, pair.source.partitions.len(), topic.partitions.len()) {
        warnings.push(warning);
        return;
    }
    let own = format!("kferry-{}", rules.name);
    let min_isr = pair.target_number("min.insync.replicas");
    let mut short = Vec::new();
    for lane in pair.lanes(partitions) {
        let Some(there) = topic.partitions.get(&lane.at.partition) else { continue };
        if min_isr.is_some_and(|needed| needed > i64::from(count(there.in_sync))) {
            short.push((there.in_sync, there.replicas));
        }
        let held = Span { start: there.log_start, end: there.log_end }.len();
        let movers = survey.target.moved.get(&lane.at);
        if held == 0 || movers.is_some_and(|movers| movers.iter().any(|group| group.as_str() == own)) {
            continue;
        }
        warnings.push(match movers.and_then(|movers| movers.first()) {
            Some(other) => {
                let message = format!("the target holds {} records, and {other} has moved this partition", Count(held));
                let advice = format!("go on with --name {}", other.as_str().trim_start_matches("kferry-"));
                let warning = Warning::new(WarningCode::NotEmpty, message).at(&lane.at);
                warning.advice(advice).weight(Weight::Refuse)
            }
            None => not_empty(&lane.at, held),
        });
    }
    if let (Some(needed), Some((in_sync, replicas))) = (min_isr, short.iter().min()) {
        let message = format!(
            "min.insync.replicas is {needed}, but {in_sync} of {replicas} replicas are in sync, in {}",
            many(short.len(), "partition")
        );
        let advice = "bring the target's brokers up, or lower min.insync.replicas";
        let warning = Warning::new(WarningCode::MinIsr, message).topic(pair.name).weight(Weight::Refuse);
        warnings.push(warning.advice(advice));
    }
}

/// What becomes of the records.
fn records(pair: &Pair<'_>, survey: &Survey, warnings: &mut Vec<Warning>) {
    let mut say = |code, weight, message: String, advice: &str| {
        warnings.push(Warning::new(code, message).topic(pair.name).weight(weight).advice(advice));
    };
    if let There::Missing(mirrored) = &pair.there
        && let (Some(needed), Some(factor)) = (mirrored.min_isr, mirrored.factor)
        && needed > factor
    {
        let message = format!("min.insync.replicas of the new topic is {needed}, its replication factor only {factor}");
        say(WarningCode::MinIsr, Weight::Refuse, message, &more_replicas(mirrored, needed, survey));
    }
    if let Some(format) = old_format(pair, survey) {
        let message =
            format!("the target stores this topic in message format {format}, which exactly once needs above");
        let advice = "raise message.format.version to 0.11.0 or higher";
        say(WarningCode::TargetFormat, Weight::Refuse, message, advice);
    }
    let limits = (pair.source_number("max.message.bytes"), pair.target_number("max.message.bytes"));
    if let (Some(source), Some(target)) = limits
        && target < source
    {
        let bytes = |limit: i64| Bytes(limit.unsigned_abs());
        let message = format!(
            "the source takes batches up to {}, the target up to {}: larger ones are split, a larger record is refused",
            bytes(source),
            bytes(target)
        );
        let advice = format!("raise max.message.bytes of the target's topic to {source}");
        say(WarningCode::BatchTooLarge, Weight::Note, message, &advice);
    }
    let Some(existing) = pair.existing() else { return };
    if existing.configs.is_none() {
        let message = "the configuration of the target's topic may not be read: limits show when it refuses".into();
        say(WarningCode::ConfigsHidden, Weight::Note, message, "grant DescribeConfigs on the topic to see more");
    }
    if pair.target_value("message.timestamp.type").as_deref() == Some("LogAppendTime") {
        // Then nothing is lost, and batches with append times pass as they are.
        let as_before = pair.source_value("message.timestamp.type") == Some("LogAppendTime");
        let as_before = if as_before { ", as the source did" } else { "" };
        let message = format!("the target stamps its own time on every record{as_before}");
        let advice = "set message.timestamp.type=CreateTime there to keep the records' times";
        say(WarningCode::TimestampsReplaced, Weight::Note, message, advice);
    }
    let compacted = |policy: &str| policy.split(',').any(|part| part.trim() == "compact");
    let policies = (pair.source_value("cleanup.policy"), pair.target_value("cleanup.policy"));
    if let (Some(source), Some(target)) = policies
        && compacted(&target)
        && !compacted(source)
    {
        let message = "the target's topic is compacted, the source's is not: records without a key are refused, \
                       and all but a key's last are removed"
            .into();
        say(WarningCode::CompactedNullKey, Weight::Note, message, "set cleanup.policy=delete on the target's topic");
    }
}

/// How a new topic gets as many replicas as an append waits for, or waits for fewer.
fn more_replicas(mirrored: &Mirrored, needed: i64, survey: &Survey) -> String {
    let target = &survey.target.identity;
    if needed <= i64::from(count(target.brokers.len())) {
        return format!("set topics.replication_factor to {needed}");
    }
    let mut spec = mirrored.spec.clone();
    spec.configs.insert("min.insync.replicas".to_owned(), "1".to_owned());
    let command = target.bootstrap.first().map_or_else(String::new, |at| format!(": {}", command(&spec, at)));
    format!("the target has {}, so create it by hand{command}", many(target.brokers.len(), "broker"))
}

/// The message format of the target where it is known to be below v2. Brokers at the protocol of 3.0 or newer ignore
/// the setting (KIP-724); where theirs is not known, nothing is concluded.
fn old_format(pair: &Pair<'_>, survey: &Survey) -> Option<String> {
    let broker = survey.target.broker_configs.as_ref()?;
    if release(broker.effective("inter.broker.protocol.version")?)? >= (3, 0) {
        return None;
    }
    let format = pair.target_value("message.format.version")?;
    (release(&format)? < (0, 11)).then(|| format.into_owned())
}
