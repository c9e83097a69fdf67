//! Whether a broker takes a batch from a client, and what it turns it into before it is stored.
//!
//! The order of the checks is the real broker's, since it decides which code a batch with two faults gets.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::batch::{
    Header, Next, OVERHEAD, PREFIX, Record, attribute, crc_matches, next_batch, put_record, seal, walk,
};
use super::codec::Codec;
use super::version::Version;

/// What a topic asks of its batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRules {
    /// compression.type.
    pub compression: String,
    /// max.message.bytes: the whole batch, inclusive.
    pub max_message_bytes: usize,
    /// segment.bytes.
    pub segment_bytes: usize,
    /// message.timestamp.type is LogAppendTime.
    pub append_time: bool,
    /// message.timestamp.after.max.ms: how far in the future a record may lie.
    pub after_max_ms: i64,
    /// message.timestamp.before.max.ms: how far in the past.
    pub before_max_ms: i64,
    /// cleanup.policy has compact: every record needs a key.
    pub compacted: bool,
    /// What message.format.version stores: 2, or 0 and 1 on brokers that still have them.
    pub magic: u8,
    /// min.insync.replicas.
    pub min_insync_replicas: usize,
    /// Whether inter.broker.protocol.version is at least 2.1.
    pub takes_zstd: bool,
}

/// Who hands in a batch, when.
#[derive(Clone, Copy, Debug)]
pub struct Intake<'a> {
    /// Whose rules.
    pub version: Version,
    /// The topic's.
    pub topic: &'a TopicRules,
    /// The broker's clock, ms.
    pub now_ms: i64,
    /// The Produce version.
    pub produce: i16,
}

/// Why a batch is not stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The partition's code.
    pub code: ResponseError,
    /// The partition's error message (Produce 8 and later).
    pub message: Option<String>,
    /// Which records are at fault (Produce 8 and later).
    pub records: Vec<(i32, String)>,
}

impl From<ResponseError> for Refusal {
    fn from(code: ResponseError) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

fn refuse<T>(code: ResponseError, message: &str) -> Result<T, Refusal> {
    Err(Refusal { code, message: Some(message.to_owned()), records: Vec::new() })
}

/// A batch that will be stored once it has its offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The header to store; base offset, leader epoch and checksum are still open.
    pub header: Header,
    /// The whole batch; where `changed` its checksum must be made again.
    pub bytes: Bytes,
    /// Whether anything that the checksum covers differs from what came.
    pub changed: bool,
}

impl Accepted {
    /// As if no idempotent producer had sent it.
    pub fn unstamp(&mut self) {
        let header = &mut self.header;
        (header.producer_id, header.producer_epoch, header.base_sequence) = (-1, -1, -1);
        self.changed = true;
    }

    /// Puts the batch at `base_offset` in `leader_epoch`: the two fields that the checksum does not cover.
    pub fn place(self, base_offset: i64, leader_epoch: i32) -> (Header, Bytes) {
        let mut header = Header { base_offset, leader_epoch, ..self.header };
        let mut bytes = Vec::from(self.bytes);
        if self.changed {
            seal(&mut bytes, &header);
            header.crc = Header::read(&bytes).map_or(0, |sealed| sealed.crc);
        } else if let Some(front) = bytes.first_chunk_mut::<OVERHEAD>() {
            *front = header.write();
        }
        (header, bytes.into())
    }
}

