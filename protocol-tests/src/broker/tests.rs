//! The cluster as a whole: requests as frames, as a client sends them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, FetchRequest, FetchResponse, GroupId,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::access::Operation;
use super::call::text;
use super::faults::{Action, Rule};
use super::{ConnectionId, Core, Event, Outcome, RecordBatchBuilder, Version};

const NOW: i64 = 1_700_000_000_000;
const FIRST: ConnectionId = ConnectionId(1);
const SECOND: ConnectionId = ConnectionId(2);

fn cluster(nodes: usize, configs: &[(&str, &str)]) -> Core {
    let mut core = Core::new(Version::V4_1, nodes, NOW);
    core.create_topic("t", 2, configs).expect("a topic");
    core
}

fn frame(api: ApiKey, version: i16, correlation: i32, request: &impl Encodable) -> Bytes {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(text("test")));
    header.encode(&mut frame, api.request_header_version(version)).expect("a header");
    request.encode(&mut frame, version).expect("a request");
    frame.freeze()
}

fn read<R: Decodable>(api: ApiKey, version: i16, mut frame: Bytes) -> (i32, R) {
    let header = ResponseHeader::decode(&mut frame, api.response_header_version(version)).expect("a header");
    let response = R::decode(&mut frame, version).expect("a response");
    assert!(frame.is_empty(), "{} bytes behind the response", frame.len());
    (header.correlation_id, response)
}

fn reply<R: Decodable>(api: ApiKey, version: i16, outcome: Outcome) -> R {
    match outcome {
        Outcome::Reply(frame) => read(api, version, frame).1,
        other => panic!("{other:?} instead of a reply"),
    }
}

/// A request to node 1 that is answered at once.
fn ask<R: Decodable>(core: &mut Core, api: ApiKey, version: i16, request: &impl Encodable) -> R {
    let outcome = core.handle(NOW, 1, ConnectionId(99), frame(api, version, 0, request));
    reply(api, version, outcome)
}

fn produce(acks: i16, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(TopicName(text("t"))).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(5_000).with_topic_data(vec![topic])
}

fn produce_frame(correlation: i32, acks: i16, records: Bytes) -> Bytes {
    frame(ApiKey::Produce, 9, correlation, &produce(acks, 0, records))
}

fn produced(outcome: Outcome) -> PartitionProduceResponse {
    reply::<ProduceResponse>(ApiKey::Produce, 9, outcome).responses[0].partition_responses[0].clone()
}

fn fetch(min_bytes: i32, partitions: &[(i32, i64, i32)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(partition, offset, max)| {
        FetchPartition::default().with_partition(*partition).with_fetch_offset(*offset).with_partition_max_bytes(*max)
    });
    let topic = FetchTopic::default().with_topic(TopicName(text("t"))).with_partitions(partitions.collect());
    FetchRequest::default()
        .with_min_bytes(min_bytes)
        .with_max_wait_ms(500)
        .with_max_bytes(50 << 20)
        .with_topics(vec![topic])
}

fn end(core: &mut Core, replica: i32) -> i64 {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(replica)).with_topics(vec![topic]);
    let response: ListOffsetsResponse = ask(core, ApiKey::ListOffsets, 6, &request);
    response.topics[0].partitions[0].offset
}

fn ten() -> Bytes {
    RecordBatchBuilder::of(10, NOW).build()
}

fn only(events: Vec<Event>) -> Outcome {
    let [event] = <[Event; 1]>::try_from(events).expect("one event");
    event.outcome
}

#[test]
fn requests_of_one_connection_are_answered_in_order_behind_one_that_waits() {
    let mut core = cluster(1, &[]);
    let waits = frame(ApiKey::Fetch, 11, 1, &fetch(1, &[(0, 0, 1 << 20)]));
    assert_eq!(core.handle(NOW, 1, FIRST, waits), Outcome::Parked);
    let metadata = frame(ApiKey::Metadata, 1, 2, &MetadataRequest::default());
    assert_eq!(core.handle(NOW, 1, FIRST, metadata), Outcome::Parked);
    assert_eq!(core.poll(NOW), []);
    assert_eq!(produced(core.handle(NOW, 1, SECOND, produce_frame(1, 1, ten()))).error_code, 0);
    let events = core.poll(NOW);
    let frames: Vec<Bytes> = events
        .into_iter()
        .map(|event| match event {
            Event { connection: FIRST, outcome: Outcome::Reply(frame) } => frame,
            other => panic!("{other:?}"),
        })
        .collect();
    let (correlation, fetched) = read::<FetchResponse>(ApiKey::Fetch, 11, frames[0].clone());
    assert_eq!((correlation, fetched.responses[0].partitions[0].high_watermark), (1, 10));
    assert_eq!(read::<MetadataResponse>(ApiKey::Metadata, 1, frames[1].clone()).0, 2);
}

