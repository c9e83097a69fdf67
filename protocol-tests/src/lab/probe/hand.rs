//! The probe as a scenario's hand: what the Java client does, without Java.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::batch::{Batch, CONTROL, TRANSACTIONAL};
use super::super::hand::{At, Committed, End, Hand, Reading, Writing};
use super::super::record::{Digest, Fill, Record};
use super::client::Client;
use super::connection::{Failure, Probe};
use super::member::Member;
use super::raw::Produce;
use super::versions;
use crate::broker::Codec;
use crate::lab::wait;

/// Requests under way at once when much is written.
const WINDOW: usize = 5;

/// The probe, pointed at one cluster.
#[derive(Debug)]
pub struct ProbeHand {
    client: Client,
    transactions: Mutex<BTreeMap<String, Transaction>>,
    members: Mutex<BTreeMap<String, Member>>,
}

/// A transactional producer.
#[derive(Debug, Clone)]
struct Transaction {
    producer_id: i64,
    epoch: i16,
    open: bool,
    /// The next sequence of each partition.
    next: BTreeMap<(String, i32), i32>,
}

impl ProbeHand {
    /// A hand for the cluster behind `bootstrap`.
    pub fn new(bootstrap: &str) -> Self {
        Self { client: Client::new(bootstrap), transactions: Mutex::default(), members: Mutex::default() }
    }

    /// Cuts records into batches and sends them one behind the other; the offset of each record.
    fn send(&self, at: At<'_>, records: impl Iterator<Item = Record>, how: Writing, stamp: &mut Stamp) -> Vec<i64> {
        let mut leader = well(self.client.leader(at.topic, at.partition));
        let mut offsets = Vec::new();
        let mut under_way: Vec<usize> = Vec::new();
        let mut batch = Vec::new();
        let mut size = 0;
        let mut records = records.peekable();
        while let Some(record) = records.next() {
            size += weight(&record);
            batch.push(record);
            let full = records.peek().is_none_or(|next| size + weight(next) > how.batch_size);
            if full {
                size = 0;
                if under_way.len() == WINDOW {
                    offsets.extend(receive(&mut leader, how, under_way.remove(0)));
                }
                under_way.push(batch.len());
                well(leader.send_produce(&stamp.seal(at, take(&mut batch), how)));
            }
        }
        under_way.into_iter().for_each(|count| offsets.extend(receive(&mut leader, how, count)));
        offsets
    }

    /// The transaction of this id, begun and with this partition in it.
    fn begun(&self, id: &str, at: At<'_>) -> Transaction {
        let mut all = self.transactions.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = all.entry(id.to_owned()).or_insert_with(|| {
            let (producer_id, epoch) = well(self.client.transactional_producer(id));
            Transaction { producer_id, epoch, open: false, next: BTreeMap::new() }
        });
        transaction.open = true;
        well(self.client.add_to_transaction(id, (transaction.producer_id, transaction.epoch), at.topic, at.partition));
        transaction.clone()
    }
}

/// What goes onto each batch.
#[derive(Debug)]
struct Stamp {
    /// Producer id and epoch, where the producer is idempotent.
    producer: Option<(i64, i16)>,
    next: i32,
    transactional_id: Option<String>,
}

impl Stamp {
    fn seal(&mut self, at: At<'_>, records: Vec<Record>, how: Writing) -> Produce {
        let count = i32::try_from(records.len()).expect("a small batch");
        let mut batch = Batch::of(records).packed(how.codec);
        if let Some((producer_id, epoch)) = self.producer {
            batch = batch.stamped(producer_id, epoch, self.next);
            self.next += count;
        }
        if self.transactional_id.is_some() {
            batch = batch.flagged(TRANSACTIONAL);
        }
        let mut request = Produce::new(at.topic, at.partition, batch.encode()).version(version(how));
        request.transactional_id.clone_from(&self.transactional_id);
        request
    }
}

fn version(how: Writing) -> i16 {
    if how.codec == Codec::Zstd { 7 } else { versions::PRODUCE }
}

fn receive(leader: &mut Probe, how: Writing, count: usize) -> impl Iterator<Item = i64> + use<> {
    let answer = well(leader.receive_produce(version(how)));
    let base = answer[0].result.unwrap_or_else(|refusal| panic!("a batch was refused: {refusal:?}"));
    (base..).take(count)
}

/// About what a record takes in a batch.
fn weight(record: &Record) -> usize {
    let headers = record.headers.iter().map(|header| header.key.len() + header.value.as_ref().map_or(0, Vec::len) + 2);
    12 + [&record.key, &record.value].map(|field| field.as_ref().map_or(0, Vec::len)).iter().sum::<usize>()
        + headers.sum::<usize>()
}

