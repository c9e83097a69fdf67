//! `run.rate` holds over any ten seconds, however long the brokers take.

use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use kferry::copy::Limits;
use kferry::migrate::Ended;
use protocol_tests::broker::{Action, Core, NewRecord, RecordBatchBuilder, Version};
use tokio::time::{Instant, sleep};

use super::{BEGIN, NODES, World, named};

/// Bytes a second.
const RATE: u64 = 400_000;
const PARTITIONS: i32 = 12;
/// Of one record each, in every partition.
const BATCHES: i64 = 250;
const VALUE: usize = 4_000;
const WINDOW: Duration = Duration::from_secs(10);

#[test]
fn a_rate_holds_over_any_ten_seconds() {
    for answers_after in [1, 100, 700] {
        let mut written = copied(answers_after);
        // The last lanes alone can't keep up the rate where brokers are slow.
        let all = written.last().map_or(0, |(_, bytes)| *bytes);
        written.retain(|(_, bytes)| bytes * 10 <= all * 9);
        let (mut least, mut most) = (u64::MAX, 0);
        for (index, (begin, before)) in written.iter().enumerate() {
            // Samples lie a little more than their distance apart: the window ends at the first behind it.
            let Some((end, after)) = written[index..].iter().find(|(at, _)| *at >= *begin + WINDOW) else { break };
            let allowed = (*end - *begin).as_secs_f64() * RATE as f64;
            let share = ((after - before) as f64 * 1_000.0 / allowed) as u64;
            (least, most) = (least.min(share), most.max(share));
        }
        assert!(
            950 <= least && least <= most && most <= 1_050,
            "{answers_after} ms: between {least} and {most} thousandths"
        );
    }
}

/// The bytes on the target as time goes by, from the first to the last.
fn copied(answers_after: i64) -> Vec<(Instant, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let target = named(Core::new(Version::V4_1, NODES, BEGIN), "target");
        let (source, batch) = source();
        let world = World::of(11, source, target);
        for cluster in [&world.source, &world.target] {
            cluster.with_core(|core| {
                core.faults.hook(move |call, _| match call.api {
                    ApiKey::Fetch | ApiKey::Produce => Some(Action::DelayRequest(answers_after)),
                    _ => None,
                });
            });
        }
        let _served = world.serve();
        let mut seen = Vec::new();
        tokio::select! {
            biased;
            ended = Box::pin(world.run(false, Limits { memory: 8 << 20, rate: Some(RATE) })) => {
                assert_eq!(ended.map(|outcome| outcome.ended()), Ok(Ended::Done));
            }
            () = watch(&world, batch, &mut seen) => {}
        }
        seen
    })
}

async fn watch(world: &World, batch: u64, seen: &mut Vec<(Instant, u64)>) {
    loop {
        sleep(Duration::from_millis(20)).await;
        let end = |core: &Core, partition| core.partition("t", partition).map_or(0, |found| found.log.end());
        let records = world.target.with_core(|core| (0..PARTITIONS).map(|partition| end(core, partition)).sum::<i64>());
        let written = records as u64 * batch;
        // What comes first, too, came within a time.
        if written == 0 {
            seen.clear();
        }
        if seen.last().is_none_or(|(_, before)| *before < written) {
            seen.push((Instant::now(), written));
        }
    }
}

/// A source, and the size of each of its batches.
fn source() -> (Core, u64) {
    let mut core = named(Core::new(Version::V4_1, NODES, BEGIN), "source");
    core.create_topic("t", PARTITIONS, &[]).expect("a topic");
    let mut size = 0;
    for partition in 0..PARTITIONS {
        for offset in 0..BATCHES {
            let record = NewRecord::new(BEGIN + offset, "k", vec![b'v'; VALUE]);
            let batch = RecordBatchBuilder::new().records([record]).build();
            size = batch.len() as u64;
            assert!(core.append("t", partition, batch));
        }
        core.commit("g", "t", partition, 0);
    }
    (core, size)
}
