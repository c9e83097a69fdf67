//! Answers that real brokers gave, read by kferry and by kafka-protocol; `fixtures/README.md` says how they were captured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this file is tests and their helpers"
)]

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsResponse, ResponseHeader};
use kafka_protocol::protocol::Decodable;
use kferry::batch::Piece;
use kferry::wire::messages::{
    AlterConfigs, ApiVersions, ConsumerGroupDescribe, CreateTopics, DescribeConfigs, DescribeGroups, FindCoordinator,
    Heartbeat, IncrementalAlterConfigs, InitProducerId, JoinGroup, LeaveGroup, ListGroups, ListOffsets, Metadata,
    OffsetCommit, OffsetFetch, SyncGroup,
};
use kferry::wire::{ApiKey, Request, WireError, fetch::FetchRequest, header, produce::ProduceRequest};
use protocol_tests::broker::Version;
use protocol_tests::lab::batch::Batch;

/// One captured frame, without its length.
struct Captured {
    file: PathBuf,
    key: ApiKey,
    version: i16,
    frame: Bytes,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/responses")
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let mut children: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    children.sort();
    children
}

/// Every captured answer at a version that kferry speaks.
fn spoken() -> Vec<Captured> {
    let files = children(&folder()).into_iter().flat_map(|release| children(&release));
    let captured = files.filter_map(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (api, version) = name.split_once("-v").unwrap();
        let version: i16 = version.parse().unwrap();
        let key = *ApiKey::ALL.iter().find(|key| key.name() == api).unwrap();
        let range = key.spoken();
        let frame = fs::read(&file).unwrap().into();
        (range.min..=range.max).contains(&version).then_some(Captured { file, key, version, frame })
    });
    captured.collect()
}

/// What kferry reads there, in words.
fn read(key: ApiKey, version: i16, frame: Bytes) -> Result<String, WireError> {
    fn words<R: Request<Answer: Debug>>(version: i16, frame: Bytes) -> Result<String, WireError> {
        let body = header::body(R::API, version, frame)?;
        Ok(format!("{:?}", R::decode(version, body)?))
    }
    let decode = match key {
        ApiKey::Produce => words::<ProduceRequest>,
        ApiKey::Fetch => words::<FetchRequest>,
        ApiKey::ListOffsets => words::<ListOffsets>,
        ApiKey::Metadata => words::<Metadata>,
        ApiKey::OffsetFetch => words::<OffsetFetch>,
        ApiKey::FindCoordinator => words::<FindCoordinator>,
        ApiKey::DescribeGroups => words::<DescribeGroups>,
        ApiKey::ListGroups => words::<ListGroups>,
        ApiKey::ApiVersions => words::<ApiVersions>,
        ApiKey::CreateTopics => words::<CreateTopics>,
        ApiKey::InitProducerId => words::<InitProducerId>,
        ApiKey::DescribeConfigs => words::<DescribeConfigs>,
        ApiKey::AlterConfigs => words::<AlterConfigs>,
        ApiKey::IncrementalAlterConfigs => words::<IncrementalAlterConfigs>,
        ApiKey::ConsumerGroupDescribe => words::<ConsumerGroupDescribe>,
        ApiKey::OffsetCommit => words::<OffsetCommit>,
        ApiKey::JoinGroup => words::<JoinGroup>,
        ApiKey::SyncGroup => words::<SyncGroup>,
        ApiKey::Heartbeat => words::<Heartbeat>,
        ApiKey::LeaveGroup => words::<LeaveGroup>,
        ApiKey::StreamsGroupDescribe => panic!("none was captured"),
    };
    decode(version, frame)
}

#[test]
fn every_version_that_is_spoken_was_captured_and_is_read() {
    let captured = spoken();
    for key in ApiKey::ALL.iter().filter(|key| **key != ApiKey::StreamsGroupDescribe) {
        let range = key.spoken();
        for version in range.min..=range.max {
            let mut there = captured.iter().filter(|it| it.key == *key && it.version == version).peekable();
            assert!(there.peek().is_some(), "no {key} v{version}: capture again");
            for it in there {
                let words = read(*key, version, it.frame.clone());
                assert!(words.is_ok(), "{}: {words:?}", it.file.display());
            }
        }
    }
}

