use super::*;
use crate::cluster::{ConfigEntry, ConfigSource};

fn configs(entries: &[(&str, &str, ConfigSource)]) -> Configs {
    let held = |value: &str, source| ConfigEntry { value: Some(value.to_owned()), source, sensitive: false };
    entries.iter().map(|&(name, value, source)| (name.to_owned(), held(value, source))).collect()
}

fn target(broker: &Configs) -> Defaults<'_> {
    Defaults { broker: Some(broker), known: None, takes_default_factor: true, codecs: CodecSet::ALL }
}

fn created(mirrored: &Mirrored) -> Vec<(&str, &str)> {
    mirrored.spec.configs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn overrides_are_carried_over_and_defaults_are_not() {
    use ConfigSource::{Default, DynamicTopic as Topic, StaticBroker as Broker};
    let source = configs(&[
        ("segment.bytes", "1000000", Topic),
        ("flush.ms", "5", Broker),
        ("index.interval.bytes", "4096", Default),
    ]);
    let broker = configs(&[("log.message.timestamp.type", "CreateTime", Default)]);
    let mirrored = mirror(&"t".into(), 3, Some(&source), -1, &target(&broker));
    assert_eq!(created(&mirrored), [("segment.bytes", "1000000")]);
    assert_eq!((mirrored.spec.partitions, mirrored.spec.replication_factor), (3, -1));
}

#[test]
fn what_would_lose_or_refuse_records_is_kept_at_the_sources_effective_value() {
    use ConfigSource::{Default, StaticBroker as Broker};
    let source = configs(&[
        ("retention.ms", "1209600000", Broker),
        ("retention.bytes", "-1", Default),
        ("max.message.bytes", "2097152", Broker),
        ("cleanup.policy", "delete", Default),
    ]);
    let broker = configs(&[
        ("log.retention.hours", "168", Default),
        ("log.retention.bytes", "1073741824", Broker),
        ("message.max.bytes", "2097152", Broker),
        ("log.cleanup.policy", "delete", Default),
        ("log.message.timestamp.type", "CreateTime", Default),
    ]);
    let mirrored = mirror(&"t".into(), 1, Some(&source), -1, &target(&broker));
    assert_eq!(created(&mirrored), [("retention.bytes", "-1"), ("retention.ms", "1209600000")]);

    let hidden = Defaults { broker: None, ..target(&broker) };
    let mirrored = mirror(&"t".into(), 1, Some(&source), -1, &hidden);
    assert_eq!(mirrored.spec.configs.len(), 5, "all four and the timestamp type, as nothing is known of the target");
}

#[test]
fn the_targets_retention_is_read_from_the_finest_unit_that_is_set() {
    let of = |entries: &[(&str, &str, ConfigSource)]| target(&configs(entries)).of("retention.ms");
    use ConfigSource::StaticBroker as Broker;
    assert_eq!(of(&[("log.retention.hours", "168", Broker)]).as_deref(), Some("604800000"));
    let minutes = ("log.retention.minutes", "10", Broker);
    assert_eq!(of(&[("log.retention.hours", "168", Broker), minutes]).as_deref(), Some("600000"));
    assert_eq!(of(&[minutes, ("log.retention.ms", "-1", Broker)]).as_deref(), Some("-1"));
    assert_eq!(of(&[("log.retention.hours", "-1", Broker)]).as_deref(), Some("-1"));
}

#[test]
fn what_belongs_to_the_source_alone_is_left_out_and_named() {
    use LeftOutBecause::{MessageFormat, Placement, Throttling, TieredStorage, Unknown};
    let source: Vec<_> = [
        "follower.replication.throttled.replicas",
        "leader.replication.throttled.replicas",
        "local.retention.bytes",
        "message.format.version",
        "remote.storage.enable",
        "segment.ms",
        "vendor.placement.constraints",
        "vendor.thing",
    ]
    .map(|name| (name, "1", ConfigSource::DynamicTopic))
    .into();
    let known: BTreeSet<String> = ["segment.ms".to_owned()].into();
    let broker = configs(&[("log.message.timestamp.type", "CreateTime", ConfigSource::Default)]);
    let target = Defaults { known: Some(&known), ..target(&broker) };
    let mirrored = mirror(&"t".into(), 1, Some(&configs(&source)), -1, &target);
    let why: Vec<_> = mirrored.left_out.iter().map(|config| config.because).collect();
    assert_eq!(why, [Throttling, Throttling, TieredStorage, MessageFormat, TieredStorage, Placement, Unknown]);
    assert_eq!(created(&mirrored), [("segment.ms", "1")]);
}

#[test]
fn a_codec_that_the_target_cannot_store_is_not_asked_for() {
    let source = configs(&[("compression.type", "zstd", ConfigSource::DynamicTopic)]);
    let broker = configs(&[]);
    let created_as = |codecs| {
        let mirrored = mirror(&"t".into(), 1, Some(&source), -1, &Defaults { codecs, ..target(&broker) });
        (mirrored.spec.configs.get("compression.type").cloned(), mirrored.left_out.len())
    };
    assert_eq!(created_as(CodecSet::ALL), (Some("zstd".to_owned()), 0));
    assert_eq!(created_as(CodecSet::ALL.without(Codec::Zstd)), (None, 1));
}

#[test]
fn a_topic_is_create_time_while_it_is_filled() {
    let stamps = configs(&[("message.timestamp.type", "LogAppendTime", ConfigSource::DynamicTopic)]);
    let plain = configs(&[("message.timestamp.type", "CreateTime", ConfigSource::Default)]);
    let create = configs(&[("log.message.timestamp.type", "CreateTime", ConfigSource::Default)]);
    let append = configs(&[("log.message.timestamp.type", "LogAppendTime", ConfigSource::StaticBroker)]);
    let end = |mirrored: &Mirrored| mirrored.at_end.get("message.timestamp.type").cloned();

    let mirrored = mirror(&"t".into(), 1, Some(&stamps), -1, &target(&create));
    assert_eq!((created(&mirrored), end(&mirrored).as_deref()), (vec![], Some("LogAppendTime")));
    let mirrored = mirror(&"t".into(), 1, Some(&plain), -1, &target(&append));
    assert_eq!((created(&mirrored), end(&mirrored)), (vec![("message.timestamp.type", "CreateTime")], None));
}

#[test]
fn replicas_are_the_targets_own_unless_they_are_asked_for_or_must_be_named() {
    let broker = configs(&[("default.replication.factor", "3", ConfigSource::StaticBroker)]);
    let old = Defaults { takes_default_factor: false, ..target(&broker) };
    let factor = |asked, target: &Defaults<'_>| {
        let mirrored = mirror(&"t".into(), 1, None, asked, target);
        (mirrored.spec.replication_factor, mirrored.factor)
    };
    assert_eq!(factor(-1, &target(&broker)), (-1, Some(3)));
    assert_eq!(factor(2, &target(&broker)), (2, Some(2)));
    assert_eq!(factor(-1, &old), (3, Some(3)));
    assert_eq!(factor(-1, &Defaults { broker: None, ..old }), (-1, None));
}

#[test]
fn the_command_creates_the_same_topic_by_hand() {
    let configs = [("retention.ms", "1000"), ("vendor.text", "it's so")];
    let spec = NewTopic {
        name: "orders".into(),
        partitions: 12,
        replication_factor: 3,
        configs: configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    assert_eq!(
        command(&spec, &"kafka-1:9092".parse().expect("an address")),
        r"kafka-topics.sh --bootstrap-server kafka-1:9092 --create --topic orders --partitions 12 --replication-factor 3 --config retention.ms=1000 --config 'vendor.text=it'\''s so'"
    );
}
