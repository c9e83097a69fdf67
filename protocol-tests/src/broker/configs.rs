//! Topic and broker configs: names, defaults, where an effective value comes from.

use std::collections::BTreeMap;

use super::validate::TopicRules;
use super::version::Version;

/// Where an effective value comes from, by the number DescribeConfigs carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on one broker at run time.
    DynamicBroker = 2,
    /// In the broker's properties file.
    StaticBroker = 4,
    /// Kafka's default.
    Default = 5,
}

/// The type of a value, by the number DescribeConfigs carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// true, false.
    Boolean = 1,
    /// Any text.
    Text = 2,
    /// 32 bits.
    Int = 3,
    /// 64 bits.
    Long = 5,
    /// A fraction.
    Double = 6,
    /// Comma-separated.
    List = 7,
}

/// One topic config.
#[derive(Clone, Copy, Debug)]
pub struct TopicConfig {
    /// Its name.
    pub name: &'static str,
    /// The broker config that gives its default.
    pub synonym: &'static str,
    /// Kafka's default.
    pub default: &'static str,
    /// Type.
    pub kind: Kind,
}

macro_rules! topic_configs {
    ($($name:literal $synonym:literal $default:literal $kind:ident)*) => {
        &[$(TopicConfig { name: $name, synonym: $synonym, default: $default, kind: Kind::$kind }),*]
    };
}

const TOPIC: &[TopicConfig] = topic_configs! {
    "cleanup.policy" "log.cleanup.policy" "delete" List
    "compression.type" "compression.type" "producer" Text
    "delete.retention.ms" "log.cleaner.delete.retention.ms" "86400000" Long
    "file.delete.delay.ms" "log.segment.delete.delay.ms" "60000" Long
    "flush.messages" "log.flush.interval.messages" "9223372036854775807" Long
    "flush.ms" "log.flush.interval.ms" "9223372036854775807" Long
    "follower.replication.throttled.replicas" "" "" List
    "index.interval.bytes" "log.index.interval.bytes" "4096" Int
    "leader.replication.throttled.replicas" "" "" List
    "max.compaction.lag.ms" "log.cleaner.max.compaction.lag.ms" "9223372036854775807" Long
    "max.message.bytes" "message.max.bytes" "1048588" Int
    "message.timestamp.type" "log.message.timestamp.type" "CreateTime" Text
    "min.cleanable.dirty.ratio" "log.cleaner.min.cleanable.ratio" "0.5" Double
    "min.compaction.lag.ms" "log.cleaner.min.compaction.lag.ms" "0" Long
    "min.insync.replicas" "min.insync.replicas" "1" Int
    "preallocate" "log.preallocate" "false" Boolean
    "retention.bytes" "log.retention.bytes" "-1" Long
    "retention.ms" "log.retention.ms" "604800000" Long
    "segment.bytes" "log.segment.bytes" "1073741824" Int
    "segment.index.bytes" "log.index.size.max.bytes" "10485760" Int
    "segment.jitter.ms" "log.roll.jitter.ms" "0" Long
    "segment.ms" "log.roll.ms" "604800000" Long
    "unclean.leader.election.enable" "unclean.leader.election.enable" "false" Boolean
};

const ONLY_2_8: &[TopicConfig] = topic_configs! {
    "message.downconversion.enable" "log.message.downconversion.enable" "true" Boolean
    "message.format.version" "log.message.format.version" "2.8-IV1" Text
    "message.timestamp.difference.max.ms" "log.message.timestamp.difference.max.ms" "9223372036854775807" Long
};

const ONLY_0_10: &[TopicConfig] = topic_configs! {
    "message.format.version" "log.message.format.version" "0.10.0-IV1" Text
    "message.timestamp.difference.max.ms" "log.message.timestamp.difference.max.ms" "9223372036854775807" Long
};