/// What must be found in an answer, whatever its version and release.
const TOLD: [(ApiKey, &[&str]); 9] = [
    (ApiKey::Metadata, &["fixture", "UNKNOWN_TOPIC_OR_PARTITION"]),
    (ApiKey::OffsetFetch, &["fixture", "note"]),
    (ApiKey::ListGroups, &["fixture-members", "consumer"]),
    (ApiKey::DescribeGroups, &["fixture-members", "Stable", "Empty"]),
    (ApiKey::CreateTopics, &["new-topic", "TOPIC_ALREADY_EXISTS"]),
    (ApiKey::DescribeConfigs, &["fixture", "retention.ms", "cleanup.policy"]),
    (ApiKey::Fetch, &["fixture"]),
    (ApiKey::OffsetCommit, &["fixture", "NONE", "no-such-topic", "UNKNOWN_TOPIC_OR_PARTITION"]),
    (ApiKey::Heartbeat, &["UNKNOWN_MEMBER_ID"]),
];

#[test]
fn an_answer_tells_what_the_broker_was_asked() {
    for (key, told) in TOLD {
        for it in spoken().into_iter().filter(|it| it.key == key) {
            let words = read(key, it.version, it.frame).unwrap();
            for word in told {
                assert!(words.contains(word), "{}: {word} is missing in {words}", it.file.display());
            }
        }
    }
}

#[test]
fn an_answer_that_is_cut_is_an_error_unless_nothing_that_is_read_was_lost() {
    for it in spoken() {
        let whole = read(it.key, it.version, it.frame.clone()).unwrap();
        for length in 0..it.frame.len() {
            if let Ok(cut) = read(it.key, it.version, it.frame.slice(..length)) {
                assert_eq!(cut, whole, "{} cut to {length} bytes", it.file.display());
            }
        }
    }
}

#[test]
fn fetched_records_are_those_that_were_written() {
    for it in spoken().into_iter().filter(|it| it.key == ApiKey::Fetch && it.version >= 4) {
        let body = header::body(it.key, it.version, it.frame).unwrap();
        let answer = FetchRequest::decode(it.version, body).unwrap();
        let partition = answer.partitions.iter().find(|partition| partition.at.partition.get() == 0).unwrap();
        let batches = Batch::read_all(&partition.records);
        let values: Vec<_> =
            batches.iter().flat_map(|batch| &batch.records).filter_map(|record| record.value.clone()).collect();
        let expected = ["plain-1", "plain-2", "aborted-1", "aborted-2", "last-1", "last-2"];
        assert!(expected.iter().all(|value| values.contains(&value.as_bytes().to_vec())), "{}", it.file.display());
        assert_eq!(partition.aborted.len(), 1, "{}", it.file.display());
    }
}

/// 0.11 converts what it has to message sets for those versions.
#[test]
fn an_old_version_of_fetch_brings_message_sets_and_no_transactions() {
    let old: Vec<Captured> = spoken().into_iter().filter(|it| it.key == ApiKey::Fetch && it.version < 4).collect();
    assert!(!old.is_empty());
    for it in old {
        let body = header::body(it.key, it.version, it.frame).unwrap();
        let answer = FetchRequest::decode(it.version, body).unwrap();
        let partition = answer.partitions.iter().find(|partition| partition.at.partition.get() == 0).unwrap();
        assert_eq!((partition.last_stable, partition.aborted.len()), (None, 0), "{}", it.file.display());
        assert!(partition.high_watermark.get() > 0 && partition.records.len() > 100, "{}", it.file.display());
        let pieces: Vec<_> = kferry::batch::batches(partition.records.clone()).map(Result::unwrap).collect();
        // A converting broker says by a cut message that there is more.
        let whole: Vec<_> = pieces.into_iter().filter(|piece| !matches!(piece, Piece::Partial { .. })).collect();
        let old = |piece: &Piece| matches!(piece, Piece::Set(set) if set.magic() == 1);
        assert!(whole.len() >= 4 && whole.iter().all(old), "{}: {whole:?}", it.file.display());
    }
}

/// The list of versions that a release advertises.
fn advertised(release: &str) -> ApiVersionsResponse {
    let mut frame: Bytes = fs::read(folder().join(release).join("ApiVersions-v0.bin")).unwrap().into();
    ResponseHeader::decode(&mut frame, 0).unwrap();
    ApiVersionsResponse::decode(&mut frame, 0).unwrap()
}

#[test]
fn the_embedded_broker_advertises_no_version_that_the_real_one_lacks() {
    for version in [Version::V0_10, Version::V2_8, Version::V4_1] {
        let real = advertised(version.name());
        for (key, low, high) in version.served() {
            let found = real.api_keys.iter().find(|api| api.api_key == *key as i16);
            let found = found.unwrap_or_else(|| panic!("{} has no {key:?}", version.name()));
            assert!(
                found.min_version <= *low && *high <= found.max_version,
                "{key:?} {low} to {high}, but {} has {} to {}",
                version.name(),
                found.min_version,
                found.max_version
            );
        }
    }
}
