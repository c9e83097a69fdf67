//! A lane over arbitrary answers of a source: see `kferry_fuzz::lane`.
#![no_main]

use kferry_fuzz::items::Formats;
use kferry_fuzz::lane::drive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| drive(data, Formats::Any));
