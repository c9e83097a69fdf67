//! Captures the answers of real brokers again: `cargo run -p protocol-tests --bin capture [RELEASE…]` (needs Java 17 and
//! Maven); without a release, those of all.
//!
//! Each API that kferry speaks is asked at each version, of the newest release in [`RELEASES`] that speaks it too and of
//! the oldest ones; the list of versions of every release. `fixtures/README.md` says what the files hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a tool of the tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, ConsumerGroupDescribeRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, LeaveGroupRequest,
    ListGroupsRequest, ProducerId, SyncGroupRequest, alter_configs_request, incremental_alter_configs_request,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use kferry::wire::{ApiKey, VersionRange};
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::hand::End;
use protocol_tests::lab::park::{Broker, Park};
use protocol_tests::lab::probe::{Client, Probe};
use protocol_tests::lab::{Record, Site, Topic, Version};

/// The newest first.
const RELEASES: [Version; 6] = [
    Version::of(4, 3, 0),
    Version::of(3, 9, 1),
    Version::of(2, 8, 2),
    Version::of(1, 1, 1),
    Version::ancient(0, 11, 0, 3),
    Version::ancient(0, 10, 2, 2),
];
/// Their answers are kept too where a newer one was asked already: old brokers leave things out.
const OLDEST: Version = Version::ancient(0, 11, 0, 3);
/// Of these only the list of versions, to hold the embedded broker against.
const LISTED: [Version; 2] = [Version::of(4, 1, 0), Version::ancient(0, 10, 0, 1)];

const TOPIC: &str = "fixture";
/// For Produce, so that Fetch finds the other one as it was made.
const WRITTEN: &str = "fixture-written";
const GROUP: &str = "fixture-group";
/// For OffsetCommit, for the same reason.
const COMMITTED: &str = "fixture-committed";
const MEMBERS: &str = "fixture-members";
const TIME: i64 = 1_700_000_000_000;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/responses");
    let chosen: Vec<Version> = std::env::args().skip(1).map(|name| name.parse().unwrap()).collect();
    let park = Park::default();
    let mut captured = BTreeSet::new();
    for release in RELEASES.into_iter().chain(LISTED) {
        if !chosen.is_empty() && !chosen.contains(&release) {
            continue;
        }
        println!("{release}");
        let folder = folder.join(release.to_string());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let slot = park.own(Broker::Real(release), 1, &[]);
        let site = slot.site();
        capture(site, &folder, ApiKey::ApiVersions, 0);
        if LISTED.contains(&release) {
            continue;
        }
        if release.has_batches() {
            set_the_stage(site)
        } else {
            set_an_old_stage(site)
        }
        for (key, version) in common(site) {
            if captured.insert((key, version)) || release <= OLDEST {
                capture(site, &folder, key, version);
            }
        }
    }
}

/// The APIs and versions that both sides speak.
fn common(site: &Site) -> Vec<(ApiKey, i16)> {
    let answer = Client::new(&site.bootstrap()).ask(0, &ApiVersionsRequest::default()).unwrap();
    let theirs = |key: ApiKey, version: i16| {
        let mut apis = answer.api_keys.iter().filter(|api| api.api_key == key.number());
        apis.any(|api| (api.min_version..=api.max_version).contains(&version))
    };
    let ours = ApiKey::ALL.iter().flat_map(|key| {
        let VersionRange { min, max } = key.spoken();
        (min..=max).map(|version| (*key, version))
    });
    ours.filter(|(key, version)| theirs(*key, *version)).collect()
}

/// Three batches of two records, the second of an aborted transaction; a group with a commit and one with a member.
fn set_the_stage(site: &Site) {
    let topic = Topic { name: TOPIC.into() };
    // The marker is of today and the records are not: the broker would begin another segment, which Fetch stops in front of.
    site.create_topic(&topic, 2, &[("retention.ms", "-1"), ("segment.ms", "3153600000000")]);
    let records = |name: &str| [1, 2].map(|n| Record::new(TIME + n, format!("key-{n}"), format!("{name}-{n}")));
    let probe = site.by_probe();
    probe.write(&topic, 0, &records("plain"));
    probe.write_in_transaction("fixture-transaction", End::Abort, &topic, 0, &records("aborted"));
    probe.write(&topic, 0, &records("last"));
    probe.commit_with(GROUP, &topic, 0, 1, "note");
    site.create_topic(&Topic { name: WRITTEN.into() }, 2, &[("retention.ms", "-1")]);
    // The cluster ends before the member's session does.
    std::mem::forget(probe.hold(MEMBERS, &topic));
}

/// The same without transactions, by Kafka's own client.
fn set_an_old_stage(site: &Site) {
    let topic = Topic { name: TOPIC.into() };
    site.create_topic(&topic, 2, &[("retention.ms", "-1"), ("segment.ms", "3153600000000")]);
    for name in ["plain", "last"] {
        let records = [1, 2].map(|n| Record::new(TIME + n, format!("key-{n}"), format!("{name}-{n}")));
        site.write(&topic, 0, &records);
    }
    let probe = site.by_probe();
    probe.commit_with(GROUP, &topic, 0, 1, "note");
    std::mem::forget(probe.hold(MEMBERS, &topic));
}

