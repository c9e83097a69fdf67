//! Codecs that the target can't take, and those that its brokers replace.

use std::collections::BTreeSet;

use super::pair::Pair;
use super::{Rules, plan};
use crate::batch::{Codec, CodecSet};
use crate::kafka::units::Bytes;
use crate::kafka::{Span, TopicPartition};
use crate::plan::facts::Survey;
use crate::plan::plan::LanePlan;
use crate::plan::warning::{Warning, WarningCode, Weight};
use crate::topics::Effective;

/// The lanes whose batches must be looked at to know whether the target can take them: those of the topics' first
/// partitions first. `survey` needs no answers yet.
pub fn spans_in_question(survey: &Survey, rules: &Rules<'_>) -> Vec<(TopicPartition, Span)> {
    if survey.target.codecs == CodecSet::ALL {
        return Vec::new();
    }
    let told = |lane: &&LanePlan| {
        let configs = survey.source.topics.get(&lane.at.topic).and_then(|topic| topic.configs.as_ref());
        let codec = configs.and_then(|configs| stored_as(configs.effective("compression.type")?));
        codec.is_some_and(|codec| !survey.target.codecs.contains(codec))
    };
    let plan = plan(survey, rules);
    let mut spans: Vec<_> = plan.lanes().filter(|lane| !told(lane)).map(|lane| (lane.at.clone(), lane.span)).collect();
    spans.sort_by(|(a, _), (b, _)| (a.partition, &a.topic).cmp(&(b.partition, &b.topic)));
    spans
}

/// Says what becomes of the codecs of a topic with lanes.
pub(super) fn codecs(
    pair: &Pair<'_>,
    survey: &Survey,
    rules: &Rules<'_>,
    partitions: &[LanePlan],
    warnings: &mut Vec<Warning>,
) {
    let mut say = |code, weight, message: String, advice: &str| {
        warnings.push(Warning::new(code, message).topic(pair.name).weight(weight).advice(advice));
    };
    let source = pair.source_value("compression.type").and_then(stored_as);
    let seen = pair.lanes(partitions).filter_map(|lane| pair.source.partitions.get(&lane.at.partition));
    let known: BTreeSet<Codec> = seen.flat_map(|seen| seen.codecs.iter().copied()).chain(source).collect();
    for codec in known.into_iter().filter(|&codec| !survey.target.codecs.contains(codec)) {
        match rules.topics.recompress.map(Codec::from) {
            None => {
                let message = format!("the source holds {codec} batches, which the target can't take");
                let advice = "set topics.recompress = \"lz4\", or upgrade the target: zstd needs Kafka 2.1 and an \
                              inter.broker.protocol.version of at least 2.1";
                say(WarningCode::CodecUnsupported, Weight::Refuse, message, advice);
            }
            Some(Codec::None) => {
                let message = format!("{codec} batches are decompressed, as topics.recompress is `none`");
                say(WarningCode::CodecRecompressed, Weight::Note, message, "");
            }
            Some(other) => {
                let message = format!("{codec} batches are compressed again with {other}");
                say(WarningCode::CodecRecompressed, Weight::Note, message, "");
            }
        }
    }
    let Some(there) = pair.target_value("compression.type").as_deref().and_then(stored_as) else { return };
    if !survey.target.codecs.contains(there) {
        // 2.8.2 at the protocol of 2.0 takes the setting, and then answers UNSUPPORTED_COMPRESSION_TYPE to every batch.
        let message = format!("the target's topic has compression.type={there}, which its brokers can't store");
        let advice = "set compression.type=producer there";
        say(WarningCode::CodecUnsupported, Weight::Refuse, message, advice);
        return;
    }
    if source == Some(there) {
        return;
    }
    let advice = "set compression.type=producer on the target's topic to keep the batches as they are";
    if there != Codec::None {
        let message = format!("the target's brokers compress what arrives again, with {there}");
        say(WarningCode::CodecRecompressed, Weight::Note, message, advice);
        return;
    }
    let limit = pair.target_number("max.message.bytes").map(|limit| Bytes(limit.unsigned_abs()));
    let limit = limit.map_or_else(String::new, |limit| format!(" ({limit})"));
    let message = "the target's brokers decompress what arrives".into();
    say(WarningCode::CodecRecompressed, Weight::Note, message, advice);
    // Brokers look at max.message.bytes before and after they change a batch.
    let message =
        format!("the target stores batches uncompressed: the limit{limit} holds for their size when decompressed");
    let advice = "raise max.message.bytes of the target's topic, or set compression.type=producer there";
    say(WarningCode::BatchTooLarge, Weight::Note, message, advice);
}

/// The codec that a topic with this compression.type stores; `None` where it keeps the producers'.
fn stored_as(compression: &str) -> Option<Codec> {
    match compression {
        "uncompressed" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip),
        "snappy" => Some(Codec::Snappy),
        "lz4" => Some(Codec::Lz4),
        "zstd" => Some(Codec::Zstd),
        _ => None,
    }
}
