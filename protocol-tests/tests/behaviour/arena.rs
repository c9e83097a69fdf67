//! Which brokers the scenarios meet.

use std::env;

use protocol_tests::broker;
use protocol_tests::lab::Version;
use protocol_tests::lab::park::Broker;

/// One cluster or a pair.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arena {
    Site(Broker),
    Pair(Broker, Broker),
}

const SOURCES: [Version; 6] = [
    Version::ancient(0, 10, 2, 2),
    Version::ancient(0, 11, 0, 3),
    Version::of(1, 1, 1),
    Version::of(2, 8, 2),
    Version::of(3, 9, 1),
    Version::of(4, 3, 0),
];
/// Every source is moved to these.
const TARGETS: [Version; 2] = [Version::of(2, 8, 2), Version::of(4, 3, 0)];
/// What these do differently does not depend on the source.
const MORE_PAIRS: [(Version, Version); 4] = [
    (Version::ancient(0, 10, 2, 2), Version::ancient(0, 11, 0, 3)),
    (Version::of(2, 8, 2), Version::ancient(0, 11, 0, 3)),
    (Version::of(2, 8, 2), Version::of(1, 1, 1)),
    (Version::of(2, 8, 2), Version::of(3, 9, 1)),
];
const EMBEDDED: [broker::Version; 2] = [broker::Version::V4_1, broker::Version::V2_8];
/// Before record batches brokers are only moved away from.
const EMBEDDED_SOURCES: [broker::Version; 3] = [broker::Version::V4_1, broker::Version::V2_8, broker::Version::V0_10];
const SITES: [Version; 2] = [Version::of(2, 8, 2), Version::of(4, 1, 0)];

impl Arena {
    /// The name that the tests carry.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Site(broker) => broker.name(),
            Self::Pair(source, target) => format!("{}->{}", source.name(), target.name()),
        }
    }

    pub(crate) fn brokers(&self) -> Vec<Broker> {
        match self {
            Self::Site(broker) => vec![*broker],
            Self::Pair(source, target) => vec![*source, *target],
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.brokers().iter().all(|broker| matches!(broker, Broker::Real(_)))
    }
}

/// The arenas that `KFERRY_REAL` asks for; the embedded ones are always among them.
pub(crate) fn chosen() -> Result<Vec<Arena>, String> {
    let mut arenas = EMBEDDED.map(|version| Arena::Site(Broker::Embedded(version))).to_vec();
    arenas.extend(
        EMBEDDED_SOURCES
            .iter()
            .flat_map(|source| EMBEDDED.map(|target| Arena::Pair(Broker::Embedded(*source), Broker::Embedded(target)))),
    );
    match env::var("KFERRY_REAL") {
        Err(_) => {}
        Ok(text) if text == "matrix" => arenas.extend(matrix()),
        Ok(text) => {
            for part in text.split(',') {
                arenas.push(parse(part.trim())?);
            }
        }
    }
    Ok(arenas)
}

fn matrix() -> Vec<Arena> {
    let pairs = SOURCES.into_iter().flat_map(|source| TARGETS.into_iter().map(move |target| (source, target)));
    let pair = |(source, target)| Arena::Pair(Broker::Real(source), Broker::Real(target));
    pairs.chain(MORE_PAIRS).map(pair).chain(SITES.into_iter().map(|site| Arena::Site(Broker::Real(site)))).collect()
}

fn parse(text: &str) -> Result<Arena, String> {
    let real = |version: &str| version.parse().map(Broker::Real);
    match text.split_once("->") {
        Some((source, target)) => Ok(Arena::Pair(real(source)?, real(target)?)),
        None => Ok(Arena::Site(real(text)?)),
    }
}
