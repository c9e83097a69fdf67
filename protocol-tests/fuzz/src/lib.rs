//! What the fuzz targets share. A target says what must hold for any input; the helpers here get inputs past what a
//! mutation almost never gets right by itself: lengths, checksums and compressed payloads.
//!
//! An input that stands for a source's log is a row of [`items`]; `src/bin/seeds.rs` makes the first ones of what real
//! brokers stored.

#![allow(clippy::panic, clippy::expect_used, reason = "a panic is how a target reports what it found")]

pub mod codecs;
pub mod input;
pub mod items;
pub mod lane;
pub mod memory;
