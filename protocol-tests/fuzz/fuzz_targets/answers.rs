//! Every answer but that to Fetch, at every version that is spoken; the first two bytes pick one. What lies behind an
//! answer changes nothing, and an answer that is cut off is never another one.
#![no_main]

use bytes::Bytes;
use kferry::wire::Request;
use kferry::wire::messages::*;
use kferry::wire::produce::ProduceRequest;
use kferry_fuzz::input::Input;
use kferry_fuzz::memory::{multiple, within};
use libfuzzer_sys::fuzz_target;
use std::fmt::Debug;

/// In the order that `src/bin/seeds.rs` counts on: that of `ApiKey::ALL` without Fetch, then the one with an API of
/// another's.
const READERS: &[fn(u64, &[u8])] = &[
    read::<ProduceRequest>,
    read::<ListOffsets>,
    read::<Metadata>,
    read::<OffsetCommit>,
    read::<OffsetFetch>,
    read::<FindCoordinator>,
    read::<JoinGroup>,
    read::<Heartbeat>,
    read::<LeaveGroup>,
    read::<SyncGroup>,
    read::<DescribeGroups>,
    read::<ListGroups>,
    read::<ApiVersions>,
    read::<CreateTopics>,
    read::<InitProducerId>,
    read::<DescribeConfigs>,
    read::<AlterConfigs>,
    read::<IncrementalAlterConfigs>,
    read::<ConsumerGroupDescribe>,
    read::<StreamsGroupDescribe>,
    read::<ClusterRights>,
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let reader = READERS[input.number(1) as usize % READERS.len()];
    reader(input.number(1), input.0);
});

fn read<R: Request<Answer: Debug>>(version: u64, body: &[u8]) {
    let versions = R::VERSIONS;
    let version = versions.min + (version as i16) % (versions.max - versions.min + 1);
    let decode = |body: &[u8]| {
        let body = Bytes::copy_from_slice(body);
        // A name of no bytes takes one byte of an answer and a string of ours.
        within(multiple(body.len(), 256), || R::decode(version, body))
    };
    let Ok(answer) = decode(body) else { return };
    let words = format!("{answer:?}");
    let behind = [body, &[0xff; 8]].concat();
    assert_eq!(decode(&behind).map(|answer| format!("{answer:?}")).ok(), Some(words.clone()), "it reads on");
    let Some((_, cut)) = body.split_last() else { return };
    if let Ok(shorter) = decode(cut) {
        assert_eq!(format!("{shorter:?}"), words, "a cut answer is another one");
    }
}
