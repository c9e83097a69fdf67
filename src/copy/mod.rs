//! One state machine per partition, and the engine that serves them all.
//!
//! The way of a batch: the `engine` asks a source broker for records (`fetcher`), hands the bytes to the partition's
//! [`Lane`], which judges them, cuts what crosses the ends of the span, and gives back stamped batches; `pack` puts the
//! batches of many lanes into one Produce request, `producer` sends it, and each partition's answer goes back to its lane.
//!
//! A lane knows no sockets and no clock: `Lane::on` takes what happened, `Lane::next` says what to do. What counts as
//! certain after a Produce, and what does not, is written down in one place: `answer`.
//!
//! Where time goes (perf, 2026-11-27: uncompressed batches of 1 MiB between two brokers on the same two cores): the machine is
//! busy for 95% of the time, and the brokers take three of four seconds of it. Of kferry's own 0.6 CPU-s per GiB, 56% are the
//! kernel's copies out of and into sockets, 25% other work of the kernel for sockets and memory, 6% the checksum of what came,
//! taken block by block while it is warm (`batch::Summed`), and 14% all the rest, of which no function has 1%. A program that
//! does nothing but read each batch whole from one broker and write it to the other (`broker-relay`) takes as much of the
//! kernel's time, and that alone is 1.2 to 1.5 times what a relay between idle sockets takes, 1.4 to 1.8 times for the smaller,
//! compressed batches. The kernel's part and the checksum are 1.5 times all of that relay's already (2026-11-27 and 28): what
//! kferry could still save is the rest. The brokers' own work is the same for both, but for the commits of the journals, one
//! every 10 ms (0.04 CPU-s per GiB), and for what they compile meanwhile, up to half a second per GiB until they have run for
//! long. On a machine with faster brokers (2026-11-28, the same set) they took as much for `broker-relay` and `raw-go` as for
//! kferry, within 3%, and kferry's own 0.7 CPU-s were 0.24 more than the relay's: 0.10 in the kernel's copies, whose memory is
//! out of the processor's nearest cache when it is sent behind what was read before, 0.06 for pages that are touched for the
//! first time (once per run: 64 MiB), 0.04 for checksums, 0.08 for the rest. Memory of 16 MiB instead of 64 saves 0.03 to
//! 0.05 of it, and takes a few hundredths longer; huge pages and three batches in flight instead of five gain nothing that could
//! be told from noise.
//!
//! Of three million batches of one record (0.8 CPU-s), two fifths of kferry's time are the kernel's. Of its own thousand
//! instructions per batch (callgrind, 2026-11-28) a third reads the record, a fifth writes it behind the others, a sixth is the
//! checksum, and the rest are headers and verdicts. What counts is that headers and records stay in registers: the processor
//! waits where a value is put together field by field and then moved as a whole, and with a few such moves, errors that were
//! put together beside the way and a ledger entry for each batch it took 0.2 CPU-s more. A joining copier that believes every
//! checksum (`raw-go-join`) is as fast beside warm brokers, with 1.4 times the CPU. One thread does it all; a second one for the
//! sockets and the checksums took a tenth of the time away beside cold brokers, none beside warm ones, and none for large
//! batches (2026-11-27, five to eight alternating runs each): not worth a second runtime. Neither fewer connections to the
//! target, nor larger Fetch answers, nor memory that the allocator keeps change more than the noise.
//!
//! Of 8,000 partitions with one batch each (2026-11-28, perf of the whole machine, warm brokers) the 0.5 s from the first record
//! to the last hold 0.5 CPU-s of the target's request threads, 0.1 of the source's, 0.2 of both brokers' garbage collectors, and
//! 0.14 of kferry; nothing is idle. As much again of the source and of kferry comes before: lanes read while the plan and the
//! first journals are stored, which took 0.1 s off what follows, and as much time passes before the first record as without.
//! Of all of kferry's (beside embedded brokers) a third is the kernel's for sockets, page faults in it, an eighth the text of
//! journals, a twentieth checksums, and the rest is spread over all that a lane does, most of it in the allocator. Journals are
//! what is left: a raw copier (`raw-go`) takes as long (two runs of 16 rounds), and longer when it waits for them
//! (`raw-go-journal`).
//! What counts is that a request names few topics with many partitions of each: lanes that were dealt to connections one by one
//! took 0.1 s more. The stamps cost nothing (with and without, ten alternating runs each), and neither 3 connections instead of 8
//! nor answers of 8 MiB gain anything; Produce requests of 0.25, 0.5 or 4 MiB instead of 1.5 take longer.

mod answer;
mod budget;
mod count;
mod engine;
mod error;
mod fetcher;
mod lane;
mod ledger;
mod link;
mod marks;
mod pace;
mod pack;
mod patience;
mod progress;
mod reader;
mod replay;
mod requests;
mod routes;
mod settle;
mod tails;
mod tally;
#[cfg(test)]
mod tests;
mod trail;
mod walk;
mod writer;

pub use answer::ProduceResult;
pub use count::count_kept;
pub use engine::{Books, Copied, Copies, Engine, Lanes, Limits};
pub use error::LaneProblem;
pub use lane::{Action, Event, Lane, LaneEnd, LaneSetup, Truncation};
pub use patience::Patience;
pub use progress::Progress;
pub use settle::{LastBatch, Tail};
pub use tails::{LogEnd, log_ends};
pub use tally::{Tally, Volume};