#[test]
fn a_fetch_that_finds_too_little_is_answered_when_its_time_is_up() {
    let mut core = cluster(1, &[]);
    let waits = frame(ApiKey::Fetch, 11, 1, &fetch(1, &[(0, 0, 1 << 20)]));
    assert_eq!(core.handle(NOW, 1, FIRST, waits), Outcome::Parked);
    assert_eq!(core.next_wake(), Some(NOW + 500));
    assert_eq!(core.poll(NOW + 499), []);
    let fetched: FetchResponse = reply(ApiKey::Fetch, 11, only(core.poll(NOW + 500)));
    assert_eq!(fetched.responses[0].partitions[0].records.as_ref().map(Bytes::len), Some(0));
}

#[test]
fn only_the_first_partition_with_records_may_exceed_its_maximum() {
    let mut core = cluster(1, &[]);
    core.append("t", 0, ten());
    core.append("t", 1, ten());
    let response: FetchResponse = ask(&mut core, ApiKey::Fetch, 11, &fetch(1, &[(0, 0, 10), (1, 0, 10)]));
    let sizes: Vec<usize> =
        response.responses[0].partitions.iter().map(|data| data.records.as_ref().expect("records").len()).collect();
    assert_eq!(sizes, [ten().len(), 10]);
}

#[test]
fn a_produce_that_followers_lack_times_out_although_it_is_appended() {
    let mut core = cluster(2, &[("min.insync.replicas", "2")]);
    core.append("t", 0, ten());
    core.set_follower_up("t", 0, 2, false);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(1, -1, ten())), Outcome::Parked);
    assert_eq!((end(&mut core, -1), end(&mut core, -2)), (10, 20));
    let answer = produced(only(core.poll(NOW + 5_000)));
    assert_eq!((answer.error_code, answer.base_offset), (ResponseError::RequestTimedOut.code(), 10));
    core.shrink_isr("t", 0, 2);
    let refused = produced(core.handle(NOW, 1, FIRST, produce_frame(2, -1, ten())));
    assert_eq!(refused.error_code, ResponseError::NotEnoughReplicas.code());
    assert_eq!(end(&mut core, -2), 20);
}

#[test]
fn a_produce_ends_well_badly_or_elsewhere_with_its_followers() {
    let parked = |core: &mut Core| {
        core.set_follower_up("t", 0, 2, false);
        assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(1, -1, ten())), Outcome::Parked);
        assert_eq!(core.poll(NOW), []);
    };
    let mut core = cluster(2, &[("min.insync.replicas", "2")]);
    parked(&mut core);
    core.set_follower_up("t", 0, 2, true);
    assert_eq!(produced(only(core.poll(NOW))).error_code, 0);

    let mut core = cluster(2, &[("min.insync.replicas", "2")]);
    parked(&mut core);
    core.shrink_isr("t", 0, 2);
    let answer = produced(only(core.poll(NOW)));
    assert_eq!(answer.error_code, ResponseError::NotEnoughReplicasAfterAppend.code());

    let mut core = cluster(2, &[("min.insync.replicas", "2")]);
    parked(&mut core);
    core.elect("t", 0, 2);
    assert_eq!(produced(only(core.poll(NOW))).error_code, ResponseError::NotLeaderOrFollower.code());
    assert_eq!(core.partition("t", 0).expect("a partition").log.end(), 0, "the new leader never had it");
}