impl Hand for ProbeHand {
    fn write(&self, at: At<'_>, records: &[Record], how: Writing, transaction: Option<(&str, End)>) -> Vec<i64> {
        let records = records.iter().cloned();
        let Some((id, end)) = transaction else {
            let producer = how.idempotent.then(|| (well(self.client.producer_id()), 0));
            return self.send(at, records, how, &mut Stamp { producer, next: 0, transactional_id: None });
        };
        let begun = self.begun(id, at);
        let key = (at.topic.to_owned(), at.partition);
        let mut stamp = Stamp {
            producer: Some((begun.producer_id, begun.epoch)),
            next: begun.next.get(&key).copied().unwrap_or(0),
            transactional_id: Some(id.to_owned()),
        };
        let offsets = self.send(at, records, how, &mut stamp);
        let mut all = self.transactions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transaction) = all.get_mut(id) {
            transaction.next.insert(key, stamp.next);
        }
        drop(all);
        if end != End::Open {
            self.end_transaction(id, end);
        }
        offsets
    }

    fn end_transaction(&self, id: &str, end: End) {
        let mut all = self.transactions.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = all.get_mut(id).filter(|transaction| transaction.open).expect("an open transaction");
        transaction.open = false;
        let producer = (transaction.producer_id, transaction.epoch);
        well(self.client.end_transaction(id, producer, end == End::Commit));
    }

    fn fill(&self, at: At<'_>, fill: &Fill, how: Writing) {
        let producer = how.idempotent.then(|| (well(self.client.producer_id()), 0));
        self.send(at, fill.records(), how, &mut Stamp { producer, next: 0, transactional_id: None });
    }

    fn read(&self, at: At<'_>, what: Reading) -> Vec<Record> {
        let mut found = Vec::new();
        each(&self.client, at, what, |record| found.push(record));
        found
    }

    fn digest(&self, at: At<'_>, what: Reading) -> Digest {
        let mut digest = Digest::default();
        each(&self.client, at, what, |record| digest.add(&record));
        digest
    }

    fn commit(&self, group: &str, at: At<'_>, committed: &Committed) {
        let offset = (at.topic, at.partition, committed.offset, committed.metadata.as_str());
        well(self.client.commit(group, &[offset]));
    }

    fn committed(&self, group: &str) -> BTreeMap<(String, i32), Committed> {
        well(self.client.committed(group))
    }

    fn configs(&self, topic: &str) -> BTreeMap<String, String> {
        well(self.client.configs(topic))
    }

    fn join(&self, group: &str, topic: &str) {
        // A coordinator that was just found may not serve yet.
        let member = well(wait::attempt(Duration::from_secs(60), || Member::join(&self.client, group, topic)));
        self.members.lock().unwrap_or_else(PoisonError::into_inner).insert(group.to_owned(), member);
    }

    fn leave(&self, group: &str) {
        let member = self.members.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
        well(member.expect("a group that was joined").leave());
    }
}

/// Shows `sink` what a consumer would be shown.
fn each(client: &Client, at: At<'_>, what: Reading, mut sink: impl FnMut(Record)) {
    let place = |timestamp| well(client.list_offset(at.topic, at.partition, timestamp, what.committed));
    let mut next = what.from.unwrap_or_else(|| place(-2));
    let end = what.to.unwrap_or_else(|| place(-1));
    let mut leader = well(client.leader(at.topic, at.partition));
    while next < end {
        let fetched = well(leader.fetch(at.topic, at.partition, next, what.committed));
        fetched.result.unwrap_or_else(|refusal| panic!("fetching {at:?} from {next}: {refusal:?}"));
        let mut aborted = Aborted::new(fetched.aborted.unwrap_or_default());
        for batch in Batch::read_all(&fetched.records) {
            let shown = !aborted.hides(&batch);
            let behind = batch.next_offset();
            let wanted = |record: &Record| (next..end).contains(&record.offset);
            batch.records.into_iter().filter(|record| shown && wanted(record)).for_each(&mut sink);
            next = next.max(behind);
        }
    }
}

/// The aborted transactions of one Fetch answer, as a read_committed consumer goes through them.
struct Aborted {
    /// Not begun yet: producer id and first offset.
    ahead: Vec<(i64, i64)>,
    /// Begun and not yet ended by their marker.
    inside: Vec<i64>,
}

impl Aborted {
    fn new(ahead: Vec<(i64, i64)>) -> Self {
        Self { ahead, inside: Vec::new() }
    }

    fn hides(&mut self, batch: &Batch) -> bool {
        if batch.attributes & CONTROL != 0 {
            self.inside.retain(|producer| *producer != batch.producer_id);
            return true;
        }
        let inside = &mut self.inside;
        self.ahead.retain(|(producer, first)| {
            let begun = *first <= batch.base_offset;
            if begun {
                inside.push(*producer);
            }
            !begun
        });
        batch.attributes & TRANSACTIONAL != 0 && self.inside.contains(&batch.producer_id)
    }
}

#[track_caller]
fn well<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}
