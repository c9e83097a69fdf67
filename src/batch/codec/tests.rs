use super::*;
use proptest::prelude::*;

const CAP: usize = 1 << 20;

fn compressed() -> impl Iterator<Item = Codec> {
    Codec::ALL.into_iter().skip(1)
}

fn encoded(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    codec.encode(bytes.to_vec()).expect("compressed")
}

fn decoded(codec: Codec, bytes: &[u8], cap: usize) -> Result<Bytes, CodecError> {
    codec.decode(Bytes::copy_from_slice(bytes), cap)
}

#[test]
fn numbers_and_names_are_those_of_kafka() {
    assert_eq!(Codec::ALL.map(Codec::bits), [0, 1, 2, 3, 4]);
    assert_eq!(Codec::ALL.map(Codec::name), ["none", "gzip", "snappy", "lz4", "zstd"]);
    assert!(Codec::ALL.into_iter().all(|codec| Codec::from_bits(codec.bits()) == Some(codec)));
    assert_eq!(Codec::from_bits(5), None);
}

#[test]
fn a_set_without_a_codec_holds_the_others() {
    let set = CodecSet::ALL.without(Codec::Zstd);
    assert_eq!(Codec::ALL.map(|codec| set.contains(codec)), [true, true, true, true, false]);
}

#[test]
fn what_holds_more_than_the_cap_is_refused_by_name() {
    let zeros = vec![0; 300_000];
    for codec in compressed() {
        let small = encoded(codec, &zeros);
        assert_eq!(decoded(codec, &small, zeros.len()).expect("just fits"), zeros);
        let error = decoded(codec, &small, zeros.len() - 1).expect_err("one byte too many");
        assert_eq!(error.to_string(), format!("{codec}: its records take more than 299999 bytes when decompressed"));
    }
}

#[test]
fn gzip_of_several_members_is_read_to_its_end() {
    let two = [encoded(Codec::Gzip, b"one "), encoded(Codec::Gzip, b"two")].concat();
    assert_eq!(decoded(Codec::Gzip, &two, CAP).expect("both"), &b"one two"[..]);
}

#[test]
fn snappy_is_read_raw_framed_and_appended() {
    let raw = snap::raw::Encoder::new().compress_vec(b"raw block").expect("compressed");
    assert_eq!(decoded(Codec::Snappy, &raw, CAP).expect("raw"), &b"raw block"[..]);
    let long: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let framed = encoded(Codec::Snappy, &long);
    assert_eq!(framed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    assert_eq!(decoded(Codec::Snappy, &framed, CAP).expect("framed"), long);
    let twice = [&framed[..], &framed[..]].concat();
    assert_eq!(decoded(Codec::Snappy, &twice, CAP).expect("appended"), [&long[..], &long[..]].concat());
}

#[test]
fn a_snappy_block_that_claims_gigabytes_is_refused_before_any_are_taken() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00];
    let error = decoded(Codec::Snappy, &claim, usize::MAX).expect_err("seven bytes");
    assert_eq!(error.to_string(), "snappy: a block of 7 bytes says that it holds 4294967295");
}

#[test]
fn lz4_frames_have_the_shape_that_the_java_client_reads() {
    let frame = encoded(Codec::Lz4, &[7; 200_000]);
    // Version 1, independent blocks, no checksums, no content size; blocks of at most 64 KiB.
    assert_eq!(frame[..6], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40]);
}

#[test]
fn lz4_with_linked_blocks_and_checksums_is_read() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    use std::io::Write;
    let text = b"the quick brown fox ".repeat(20_000);
    let shape = FrameInfo::new().block_mode(BlockMode::Linked).block_checksums(true).content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(shape, Vec::new());
    encoder.write_all(&text).expect("written");
    let frame = encoder.finish().expect("finished");
    assert_eq!(decoded(Codec::Lz4, &frame, CAP).expect("linked"), text);
}

#[test]
fn lz4_frames_of_before_kafka_are_not_looked_into() {
    let legacy = decoded(Codec::Lz4, include_bytes!("../../../fixtures/defects/lz4-legacy-frame.bin"), CAP);
    let fault = legacy.expect_err("no Kafka client reads it").fault;
    assert_eq!(fault, CodecFault::Malformed("it does not begin as an LZ4 frame".to_owned()));
    assert!(decoded(Codec::Lz4, &[], CAP).is_err());
}

#[test]
fn an_lz4_frame_that_ends_early_is_not_taken_for_a_whole_one() {
    let found = [
        &include_bytes!("../../../fixtures/defects/lz4-frame-without-end-mark.bin")[..],
        &include_bytes!("../../../fixtures/defects/lz4-magic-alone.bin")[..],
    ];
    for frame in found {
        assert!(decoded(Codec::Lz4, frame, CAP).is_err());
    }
    let whole = encoded(Codec::Lz4, &[7; 200_000]);
    for end in 0..whole.len() {
        assert!(decoded(Codec::Lz4, &whole[..end], CAP).is_err(), "{end} of {} bytes", whole.len());
    }
}

#[test]
fn our_zstd_is_read_by_a_second_decoder() {
    use std::io::Read;
    let text = b"the quick brown fox ".repeat(20_000);
    let frame = encoded(Codec::Zstd, &text);
    let mut out = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(&frame[..]).expect("a frame").read_to_end(&mut out).expect("read");
    assert_eq!(out, text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_codec_gives_back_what_it_was_given(
        piece in prop::collection::vec(any::<u8>(), 0..300),
        times in 1_usize..100,
    ) {
        let bytes = piece.repeat(times);
        for codec in Codec::ALL {
            prop_assert_eq!(&decoded(codec, &encoded(codec, &bytes), CAP).expect("decompressed"), &bytes);
        }
    }

    #[test]
    fn bytes_that_changed_end_in_an_error_or_within_the_cap(
        piece in prop::collection::vec(any::<u8>(), 1..300),
        times in 1_usize..100,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        kept in any::<prop::sample::Index>(),
    ) {
        for codec in compressed() {
            let mut bytes = encoded(codec, &piece.repeat(times));
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes.truncate(kept.index(bytes.len() + 1));
            if let Ok(out) = decoded(codec, &bytes, CAP) {
                prop_assert!(out.len() <= CAP);
            }
        }
    }

    #[test]
    fn noise_is_no_reason_to_panic(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        for (codec, magic) in compressed().zip([&[0x1f, 0x8b, 8][..], b"\x82SNAPPY\0", &[4, 0x22, 0x4d, 0x18], &[0x28, 0xb5, 0x2f, 0xfd]]) {
            let _ = decoded(codec, &noise, CAP);
            let _ = decoded(codec, &[magic, &noise].concat(), CAP);
        }
    }
}
