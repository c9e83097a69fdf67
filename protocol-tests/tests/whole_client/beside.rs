//! Lanes beside a broker that is slow or does not answer at all keep their rate.

use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use kferry::copy::Limits;
use kferry::kafka::Side;
use protocol_tests::broker::{Action, Core, NewRecord, RecordBatchBuilder, Version};
use tokio::time::{Instant, sleep};

use super::{BEGIN, NODES, World, named};

const BATCHES: i64 = 200;
/// The broker in trouble.
const SICK: i32 = 1;
/// How long a healthy broker takes for a Fetch or a Produce, in ms.
const HEALTHY: i64 = 40;

/// What is wrong with a broker.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It takes requests and does not answer them.
    Stuck,
    /// It takes that many ms for each request.
    Slow(i64),
}

/// What is copied, with how much memory.
#[derive(Clone, Copy, Debug)]
struct Load {
    partitions: i32,
    memory: usize,
}

#[test]
fn lanes_beside_a_slow_or_stuck_broker_keep_nine_tenths_of_their_rate() {
    let load = Load { partitions: 12, memory: 8 << 20 };
    for side in [Side::Target, Side::Source] {
        let healthy = took(load, side, None);
        for trouble in [Trouble::Stuck, Trouble::Slow(400), Trouble::Slow(4_000)] {
            let beside = took(load, side, Some(trouble));
            assert!(beside * 9 <= healthy * 10, "{side}, {trouble:?}: {beside:?} instead of {healthy:?}");
        }
    }
}

#[test]
fn where_memory_is_short_a_broker_that_stands_still_takes_half_of_it_at_most() {
    let load = Load { partitions: 48, memory: 1 << 20 };
    let healthy = took(load, Side::Target, None);
    let beside = took(load, Side::Target, Some(Trouble::Stuck));
    assert!(beside <= healthy * 5 / 2, "{beside:?} instead of {healthy:?}");
}

/// How long those lanes need that have nothing to do with the sick broker of this side, from the first record that any
/// of them writes to the last.
fn took(load: Load, side: Side, trouble: Option<Trouble>) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let world = World::of(7, source(load), named(Core::new(Version::V4_1, NODES, BEGIN), "target"));
        for cluster in [&world.source, &world.target] {
            let is_sick = std::ptr::eq(cluster, if side == Side::Source { &world.source } else { &world.target });
            let trouble = trouble.filter(|_| is_sick);
            cluster.with_core(|core| {
                core.faults.hook(move |call, _| match (call.api, trouble) {
                    (ApiKey::Fetch | ApiKey::Produce, Some(trouble)) if call.node == SICK => Some(match trouble {
                        Trouble::Stuck => Action::Hold,
                        Trouble::Slow(ms) => Action::DelayRequest(ms),
                    }),
                    (ApiKey::Fetch | ApiKey::Produce, _) => Some(Action::DelayRequest(HEALTHY)),
                    _ => None,
                });
            });
        }
        let _served = world.serve();
        tokio::select! {
            biased;
            ended = Box::pin(world.run(false, Limits { memory: load.memory, rate: None })) => panic!("{ended:?} before the healthy lanes were seen to be done"),
            took = watch(&world, side, load) => took,
        }
    })
}

async fn watch(world: &World, side: Side, load: Load) -> Duration {
    let mut first = None;
    loop {
        sleep(Duration::from_millis(5)).await;
        let healthy = healthy(world, side, load);
        let written = |core: &Core| {
            let end = |partition: &i32| core.partition("t", *partition).map_or(0, |found| found.log.end());
            healthy.iter().map(end).sum::<i64>()
        };
        let written = world.target.with_core(|core| written(core));
        if written > 0 {
            let first = *first.get_or_insert_with(Instant::now);
            if written == BATCHES * healthy.len() as i64 {
                return first.elapsed();
            }
        }
    }
}

/// The partitions that the sick broker of this side does not lead.
fn healthy(world: &World, side: Side, load: Load) -> Vec<i32> {
    let cluster = if side == Side::Source { &world.source } else { &world.target };
    let led =
        |core: &Core, partition: i32| core.partition("t", partition).is_some_and(|found| found.leader == Some(SICK));
    cluster.with_core(|core| (0..load.partitions).filter(|partition| !led(core, *partition)).collect())
}

/// A source with as many batches of one record in each partition.
fn source(load: Load) -> Core {
    let mut core = named(Core::new(Version::V4_1, NODES, BEGIN), "source");
    core.create_topic("t", load.partitions, &[]).expect("a topic");
    for partition in 0..load.partitions {
        for offset in 0..BATCHES {
            let record = NewRecord::new(BEGIN + offset, "k", vec![b'v'; 16_000]);
            assert!(core.append("t", partition, RecordBatchBuilder::new().records([record]).build()));
        }
        core.commit("g", "t", partition, 0);
    }
    core
}
