use super::MessageSet;
use super::testing::{message, wrapper};
use crate::batch::codec::Codec;
use crate::batch::error::BatchErrorKind;
use crate::batch::testing::{Model, consumed, models, sent, some_models};
use crate::batch::{DropReason, Entry, Judge, Piece, RewriteReason, Rules, Verdict, batches, rebuild};
use crate::kafka::{Offset, Span};
use bytes::Bytes;
use proptest::prelude::*;

const APPEND_TIME: i8 = 0x08;

/// What the formats can say of a record.
fn without_headers(models: &[Model], magic: i8) -> Vec<Model> {
    let timeless = |model: &Model| if magic == 0 { -1 } else { model.timestamp };
    models.iter().map(|model| Model { headers: Vec::new(), timestamp: timeless(model), ..model.clone() }).collect()
}

fn entries(log: &[u8]) -> Vec<Entry> {
    let entry = |piece| match piece {
        Ok(Piece::Set(set)) => Entry::Set(set),
        other => panic!("a message set, not {other:?}"),
    };
    batches(Bytes::copy_from_slice(log)).map(entry).collect()
}

/// What a consumer of the target sees of the entries' records in `span`.
fn converted(log: &[u8], span: Span) -> Vec<Model> {
    let made = rebuild(&entries(log), span, &Rules::default()).expect("sound");
    let mut seen = Vec::new();
    for outgoing in &made {
        let written = seen.len() as i64;
        seen.extend(
            consumed(&sent(outgoing)).into_iter().map(|model| Model { offset: model.offset + written, ..model }),
        );
    }
    seen
}

fn numbered(models: impl IntoIterator<Item = Model>) -> Vec<Model> {
    (0..).zip(models).map(|(offset, model)| Model { offset, ..model }).collect()
}

const EVERYTHING: Span = Span::new(0, i64::MAX);

#[test]
fn a_set_is_left_out_only_where_it_ends_in_front_of_what_is_to_be_copied() {
    let models = without_headers(&some_models(), 1);
    let log = wrapper(1, 0, Codec::Gzip, &models, 70, 1_000);
    let [Entry::Set(set)] = &entries(&log)[..] else { panic!("one set") };
    let last = 70 + models.last().expect("a model").offset;
    let fate = |start| Judge::new([]).verdict_of_set(set, Span::new(start, 1_000));
    assert_eq!(fate(last + 1), Verdict::Drop(DropReason::Outside));
    assert_eq!([fate(last), fate(0)], [Verdict::Rewrite(RewriteReason::Legacy); 2]);
}

#[test]
fn plain_messages_become_one_batch() {
    for magic in [0, 1] {
        let models = without_headers(&some_models(), magic);
        let log: Vec<u8> = models
            .iter()
            .flat_map(|model| message(magic, 0, &Model { offset: 70 + model.offset, ..model.clone() }))
            .collect();
        let made = rebuild(&entries(&log), EVERYTHING, &Rules::default()).expect("sound");
        let [only] = &made[..] else { panic!("one batch, not {}", made.len()) };
        assert_eq!(consumed(&sent(only)), models);
        assert_eq!(only.source().end, Offset(73));
    }
}

#[test]
fn the_offsets_of_a_set_count_back_from_its_own() {
    let mut models = without_headers(&some_models(), 1);
    models[1].offset = 4; // compaction took 1 to 3
    models[2].offset = 6; // and 5
    let log = wrapper(1, 0, Codec::Gzip, &models, 100, 0);
    assert_eq!(converted(&log, Span::new(104, 106)), numbered([models[1].clone()]));
    assert_eq!(converted(&log, Span::new(105, 200)), numbered([models[2].clone()]));
    let [Entry::Set(set)] = &entries(&log)[..] else { panic!("one set") };
    assert_eq!((set.last_offset(), set.next_offset()), (Offset(106), Offset(107)));
}

#[test]
fn the_time_of_the_append_is_the_sets_and_counts_for_all_its_messages() {
    let models = without_headers(&some_models(), 1);
    let log = wrapper(1, APPEND_TIME, Codec::Snappy, &models, 0, 1_234);
    assert!(converted(&log, EVERYTHING).iter().all(|model| model.timestamp == 1_234));
    let create_time = wrapper(1, 0, Codec::Snappy, &models, 0, 1_234);
    assert_eq!(converted(&create_time, EVERYTHING), models);
    let plain = message(1, APPEND_TIME, &Model { timestamp: 77, ..models[0].clone() });
    assert_eq!(converted(&plain, EVERYTHING)[0].timestamp, 77);
}

