//! Three nodes: what lies behind the high watermark, and leaders that die.

use std::time::Duration;

use kafka_protocol::error::ResponseError::RequestTimedOut;
use protocol_tests::broker::{self, Embedded};
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::kferry::Kferry;
use protocol_tests::lab::probe::Produce;
use protocol_tests::lab::site::Refusal;
use protocol_tests::lab::{Scenario, Site, Topic, wait};
use protocol_tests::on_an_own_site;

pub(crate) fn scenarios() -> Vec<Scenario> {
    on_an_own_site!["replication", 3:
        a_batch_that_followers_lack_is_appended_although_it_is_answered_timed_out,
        a_dead_leader_s_partition_goes_on_elsewhere_with_its_producers,
        topics_that_a_run_creates_on_three_nodes_take_their_first_batch,
    ]
}

const LIMIT: Duration = Duration::from_secs(60);

fn batch() -> Batch {
    Batch::small(10, wait::now_ms())
}

fn leader(site: &Site, topic: &Topic) -> i32 {
    site.client().leader_id(&topic.name, 0).unwrap()
}

fn a_batch_that_followers_lack_is_appended_although_it_is_answered_timed_out(site: &Site) {
    let topic = site.new_replicated_topic("lagging", &[("min.insync.replicas", "2")]);
    assert_eq!(site.append(&topic, 0, batch().encode()), Ok(0));
    let leader = leader(site, &topic);
    let followers = [1, 2, 3].into_iter().filter(|node| *node != leader);
    let mut connection = site.client().leader(&topic.name, 0).unwrap();
    followers.clone().for_each(|node| site.stop_following(node));
    let request = Produce { timeout_ms: 1_500, ..Produce::new(&topic.name, 0, batch().encode()) };
    assert_eq!(connection.produce(&request).unwrap()[0].result, Err(RequestTimedOut));
    let fetched = connection.fetch(&topic.name, 0, 0, false).unwrap();
    assert_eq!((fetched.high_watermark, Batch::read_all(&fetched.records).len()), (10, 1), "the second is invisible");
    assert_eq!(connection.log_end(&topic.name, 0).unwrap(), 20, "but it is there");
    followers.for_each(|node| site.follow(node));
    wait::until("the followers have caught up", LIMIT, || (site.client().end(&topic.name, 0) == Ok(20)).then_some(()));
}

fn a_dead_leader_s_partition_goes_on_elsewhere_with_its_producers(site: &Site) {
    let topic = site.new_replicated_topic("orphaned", &[("min.insync.replicas", "2")]);
    let id = site.client().producer_id().unwrap();
    assert_eq!(site.append(&topic, 0, batch().stamped(id, 0, 0).encode()), Ok(0));
    let dead = leader(site, &topic);
    site.kill(dead);
    let append = |sequence| -> Result<i64, Refusal> {
        let request = Produce::new(&topic.name, 0, batch().stamped(id, 0, sequence).encode());
        wait::until("another leader takes the batch", LIMIT, || {
            let mut leader = site.client().leader(&topic.name, 0).ok()?;
            leader.produce(&request).ok()?.first()?.result.ok()
        });
        Ok(site.client().end(&topic.name, 0).unwrap())
    };
    assert_eq!(append(0), Ok(10), "the new leader knows the producer: a duplicate");
    assert_eq!(append(10), Ok(20));
    assert_ne!(leader(site, &topic), dead);
    site.revive(dead);
    wait::until("the dead node is back in the in-sync set", LIMIT, || {
        let metadata = site.client().metadata(Some(&topic.name)).ok()?;
        (metadata.topics[0].partitions[0].isr_nodes.len() == 3).then_some(())
    });
}

/// Each node hears of a new topic by itself; a leader that has not refuses the first batch.
fn topics_that_a_run_creates_on_three_nodes_take_their_first_batch(site: &Site) {
    let source = Embedded::start(broker::Version::V4_1, 1).expect("an embedded cluster");
    let group = Topic::unique("group").name;
    let topics: Vec<Topic> = (0..20).map(|_| Topic::unique("spread")).collect();
    source.with_core(|core| {
        for topic in &topics {
            core.create_topic(&topic.name, 3, &[]).expect("a topic");
            for partition in 0..3 {
                assert!(core.append(&topic.name, partition, batch().encode()));
                core.commit(&group, &topic.name, partition, 0);
            }
        }
    });
    let addresses = [source.bootstrap().join(","), site.bootstrap()];
    let run = Kferry::new(env!("CARGO_BIN_EXE_kferry-under-test"));
    let call = run.call(["run", "--yes", "--source", &addresses[0], "--target", &addresses[1], "--group", &group]);
    call.run().expect_code(0);
    for topic in &topics {
        assert!((0..3).all(|partition| site.bounds(topic, partition) == (0, 10)), "{}", topic.name);
    }
}
