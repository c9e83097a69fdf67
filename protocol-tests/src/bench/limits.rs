//! What the brokers alone need: the same batches are fetched from the source and thrown away, and at the same time written to
//! the target from memory.

use std::thread;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::protocol::StrBytes;

use crate::broker::batch::{Header, Next, next_batch};
use crate::lab::probe::Probe;

use super::load::Load;
use super::process::now;
use super::sets::Set;

/// The last Fetch that names topics in the old encoding, and the first that shows zstd.
const VERSION: i16 = 10;
/// A broker handles one request of a connection at a time: over a second one it reads or writes meanwhile.
const CONNECTIONS: usize = 2;
/// Bytes of an answer, and of a partition in it.
const ANSWER: i32 = 8 << 20;
const PARTITION: i32 = 4 << 20;

/// Where a partition is read next.
#[derive(Clone, Debug)]
struct Place {
    topic: usize,
    partition: i32,
    next: i64,
    end: i64,
}

/// Drains the source and fills the target at once; the time until both are done.
///
/// # Errors
/// What a broker refused.
pub fn play(source: &str, target: &str, set: &Set, load: &Load) -> Result<Duration, String> {
    let started = now();
    thread::scope(|scope| {
        let drained = scope.spawn(|| drain(source, set));
        on_each_connection(|part| load.send_part(target, part, CONNECTIONS))?;
        drained.join().map_err(|_| "the drain panicked".to_owned())?
    })?;
    Ok(started.elapsed())
}

/// Reads all of a set.
///
/// # Errors
/// What the broker refused.
pub fn drain(address: &str, set: &Set) -> Result<(), String> {
    on_each_connection(|part| {
        let places = set.ends().map(|(topic, partition, end)| Place { topic, partition, next: 0, end });
        let mut places = places.skip(part).step_by(CONNECTIONS).collect();
        let mut probe = Probe::connect(address)?;
        while !Vec::is_empty(&places) {
            let answer = probe.call(VERSION, &request(set, &places))?;
            advance(set, &mut places, &answer)?;
        }
        Ok(())
    })
}

fn on_each_connection(act: impl Fn(usize) -> Result<(), String> + Sync) -> Result<(), String> {
    thread::scope(|scope| {
        let act = &act;
        let parts: Vec<_> = (0..CONNECTIONS).map(|part| scope.spawn(move || act(part))).collect();
        let ended =
            parts.into_iter().map(|part| part.join().map_err(|_| "a connection's thread panicked".to_owned())?);
        ended.collect()
    })
}

fn request(set: &Set, places: &[Place]) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for place in places {
        let partition = FetchPartition::default()
            .with_partition(place.partition)
            .with_fetch_offset(place.next)
            .with_partition_max_bytes(PARTITION);
        let name = set.topics.get(place.topic).map_or("", |topic| topic.name.as_str());
        match topics.last_mut() {
            Some(last) if last.topic.as_str() == name => last.partitions.push(partition),
            _ => topics.push(
                FetchTopic::default()
                    .with_topic(StrBytes::from_string(name.to_owned()).into())
                    .with_partitions(vec![partition]),
            ),
        }
    }
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(1000)
        .with_min_bytes(1)
        .with_max_bytes(ANSWER)
        .with_session_epoch(-1)
        .with_topics(topics)
}

/// Moves on behind what came, and leaves out what is done; those that got nothing are asked first the next time.
fn advance(set: &Set, places: &mut Vec<Place>, answer: &FetchResponse) -> Result<(), String> {
    let partitions = answer
        .responses
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic.as_str(), partition)));
    // The answer lists them in the order of the request.
    let mut served = 0;
    for (place, (topic, partition)) in places.iter_mut().zip(partitions) {
        let asked = set.topics.get(place.topic).map_or("", |topic| topic.name.as_str());
        if (asked, place.partition) != (topic, partition.partition_index) || partition.error_code != 0 {
            return Err(format!("Fetch of {asked}/{}: error {}", place.partition, partition.error_code));
        }
        let records = partition.records.as_deref().unwrap_or_default();
        served += usize::from(!records.is_empty());
        place.next = behind(records).unwrap_or(place.next);
    }
    let turn = served.min(places.len());
    places.rotate_left(turn);
    places.retain(|place| place.next < place.end);
    Ok(())
}

/// The offset behind the last whole batch.
fn behind(records: &[u8]) -> Option<i64> {
    let mut last = None;
    let mut at = 0;
    while let Next::Batch(range) = next_batch(records, at) {
        at = range.end;
        last = records.get(range).and_then(Header::read);
    }
    last.map(|header| header.last_offset() + 1)
}

#[cfg(test)]
mod tests {
    use super::{drain, play};
    use crate::bench::admin::Admin;
    use crate::bench::load::Load;
    use crate::bench::sets::{Scale, Set};
    use crate::bench::watch::Watch;
    use crate::broker::{Embedded, Version};

    #[test]
    fn the_limits_move_a_whole_set_and_a_watch_sees_it_arrive() {
        let set = Set::named("skew", Scale { bytes: 6 << 20, batches: 0 }).unwrap();
        let load = Load::of(&set).unwrap();
        let sites = [(); 2].map(|()| Embedded::start(Version::V4_1, 1).unwrap());
        let [source, target] = sites.each_ref().map(|site| site.bootstrap().join(","));
        for address in [&source, &target] {
            Admin::connect(address).unwrap().create(&set).unwrap();
        }
        load.send(&source).unwrap();
        let mut watch = Watch::over(&target, &set).unwrap();
        assert!(!watch.look() && watch.first.is_none());
        play(&source, &target, &set, &load).unwrap();
        assert!(watch.look() && watch.first.is_some() && watch.last.is_some());
        let mut admin = Admin::connect(&target).unwrap();
        let records = i64::try_from(load.records).unwrap();
        assert_eq!((watch.arrived().unwrap(), admin.ends(&set).unwrap().sum), (records, records));
        assert!(admin.has(&set).unwrap());
        admin.empty(&set).unwrap();
        assert!(drain(&target, &set).is_err(), "what was deleted was read");
        let mut again = Watch::over(&target, &set).unwrap();
        assert!(!again.look() && again.first.is_none(), "of what was there before nothing counts");
        load.send(&target).unwrap();
        assert!(again.look() && again.first.is_some() && again.arrived().unwrap() == records);
        assert_eq!(admin.ends(&set).unwrap().sum, 2 * records, "the topics are the same ones");
        admin.delete_all().unwrap();
        assert!(!admin.has(&set).unwrap());
        assert!(drain(&target, &set).is_err(), "a set that is gone was read");
    }
}
