use super::{answer, as_read_by_a_broker, text, unwritable, versions, written};
use crate::kafka::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, TopicId};
use crate::kafka::{TopicName, TopicPartition};
use crate::wire::fetch::Isolation;
use crate::wire::messages::*;
use crate::wire::{ApiKey, Request};
use bytes::Bytes;
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::protocol::Decodable;
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn every_version_of_what_a_broker_speaks_is_read() {
    for version in versions::<ApiVersions>() {
        let fetch = ApiVersion::default().with_api_key(1).with_min_version(4).with_max_version(17);
        let later = ApiVersion::default().with_api_key(999).with_min_version(0).with_max_version(0);
        let response = kafka::ApiVersionsResponse::default().with_api_keys(vec![fetch, later]);
        let read = answer::<ApiVersions>(&response, version);
        assert_eq!(read.versions.negotiate(ApiKey::Fetch, ApiKey::Fetch.spoken()), Ok(11));
    }
}

#[test]
fn a_refused_version_of_api_versions_is_read_as_version_0() {
    let refused = Bytes::from_static(&[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2]);
    let read = ApiVersions::decode(3, refused).expect("it can be read");
    assert_eq!(read.error, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(read.versions.theirs(ApiKey::ApiVersions).map(|range| range.max), Some(2));
}

#[test]
fn metadata_never_creates_a_topic() {
    let named = Metadata { topics: Some(vec![TopicName::from("t")]) };
    for version in versions::<Metadata>() {
        let read: kafka::MetadataRequest = as_read_by_a_broker(&named, version);
        if version >= 4 {
            assert!(!read.allow_auto_topic_creation);
            assert_eq!(read.topics.map(|topics| topics.len()), Some(1));
        } else {
            assert_eq!(read.topics, None, "version {version} would create what it names");
        }
    }
    assert_eq!(written(&Metadata { topics: None }, 1), [0xff; 4]);
}

fn metadata(version: i16) -> kafka::MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(3.into())
        .with_host(text("kafka-3"))
        .with_port(9092)
        .with_rack(Some(text("az-1")));
    let mut led = MetadataResponsePartition::default()
        .with_partition_index(7)
        .with_leader_id(3.into())
        .with_replica_nodes(vec![3.into(), 4.into()])
        .with_isr_nodes(vec![3.into()]);
    let orphan =
        MetadataResponsePartition::default().with_partition_index(8).with_leader_id((-1).into()).with_error_code(5);
    if version >= 5 {
        led = led.with_offline_replicas(vec![4.into()]);
    }
    if version >= 7 {
        led = led.with_leader_epoch(11);
    }
    let mut topic = MetadataResponseTopic::default()
        .with_name(Some(text("t").into()))
        .with_is_internal(true)
        .with_partitions(vec![led, orphan]);
    if version >= 10 {
        topic = topic.with_topic_id(sevens().topic_id);
    }
    let response = kafka::MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(3.into())
        .with_topics(vec![topic]);
    if version >= 2 { response.with_cluster_id(Some(text("cluster"))) } else { response }
}

/// A message whose topic id is sixteen sevens: the library's own type of ids has no other name here.
fn sevens() -> MetadataRequestTopic {
    let bytes = [&[7; 16][..], &[0, 0]].concat();
    MetadataRequestTopic::decode(&mut Bytes::from(bytes), 10).expect("an id, no name, no tags")
}

