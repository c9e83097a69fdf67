//! One connection to one broker.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequest;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use super::{text, versions};

/// Longer than any answer of a healthy broker takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The broker closed the connection instead of answering.
    Closed,
    /// Everything else.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => out.write_str("the broker closed the connection"),
            Self::Broken(what) => out.write_str(what),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match cause.kind() {
            BrokenPipe | ConnectionReset | UnexpectedEof => Self::Closed,
            _ => Self::Broken(cause.to_string()),
        }
    }
}

/// One connection. Requests may be sent ahead; answers come in the same order.
#[derive(Debug)]
pub struct Probe {
    stream: TcpStream,
    correlation: i32,
}

impl Probe {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(address: &str) -> Result<Self, Failure> {
        let stream =
            TcpStream::connect(address).map_err(|cause| Failure::Broken(format!("cannot reach {address}: {cause}")))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, correlation: 0 })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// When the broker closes, stays silent, or answers what can't be decoded.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Failure> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// When the connection is gone or the request can't be encoded at that version.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), Failure> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).map_err(|cause| Failure::Broken(cause.to_string()))?;
        self.send_body(R::KEY, version, &body)
    }

    /// Sends a request whose body was made by hand.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_body(&mut self, key: i16, version: i16, body: &[u8]) -> Result<(), Failure> {
        self.correlation += 1;
        let api = ApiKey::try_from(key).map_err(|()| Failure::Broken(format!("no API has the key {key}")))?;
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("probe")));
        let mut frame = BytesMut::new();
        (header.encode(&mut frame, api.request_header_version(version)))
            .map_err(|cause| Failure::Broken(cause.to_string()))?;
        frame.put_slice(body);
        self.send_frame(&frame)
    }

    /// Sends the bytes of one frame, which may be any bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_frame(&mut self, frame: &[u8]) -> Result<(), Failure> {
        self.send_length(i32::try_from(frame.len()).map_err(|cause| Failure::Broken(cause.to_string()))?)?;
        Ok(self.stream.write_all(frame)?)
    }

    /// Sends the length of a frame, and nothing of it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_length(&mut self, length: i32) -> Result<(), Failure> {
        Ok(self.stream.write_all(&length.to_be_bytes())?)
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// As for [`Probe::call`].
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, Failure> {
        let mut frame = self.receive_frame()?;
        let undecodable =
            |cause| Failure::Broken(format!("an answer to API {} v{version} that can't be decoded: {cause}", R::KEY));
        ResponseHeader::decode(&mut frame, R::Response::header_version(version)).map_err(undecodable)?;
        R::Response::decode(&mut frame, version).map_err(undecodable)
    }

    /// Reads the bytes of the next frame, correlation id included.
    ///
    /// # Errors
    /// When the broker closes or stays silent.
    pub fn receive_frame(&mut self) -> Result<Bytes, Failure> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Whether this broker knows `brokers` brokers.
    ///
    /// # Errors
    /// When it doesn't, or doesn't answer.
    pub(crate) fn sees(&mut self, brokers: usize) -> Result<(), Failure> {
        let answer = self.call(versions::METADATA, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
        if answer.brokers.len() == brokers {
            return Ok(());
        }
        Err(Failure::Broken(format!("knows {} of {brokers} brokers", answer.brokers.len())))
    }
}
