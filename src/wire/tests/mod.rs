//! Our codecs against an independent one (`kafka_protocol`, generated from Kafka's schemas), against bytes spelled out
//! by hand, and against bytes that no honest broker sends.

#![allow(clippy::arithmetic_side_effects)]

mod fetch;
mod groups;
mod hostile;
mod membership;
mod messages;
mod produce;

use super::{Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

/// The versions that are spoken of a request.
fn versions<R: Request>() -> std::ops::RangeInclusive<i16> {
    R::VERSIONS.min..=R::VERSIONS.max
}

/// What a broker's codec makes of our request; all of it must be read.
fn as_read_by_a_broker<M: Decodable>(request: &impl Request, version: i16) -> M {
    let mut body = Bytes::from(written(request, version));
    let message = M::decode(&mut body, version).expect("a broker can read it");
    assert!(body.is_empty(), "{} bytes are left in version {version}", body.len());
    message
}

/// What we make of an answer that a broker's codec wrote.
fn answer<R: Request>(message: &impl Encodable, version: i16) -> R::Answer {
    R::decode(version, as_written_by_a_broker(message, version)).expect("we can read it")
}

fn as_written_by_a_broker(message: &impl Encodable, version: i16) -> Bytes {
    let mut out = Vec::new();
    message.encode(&mut out, version).unwrap_or_else(|error| panic!("version {version}: {error}"));
    Bytes::from(out)
}

fn written(request: &impl Request, version: i16) -> Vec<u8> {
    request.encode(version).map(|rope: Rope| rope.to_vec()).expect("it can be written")
}

fn unwritable(request: &impl Request, version: i16) -> String {
    request.encode(version).map_err(|error: WireError| error.to_string()).expect_err("it can't be written")
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}