#[test]
fn every_version_of_metadata_is_read() {
    for version in versions::<Metadata>() {
        let read = answer::<Metadata>(&metadata(version), version);
        let rack = Some("az-1".to_owned());
        assert_eq!(read.brokers, [MetadataBroker { id: BrokerId(3), host: "kafka-3".to_owned(), port: 9092, rack }]);
        assert_eq!(read.cluster_id.as_deref(), (version >= 2).then_some("cluster"));
        assert_eq!(read.controller, Some(BrokerId(3)));
        let [topic] = read.topics.as_slice() else { panic!("one topic") };
        assert_eq!((topic.name.as_str(), topic.error, topic.internal), ("t", ErrorCode::NONE, true));
        assert_eq!(topic.id, (version >= 10).then_some(TopicId([7; 16])));
        let [led, orphan] = topic.partitions.as_slice() else { panic!("two partitions") };
        assert_eq!((led.id, led.leader), (PartitionId(7), Some(BrokerId(3))));
        assert_eq!(led.leader_epoch, (version >= 7).then_some(LeaderEpoch(11)));
        assert_eq!((led.replicas.len(), led.in_sync.as_slice()), (2, &[BrokerId(3)][..]));
        assert_eq!((orphan.leader, orphan.error), (None, ErrorCode::LEADER_NOT_AVAILABLE));
    }
}

#[test]
fn the_right_to_describe_the_cluster_is_read() {
    for version in 8..=10 {
        let read: kafka::MetadataRequest = as_read_by_a_broker(&ClusterRights, version);
        assert!(read.include_cluster_authorized_operations && !read.allow_auto_topic_creation);
        assert_eq!(read.topics.map(|topics| topics.len()), Some(0));
        for (rights, describe) in [(0b1_0000_0000, true), (0b0_1111_1111, false), (0, false), (i32::MIN, true)] {
            let response = metadata(version).with_cluster_authorized_operations(rights);
            assert_eq!(answer::<ClusterRights>(&response, version), ClusterRightsAnswer { describe });
        }
    }
}

#[test]
fn list_offsets_is_asked_and_answered_in_every_version() {
    let partition = |topic: &str| ListOffsetsPartition {
        at: TopicPartition::new(topic, 7),
        leader_epoch: Some(LeaderEpoch(3)),
        timestamp: -1,
    };
    let request = ListOffsets {
        replica: BrokerId(-2),
        isolation: Isolation::ReadCommitted,
        partitions: vec![partition("t"), partition("u")],
    };
    for version in 1..=ListOffsets::VERSIONS.max {
        let read: kafka::ListOffsetsRequest = as_read_by_a_broker(&request, version);
        assert_eq!((read.replica_id.0, read.isolation_level), (-2, i8::from(version >= 2)));
        assert_eq!((read.topics.len(), read.topics[1].name.as_str()), (2, "u"));
        let asked = &read.topics[0].partitions[0];
        assert_eq!((asked.partition_index, asked.timestamp), (7, -1));
        assert_eq!(asked.current_leader_epoch, if version >= 4 { 3 } else { -1 });

        let mut listed =
            ListOffsetsPartitionResponse::default().with_partition_index(7).with_timestamp(1_000).with_offset(42);
        if version >= 4 {
            listed = listed.with_leader_epoch(5);
        }
        let topic = ListOffsetsTopicResponse::default().with_name(text("t").into()).with_partitions(vec![listed]);
        let read = answer::<ListOffsets>(&kafka::ListOffsetsResponse::default().with_topics(vec![topic]), version);
        let expected = ListedPartition {
            at: TopicPartition::new("t", 7),
            error: ErrorCode::NONE,
            timestamp: 1_000,
            offset: Offset(42),
            leader_epoch: (version >= 4).then_some(LeaderEpoch(5)),
        };
        assert_eq!(read.partitions, [expected]);
    }
}

#[test]
fn an_old_broker_is_never_asked_for_the_largest_timestamp() {
    let at = TopicPartition::new("t", 7);
    let partitions = vec![ListOffsetsPartition { at, leader_epoch: None, timestamp: -3 }];
    let request = ListOffsets { replica: BrokerId(-1), isolation: Isolation::ReadUncommitted, partitions };
    assert!(request.encode(7).is_ok());
    let expected =
        "the request can't be written: version 6 can't ask for the largest timestamp; brokers from 3.0 on can";
    assert_eq!(unwritable(&request, 6), expected);
}

