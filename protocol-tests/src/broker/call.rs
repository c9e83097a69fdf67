//! One request on its way through the broker, and what its handler may do with it.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::api::{fetch, produce};

/// A client's connection; the shell that owns the sockets gives the numbers, each once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ConnectionId(pub u64);

/// What a request's header says, and where it came in.
#[derive(Clone, Debug)]
pub struct Call {
    /// The node that was asked.
    pub node: i32,
    /// The connection it was asked on.
    pub connection: ConnectionId,
    /// What is asked.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// Returned with the answer.
    pub correlation_id: i32,
    /// Empty where the client gave none.
    pub client_id: String,
}

impl Call {
    /// Reads the header; what is left of `frame` is the body. `None` for bytes that are no request of Kafka's.
    pub(crate) fn read(node: i32, connection: ConnectionId, frame: &mut Bytes) -> Option<Self> {
        let api = ApiKey::try_from(i16::from_be_bytes(*frame.first_chunk()?)).ok()?;
        let version = i16::from_be_bytes(*frame.get(2..)?.first_chunk()?);
        // ApiVersions is answered whatever its version, so a header of a later version must be read as well.
        let header = RequestHeader::decode(frame, api.request_header_version(version)).ok()?;
        let client_id = header.client_id.map_or_else(String::new, |id| id.as_str().to_owned());
        Some(Self { node, connection, api, version, correlation_id: header.correlation_id, client_id })
    }

    /// The answer, in the request's version.
    pub(crate) fn reply(&self, response: &impl Encodable) -> Step {
        self.reply_in(self.version, response)
    }

    /// An answer whose body was written by hand, in a version whose header is the correlation id alone.
    pub(crate) fn reply_by_hand(&self, body: &[u8]) -> Step {
        let mut frame = BytesMut::from(&self.correlation_id.to_be_bytes()[..]);
        frame.extend_from_slice(body);
        Step::Reply(frame.freeze())
    }

    /// The answer in another version than the request's.
    pub(crate) fn reply_in(&self, version: i16, response: &impl Encodable) -> Step {
        let mut frame = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let written = header
            .encode(&mut frame, self.api.response_header_version(version))
            .and_then(|()| response.encode(&mut frame, version));
        // A field that this version can't carry is a mistake of ours.
        debug_assert!(written.is_ok(), "{self:?}: {written:?}");
        match written {
            Ok(()) => Step::Reply(frame.freeze()),
            Err(_) => Step::Close,
        }
    }
}

/// What a handler does with a request.
pub(crate) enum Step {
    /// Answers it: a response frame without its length.
    Reply(Bytes),
    /// Answers nothing, as for Produce with acks 0.
    Silent,
    /// Waits for something.
    Park(Wait),
    /// Closes the connection, the broker's answer to what it can't read.
    Close,
}

/// What a parked request waits for.
pub(crate) enum Wait {
    /// Followers, or the time-out.
    Produce(produce::Waiting),
    /// Records, or the time-out.
    Fetch(fetch::Waiting),
    /// The other members of the group, then the join's result.
    Join { group: String, member: String },
    /// The leader's assignment.
    Sync { group: String, member: String },
    /// A fault's delay in front of the handling.
    Handling { until: i64, body: Bytes },
    /// A fault's delay behind it.
    Answer { until: i64, outcome: Outcome },
    /// A fault that keeps the answer for ever.
    Never,
}

/// What became of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A response frame, without its length.
    Reply(Bytes),
    /// Bytes to be sent as they are, in place of a length and a frame: a fault's work.
    Raw(Bytes),
    /// There is no answer, and none will come.
    Silent,
    /// The answer comes with [`Core::poll`](super::core::Core::poll).
    Parked,
    /// The connection is closed.
    Close,
}

/// An outcome that was waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Whose.
    pub connection: ConnectionId,
    /// Never [`Outcome::Parked`].
    pub outcome: Outcome,
}

/// A protocol string.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
