use super::super::fetch::FetchRequest;
use super::super::messages::*;
use super::super::produce::ProduceRequest;
use crate::wire::{ApiKey, Request, header};
use bytes::Bytes;
use proptest::prelude::*;

/// Reads `body` as the answer of every request at every version; only whether it ends matters.
fn read_as_everything(body: &Bytes) {
    fn read_as<R: Request>(body: &Bytes) {
        for version in R::VERSIONS.min..=R::VERSIONS.max {
            drop(R::decode(version, body.clone()));
        }
    }
    read_as::<AlterConfigs>(body);
    read_as::<ApiVersions>(body);
    read_as::<ClusterRights>(body);
    read_as::<ConsumerGroupDescribe>(body);
    read_as::<CreateTopics>(body);
    read_as::<DescribeConfigs>(body);
    read_as::<DescribeGroups>(body);
    read_as::<FetchRequest>(body);
    read_as::<FindCoordinator>(body);
    read_as::<Heartbeat>(body);
    read_as::<IncrementalAlterConfigs>(body);
    read_as::<InitProducerId>(body);
    read_as::<JoinGroup>(body);
    read_as::<LeaveGroup>(body);
    read_as::<ListGroups>(body);
    read_as::<ListOffsets>(body);
    read_as::<Metadata>(body);
    read_as::<OffsetCommit>(body);
    read_as::<OffsetFetch>(body);
    read_as::<ProduceRequest>(body);
    read_as::<StreamsGroupDescribe>(body);
    read_as::<SyncGroup>(body);
}

#[test]
fn the_largest_count_anywhere_reserves_nothing() {
    // The library's decoder reserves memory for such counts and ends the process.
    for lead in 0..40 {
        for count in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80, 0, 0, 0]] {
            let body = [&vec![0; lead], count, &[0; 200]].concat();
            read_as_everything(&Bytes::from(body));
        }
    }
}

#[test]
fn an_answer_cut_off_anywhere_is_an_error() {
    let whole = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b'g', 0, 1, b'c']);
    assert!(ListGroups::decode(1, whole.slice(..0)).is_err());
    for end in 0..whole.len() {
        let cut = ListGroups::decode(1, whole.slice(..end));
        assert!(cut.is_err(), "{end} bytes are enough");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400)) {
        read_as_everything(&Bytes::from(body));
    }

    /// Small numbers lead deeper into the structures than random ones do.
    #[test]
    fn any_small_bytes_are_read_or_refused(body in prop::collection::vec(0_u8..4, 0..400)) {
        read_as_everything(&Bytes::from(body));
    }

    #[test]
    fn any_header_is_read_or_refused(answer in prop::collection::vec(any::<u8>(), 0..40), version in 0_i16..13) {
        for api in ApiKey::ALL {
            drop(header::body(*api, version, Bytes::from(answer.clone())));
        }
        drop(header::correlation(&answer));
    }
}
