//! kferry's codecs against the C libraries that brokers and most clients use, in both directions: libdeflate, Google's
//! snappy, lz4 and zstd. Behind the feature `c-reference`, because nothing else of kferry needs a C compiler.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this file is tests and their helpers"
)]

use std::io::{Read, Write};

use bytes::Bytes;
use kferry::batch::Codec;
use lz4::liblz4::BlockChecksum;
use lz4::{BlockMode, BlockSize, ContentChecksum};
use proptest::prelude::*;
use zstd::zstd_safe::CParameter;

/// More than any of these tests decompresses.
const CAP: usize = 8 << 20;

/// What records look like to a compressor: stretches of repeated, similar and random bytes, from nothing to some blocks of
/// any codec.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        (any::<u8>(), 0_usize..100_000).prop_map(|(byte, count)| vec![byte; count]),
        prop::collection::vec(any::<u8>(), 0..3_000),
        (any::<[u8; 7]>(), 0_usize..12_000).prop_map(|(word, count)| word.repeat(count)),
        (any::<u16>(), 0_u32..9_000).prop_map(|(from, count)| {
            (0..count).flat_map(|n| format!("key-{}:{};", u32::from(from) + n, n % 9).into_bytes()).collect()
        }),
    ];
    prop::collection::vec(stretch, 0..5).prop_map(|stretches| stretches.concat())
}

/// What kferry reads there.
fn read(codec: Codec, packed: &[u8]) -> Bytes {
    codec.decode(Bytes::copy_from_slice(packed), CAP).unwrap_or_else(|error| panic!("{error}"))
}

/// What kferry makes of it.
fn written(codec: Codec, plain: &[u8]) -> Vec<u8> {
    codec.encode(plain.to_vec()).unwrap_or_else(|error| panic!("{error}"))
}

fn gzip_by_c(plain: &[u8], level: i32) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(level).expect("one of its levels");
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let size = compressor.gzip_compress(plain, &mut out).expect("room for the worst case");
    out.truncate(size);
    out
}

fn snappy_by_c(plain: &[u8]) -> Vec<u8> {
    // The library's own bound: 32 + n + n/6.
    let mut out = vec![0; 32 + plain.len() + plain.len() / 6];
    let size = snappy_cpp::compress(plain, &mut out).expect("room for the worst case");
    out.truncate(size);
    out
}