#[test]
fn the_first_version_of_list_offsets_is_these_bytes() {
    let ask = |timestamp| ListOffsets {
        replica: BrokerId(-1),
        isolation: Isolation::ReadCommitted,
        partitions: vec![ListOffsetsPartition { at: TopicPartition::new("t", 7), leader_epoch: None, timestamp }],
    };
    let expected = [
        &[0xff, 0xff, 0xff, 0xff][..],                     // replica_id
        &[0, 0, 0, 1],                                     // topics
        &[0, 1, b't'],                                     // name
        &[0, 0, 0, 1],                                     // partitions
        &[0, 0, 0, 7],                                     // partition_index
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], // timestamp
        &[0, 0, 0, 1],                                     // max_num_offsets
    ];
    assert_eq!(written(&ask(-2), 0), expected.concat());
    let refused =
        "the request can't be written: version 0 can't look for records by their time; brokers from 0.10.1 on can";
    assert_eq!(unwritable(&ask(1_700_000_000_000), 0), refused);
    for (offsets, offset) in [(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 90][..], 90), (&[0, 0, 0, 0][..], -1)] {
        let head = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 0];
        let read = ListOffsets::decode(0, Bytes::from([&head[..], offsets].concat())).expect("we can read it");
        let [listed] = read.partitions.as_slice() else { panic!("one partition") };
        assert_eq!((&listed.at, listed.error), (&TopicPartition::new("t", 7), ErrorCode::NONE));
        assert_eq!((listed.offset, listed.timestamp), (Offset(offset), -1));
    }
}

#[test]
fn a_producer_id_is_asked_for_without_a_transaction() {
    for version in versions::<InitProducerId>() {
        let read: kafka::InitProducerIdRequest = as_read_by_a_broker(&InitProducerId, version);
        assert_eq!(read.transactional_id, None);
        let response = kafka::InitProducerIdResponse::default().with_producer_id(4_000.into()).with_producer_epoch(2);
        let read = answer::<InitProducerId>(&response, version);
        assert_eq!((read.error, read.producer, read.epoch), (ErrorCode::NONE, ProducerId(4_000), ProducerEpoch(2)));
    }
}

#[test]
fn topics_are_created_and_refused_in_every_version() {
    let configs = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    let topic = NewTopic { name: TopicName::from("t"), partitions: 6, replication_factor: -1, configs };
    let request = CreateTopics { topics: vec![topic], timeout: Duration::from_secs(20), validate_only: true };
    for version in versions::<CreateTopics>() {
        let read: kafka::CreateTopicsRequest = as_read_by_a_broker(&request, version);
        assert_eq!((read.timeout_ms, read.validate_only), (20_000, true));
        let asked = &read.topics[0];
        assert_eq!((asked.name.as_str(), asked.num_partitions, asked.replication_factor), ("t", 6, -1));
        assert_eq!(asked.configs[0].value.as_deref(), Some("-1"));
        assert!(asked.assignments.is_empty());

        let mut result = CreatableTopicResult::default()
            .with_name(text("t").into())
            .with_error_code(36)
            .with_error_message(Some(text("there already")));
        if version >= 5 {
            let config = CreatableTopicConfigs::default().with_name(text("retention.ms")).with_value(None);
            result = result.with_num_partitions(6).with_replication_factor(3).with_configs(Some(vec![config]));
        }
        if version >= 7 {
            result = result.with_topic_id(sevens().topic_id);
        }
        let read = answer::<CreateTopics>(&kafka::CreateTopicsResponse::default().with_topics(vec![result]), version);
        let message = Some("there already".to_owned());
        let id = (version >= 7).then_some(TopicId([7; 16]));
        let name = TopicName::from("t");
        assert_eq!(read.topics, [CreatedTopic { name, id, error: ErrorCode::TOPIC_ALREADY_EXISTS, message }]);
    }
}

fn resources() -> DescribeConfigs {
    let resources = vec![Resource::Topic(TopicName::from("t")), Resource::Broker(BrokerId(3))];
    DescribeConfigs { resources, names: None }
}