#[test]
fn faults_cut_delay_hold_and_replace() {
    let mut core = cluster(1, &[]);
    let end = |core: &Core| core.partition("t", 0).expect("a partition").log.end();

    core.faults.add(Rule::api(ApiKey::Produce), Action::CutBefore);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(1, 1, ten())), Outcome::Close);
    assert_eq!(end(&core), 0);

    core.faults.add(Rule::api(ApiKey::Produce).after(1), Action::CutAfter);
    assert_eq!(produced(core.handle(NOW, 1, FIRST, produce_frame(2, 1, ten()))).base_offset, 0);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(3, 1, ten())), Outcome::Close);
    assert_eq!((end(&core), core.faults.left()), (20, 0));

    core.faults.add(Rule::api(ApiKey::Produce).on_connection(FIRST), Action::DelayReply(100));
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(4, 1, ten())), Outcome::Parked);
    assert_eq!((end(&core), core.poll(NOW + 99)), (30, vec![]));
    assert_eq!(produced(only(core.poll(NOW + 100))).base_offset, 20);

    core.faults.add(Rule::any(), Action::Hold);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(5, 1, ten())), Outcome::Parked);
    assert_eq!((end(&core), core.poll(NOW + 1_000_000)), (40, vec![]));

    core.faults.add(Rule::any(), Action::reply(|_| Bytes::from_static(b"nonsense")));
    let answer = core.handle(NOW, 1, SECOND, produce_frame(6, 1, ten()));
    assert_eq!(answer, Outcome::Reply(Bytes::from_static(b"nonsense")));

    core.faults.hook(|call, _| (call.correlation_id == 7).then(|| Action::Raw(Bytes::from_static(&[0x7f; 4]))));
    assert_eq!(core.handle(NOW, 1, SECOND, produce_frame(7, 1, ten())), Outcome::Raw(Bytes::from_static(&[0x7f; 4])));
}

#[test]
fn a_delayed_request_is_handled_although_its_client_is_gone() {
    let mut core = cluster(1, &[]);
    core.faults.add(Rule::api(ApiKey::Produce), Action::DelayRequest(1_000));
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(1, 1, ten())), Outcome::Parked);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(2, 1, ten())), Outcome::Parked);
    core.disconnect(FIRST);
    assert_eq!(core.poll(NOW + 1_000), []);
    assert_eq!(core.partition("t", 0).expect("a partition").log.end(), 10);
}

#[test]
fn a_cut_after_handling_waits_for_the_followers() {
    let mut core = cluster(2, &[]);
    core.set_follower_up("t", 0, 2, false);
    core.faults.add(Rule::api(ApiKey::Produce), Action::CutAfter);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(1, -1, ten())), Outcome::Parked);
    core.set_follower_up("t", 0, 2, true);
    assert_eq!(only(core.poll(NOW)), Outcome::Close);
}

#[test]
fn a_node_that_stops_closes_and_others_lead() {
    let mut core = cluster(3, &[]);
    assert_eq!(produced(core.handle(NOW, 1, FIRST, produce_frame(1, -1, ten()))).error_code, 0);
    core.stop_node(1);
    assert_eq!(only(core.poll(NOW)), Outcome::Close);
    assert_eq!(core.handle(NOW, 1, FIRST, produce_frame(2, -1, ten())), Outcome::Close);
    assert_eq!(core.partition("t", 0).expect("a partition").leader, Some(2));
    let answer = produced(core.handle(NOW, 2, SECOND, produce_frame(3, -1, ten())));
    assert_eq!((answer.error_code, answer.base_offset), (0, 10));
    core.start_node(1);
    let answer = produced(core.handle(NOW, 1, FIRST, produce_frame(4, -1, ten())));
    assert_eq!(answer.error_code, ResponseError::NotLeaderOrFollower.code());
}

#[test]
fn producers_are_forgotten_by_timestamp_at_the_sweep_and_at_a_restart() {
    for (restart, days, again) in [(false, 0, 0), (false, 40, 10), (true, 0, 0), (true, 40, 10)] {
        let mut core = cluster(1, &[]);
        let stamp = NOW - days * 86_400_000;
        let batch = RecordBatchBuilder::of(10, stamp).producer(7, 0, 0).build();
        let mut now = NOW;
        let send = |core: &mut Core, now| produced(core.handle(now, 1, FIRST, produce_frame(1, 1, batch.clone())));
        assert_eq!(send(&mut core, now).base_offset, 0);
        let duplicate = send(&mut core, now);
        assert_eq!((duplicate.base_offset, duplicate.log_append_time_ms), (0, stamp + 9));
        if restart {
            core.restart();
        } else {
            now += 599_999;
            assert_eq!(send(&mut core, now).base_offset, 0);
            now += 100;
        }
        assert_eq!(send(&mut core, now).base_offset, again, "restart {restart}, {days} days");
    }
}

#[test]
fn a_version_that_is_too_new_is_told_the_ranges_in_version_0() {
    let mut core = cluster(1, &[]);
    let mut too_new = frame(ApiKey::ApiVersions, 4, 5, &ApiVersionsRequest::default()).to_vec();
    too_new[3] = 9;
    let response: ApiVersionsResponse = match core.handle(NOW, 1, FIRST, too_new.into()) {
        Outcome::Reply(frame) => read(ApiKey::ApiVersions, 0, frame).1,
        other => panic!("{other:?}"),
    };
    assert_eq!(response.error_code, ResponseError::UnsupportedVersion.code());
    assert!(response.api_keys.iter().any(|key| key.api_key == 18 && key.max_version == 4));
}