/// A framed stream of blocks of at most `block` bytes, as the Java library writes it.
fn xerial_by_c(plain: &[u8], block: usize) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in plain.chunks(block) {
        let packed = snappy_by_c(block);
        out.extend_from_slice(&u32::try_from(packed.len()).expect("small").to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

/// How an LZ4 frame may be shaped.
#[derive(Clone, Debug)]
struct Lz4Shape {
    level: u32,
    size: BlockSize,
    mode: BlockMode,
    block_checksum: BlockChecksum,
    checksum: ContentChecksum,
    content_size: bool,
}

fn lz4_shapes() -> impl Strategy<Value = Lz4Shape> {
    let size = prop::sample::select(vec![
        BlockSize::Default,
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ]);
    let choice = any::<(bool, bool, bool, bool)>();
    (prop::sample::select(vec![0_u32, 1, 3, 9, 12]), size, choice).prop_map(|(level, size, choice)| Lz4Shape {
        level,
        size,
        mode: if choice.0 { BlockMode::Linked } else { BlockMode::Independent },
        block_checksum: if choice.1 { BlockChecksum::BlockChecksumEnabled } else { BlockChecksum::NoBlockChecksum },
        checksum: if choice.2 { ContentChecksum::ChecksumEnabled } else { ContentChecksum::NoChecksum },
        content_size: choice.3,
    })
}

fn lz4_by_c(plain: &[u8], shape: &Lz4Shape) -> Vec<u8> {
    let mut builder = lz4::EncoderBuilder::new();
    builder
        .level(shape.level)
        .block_size(shape.size.clone())
        .block_mode(shape.mode.clone())
        .block_checksum(shape.block_checksum.clone())
        .checksum(shape.checksum.clone());
    if shape.content_size {
        builder.content_size(plain.len() as u64);
    }
    let mut encoder = builder.build(Vec::new()).expect("an encoder");
    encoder.write_all(plain).expect("it compresses");
    let (out, result) = encoder.finish();
    result.expect("it compressed");
    out
}

/// How a zstd frame may be shaped.
#[derive(Clone, Debug)]
struct ZstdShape {
    level: i32,
    checksum: bool,
    content_size: bool,
    long_distance: bool,
    /// A window of two to this power.
    window: Option<u32>,
}

fn zstd_shapes() -> impl Strategy<Value = ZstdShape> {
    let level = prop::sample::select(vec![-7, 1, 3, 9, 19, 22]);
    let choice = any::<(bool, bool, bool)>();
    (level, choice, prop::option::of(10_u32..=23)).prop_map(|(level, choice, window)| ZstdShape {
        level,
        checksum: choice.0,
        content_size: choice.1,
        long_distance: choice.2,
        window,
    })
}

fn zstd_by_c(plain: &[u8], shape: &ZstdShape) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), shape.level).expect("an encoder");
    encoder.include_checksum(shape.checksum).expect("a flag");
    encoder.long_distance_matching(shape.long_distance).expect("a flag");
    encoder.set_parameter(CParameter::ContentSizeFlag(shape.content_size)).expect("a flag");
    if shape.content_size {
        encoder.set_pledged_src_size(Some(plain.len() as u64)).expect("known");
    }
    if let Some(window) = shape.window {
        encoder.window_log(window).expect("a window of zstd");
    }
    encoder.write_all(plain).expect("it compresses");
    encoder.finish().expect("it compressed")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn libdeflate_reads_what_kferry_writes(plain in plain()) {
        let mut out = vec![0; plain.len()];
        let size = libdeflater::Decompressor::new().gzip_decompress(&written(Codec::Gzip, &plain), &mut out);
        prop_assert_eq!(size, Ok(plain.len()));
        prop_assert!(out == plain);
    }

    #[test]
    fn kferry_reads_what_libdeflate_writes(plain in plain(), level in 0..=12) {
        prop_assert!(read(Codec::Gzip, &gzip_by_c(&plain, level)) == plain);
    }

    #[test]
    fn kferry_reads_gzip_members_that_libdeflate_wrote_one_by_one(plain in plain(), cut in any::<prop::sample::Index>()) {
        let (front, back) = plain.split_at(cut.index(plain.len() + 1));
        let members = [gzip_by_c(front, 6), gzip_by_c(back, 1)].concat();
        prop_assert!(read(Codec::Gzip, &members) == plain);
    }

    #[test]
    fn snappy_reads_the_blocks_that_kferry_writes(plain in plain()) {
        let framed = written(Codec::Snappy, &plain);
        let (header, mut rest) = framed.split_at(16);
        prop_assert_eq!(header, &b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..]);
        let mut out = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let (block, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
            let mut plain = vec![0; 64 << 10];
            let size = snappy_cpp::decompress(block, &mut plain).expect("a sound block");
            out.extend_from_slice(&plain[..size]);
            rest = behind;
        }
        prop_assert!(rest.is_empty() && out == plain);
    }

    #[test]
    fn kferry_reads_what_snappy_writes_raw_and_framed(plain in plain(), block in 1_usize..100_000) {
        prop_assert!(read(Codec::Snappy, &snappy_by_c(&plain)) == plain);
        let block = block.max(plain.len() / 1_000);
        prop_assert!(read(Codec::Snappy, &xerial_by_c(&plain, block)) == plain);
    }

    #[test]
    fn lz4_reads_what_kferry_writes(plain in plain()) {
        let mut out = Vec::new();
        let packed = written(Codec::Lz4, &plain);
        let mut decoder = lz4::Decoder::new(packed.as_slice()).expect("a decoder");
        decoder.read_to_end(&mut out).expect("a sound frame");
        decoder.finish().1.expect("a whole frame");
        prop_assert!(out == plain);
    }

    #[test]
    fn kferry_reads_every_shape_of_frame_that_lz4_writes(plain in plain(), shape in lz4_shapes()) {
        prop_assert!(read(Codec::Lz4, &lz4_by_c(&plain, &shape)) == plain);
    }

    #[test]
    fn zstd_reads_what_kferry_writes(plain in plain()) {
        let packed = written(Codec::Zstd, &plain);
        prop_assert!(zstd::stream::decode_all(packed.as_slice()).expect("a sound frame") == plain);
    }

    #[test]
    fn kferry_reads_every_shape_of_frame_that_zstd_writes(plain in plain(), shape in zstd_shapes()) {
        prop_assert!(read(Codec::Zstd, &zstd_by_c(&plain, &shape)) == plain);
    }
}

#[test]
fn a_frame_of_every_library_that_is_cut_or_altered_is_an_error_and_not_other_bytes() {
    let plain: Vec<u8> = (0..9_000_u32).flat_map(|n| format!("record {};", n / 3).into_bytes()).collect();
    let lz4 = Lz4Shape {
        level: 0,
        size: BlockSize::Max64KB,
        mode: BlockMode::Linked,
        block_checksum: BlockChecksum::NoBlockChecksum,
        checksum: ContentChecksum::ChecksumEnabled,
        content_size: true,
    };
    let zstd = ZstdShape { level: 3, checksum: true, content_size: true, long_distance: false, window: None };
    let frames = [
        (Codec::Gzip, gzip_by_c(&plain, 6)),
        (Codec::Lz4, lz4_by_c(&plain, &lz4)),
        (Codec::Zstd, zstd_by_c(&plain, &zstd)),
    ];
    for (codec, frame) in frames {
        assert!(read(codec, &frame) == plain, "{codec}");
        let wrong = |bytes: Vec<u8>| codec.decode(bytes.into(), CAP).is_err();
        for at in (0..frame.len()).step_by(frame.len() / 50) {
            assert!(wrong(frame[..at].to_vec()) || at == 0, "{codec} cut at {at} of {}", frame.len());
            // The first ten bytes of gzip hold a time and a system that nobody checks.
            let mut altered = frame.clone();
            altered[at.max(10)] ^= 0x10;
            assert!(wrong(altered), "{codec} altered at {at} of {}", frame.len());
        }
    }
}
