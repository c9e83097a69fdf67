//! Which batches of a Fetch answer belong to aborted transactions: what a read_committed consumer leaves out (KIP-98).
//!
//! The broker names the aborted transactions that reach into its answer, each by its producer and first offset. From that
//! offset on, the producer's transactional batches are aborted, up to its next abort marker.

use std::collections::BTreeSet;

use crate::batch::error::BatchError;
use crate::batch::pieces::RawBatch;
use crate::batch::records::open;
use crate::kafka::{Cursor, ProducerId};
use crate::wire::fetch::AbortedTransaction;

/// Follows the transactions through the batches of one partition of one Fetch answer.
#[derive(Clone, Debug)]
pub(super) struct Aborted {
    /// Those that begin further on, the nearest last.
    ahead: Vec<AbortedTransaction>,
    /// The producers whose aborted transaction has begun and not ended.
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    /// For an answer that names these transactions, in any order.
    pub(super) fn new(named: impl IntoIterator<Item = AbortedTransaction>) -> Self {
        let mut ahead: Vec<_> = named.into_iter().collect();
        ahead.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { ahead, open: BTreeSet::new() }
    }

    /// Whether no transaction is left that could make any batch aborted.
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.open.is_empty()
    }

    /// Whether a batch belongs to an aborted transaction. Every batch of the answer must be asked about, in their order.
    /// `cap` limits the bytes that a control batch may take when decompressed.
    ///
    /// # Errors
    /// A control batch whose record can't be read.
    pub(super) fn takes(&mut self, batch: &RawBatch, cap: usize) -> Result<bool, BatchError> {
        let header = batch.header();
        while let Some(begun) = self.ahead.pop_if(|next| next.first_offset <= header.last_offset()) {
            self.open.insert(begun.producer);
        }
        if header.is_control() {
            if is_abort_marker(batch, cap)? {
                self.open.remove(&header.producer);
            }
            return Ok(false);
        }
        Ok(header.is_transactional() && self.open.contains(&header.producer))
    }
}

/// Whether a control batch ends a transaction by aborting it: the key of its record is a version and a type, both INT16,
/// and the type of an abort is 0.
fn is_abort_marker(batch: &RawBatch, cap: usize) -> Result<bool, BatchError> {
    let opened = open(batch, cap)?;
    let Some(record) = opened.records().next().transpose()? else { return Ok(false) };
    let mut key = Cursor::new(record.key.unwrap_or_default());
    Ok(matches!((key.i16("version"), key.i16("type")), (Ok(_), Ok(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::codec::Codec;
    use crate::batch::header::Attributes;
    use crate::batch::testing::{Model, altered, batch, raw, some_models};
    use crate::kafka::Offset;
    use proptest::prelude::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Event {
        Plain,
        Data,
        Commit,
        Abort,
    }

    /// One batch of one record, or a marker as a coordinator writes it.
    fn written(event: Event, producer: i64, offset: i64) -> RawBatch {
        let key = match event {
            Event::Plain | Event::Data => b"key".to_vec(),
            Event::Commit => vec![0, 0, 0, 1],
            Event::Abort => vec![0, 0, 0, 0],
        };
        let record = Model { key: Some(key), ..some_models().swap_remove(0) };
        raw(&altered(batch(&[record], offset, Codec::None), |header| {
            header.producer = ProducerId(producer);
            header.attributes = Attributes(match event {
                Event::Plain => 0,
                Event::Data => 0x10,
                Event::Commit | Event::Abort => 0x30,
            });
        }))
    }

    /// Which records were aborted, and the aborted transactions with the offset of their marker.
    fn model(log: &[(Event, i64)]) -> (Vec<bool>, Vec<(AbortedTransaction, i64)>) {
        let mut fates = vec![false; log.len()];
        let mut aborted = Vec::new();
        for (offset, &(event, producer)) in log.iter().enumerate() {
            if event != Event::Abort {
                continue;
            }
            let since = log[..offset]
                .iter()
                .rposition(|&(end, of)| of == producer && matches!(end, Event::Commit | Event::Abort));
            let of_it: Vec<usize> =
                (since.map_or(0, |end| end + 1)..offset).filter(|&at| log[at] == (Event::Data, producer)).collect();
            if let Some(&first) = of_it.first() {
                let transaction =
                    AbortedTransaction { producer: ProducerId(producer), first_offset: Offset(first as i64) };
                aborted.push((transaction, offset as i64));
            }
            of_it.into_iter().for_each(|at| fates[at] = true);
        }
        (fates, aborted)
    }

    proptest! {
        #[test]
        fn exactly_the_aborted_batches_are_told_apart_wherever_the_answer_begins(
            mut log in prop::collection::vec((prop::sample::select(vec![
                Event::Plain, Event::Data, Event::Data, Event::Data, Event::Commit, Event::Abort,
            ]), 0_i64..4), 0..40),
            start in any::<prop::sample::Index>(),
        ) {
            // What is still open at the end would hold the last stable offset back.
            log.extend((0..4).map(|producer| (Event::Commit, producer)));
            let (fates, aborted) = model(&log);
            let start = start.index(log.len());
            let named = aborted.into_iter().filter(|(_, marker)| *marker >= start as i64).map(|(named, _)| named);
            let mut answer = Aborted::new(named);
            for (offset, &(event, producer)) in log.iter().enumerate().skip(start) {
                let batch = written(event, producer, offset as i64);
                prop_assert_eq!(answer.takes(&batch, 1_000), Ok(fates[offset]), "offset {} of {:?}", offset, log);
            }
        }
    }

    #[test]
    fn a_marker_that_can_not_be_read_is_an_error_with_its_offset() {
        let bytes = written(Event::Abort, 1, 70).bytes().to_vec();
        let broken = raw(&altered(bytes, |header| header.attributes = Attributes(0x31)));
        let taken = Aborted::new([]).takes(&broken, 1_000);
        assert_eq!(taken.expect_err("not gzip").base_offset, Offset(70));
    }
}
