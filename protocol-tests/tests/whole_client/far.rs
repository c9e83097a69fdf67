//! Over a long way the windows of the connections are the limit, so lanes use as many as it takes.

use std::sync::PoisonError;
use std::time::Duration;

use kferry::copy::Limits;
use kferry::migrate::Ended;
use protocol_tests::broker::{Core, NewRecord, RecordBatchBuilder, Version};
use tokio::time::{Instant, sleep};

use super::wires::Way;
use super::{BEGIN, World, named};

/// The window of a default broker, batches and memory are a tenth of what is usual: so a tenth of the speed is reached.
const WINDOW: usize = 10_240;
const VALUE: usize = 100_000;
/// In each partition.
const BATCHES: i64 = 12;
const ONE_WAY: Duration = Duration::from_millis(25);
/// Each of 64 lanes holds a batch that comes and one that goes: over a long way it takes more than the default of 64 MiB.
const MEMORY: usize = (128 << 20) / 10;

#[test]
fn over_a_long_way_lanes_fill_the_windows_of_as_many_connections_as_it_takes() {
    let window = WINDOW as f64 / (ONE_WAY * 2).as_secs_f64();
    let (one, many) = (speed(1), speed(64));
    assert!(one >= 0.8 * window, "{one} of {window} bytes a second");
    assert!(many >= 8e6, "{many} bytes a second");
}

/// Bytes a second, from the first record on the target to the last.
fn speed(partitions: i32) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let target = named(Core::new(Version::V4_1, 1, BEGIN), "target");
        let world = World::of(13, source(partitions), target);
        world.wires.lock().unwrap_or_else(PoisonError::into_inner).way = Some(Way { one_way: ONE_WAY, window: WINDOW });
        let _served = world.serve();
        let mut times = Vec::new();
        tokio::select! {
            biased;
            ended = Box::pin(world.run(false, Limits { memory: MEMORY, rate: None })) => {
                assert_eq!(ended.map(|outcome| outcome.ended()), Ok(Ended::Done));
            }
            () = watch(&world, partitions, &mut times) => {}
        }
        let [first, .., last] = times.as_slice() else { panic!("{times:?}") };
        (i64::from(partitions) * BATCHES * VALUE as i64) as f64 / (*last - *first).as_secs_f64()
    })
}

/// Notes when records came, until all are there.
async fn watch(world: &World, partitions: i32, times: &mut Vec<Instant>) {
    let mut before = 0;
    while before < i64::from(partitions) * BATCHES {
        sleep(Duration::from_millis(5)).await;
        let end = |core: &Core, partition| core.partition("t", partition).map_or(0, |found| found.log.end());
        let written = world.target.with_core(|core| (0..partitions).map(|partition| end(core, partition)).sum::<i64>());
        if written > before {
            times.push(Instant::now());
        }
        before = written;
    }
}

/// A source with batches of one record in each partition.
fn source(partitions: i32) -> Core {
    let mut core = named(Core::new(Version::V4_1, 1, BEGIN), "source");
    core.create_topic("t", partitions, &[]).expect("a topic");
    for partition in 0..partitions {
        for offset in 0..BATCHES {
            let record = NewRecord::new(BEGIN + offset, "k", vec![b'v'; VALUE]);
            assert!(core.append("t", partition, RecordBatchBuilder::new().records([record]).build()));
        }
        core.commit("g", "t", partition, 0);
    }
    core
}
