//! What can be asked of the benchmark.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Parser, Subcommand};

use crate::lab::Version;

use super::site::On;

/// Measures migrations by kferry beside other tools, a plain relay, and what the brokers need themselves
#[derive(Parser, Debug)]
#[command(name = "cargo bench-migration", bin_name = "cargo bench-migration")]
pub struct Options {
    /// Which brokers
    #[arg(long, value_enum, default_value = "real")]
    pub on: On,
    /// The data sets: big, lz4, zstd, tiny, huge, skew, many; wide (with --on embedded) is only planned
    #[arg(long = "set", value_delimiter = ',', default_value = "big,lz4,zstd,tiny,skew")]
    pub sets: Vec<String>,
    /// How much data big, lz4, zstd, huge and skew hold before compression
    #[arg(long, default_value = "512MiB")]
    pub size: ByteSize,
    /// How many batches of one record tiny holds
    #[arg(long, default_value_t = 400_000)]
    pub batches: u64,
    /// Who takes part: kferry, relay, broker-relay, limits, kcat, franz-go, raw-go, raw-go-join, mirror-maker,
    /// and raw-go-journal
    #[arg(
        long = "with",
        value_delimiter = ',',
        default_value = "kferry,relay,broker-relay,limits,kcat,franz-go,raw-go,raw-go-join,mirror-maker"
    )]
    pub contestants: Vec<String>,
    /// How often each runs
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How often real brokers are filled and drained before anything is measured, and each contestant runs, for a minute at
    /// most: until they have compiled what they do
    #[arg(long, default_value_t = 20)]
    pub warm_up: usize,
    /// The release of Apache Kafka
    #[arg(long, default_value = "4.3.0")]
    pub release: Version,
    /// The binary to measure, instead of one built from this tree
    #[arg(long)]
    pub kferry: Option<PathBuf>,
    /// Seconds that one run may take
    #[arg(long, default_value_t = 900)]
    pub limit: u64,
    /// Count system calls too, in a run of its own (needs strace)
    #[arg(long)]
    pub syscalls: bool,
    /// Write everything that was measured to a file, as JSON
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Only kferry, with 128 MiB unless --argument says otherwise, over a link with this round trip in ms, from 64 partitions
    /// and from one (needs root and /dev/net/tun)
    #[arg(long, value_name = "MS")]
    pub latency: Option<u64>,
    /// Set where this program has started itself in a network namespace of its own
    #[arg(long, hide = true)]
    pub far: bool,
    /// One more argument for `kferry run`, such as --memory=256MiB
    #[arg(long = "argument", allow_hyphen_values = true)]
    pub arguments: Vec<String>,
    /// Only count, on embedded brokers: whether memory and requests stay within their bounds
    #[arg(long)]
    pub check: bool,
    /// Parts that this program plays in other processes
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// A part that this program plays in another process.
#[derive(Subcommand, Clone, Debug)]
pub enum Part {
    /// An embedded broker, until stdin ends
    #[command(hide = true)]
    Broker,
    /// A long way between two network devices that it makes, until stdin ends
    #[command(hide = true)]
    Line {
        /// How late each packet comes, in ms
        delay: u64,
        /// Seconds that it may take
        limit: u64,
        /// The devices' names
        near: String,
        /// The other one's
        far: String,
    },
}