const ONLY_4_1: &[TopicConfig] = topic_configs! {
    "compression.gzip.level" "compression.gzip.level" "-1" Int
    "compression.lz4.level" "compression.lz4.level" "9" Int
    "compression.zstd.level" "compression.zstd.level" "3" Int
    "local.retention.bytes" "log.local.retention.bytes" "-2" Long
    "local.retention.ms" "log.local.retention.ms" "-2" Long
    "message.timestamp.after.max.ms" "log.message.timestamp.after.max.ms" "3600000" Long
    "message.timestamp.before.max.ms" "log.message.timestamp.before.max.ms" "9223372036854775807" Long
    "remote.log.copy.disable" "" "false" Boolean
    "remote.log.delete.on.disable" "" "false" Boolean
    "remote.storage.enable" "" "false" Boolean
};

const BROKER: &[(&str, &str, Kind)] = &[
    ("auto.create.topics.enable", "false", Kind::Boolean),
    ("default.replication.factor", "1", Kind::Int),
    ("group.max.session.timeout.ms", "1800000", Kind::Int),
    ("group.min.session.timeout.ms", "6000", Kind::Int),
    ("log.cleanup.policy", "delete", Kind::List),
    ("log.message.timestamp.type", "CreateTime", Kind::Text),
    ("log.retention.bytes", "-1", Kind::Long),
    ("log.retention.ms", "604800000", Kind::Long),
    ("message.max.bytes", "1048588", Kind::Int),
    ("min.insync.replicas", "1", Kind::Int),
    ("num.partitions", "1", Kind::Int),
    ("offset.metadata.max.bytes", "4096", Kind::Int),
    ("offsets.retention.minutes", "10080", Kind::Int),
    ("replica.lag.time.max.ms", "30000", Kind::Long),
    ("socket.receive.buffer.bytes", "102400", Kind::Int),
    ("socket.request.max.bytes", "104857600", Kind::Int),
    ("socket.send.buffer.bytes", "102400", Kind::Int),
    ("transactional.id.expiration.ms", "604800000", Kind::Int),
];

const BROKER_4_1: &[(&str, &str, Kind)] = &[
    ("log.message.timestamp.after.max.ms", "3600000", Kind::Long),
    ("producer.id.expiration.ms", "86400000", Kind::Int),
];

const BROKER_2_8: &[(&str, &str, Kind)] =
    &[("inter.broker.protocol.version", "2.8-IV1", Kind::Text), ("log.message.format.version", "2.8-IV1", Kind::Text)];

/// The topic configs a version knows.
pub fn topic_configs(version: Version) -> impl Iterator<Item = &'static TopicConfig> {
    let own = match version {
        Version::V0_10 => ONLY_0_10,
        Version::V2_8 => ONLY_2_8,
        Version::V4_1 => ONLY_4_1,
    };
    TOPIC.iter().chain(own)
}

/// The broker configs a version answers: name, default, type.
pub fn broker_configs(version: Version) -> impl Iterator<Item = &'static (&'static str, &'static str, Kind)> {
    let own = match version {
        // Nobody can ask.
        Version::V0_10 => &[],
        Version::V2_8 => BROKER_2_8,
        Version::V4_1 => BROKER_4_1,
    };
    BROKER.iter().chain(own)
}

/// Values by name.
pub type Values = BTreeMap<String, String>;

/// What a topic config is in effect, and where that comes from.
pub fn effective<'a>(config: &TopicConfig, topic: &'a Values, broker: &'a Values) -> (&'a str, Source)
where
    'static: 'a,
{
    if let Some(value) = topic.get(config.name) {
        (value, Source::Topic)
    } else if let Some(value) = broker.get(config.synonym) {
        (value, Source::StaticBroker)
    } else {
        (config.default, Source::Default)
    }
}