#[test]
fn lz4_with_the_header_checksum_of_very_old_clients_is_read() {
    let models = without_headers(&some_models(), 0);
    let set: Vec<u8> = models.iter().flat_map(|model| message(0, 0, model)).collect();
    let mut frame = Codec::Lz4.encode(set).expect("compressed");
    // KAFKA-3160: the checksum was made of the frame's magic too.
    let [_, _, wrong, _] = twox_hash::XxHash32::oneshot(0, &frame[..6]).to_be_bytes();
    assert_ne!(frame[6], wrong);
    frame[6] = wrong;
    let packed = |magic| {
        let wrapper = Model { offset: 2, timestamp: -1, key: None, value: Some(frame.clone()), headers: Vec::new() };
        message(magic, 3, &wrapper)
    };
    assert_eq!(converted(&packed(0), EVERYTHING), models);
    let strict = rebuild(&entries(&packed(1)), EVERYTHING, &Rules::default()).expect_err("magic 1 got it right");
    assert!(matches!(strict.kind, BatchErrorKind::Codec(_)), "{strict}");
}

#[test]
fn what_no_set_may_hold_is_named() {
    let models = without_headers(&some_models(), 1);
    let complaint = |inner: Vec<u8>| {
        let value = Some(Codec::Gzip.encode(inner).expect("compressed"));
        let wrapper = Model { offset: 50, timestamp: 0, key: None, value, headers: Vec::new() };
        let set = entries(&message(1, 1, &wrapper));
        rebuild(&set, EVERYTHING, &Rules::default()).expect_err("not a set").to_string()
    };
    let at = |what: &str| format!("record batch at offset 50: its compressed messages {what}");
    assert_eq!(complaint(message(0, 0, &models[0])), at("are of another format than the set"));
    assert_eq!(complaint(message(1, 1, &models[0])), at("are compressed once more"));
    let twice = [message(1, 0, &models[0]), message(1, 0, &models[0])].concat();
    assert_eq!(complaint(twice), at("are not in the order of their offsets"));
    assert_eq!(complaint(Vec::new()), at("are missing"));
    let mut cut = message(1, 0, &models[0]);
    cut.pop();
    assert!(complaint(cut).starts_with("record batch at offset 50: message 0: message needs "));
}

#[test]
fn a_message_that_changed_is_told_by_its_crc() {
    let mut bytes = message(1, 0, &some_models()[2]);
    *bytes.last_mut().expect("bytes") ^= 1;
    let error = MessageSet::parse(bytes.into()).expect_err("it changed");
    assert!(matches!(error.kind, BatchErrorKind::Crc { .. }), "{error}");
    assert_eq!((error.base_offset, error.next_offset), (Offset(2), Some(Offset(3))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_of_every_set_is_kept(
        models in models(),
        magic in 0_i8..2,
        codec in 0_usize..4,
        base in 0_i64..1 << 40,
        edges: (prop::sample::Index, prop::sample::Index),
    ) {
        let models = without_headers(&models, magic);
        let plain = |model: &Model| message(magic, 0, &Model { offset: base + model.offset, ..model.clone() });
        let log = match Codec::ALL[codec] {
            Codec::None => models.iter().flat_map(plain).collect(),
            codec => wrapper(magic, 0, codec, &models, base, 5),
        };
        let [a, b] = [edges.0, edges.1].map(|edge| base + edge.index(models.len() + 1) as i64);
        let span = Span::new(a.min(b), a.max(b));
        let kept = models.iter().filter(|model| span.contains(Offset(base + model.offset))).cloned();
        prop_assert_eq!(converted(&log, span), numbered(kept));
    }

    #[test]
    fn no_bytes_are_a_reason_to_panic(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        magic in 0_u8..2,
        codec in 0_u8..8,
    ) {
        let mut bytes = [&[0; 8][..], &(noise.len() as i32 + 6).to_be_bytes(), &[0; 4], &[magic, codec], &noise].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.sum().to_be_bytes());
        if let Ok(set) = MessageSet::parse(bytes.into()) {
            let _ = rebuild(&[Entry::Set(set)], EVERYTHING, &Rules { max_decoded_bytes: 1 << 20, ..Rules::default() });
        }
    }
}
