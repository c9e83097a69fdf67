//! The requests that fill a set's topics, encoded once, so that sending them costs next to nothing.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::broker::{NewRecord, RecordBatchBuilder};
use crate::lab::probe::Probe;
use crate::lab::wait::now_ms;
use crate::simulation::dice::Dice;

use super::sets::{Set, Shape, Topic};

/// The last version that is the same for all brokers from 2.1 on and allows zstd.
const VERSION: i16 = 8;
/// How many batches of a shape differ; the others repeat them.
const VARIANTS: u64 = 8;
/// Bytes of batches in a request, unless one alone is larger.
const REQUEST: usize = 4 << 20;
/// Requests that wait for an answer at most.
const WINDOW: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Load {
    frames: Vec<Bytes>,
    order: Vec<usize>,
    /// Bytes of all batches, as they lie in the log.
    pub bytes: u64,
    /// How many batches.
    pub batches: u64,
    /// How many records.
    pub records: u64,
}

/// A request in the making: a topic's partitions that get the same variant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    topic: usize,
    first: usize,
    end: usize,
    variant: u64,
}

impl Load {
    /// Builds what fills `set`.
    ///
    /// # Errors
    /// When a request can't be encoded.
    pub fn of(set: &Set) -> Result<Self, String> {
        let mut load = Self { frames: Vec::new(), order: Vec::new(), bytes: 0, batches: 0, records: 0 };
        let variants: Vec<Vec<Bytes>> = set.topics.iter().map(|topic| variants(topic.shape)).collect();
        let mut known = BTreeMap::new();
        let rounds = set.topics.iter().flat_map(|topic| &topic.batches).max().copied().unwrap_or(0);
        for round in 0..rounds {
            for (index, topic) in set.topics.iter().enumerate() {
                let variant = round % VARIANTS;
                let Some(batch) = variants.get(index).and_then(|all| all.get(variant as usize)) else { continue };
                // Partitions of a topic are filled evenly: those of one round are a range from the first on.
                let filled = topic.batches.iter().take_while(|batches| **batches > round).count();
                load.bytes += (filled * batch.len()) as u64;
                load.batches += filled as u64;
                load.records += (filled * topic.shape.records) as u64;
                let step = (REQUEST / batch.len()).max(1);
                for first in (0..filled).step_by(step) {
                    let request = Request { topic: index, first, end: filled.min(first + step), variant };
                    let frame = match known.get(&request) {
                        Some(frame) => *frame,
                        None => {
                            load.frames.push(encode(topic, &request, batch)?);
                            known.insert(request, load.frames.len() - 1);
                            load.frames.len() - 1
                        }
                    };
                    load.order.push(frame);
                }
            }
        }
        Ok(load)
    }

    /// Writes all of it, and waits until it is acknowledged.
    ///
    /// # Errors
    /// What the broker refused, or why it can't be reached.
    pub fn send(&self, address: &str) -> Result<(), String> {
        self.send_part(address, 0, 1)
    }

    /// Writes every `of`-th request of it, from number `part` on.
    ///
    /// # Errors
    /// As for [`Load::send`].
    pub fn send_part(&self, address: &str, part: usize, of: usize) -> Result<(), String> {
        let mut probe = Probe::connect(address)?;
        let mut owed = 0;
        let order = self.order.iter().skip(part).step_by(of);
        for frame in order.filter_map(|index| self.frames.get(*index)) {
            if owed == WINDOW {
                acknowledged(&mut probe)?;
                owed -= 1;
            }
            probe.send_frame(frame)?;
            owed += 1;
        }
        (0..owed).try_for_each(|_| acknowledged(&mut probe))
    }
}

fn acknowledged(probe: &mut Probe) -> Result<(), String> {
    for appended in probe.receive_produce(VERSION)? {
        appended.result.map_err(|refusal| format!("Produce to partition {}: {refusal:?}", appended.partition))?;
    }
    Ok(())
}

fn encode(topic: &Topic, request: &Request, batch: &Bytes) -> Result<Bytes, String> {
    let entry =
        |partition| PartitionProduceData::default().with_index(partition as i32).with_records(Some(batch.clone()));
    let data = TopicProduceData::default()
        .with_name(StrBytes::from_string(topic.name.clone()).into())
        .with_partition_data((request.first..request.end).map(entry).collect());
    let body = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![data]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("bench")));
    let mut frame = BytesMut::new();
    header
        .encode(&mut frame, ApiKey::Produce.request_header_version(VERSION))
        .and_then(|()| body.encode(&mut frame, VERSION))
        .map_err(|cause| format!("cannot encode a Produce to {}: {cause}", topic.name))?;
    Ok(frame.freeze())
}

fn variants(shape: Shape) -> Vec<Bytes> {
    let now = now_ms();
    (0..VARIANTS).map(|variant| batch(shape, variant, now)).collect()
}

fn batch(shape: Shape, seed: u64, timestamp: i64) -> Bytes {
    let mut dice = Dice::new(seed);
    let record = |_| NewRecord { value: Some(value(shape, &mut dice).into()), timestamp, ..NewRecord::default() };
    let records: Vec<NewRecord> = (0..shape.records).map(record).collect();
    RecordBatchBuilder::new().codec(shape.codec).records(records).build()
}

fn value(shape: Shape, dice: &mut Dice) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let random = shape.value * shape.random / 100;
    let mut value: Vec<u8> = (0..random).map(|_| dice.one_of(LETTERS)).collect();
    value.resize(shape.value, b'.');
    value
}

#[cfg(test)]
mod tests {
    use super::{Load, batch};
    use crate::bench::sets::{Scale, Set};

    fn set(name: &str) -> Set {
        Set::named(name, Scale { bytes: 20 << 20, batches: 160 }).unwrap()
    }

    #[test]
    fn a_load_counts_what_it_sends() {
        let load = Load::of(&set("tiny")).unwrap();
        assert_eq!((load.batches, load.records, load.order.len()), (160, 160, 10));
        let skew = Load::of(&set("skew")).unwrap();
        assert_eq!(skew.batches, 321);
        assert_eq!(skew.records, 21 * 1000 + 300 * 10);
    }

    #[test]
    fn batches_are_as_full_as_brokers_allow_and_pack_as_announced() {
        let of = |name: &str| batch(set(name).topics[0].shape, 1, 0).len() as f64;
        let big = of("big");
        assert!((1_000_000.0..1_048_588.0).contains(&big), "{big}");
        assert!((2.0..2.4).contains(&(big / of("lz4"))), "{}", big / of("lz4"));
        assert!((2.5..3.6).contains(&(big / of("zstd"))), "{}", big / of("zstd"));
    }
}