/// Why a config is refused (INVALID_CONFIG), or nothing.
pub fn check(version: Version, name: &str, value: &str) -> Result<(), String> {
    let Some(config) = topic_configs(version).find(|config| config.name == name) else {
        return Err(format!("Unknown topic config name: {name}"));
    };
    let one_of = |words: &[&str]| value.split(',').all(|word| words.contains(&word.trim()));
    let fits = match (config.name, config.kind) {
        ("compression.type", _) => one_of(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        ("cleanup.policy", _) => one_of(&["delete", "compact"]),
        ("message.timestamp.type", _) => one_of(&["CreateTime", "LogAppendTime"]),
        ("min.insync.replicas", _) => value.parse().is_ok_and(|count: i32| count >= 1),
        ("max.message.bytes", _) => value.parse().is_ok_and(|bytes: i32| bytes >= 0),
        ("retention.ms" | "retention.bytes", _) => value.parse().is_ok_and(|limit: i64| limit >= -1),
        ("segment.bytes", _) => value.parse().is_ok_and(|bytes: i32| bytes >= 14),
        (_, Kind::Boolean) => one_of(&["true", "false"]),
        (_, Kind::Int) => value.parse::<i32>().is_ok(),
        (_, Kind::Long) => value.parse::<i64>().is_ok(),
        (_, Kind::Double) => value.parse::<f64>().is_ok(),
        (_, Kind::Text | Kind::List) => true,
    };
    if fits { Ok(()) } else { Err(format!("Invalid value {value} for configuration {name}")) }
}

/// What the effective configs mean for batches. Values were checked when they were set.
pub fn rules(version: Version, topic: &Values, broker: &Values) -> TopicRules {
    let text = |name: &str| {
        let config = topic_configs(version).find(|config| config.name == name);
        config.map_or("", |config| effective(config, topic, broker).0)
    };
    let number = |name: &str, otherwise: i64| text(name).parse().unwrap_or(otherwise);
    let size = |name: &str| usize::try_from(number(name, i64::MAX)).unwrap_or(usize::MAX);
    let difference = number("message.timestamp.difference.max.ms", i64::MAX);
    TopicRules {
        compression: text("compression.type").to_owned(),
        max_message_bytes: size("max.message.bytes"),
        segment_bytes: size("segment.bytes"),
        append_time: text("message.timestamp.type") == "LogAppendTime",
        after_max_ms: number("message.timestamp.after.max.ms", difference),
        before_max_ms: number("message.timestamp.before.max.ms", difference),
        magic: match text("message.format.version").split('.').take(2).collect::<Vec<_>>()[..] {
            ["0", "8" | "9"] => 0,
            ["0", "10"] => 1,
            _ => 2,
        },
        compacted: text("cleanup.policy").split(',').any(|policy| policy.trim() == "compact"),
        min_insync_replicas: size("min.insync.replicas"),
        takes_zstd: broker
            .get("inter.broker.protocol.version")
            .is_none_or(|protocol| !["0.", "1.", "2.0"].iter().any(|older| protocol.starts_with(older))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_override_beats_the_brokers_file_which_beats_the_default() {
        let broker = Values::from([("log.retention.ms".to_owned(), "5".to_owned())]);
        let topic = Values::from([("retention.ms".to_owned(), "7".to_owned())]);
        let retention = topic_configs(Version::V4_1).find(|config| config.name == "retention.ms").expect("known");
        assert_eq!(effective(retention, &topic, &broker), ("7", Source::Topic));
        assert_eq!(effective(retention, &Values::new(), &broker), ("5", Source::StaticBroker));
        assert_eq!(effective(retention, &Values::new(), &Values::new()), ("604800000", Source::Default));
    }

    #[test]
    fn each_version_refuses_what_it_does_not_know() {
        assert!(check(Version::V4_1, "message.format.version", "0.10.2").is_err());
        assert!(check(Version::V2_8, "message.format.version", "0.10.2").is_ok());
        assert!(check(Version::V2_8, "message.timestamp.after.max.ms", "1").is_err());
        assert!(check(Version::V4_1, "cleanup.policy", "compact,delete").is_ok());
        assert!(check(Version::V4_1, "cleanup.policy", "shred").is_err());
        assert!(check(Version::V4_1, "retention.ms", "-2").is_err());
    }

    #[test]
    fn only_the_newer_version_limits_the_future() {
        assert_eq!(rules(Version::V4_1, &Values::new(), &Values::new()).after_max_ms, 3_600_000);
        assert_eq!(rules(Version::V2_8, &Values::new(), &Values::new()).after_max_ms, i64::MAX);
    }
}
