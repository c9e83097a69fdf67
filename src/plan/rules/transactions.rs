//! What open transactions hold back.

use jiff::Timestamp;

use crate::kafka::units::Count;
use crate::plan::facts::{OpenTransaction, Survey};
use crate::plan::plan::LanePlan;
use crate::plan::warning::{Warning, WarningCode};

/// `ListOffsets` came to version 7 with Kafka 3.0, as did kafka-transactions.sh (KIP-664).
const TRANSACTIONS_TOOL: i16 = 7;

/// Names the transactions behind which records stay.
pub(super) fn open(survey: &Survey, partitions: &[LanePlan], warnings: &mut Vec<Warning>) {
    for lane in partitions.iter().filter(|lane| lane.held_back > 0) {
        let topic = survey.source.topics.get(&lane.at.topic);
        let open = topic.and_then(|topic| topic.partitions.get(&lane.at.partition)?.open_transaction);
        let mut message = format!(
            "{} offsets behind {} are held back by an open transaction",
            Count(lane.held_back),
            Count(lane.span.end.get())
        );
        message.extend(open.iter().map(described));
        let finish = match open.and_then(|open| abort(survey, lane, &open)) {
            Some(command) => format!("finish it or abort it ({command})"),
            None => "finish or abort it".to_owned(),
        };
        let advice = format!("{finish}, or move them later with kferry run --extend");
        warnings.push(Warning::new(WarningCode::OpenTransaction, message).at(&lane.at).advice(advice));
    }
}

/// Whose it is and since when. The ids stand as in logs and tools, without separators.
fn described(open: &OpenTransaction) -> String {
    let OpenTransaction { producer, epoch, offset, since_ms } = open;
    let since = since_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let since = since.map_or_else(String::new, |since| since.strftime(", since %Y-%m-%d %H:%M:%S UTC").to_string());
    format!(" of producer id {producer}, epoch {epoch}, from offset {} on{since}", Count(offset.get()))
}

/// The command that aborts it, where the source's release has one.
fn abort(survey: &Survey, lane: &LanePlan, open: &OpenTransaction) -> Option<String> {
    if survey.source.list_offsets_version < TRANSACTIONS_TOOL {
        return None;
    }
    let bootstrap = survey.source.identity.bootstrap.first()?;
    Some(format!(
        "kafka-transactions.sh --bootstrap-server {bootstrap} abort --topic {} --partition {} --start-offset {}",
        lane.at.topic, lane.at.partition, open.offset
    ))
}
