//! What a migration costs, beside other tools and the limits:
//!
//!     cargo bench-migration                                  on two real brokers (needs Java 17, Maven and kcat)
//!     cargo bench-migration --on embedded --set big,wide     on embedded ones, which also count requests
//!     cargo bench-migration --check                          bounds of memory and requests only
//!     cargo bench-migration --latency 50                     over a long way (needs root)
//!
//! `protocol_tests::bench` is the map.
#![allow(clippy::print_stderr, reason = "a program for people")]

use std::process::ExitCode;

use clap::Parser;
use protocol_tests::bench::options::{Options, Part};
use protocol_tests::bench::{check, embedded, latency, rounds};

fn main() -> ExitCode {
    let options = Options::parse();
    let played = match (options.part, options.latency) {
        (Some(Part::Broker), _) => embedded::serve().map(|()| true).map_err(|cause| cause.to_string()),
        (None, _) if options.check => check::play(&options),
        (None, Some(round_trip)) => latency::play(&options, round_trip),
        (None, None) => rounds::play(&options).map(|()| true),
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => {
            eprintln!("the benchmark could not be played: {cause}");
            ExitCode::FAILURE
        }
    }
}