/// Asks once, on a connection of its own, and keeps the frame behind its length.
fn capture(site: &Site, folder: &Path, key: ApiKey, version: i16) {
    let Some(body) = request(key, version) else { return };
    let mut probe = Probe::connect(&site.bootstrap()).unwrap();
    probe.send_body(key.number(), version, &body).unwrap();
    let frame = probe.receive_frame().unwrap_or_else(|failure| panic!("{key} v{version}: {failure}"));
    fs::write(folder.join(format!("{key}-v{version}.bin")), frame).unwrap();
}

/// The request's body; `None` where nobody here can write one.
fn request(key: ApiKey, version: i16) -> Option<Vec<u8>> {
    Some(match (key, version) {
        (ApiKey::Fetch, ..4) => old_fetch(version),
        (ApiKey::ListOffsets, 0) => old_list_offsets(),
        (ApiKey::DescribeConfigs, 0) => old_describe_configs(),
        (ApiKey::Produce, _) => encode(version, &produce()),
        (ApiKey::Fetch, _) => encode(version, &fetch()),
        (ApiKey::ListOffsets, _) => encode(version, &list_offsets()),
        (ApiKey::Metadata, _) => encode(version, &metadata()),
        (ApiKey::OffsetFetch, _) => encode(version, &offset_fetch(version)),
        (ApiKey::FindCoordinator, _) => encode(version, &find_coordinator(version)),
        (ApiKey::DescribeGroups, _) => {
            let groups = vec![text(MEMBERS).into(), text(GROUP).into()];
            encode(version, &DescribeGroupsRequest::default().with_groups(groups))
        }
        (ApiKey::ListGroups, _) => encode(version, &ListGroupsRequest::default()),
        (ApiKey::ApiVersions, _) => encode(version, &api_versions(version)),
        (ApiKey::CreateTopics, _) => encode(version, &create_topics()),
        (ApiKey::InitProducerId, _) => encode(version, &init_producer_id()),
        (ApiKey::DescribeConfigs, _) => encode(version, &describe_configs()),
        (ApiKey::AlterConfigs, _) => encode(version, &alter_configs()),
        (ApiKey::IncrementalAlterConfigs, _) => encode(version, &incremental_alter_configs()),
        (ApiKey::ConsumerGroupDescribe, _) => {
            let groups = vec![text(MEMBERS).into(), text("no-such-group").into()];
            encode(version, &ConsumerGroupDescribeRequest::default().with_group_ids(groups))
        }
        (ApiKey::OffsetCommit, _) => encode(version, &offset_commit()),
        (ApiKey::JoinGroup, _) => encode(version, &join_group(version)),
        (ApiKey::SyncGroup, _) => encode(version, &SyncGroupRequest::default().with_group_id(text(GROUP).into())),
        (ApiKey::Heartbeat, _) => encode(version, &HeartbeatRequest::default().with_group_id(text(GROUP).into())),
        (ApiKey::LeaveGroup, _) => encode(version, &LeaveGroupRequest::default().with_group_id(text(GROUP).into())),
        // kafka-protocol can't ask for it.
        (ApiKey::StreamsGroupDescribe, _) => return None,
    })
}

fn encode(version: i16, request: &impl Encodable) -> Vec<u8> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap_or_else(|cause| panic!("v{version}: {cause}"));
    body.to_vec()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// One batch that is taken and one that is refused.
fn produce() -> ProduceRequest {
    let good = Batch::small(2, TIME).encode();
    let bad = Batch { base_offset: 7, ..Batch::small(2, TIME) }.encode();
    let entry = |(index, records)| PartitionProduceData::default().with_index(index).with_records(Some(records));
    let entries = [(0, good), (1, bad)].map(entry).to_vec();
    let topic = TopicProduceData::default().with_name(text(WRITTEN).into()).with_partition_data(entries);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

/// Both partitions from the start, as a read_committed consumer.
fn fetch() -> FetchRequest {
    let partition = |index| FetchPartition::default().with_partition(index).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(text(TOPIC).into()).with_partitions([0, 1].map(partition).to_vec());
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(100)
        .with_max_bytes(1 << 20)
        .with_isolation_level(1)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// As [`fetch`], in the versions whose answers carry message sets.
fn old_fetch(version: i16) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_i32(-1);
    body.put_i32(100);
    body.put_i32(1);
    if version >= 3 {
        body.put_i32(1 << 20);
    }
    put_topic(&mut body);
    body.put_i32(2);
    for partition in [0, 1] {
        body.put_i32(partition);
        body.put_i64(0);
        body.put_i32(1 << 20);
    }
    body
}

/// An array of one topic, up to its partitions.
fn put_topic(body: &mut Vec<u8>) {
    body.put_i32(1);
    body.put_i16(i16::try_from(TOPIC.len()).unwrap());
    body.put_slice(TOPIC.as_bytes());
}

fn list_offsets() -> ListOffsetsRequest {
    let at = |(index, time)| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(time);
    let partitions = [(0, -1), (1, TIME)].map(at).to_vec();
    let topic = ListOffsetsTopic::default().with_name(text(TOPIC).into()).with_partitions(partitions);
    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic])
}

