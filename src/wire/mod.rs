//! Requests and answers as bytes.
//!
//! A kind of request is a type that implements [`Request`]: it knows its API, writes itself at a negotiated version and
//! reads its answer, in kferry's own plain types. [`api`] holds the versions that are spoken and their negotiation,
//! [`header`] the bytes in front of a request and of an answer, [`frame`] the length in front of both.
//!
//! Fetch and Produce are written and read by hand, so that no payload byte is copied: record data arrives as slices of
//! the frame and leaves as parts of a [`Rope`]. The other requests are written by `kafka-protocol`, which is generated
//! from Kafka's own schemas. Every answer is read by hand: that crate's decoder reserves memory by the counts a broker
//! claims, and a hostile count ends the process.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod api;
mod error;
pub mod fetch;
pub mod frame;
pub mod header;
pub mod messages;
pub mod produce;
mod read;
mod rope;

use bytes::Bytes;

pub use api::{ApiKey, VersionError, VersionRange, Versions};
pub use error::WireError;
pub use rope::Rope;

use read::Reader;

/// One kind of request.
pub trait Request {
    /// Its API.
    const API: ApiKey;
    /// The versions it is spoken at.
    const VERSIONS: VersionRange = Self::API.spoken();
    /// What a broker answers, in plain types.
    type Answer;

    /// The request's body at `version`, without header. Fails where a field does not fit the protocol's types.
    fn encode(&self, version: i16) -> Result<Rope, WireError>;

    /// Reads an answer's body at `version`; `body` starts behind the header. Never panics and never allocates more than
    /// a small multiple of `body`.
    fn decode(version: i16, body: Bytes) -> Result<Self::Answer, WireError>;
}

#[cfg(test)]
mod tests;
