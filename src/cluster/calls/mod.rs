//! The calls, by subject.

pub(super) mod commit;
pub(super) mod commits;
pub(super) mod configs;
pub(super) mod groups;
pub(super) mod membership;
pub(super) mod offsets;
mod peek;
mod producer;
mod read;
mod topics;

use super::connection::Use;
use crate::kafka::BrokerId;
use std::collections::BTreeMap;

/// Control connections per broker that a large question is spread over: a broker serves one request of a connection at
/// a time.
const CONNECTIONS: u16 = 4;

/// Heartbeats have a connection of their own: nothing large or slow is ever in front of them.
const MEMBERSHIP: Use = Use::Control(CONNECTIONS);

/// So have commits, which may be large.
const COMMITTING: Use = Use::Control(CONNECTIONS + 1);

/// Cuts what each broker is to be asked into requests of at most `most` keys, spread over a few connections. On each
/// they go out one behind the other without waiting.
fn cut<K: Clone>(by_broker: BTreeMap<BrokerId, Vec<K>>, most: usize) -> Vec<(BrokerId, Use, Vec<K>)> {
    let cut = |(broker, keys): (BrokerId, Vec<K>)| {
        let uses = (0..CONNECTIONS).cycle().map(Use::Control);
        keys.chunks(most).zip(uses).map(|(keys, used)| (broker, used, keys.to_vec())).collect::<Vec<_>>()
    };
    by_broker.into_iter().flat_map(cut).collect()
}
