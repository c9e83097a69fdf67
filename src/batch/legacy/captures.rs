//! What brokers before record batches stored, taken through this room; `fixtures/README.md` says how it was captured. Beside
//! each log lies what Kafka's own consumer reads from it.

use crate::batch::testing::{Model, consumed, sent};
use crate::batch::{Codec, Entry, Made, Piece, Rules, Run, batches, rebuild};
use crate::kafka::{Offset, Span};
use bytes::Bytes;

macro_rules! captures {
    ($($name:literal)*) => {
        [$((
            $name,
            include_bytes!(concat!("../../../fixtures/legacy/", $name, ".bin")).as_slice(),
            include_str!(concat!("../../../fixtures/legacy/", $name, ".json")),
        )),*]
    };
}

/// Name, log, and the consumer's records as JSON.
const CAPTURES: [(&str, &[u8], &str); 18] = captures![
    "v0-none" "v0-gzip" "v0-snappy" "v0-lz4" "v0-compacted"
    "v1-none" "v1-gzip" "v1-snappy" "v1-lz4" "v1-compacted"
    "v1-append-time-none" "v1-append-time-gzip"
    "v1-kcat-none" "v1-kcat-gzip" "v1-kcat-snappy" "v1-kcat-lz4"
    "v1-timeless-gzip" "mixed"
];

/// What Kafka's consumer read.
fn read_by_kafka(json: &str) -> Vec<Model> {
    let records: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().map(|text| text.as_bytes().to_vec());
    let model = |record: &serde_json::Value| Model {
        offset: record["offset"].as_i64().expect("an offset"),
        timestamp: record["timestamp"].as_i64().expect("a timestamp"),
        key: text(&record["key"]),
        value: text(&record["value"]),
        headers: Vec::new(),
    };
    records.as_array().expect("records").iter().map(model).collect()
}

fn entries(log: &'static [u8]) -> Vec<Entry> {
    let entry = |piece| match piece {
        Ok(Piece::Set(set)) => Entry::Set(set),
        Ok(Piece::Batch(batch)) => Entry::Batch(batch),
        other => panic!("a whole entry, not {other:?}"),
    };
    batches(Bytes::from_static(log)).map(entry).collect()
}

#[test]
fn old_logs_arrive_as_kafkas_own_consumer_reads_them_from_any_offset_to_any_other() {
    for (name, log, json) in CAPTURES {
        let all = read_by_kafka(json);
        let (first, behind) = (all[0].offset, all[all.len() - 1].offset + 1);
        for (start, end) in (first..behind).flat_map(|start| [(start, start + 1), (start, behind), (first, start + 1)])
        {
            let mut seen = Vec::new();
            for entry in entries(log) {
                let span = Span::new(start, end);
                let made = rebuild(std::slice::from_ref(&entry), span, &Rules::default());
                for outgoing in made.unwrap_or_else(|error| panic!("{name}: {error}")) {
                    seen.extend(consumed(&sent(&outgoing)));
                }
            }
            let kept = all.iter().filter(|model| (start..end).contains(&model.offset)).cloned();
            let timeless = |model: Model| Model { offset: 0, ..model };
            let kept: Vec<Model> = kept.map(timeless).collect();
            assert_eq!(seen.into_iter().map(timeless).collect::<Vec<_>>(), kept, "{name} from {start} to {end}");
        }
    }
}

#[test]
fn an_old_log_becomes_few_batches_of_the_codec_it_had() {
    for (name, log, json) in CAPTURES {
        let rules = Rules::default();
        let (mut run, mut made) = (Run::of(0), Vec::new());
        for entry in entries(log) {
            if !run.push(&entry, Offset(0), true, &rules) {
                made.extend(run.finish(Offset(i64::MAX), &rules));
                assert!(run.push(&entry, Offset(0), true, &rules), "{name}: an empty run takes anything");
            }
        }
        made.extend(run.finish(Offset(i64::MAX), &rules));
        let outgoing = |made| match made {
            Made::Joined(outgoing) | Made::Passed(outgoing) => outgoing,
            Made::Broken(broken) => panic!("{name}: {broken:?}"),
        };
        let made: Vec<_> = made.into_iter().map(outgoing).collect();
        let codecs: Vec<Codec> = made.iter().map(|outgoing| outgoing.codec().expect("a codec")).collect();
        let expected = match name {
            "mixed" => vec![Codec::None, Codec::Gzip, Codec::None, Codec::Lz4],
            "v0-compacted" | "v1-compacted" => vec![Codec::Gzip, Codec::None],
            _ => vec![Codec::ALL.into_iter().find(|codec| name.ends_with(codec.name())).expect("a codec")],
        };
        assert_eq!(codecs, expected, "{name}");
        let records = made.iter().map(|outgoing| outgoing.records() as usize).sum::<usize>();
        assert_eq!(records, read_by_kafka(json).len(), "{name}");
    }
}