/// Asks for up to one offset at the end.
fn old_list_offsets() -> Vec<u8> {
    let mut body = Vec::new();
    body.put_i32(-1);
    put_topic(&mut body);
    body.put_i32(1);
    body.put_i32(0);
    body.put_i64(-1);
    body.put_i32(1);
    body
}

/// One topic that is there and one that is not.
fn metadata() -> MetadataRequest {
    // Version 4 and later may say not to create them.
    let topic = |name| MetadataRequestTopic::default().with_name(Some(text(name).into()));
    let topics = [TOPIC, "no-such-topic"].map(topic).to_vec();
    MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(true)
}

fn offset_fetch(version: i16) -> OffsetFetchRequest {
    if version < 2 {
        let topic = OffsetFetchRequestTopic::default().with_name(text(TOPIC).into()).with_partition_indexes(vec![0, 1]);
        return OffsetFetchRequest::default().with_group_id(text(GROUP).into()).with_topics(Some(vec![topic]));
    }
    if version < 8 {
        return OffsetFetchRequest::default().with_group_id(text(GROUP).into()).with_topics(None);
    }
    let group = |name| OffsetFetchRequestGroup::default().with_group_id(text(name).into()).with_topics(None);
    OffsetFetchRequest::default().with_groups([GROUP, "no-such-group"].map(group).to_vec())
}

/// One offset that is taken and one whose partition does not exist.
fn offset_commit() -> OffsetCommitRequest {
    let topic = |name: &'static str| {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
        let partition = partition.with_committed_metadata(Some(text("note")));
        OffsetCommitRequestTopic::default().with_name(text(name).into()).with_partitions(vec![partition])
    };
    let topics = [TOPIC, "no-such-topic"].map(topic).to_vec();
    OffsetCommitRequest::default().with_group_id(text(COMMITTED).into()).with_topics(topics)
}

/// The first member of a group, which from version 4 on is told its id alone.
fn join_group(version: i16) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("kferry")).with_metadata("{}".into());
    JoinGroupRequest::default()
        .with_group_id(StrBytes::from_string(format!("fixture-joined-{version}")).into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("kferry"))
        .with_protocols(vec![protocol])
}

fn find_coordinator(version: i16) -> FindCoordinatorRequest {
    match version {
        4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![text(GROUP), text(MEMBERS)]),
        _ => FindCoordinatorRequest::default().with_key(text(GROUP)),
    }
}

fn api_versions(version: i16) -> ApiVersionsRequest {
    match version {
        3.. => ApiVersionsRequest::default()
            .with_client_software_name(text("capture"))
            .with_client_software_version(text("1")),
        _ => ApiVersionsRequest::default(),
    }
}

/// Only validated: a topic that could be made, and one that is there.
fn create_topics() -> CreateTopicsRequest {
    let topic =
        |name| CreatableTopic::default().with_name(text(name).into()).with_num_partitions(1).with_replication_factor(1);
    let topics = ["new-topic", TOPIC].map(topic).to_vec();
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(10_000).with_validate_only(true)
}

fn init_producer_id() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
}

/// What DescribeConfigs calls a topic.
const TOPIC_RESOURCE: i8 = 2;

fn describe_configs() -> DescribeConfigsRequest {
    let keys = vec![text("retention.ms"), text("cleanup.policy")];
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(TOPIC))
        .with_configuration_keys(Some(keys));
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

/// All configs of the topic.
fn old_describe_configs() -> Vec<u8> {
    let mut body = Vec::new();
    body.put_i32(1);
    body.put_i8(TOPIC_RESOURCE);
    body.put_i16(i16::try_from(TOPIC.len()).unwrap());
    body.put_slice(TOPIC.as_bytes());
    body.put_i32(-1);
    body
}

/// Only validated: a value that can be set, and one that can't.
fn alter_configs() -> AlterConfigsRequest {
    let resource = |(name, value)| {
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text(value)));
        alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(text(name))
            .with_configs(vec![config])
    };
    let resources = [(TOPIC, "1000"), (WRITTEN, "soon")].map(resource).to_vec();
    AlterConfigsRequest::default().with_resources(resources).with_validate_only(true)
}

/// As [`alter_configs`].
fn incremental_alter_configs() -> IncrementalAlterConfigsRequest {
    let resource = |(name, value)| {
        let config = incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text(value)));
        incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(text(name))
            .with_configs(vec![config])
    };
    let resources = [(TOPIC, "1000"), (WRITTEN, "soon")].map(resource).to_vec();
    IncrementalAlterConfigsRequest::default().with_resources(resources).with_validate_only(true)
}