/// Finds the one batch of a request's partition: what the request handler checks before the log sees it.
pub fn sole_batch(records: &Bytes, produce: i16) -> Result<Bytes, Refusal> {
    let range = match next_batch(records, 0) {
        Next::Batch(range) => range,
        Next::Corrupt => return Err(ResponseError::CorruptMessage.into()),
        Next::End => {
            return refuse(ResponseError::InvalidRecord, "Produce requests must have at least one record batch");
        }
    };
    if records.get(16) != Some(&2) {
        return refuse(
            ResponseError::InvalidRecord,
            "Produce requests are only allowed to contain record batches with magic version 2",
        );
    }
    let codec = records.get(22).map_or(0, |attributes| i16::from(*attributes) & attribute::CODEC);
    if produce < 7 && codec == Codec::Zstd.id() {
        return refuse(
            ResponseError::UnsupportedCompressionType,
            "Produce requests with version below 7 are not allowed to use ZStandard compression",
        );
    }
    match next_batch(records, range.end) {
        // What is too short to be a batch is dropped without a word.
        Next::End => Ok(records.slice(range)),
        Next::Batch(_) => {
            refuse(ResponseError::InvalidRecord, "Produce requests must contain exactly one record batch")
        }
        Next::Corrupt => Err(ResponseError::CorruptMessage.into()),
    }
}

/// The log's own checks, and what the batch becomes.
pub fn accept(intake: &Intake<'_>, batch: Bytes) -> Result<Accepted, Refusal> {
    let Some(sent) = Header::read(&batch) else { return Err(ResponseError::CorruptMessage.into()) };
    if sent.base_offset != 0 {
        return refuse(ResponseError::InvalidRecord, "The baseOffset of the record batch should be 0");
    }
    check_size(intake, batch.len())?;
    if !crc_matches(&batch) {
        return refuse(ResponseError::CorruptMessage, "Record is corrupt (stored crc does not match)");
    }
    let Some(sent_codec) = Codec::from_id(sent.codec()) else { return Err(ResponseError::UnknownServerError.into()) };
    let codec = Codec::of_topic(&intake.topic.compression, sent_codec).unwrap_or(sent_codec);
    if !intake.topic.takes_zstd && [sent_codec, codec].contains(&Codec::Zstd) {
        return refuse(
            ResponseError::UnsupportedCompressionType,
            "Produce requests to inter.broker.protocol.version < 2.1 broker are not allowed to use ZStandard compression",
        );
    }
    check_header(&sent)?;
    if intake.topic.magic < 2 && (sent.producer_id >= 0 || sent.has(attribute::TRANSACTIONAL)) {
        return refuse(ResponseError::UnsupportedForMessageFormat, "Idempotent records need message format v2");
    }
    let payload = batch.get(OVERHEAD..).unwrap_or_default();
    // A stream that does not decompress is an error nobody foresaw; a broken record is an invalid one.
    let plain = match sent_codec {
        Codec::None => std::borrow::Cow::Borrowed(payload),
        packed => packed.decompress(payload).map_err(|_| Refusal::from(ResponseError::UnknownServerError))?.into(),
    };
    let records = walk(&plain, sent.count).or_else(|message| refuse(ResponseError::InvalidRecord, message))?;
    check_records(intake, &sent, &records)?;
    let accepted = if codec == sent_codec {
        let renumbered = records.iter().zip(0..).any(|(record, index)| record.offset_delta != index);
        if codec != Codec::None && renumbered {
            // The broker tries to renumber what it has only half read, and fails.
            return Err(ResponseError::UnknownServerError.into());
        }
        in_place(intake, &sent, &records, batch.clone())
    } else {
        recompressed(intake, &sent, &records, codec)?
    };
    check_size(intake, accepted.bytes.len())?;
    if accepted.bytes.len() > intake.topic.segment_bytes {
        return refuse(
            ResponseError::RecordListTooLarge,
            "Message batch size exceeds the maximum configured segment size",
        );
    }
    Ok(accepted)
}

fn check_size(intake: &Intake<'_>, size: usize) -> Result<(), Refusal> {
    let limit = intake.topic.max_message_bytes;
    if size <= limit {
        return Ok(());
    }
    refuse(
        ResponseError::MessageTooLarge,
        &format!("The record batch size is {size} bytes which exceeds the maximum configured value of {limit}"),
    )
}

