//! Which codecs a cluster can store.

use super::Effective;
use crate::batch::{Codec, CodecSet};
use crate::cluster::Configs;
use crate::config::Recompress;

/// The first version of Produce that carries zstd (KIP-110, Kafka 2.1).
const CARRIES_ZSTD: i16 = 7;

/// Below this inter.broker.protocol.version brokers refuse zstd, as followers might not know it: 2.8.2 at the protocol of
/// 2.0 answers UNSUPPORTED_COMPRESSION_TYPE.
const KNOWS_ZSTD: (u32, u32) = (2, 1);

/// The codecs that a cluster can store whose brokers all speak this version of Produce and have these configurations, as
/// far as they may be read. Brokers of KRaft ignore the protocol version, or no longer have it: all of them know zstd.
pub fn codecs<'a>(produce_version: i16, brokers: impl IntoIterator<Item = &'a Configs>) -> CodecSet {
    let protocol = |broker: &Configs| release(broker.effective("inter.broker.protocol.version")?);
    let mut protocols = brokers.into_iter().filter_map(protocol);
    if produce_version >= CARRIES_ZSTD && protocols.all(|protocol| protocol >= KNOWS_ZSTD) {
        CodecSet::ALL
    } else {
        CodecSet::ALL.without(Codec::Zstd)
    }
}

/// The first two numbers of a release such as `0.10.2-IV0` or `2.8`.
pub fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl From<Recompress> for Codec {
    fn from(choice: Recompress) -> Self {
        match choice {
            Recompress::None => Self::None,
            Recompress::Gzip => Self::Gzip,
            Recompress::Snappy => Self::Snappy,
            Recompress::Lz4 => Self::Lz4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ConfigEntry, ConfigSource};

    fn broker(protocol: &str) -> Configs {
        let value = Some(protocol.to_owned());
        let held = ConfigEntry { value, source: ConfigSource::StaticBroker, sensitive: false };
        [("inter.broker.protocol.version".to_owned(), held)].into()
    }

    #[test]
    fn zstd_takes_a_version_of_produce_that_carries_it() {
        assert_eq!(codecs(7, []), CodecSet::ALL, "a KRaft broker, or one that hides its configuration");
        assert_eq!(codecs(6, []), CodecSet::ALL.without(Codec::Zstd));
    }

    #[test]
    fn zstd_takes_a_protocol_between_all_brokers_that_knows_it() {
        let takes_zstd = |protocols: &[&str]| {
            let brokers: Vec<Configs> = protocols.iter().map(|protocol| broker(protocol)).collect();
            codecs(9, &brokers).contains(Codec::Zstd)
        };
        assert!(takes_zstd(&["2.1-IV0", "2.8", "3.9-IV0"]));
        assert!(!takes_zstd(&["2.0-IV1"]) && !takes_zstd(&["0.11.0"]));
        assert!(!takes_zstd(&["2.8-IV1", "1.1"]), "in the midst of an upgrade the oldest counts");
    }
}
