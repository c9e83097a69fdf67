//! The transaction coordinator: transactional ids, their producer ids and epochs, and the markers that end transactions.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::build::control_batch;
use super::core::Core;
use super::groups::Place;
use super::version::Version;

/// Where a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// None was begun since the id was initialised.
    Empty,
    /// Partitions or offsets were added.
    Ongoing,
    /// Decided; the markers are still to be written.
    Ending(bool),
    /// The last one ended this way.
    Ended(bool),
}

/// One transactional id.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its producer id.
    pub producer_id: i64,
    /// The newest epoch.
    pub epoch: i16,
    /// Where it stands.
    pub state: State,
    /// Where its batches are.
    pub partitions: BTreeSet<Place>,
    timeout_ms: i64,
    deadline: i64,
}

/// All transactional ids.
#[derive(Clone, Default, Debug)]
pub struct Transactions {
    by_id: BTreeMap<String, Transaction>,
    /// How long after EndTxn's answer the markers are written, ms: real brokers answer first.
    pub marker_delay_ms: i64,
}

impl Transactions {
    /// One of them.
    pub fn get(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id)
    }

    /// When a transaction times out or its markers are due, ms.
    pub fn next_deadline(&self) -> Option<i64> {
        let timed = |transaction: &&Transaction| matches!(transaction.state, State::Ongoing | State::Ending(_));
        self.by_id.values().filter(timed).map(|transaction| transaction.deadline).min()
    }
}

impl Core {
    /// InitProducerId: a new producer id, or with a transactional id its own one with the next epoch; what was open is
    /// aborted.
    pub(crate) fn init_producer(&mut self, id: Option<&str>, timeout_ms: i64) -> Result<(i64, i16), ResponseError> {
        let Some(id) = id else { return Ok((self.new_producer_id(), 0)) };
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let Some(known) = self.transactions.by_id.get_mut(id) else {
            let producer_id = self.new_producer_id();
            let transaction = Transaction {
                producer_id,
                epoch: 0,
                state: State::Empty,
                partitions: BTreeSet::new(),
                timeout_ms,
                deadline: 0,
            };
            self.transactions.by_id.insert(id.to_owned(), transaction);
            return Ok((producer_id, 0));
        };
        known.timeout_ms = timeout_ms;
        match known.state {
            State::Ending(_) => return Err(ResponseError::ConcurrentTransactions),
            State::Ongoing => {
                known.epoch += 1;
                known.state = State::Ending(false);
                self.write_markers(id);
            }
            State::Empty | State::Ended(_) => known.epoch += 1,
        }
        let known = self.transactions.by_id.get_mut(id).ok_or(ResponseError::UnknownServerError)?;
        known.state = State::Empty;
        Ok((known.producer_id, known.epoch))
    }

    fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }

    fn transaction(&mut self, id: &str, producer_id: i64, epoch: i16) -> Result<&mut Transaction, ResponseError> {
        let known = self.transactions.by_id.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if known.producer_id != producer_id {
            Err(ResponseError::InvalidProducerIdMapping)
        } else if known.epoch != epoch {
            Err(ResponseError::ProducerFenced)
        } else {
            Ok(known)
        }
    }

    /// Adds partitions (none for AddOffsetsToTxn) to the transaction, beginning it where none is open.
    pub(crate) fn add_to_transaction(
        &mut self,
        id: &str,
        producer_id: i64,
        epoch: i16,
        partitions: impl IntoIterator<Item = Place>,
    ) -> Result<(), ResponseError> {
        let now = self.now;
        let known = self.transaction(id, producer_id, epoch)?;
        match known.state {
            State::Ending(_) => return Err(ResponseError::ConcurrentTransactions),
            State::Ongoing => {}
            State::Empty | State::Ended(_) => {
                known.state = State::Ongoing;
                known.deadline = now.saturating_add(known.timeout_ms);
            }
        }
        known.partitions.extend(partitions);
        Ok(())
    }

    /// What a partition's leader asks before it appends a transactional batch (KIP-890). The code is the one that a
    /// Produce gets, where most coordinator errors become a retriable one.
    pub(crate) fn verify_transaction(
        &self,
        id: &str,
        producer_id: i64,
        epoch: i16,
        place: &Place,
    ) -> Result<(), ResponseError> {
        let Some(known) = self.transactions.by_id.get(id).filter(|known| known.producer_id == producer_id) else {
            return Err(ResponseError::NotEnoughReplicas);
        };
        if known.epoch != epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        match known.state {
            State::Ongoing if known.partitions.contains(place) => Ok(()),
            State::Ending(_) => Err(ResponseError::NotEnoughReplicas),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// What a group's coordinator asks before it holds offsets for a transaction.
    pub(crate) fn verify_ongoing(&self, id: &str, producer_id: i64, epoch: i16) -> Result<(), ResponseError> {
        let known = self.transactions.by_id.get(id).filter(|known| known.producer_id == producer_id);
        match known.ok_or(ResponseError::InvalidProducerIdMapping)? {
            known if known.epoch != epoch => Err(ResponseError::InvalidProducerEpoch),
            known if known.state == State::Ongoing => Ok(()),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// EndTxn: decides the transaction. With `bump` (EndTxn 5) the next one has the next epoch. Returns producer id and
    /// epoch to go on with.
    pub(crate) fn end_transaction(
        &mut self,
        id: &str,
        producer_id: i64,
        epoch: i16,
        commit: bool,
        bump: bool,
    ) -> Result<(i64, i16), ResponseError> {
        let (now, delay) = (self.now, self.transactions.marker_delay_ms);
        if bump && let Some(known) = self.transactions.by_id.get(id) {
            // The answer got lost and the client asks again with the epoch it still has.
            let again = known.producer_id == producer_id && known.epoch == epoch.wrapping_add(1);
            if again && matches!(known.state, State::Ended(end) | State::Ending(end) if end == commit) {
                return Ok((known.producer_id, known.epoch));
            }
        }
        let known = self.transaction(id, producer_id, epoch)?;
        match known.state {
            State::Ending(end) if end == commit => return Err(ResponseError::ConcurrentTransactions),
            State::Ended(end) if end == commit && !bump => return Ok((producer_id, epoch)),
            State::Ongoing => {}
            State::Empty if bump && !commit => {}
            _ => return Err(ResponseError::InvalidTxnState),
        }
        if bump {
            known.epoch += 1;
        }
        known.state = State::Ending(commit);
        known.deadline = now.saturating_add(delay);
        let answer = (known.producer_id, known.epoch);
        if delay <= 0 {
            self.write_markers(id);
        }
        Ok(answer)
    }

    fn write_markers(&mut self, id: &str) {
        let now = self.now;
        let Some(known) = self.transactions.by_id.get_mut(id) else { return };
        let State::Ending(commit) = known.state else { return };
        known.state = State::Ended(commit);
        let (producer_id, epoch) = (known.producer_id, known.epoch);
        for (topic, partition) in std::mem::take(&mut known.partitions) {
            if let Some(partition) = self.partition_mut(&topic, partition) {
                partition.append_raw(control_batch(producer_id, epoch, commit, now));
            }
        }
        self.groups.end_transaction(producer_id, commit);
    }

    /// Writes markers that are due and aborts what has timed out.
    pub(crate) fn end_late_transactions(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for (id, known) in &mut self.transactions.by_id {
            if !matches!(known.state, State::Ongoing | State::Ending(_)) || now < known.deadline {
                continue;
            }
            if known.state == State::Ongoing {
                known.state = State::Ending(false);
                known.epoch += 1;
            }
            due.push(id.clone());
        }
        due.iter().for_each(|id| self.write_markers(id));
    }

    /// The code for a fenced producer: its name changed with the versions of the requests.
    pub(crate) const fn fenced(code: ResponseError, named: bool) -> ResponseError {
        match code {
            ResponseError::ProducerFenced if !named => ResponseError::InvalidProducerEpoch,
            code => code,
        }
    }

    /// Whether clients are told to use transactions of version 2 (KIP-890).
    pub(crate) const fn transaction_version(&self) -> i16 {
        match self.version {
            Version::V0_10 | Version::V2_8 => 0,
            Version::V4_1 => 2,
        }
    }
}