fn check_header(header: &Header) -> Result<(), Refusal> {
    let invalid = |message| refuse(ResponseError::InvalidRecord, message);
    if header.last_offset_delta < 0 || header.count <= 0 {
        return invalid("Batch has no records");
    }
    if header.last_offset_delta.checked_add(1) != Some(header.count) {
        return invalid("Inconsistent batch offset range and count of records");
    }
    if header.has(attribute::CONTROL) {
        return invalid("Clients are not allowed to write control records");
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return invalid("Invalid sequence number in record batch with producerId");
    }
    Ok(())
}

/// What readers take as a record's time.
fn time_of(header: &Header, record: &Record<'_>) -> i64 {
    if header.has(attribute::APPEND_TIME) {
        header.max_timestamp
    } else {
        header.base_timestamp.wrapping_add(record.timestamp_delta)
    }
}

fn check_records(intake: &Intake<'_>, header: &Header, records: &[Record<'_>]) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    let mut code = ResponseError::InvalidRecord;
    for (record, index) in records.iter().zip(0..) {
        if intake.topic.compacted && record.key.is_none() {
            faults.push((index, "Compacted topic cannot accept message without key in topic partition".to_owned()));
        } else if !time_is_right(intake, header, record) {
            code = ResponseError::InvalidTimestamp;
            faults.push((
                index,
                "Timestamp of message is out of range, or its timestamp type is not the producer's to set".to_owned(),
            ));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let message = match code {
        ResponseError::InvalidTimestamp => "One or more records have been rejected due to invalid timestamp",
        _ => "One or more records have been rejected",
    };
    Err(Refusal { code, message: Some(message.to_owned()), records: faults })
}

fn time_is_right(intake: &Intake<'_>, header: &Header, record: &Record<'_>) -> bool {
    let stamped = header.has(attribute::APPEND_TIME);
    if stamped && (intake.topic.append_time || !intake.version.clears_append_time()) {
        return false;
    }
    let time = time_of(header, record);
    if intake.topic.append_time || time == -1 {
        return !stamped;
    }
    time.saturating_sub(intake.now_ms) <= intake.topic.after_max_ms
        && intake.now_ms.saturating_sub(time) <= intake.topic.before_max_ms
}

/// Timestamp type and largest timestamp as the topic wants them; the rest of the header stays.
fn stamped(intake: &Intake<'_>, sent: &Header, records: &[Record<'_>]) -> Header {
    if intake.topic.append_time {
        return Header { attributes: sent.attributes | attribute::APPEND_TIME, max_timestamp: intake.now_ms, ..*sent };
    }
    let max_timestamp = records.iter().map(|record| time_of(sent, record)).fold(-1, i64::max);
    Header { attributes: sent.attributes & !attribute::APPEND_TIME, max_timestamp, ..*sent }
}

fn in_place(intake: &Intake<'_>, sent: &Header, records: &[Record<'_>], batch: Bytes) -> Accepted {
    let header = stamped(intake, sent, records);
    Accepted { changed: header != *sent, header, bytes: batch }
}

fn recompressed(intake: &Intake<'_>, sent: &Header, records: &[Record<'_>], codec: Codec) -> Result<Accepted, Refusal> {
    let base_timestamp = records.first().map_or(-1, |record| time_of(sent, record));
    let mut plain = Vec::new();
    for (record, offset_delta) in records.iter().zip(0..) {
        let timestamp_delta = time_of(sent, record).wrapping_sub(base_timestamp);
        put_record(&mut plain, &Record { offset_delta, timestamp_delta, ..*record });
    }
    let payload = codec.compress(&plain).map_err(|_| Refusal::from(ResponseError::UnknownServerError))?;
    let mut header = stamped(intake, sent, records);
    header.attributes = (header.attributes & !(attribute::CODEC | attribute::DELETE_HORIZON)) | codec.id();
    header.base_timestamp = base_timestamp;
    header.length = i32::try_from(OVERHEAD - PREFIX + payload.len()).unwrap_or(i32::MAX);
    let mut bytes = header.write().to_vec();
    bytes.extend_from_slice(&payload);
    Ok(Accepted { header, bytes: bytes.into(), changed: true })
}
