//! What a broker does with raw record batches, case by case as measured on real brokers.
//!
//! | file | cases |
//! |---|---|
//! | `request.rs` | versions, several batches or partitions in one request, acks, pipelines |
//! | `layout.rs` | offsets, counts, checksums, magics |
//! | `flags.rs` | control, transactional, append-time and delete-horizon bits |
//! | `sequence.rs` | producer ids, epochs, sequences, duplicates |
//! | `time.rs` | timestamps |
//! | `size.rs` | limits |
//! | `codecs.rs` | compression and what topics do about it |
//! | `restart.rs` | what a broker remembers of producers when it comes back |
//! | `topics.rs` | compacted, old-format and re-created topics |

mod codecs;
mod flags;
mod layout;
mod request;
mod restart;
mod sequence;
mod size;
mod time;
mod topics;

use kafka_protocol::error::ResponseError;
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::site::Refusal;
use protocol_tests::lab::{Scenario, Site, Topic, Version, wait};

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        request::scenarios(),
        restart::scenarios(),
        layout::scenarios(),
        flags::scenarios(),
        sequence::scenarios(),
        time::scenarios(),
        size::scenarios(),
        codecs::scenarios(),
        topics::scenarios(),
    ]
    .concat()
}

type Answer = Result<i64, Refusal>;

/// The answer of a broker that refuses with a code.
fn refused(code: ResponseError) -> Answer {
    Err(Refusal::Code(code))
}

/// Three small records of now.
fn three() -> Batch {
    Batch::small(3, wait::now_ms())
}

/// Sends one batch to partition 0.
#[track_caller]
fn send(site: &Site, topic: &Topic, batch: &Batch) -> Answer {
    site.append(topic, 0, batch.encode())
}

/// The batches that partition 0 holds. One Fetch gives no more than one segment, so it takes as many as needed.
#[track_caller]
fn log(site: &Site, topic: &Topic) -> Vec<Batch> {
    let (mut next, end) = site.bounds(topic, 0);
    let mut batches = Vec::new();
    while next < end {
        batches.extend(Batch::read_all(&site.stored(topic, 0, next)));
        next = batches.last().map_or(end, Batch::next_offset);
    }
    batches
}

/// A producer id that no partition has seen.
#[track_caller]
fn producer(site: &Site) -> i64 {
    site.client().producer_id().unwrap_or_else(|failure| panic!("{failure}"))
}

/// Whether the broker is a release from `major.minor` on.
fn is_from(site: &Site, major: u16, minor: u16) -> bool {
    site.version() >= Version::of(major, minor, 0)
}