#[test]
fn what_is_no_request_closes_the_connection() {
    let mut core = cluster(1, &[]);
    for garbage in
        [&b""[..], b"\0", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 40], &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0]]
    {
        assert_eq!(core.handle(NOW, 1, FIRST, Bytes::copy_from_slice(garbage)), Outcome::Close);
    }
}

#[test]
fn what_is_denied_is_refused_with_its_code_and_left_out_of_lists() {
    let mut core = cluster(1, &[]);
    core.access.deny(Operation::WriteTopic, "t");
    core.access.deny(Operation::DescribeTopic, "t");
    let refused = produced(core.handle(NOW, 1, FIRST, produce_frame(1, 1, ten())));
    assert_eq!(refused.error_code, ResponseError::TopicAuthorizationFailed.code());
    let metadata: MetadataResponse = ask(&mut core, ApiKey::Metadata, 9, &MetadataRequest::default().with_topics(None));
    assert!(metadata.topics.is_empty());
    core.access.allow(Operation::DescribeTopic, "t");
    let metadata: MetadataResponse = ask(&mut core, ApiKey::Metadata, 9, &MetadataRequest::default().with_topics(None));
    assert_eq!(metadata.topics.len(), 1);
}

fn commit(metadata: &str, generation: i32) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(-5)
        .with_committed_metadata(Some(text(metadata)));
    let topic = OffsetCommitRequestTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic])
}

#[test]
fn offsets_are_stored_unchecked_and_metadata_counts_characters() {
    let mut core = cluster(1, &[]);
    let code = |core: &mut Core, metadata: &str, generation| {
        let response: OffsetCommitResponse = ask(core, ApiKey::OffsetCommit, 8, &commit(metadata, generation));
        response.topics[0].partitions[0].error_code
    };
    assert_eq!(code(&mut core, &"m".repeat(4_097), -1), ResponseError::OffsetMetadataTooLarge.code());
    assert_eq!(code(&mut core, &"\u{20ac}".repeat(4_096), -1), 0);
    assert_eq!(code(&mut core, "", 3), ResponseError::UnknownMemberId.code());
    assert_eq!(core.committed("g", "t", 0).expect("a commit").offset, -5);
    assert_eq!(code(&mut core, &"x".repeat(2 << 20), -1), ResponseError::UnknownServerError.code());
}

#[test]
fn an_offset_that_a_transaction_holds_is_unstable() {
    let mut core = cluster(1, &[]);
    core.commit("g", "t", 0, 5);
    let held = core.committed("g", "t", 0).cloned().expect("a commit");
    core.groups.entry("g").pending.entry(7).or_default().insert(("t".to_owned(), 0), held);
    let topic = OffsetFetchRequestTopic::default().with_name(TopicName(text("t"))).with_partition_indexes(vec![0, 1]);
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
    let codes = |core: &mut Core, stable| -> Vec<(i64, i16)> {
        let response: OffsetFetchResponse =
            ask(core, ApiKey::OffsetFetch, 7, &request.clone().with_require_stable(stable));
        response.topics[0].partitions.iter().map(|data| (data.committed_offset, data.error_code)).collect()
    };
    assert_eq!(codes(&mut core, false), [(5, 0), (-1, 0)]);
    assert_eq!(codes(&mut core, true), [(-1, ResponseError::UnstableOffsetCommit.code()), (-1, 0)]);
}

#[test]
fn a_group_is_answered_by_its_coordinator_only() {
    let mut core = cluster(3, &[]);
    let coordinator = core.coordinator("g").expect("a coordinator");
    let other = core.nodes.keys().copied().find(|node| *node != coordinator).expect("another node");
    let request = frame(ApiKey::OffsetCommit, 8, 1, &commit("", -1));
    let code = |core: &mut Core, node: i32| {
        let connection = ConnectionId(10 + node.unsigned_abs() as u64);
        let response: OffsetCommitResponse =
            reply(ApiKey::OffsetCommit, 8, core.handle(NOW, node, connection, request.clone()));
        response.topics[0].partitions[0].error_code
    };
    assert_eq!(code(&mut core, other), ResponseError::NotCoordinator.code());
    assert_eq!(code(&mut core, coordinator), 0);
}