#[test]
fn configs_are_asked_for_by_hand_in_version_0() {
    let expected = [
        &[0, 0, 0, 2][..],
        &[2, 0, 1, b't', 0xff, 0xff, 0xff, 0xff], // all configs of topic t
        &[4, 0, 1, b'3', 0xff, 0xff, 0xff, 0xff], // and of broker 3
    ];
    assert_eq!(written(&resources(), 0), expected.concat());
    for version in 1..=4 {
        let read: kafka::DescribeConfigsRequest = as_read_by_a_broker(&resources(), version);
        assert_eq!((read.resources[0].resource_type, read.resources[1].resource_type), (2, 4));
        assert_eq!(read.resources[0].configuration_keys, None);
        assert!(!read.include_synonyms && !read.include_documentation);
    }
}

#[test]
fn single_configs_are_asked_for_by_name() {
    let topic = Resource::Topic(TopicName::from("t"));
    let some = DescribeConfigs { resources: vec![topic], names: Some(&["ab", "c"]) };
    let expected = [
        &[0, 0, 0, 1, 2, 0, 1, b't'][..],
        &[0, 0, 0, 2, 0, 2, b'a', b'b', 0, 1, b'c'], // two names
    ];
    assert_eq!(written(&some, 0), expected.concat());
    for version in 1..=4 {
        let read: kafka::DescribeConfigsRequest = as_read_by_a_broker(&some, version);
        assert_eq!(read.resources[0].configuration_keys, Some(vec![text("ab"), text("c")]));
    }
}

#[test]
fn configs_are_read_in_every_version() {
    for version in 1..=4 {
        let synonym = DescribeConfigsSynonym::default().with_name(text("log.retention.ms")).with_value(Some(text("1")));
        let config = DescribeConfigsResourceResult::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("60000")))
            .with_config_source(1)
            .with_synonyms(vec![synonym]);
        let secret = DescribeConfigsResourceResult::default()
            .with_name(text("ssl.keystore.password"))
            .with_value(None)
            .with_config_source(4)
            .with_is_sensitive(true);
        let topic = DescribeConfigsResult::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(vec![config, secret]);
        let broker = DescribeConfigsResult::default()
            .with_error_code(31)
            .with_error_message(Some(text("denied")))
            .with_resource_type(4)
            .with_resource_name(text("3"));
        let response = kafka::DescribeConfigsResponse::default().with_results(vec![topic, broker]);
        let read = answer::<DescribeConfigs>(&response, version);
        let [topic, broker] = read.resources.as_slice() else { panic!("two resources") };
        assert_eq!(topic.resource, Some(Resource::Topic(TopicName::from("t"))));
        let retention = &topic.entries["retention.ms"];
        assert_eq!((retention.value.as_deref(), retention.source), (Some("60000"), ConfigSource::DynamicTopic));
        assert!(!retention.is_default() && !retention.sensitive);
        let password = &topic.entries["ssl.keystore.password"];
        assert!(password.is_default() && password.sensitive && password.value.is_none());
        assert_eq!(broker.resource, Some(Resource::Broker(BrokerId(3))));
        assert_eq!(
            (broker.error, broker.message.as_deref()),
            (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, Some("denied"))
        );
    }
}

#[test]
fn configs_of_version_0_say_only_whether_they_are_defaults() {
    let body = [
        &[0, 0, 0, 0, 0, 0, 0, 1][..],      // throttle, one resource
        &[0, 0, 0xff, 0xff, 2, 0, 1, b't'], // no error, topic t
        &[0, 0, 0, 2],                      // two configs
        &[0, 1, b'a', 0, 1, b'1', 0, 1, 0], // a=1, a default
        &[0, 1, b'b', 0, 1, b'2', 0, 0, 0], // b=2, set
    ];
    let read = DescribeConfigs::decode(0, Bytes::from(body.concat())).expect("it can be read");
    let sources: Vec<_> = read.resources[0].entries.values().map(|entry| entry.source).collect();
    assert_eq!(sources, [ConfigSource::Default, ConfigSource::DynamicTopic]);
}
