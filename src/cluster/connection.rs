//! A connection to one broker that knows which versions the broker speaks.

use super::error::{ClusterError, ErrorKind, Node, Place, Subject};
use crate::batch::Summed;
use crate::kafka::{ErrorCode, Side, TopicPartition};
use crate::net::{Cause, Conn, ConnOptions, Dial};
use crate::wire::fetch::{FetchAnswer, FetchRequest};
use crate::wire::messages::{ApiVersions, ApiVersionsAnswer};
use crate::wire::produce::{ProduceAnswer, ProduceRequest};
use crate::wire::{ApiKey, Request, VersionError, Versions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What a connection is for. Connections of different uses are different connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Use {
    /// Short questions.
    Control(u16),
    /// Record batches: Fetch or Produce. Its answers count against the memory budget.
    Data(u16),
}

/// A connection to a broker. It ends when its last handle is dropped, when it fails, or when it is closed.
#[derive(Debug)]
pub struct Connection {
    conn: Conn,
    versions: Versions,
    side: Side,
    broker: Node,
    patience: Duration,
    fastest: Fastest,
}

/// The shortest time in which any question to a cluster was answered.
#[derive(Clone, Debug)]
pub(super) struct Fastest(Arc<AtomicU64>);

impl Default for Fastest {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Fastest {
    fn took(&self, time: Duration) {
        self.0.fetch_min(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// `None` before the first answer.
    pub(super) fn get(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|micros| *micros != u64::MAX).map(Duration::from_micros)
    }
}

/// What is needed to open a connection.
pub(super) struct Opening<'a> {
    pub(super) dial: &'a dyn Dial,
    pub(super) side: Side,
    pub(super) broker: Node,
    pub(super) conn: ConnOptions,
    pub(super) connect_timeout: Duration,
    pub(super) patience: Duration,
    pub(super) fastest: Fastest,
}

impl Opening<'_> {
    /// Connects and asks for the broker's versions, in version 3 first: it says who we are. A broker that does not know
    /// version 3 refuses it by name or by closing, and is asked again in version 0, which all know.
    pub(super) async fn open(self) -> Result<Connection, ClusterError> {
        let conn = self.dial().await?;
        let answer = match conn.call(&ApiVersions, 3, self.connect_timeout).await {
            Ok(answer) if answer.error == ErrorCode::UNSUPPORTED_VERSION && conn.alive() => self.ask(&conn).await?,
            Ok(answer) => versions(answer).map_err(|kind| self.failed(kind))?,
            Err(_) if conn.cause().is_some_and(|cause| *cause == Cause::ClosedAtOnce) => {
                let conn = self.dial().await?;
                let versions = self.ask(&conn).await?;
                return Ok(self.opened(conn, versions));
            }
            Err(error) => return Err(ClusterError::from_call(self.place(), error)),
        };
        Ok(self.opened(conn, answer))
    }

    async fn dial(&self) -> Result<Conn, ClusterError> {
        let stream = self.dial.dial(&self.broker.address, self.connect_timeout).await;
        let stream = stream.map_err(|error| self.failed(ErrorKind::Dial(error)))?;
        Ok(Conn::new(stream, self.conn.clone()))
    }

    async fn ask(&self, conn: &Conn) -> Result<Versions, ClusterError> {
        let answer = conn.call(&ApiVersions, 0, self.connect_timeout).await;
        let answer = answer.map_err(|error| ClusterError::from_call(self.place(), error))?;
        versions(answer).map_err(|kind| self.failed(kind))
    }

    fn opened(self, conn: Conn, versions: Versions) -> Connection {
        Connection {
            conn,
            versions,
            side: self.side,
            broker: self.broker,
            patience: self.patience,
            fastest: self.fastest,
        }
    }

    fn place(&self) -> Place {
        Place { side: self.side, broker: Some(self.broker.clone()), api: None, subject: Subject::Whole }
    }

    fn failed(&self, kind: ErrorKind) -> ClusterError {
        ClusterError::new(self.place(), kind)
    }
}

fn versions(answer: ApiVersionsAnswer) -> Result<Versions, ErrorKind> {
    match answer.error.check() {
        Ok(()) => Ok(answer.versions),
        Err(code) => Err(ErrorKind::Code { code, message: None }),
    }
}

/// The partition a request is about, if it is one.
fn about<'a>(mut partitions: impl Iterator<Item = &'a TopicPartition>) -> Subject {
    match (partitions.next(), partitions.next()) {
        (Some(at), None) => Subject::Partition(at.clone()),
        _ => Subject::Whole,
    }
}

impl Connection {
    /// The broker at the other end.
    pub fn broker(&self) -> &Node {
        &self.broker
    }

    /// Whether requests can still be sent.
    pub fn alive(&self) -> bool {
        self.conn.alive()
    }

    /// Ends the connection; all that waits on it fails. What was sent may still be served by the broker.
    pub fn close(&self) {
        self.conn.close();
    }

    /// The version of an API that is spoken on this connection.
    pub fn version(&self, api: ApiKey) -> Result<i16, VersionError> {
        self.versions.negotiate(api, api.spoken())
    }

    /// As [`Connection::version`], where nothing can be done without it.
    pub fn needed(&self, api: ApiKey) -> Result<i16, ClusterError> {
        let missing = |error| ClusterError::new(self.place(api, Subject::Whole), ErrorKind::Version(error));
        self.version(api).map_err(missing)
    }

    /// Reads record batches; never repeated. The connection may stand still for the request's `max_wait` and as long as
    /// any other request. The answer's frame comes with it, summed up as far as it is large.
    pub async fn fetch(&self, request: &FetchRequest) -> Result<(FetchAnswer, Summed), ClusterError> {
        let subject = about(request.partitions.iter().map(|partition| &partition.at));
        self.ask_for_frame(request, subject, self.patience.saturating_add(request.max_wait)).await
    }

    /// Appends record batches; never repeated. [`ClusterError::sent`] tells whether the broker may have got them.
    pub async fn produce(&self, request: &ProduceRequest) -> Result<ProduceAnswer, ClusterError> {
        let subject = about(request.partitions.iter().map(|partition| &partition.at));
        self.ask(request, subject, self.patience.saturating_add(request.timeout)).await
    }

    /// One question, asked once.
    pub(super) async fn call<R: Request>(&self, request: &R, subject: Subject) -> Result<R::Answer, ClusterError> {
        self.ask(request, subject, self.patience).await
    }

    /// As [`Self::call`], for a request that may take longer or must not take as long.
    pub(super) async fn call_within<R: Request>(
        &self,
        request: &R,
        subject: Subject,
        patience: Duration,
    ) -> Result<R::Answer, ClusterError> {
        self.ask(request, subject, patience).await
    }

    async fn ask<R: Request>(
        &self,
        request: &R,
        subject: Subject,
        patience: Duration,
    ) -> Result<R::Answer, ClusterError> {
        self.ask_for_frame(request, subject, patience).await.map(|(answer, _)| answer)
    }

    async fn ask_for_frame<R: Request>(
        &self,
        request: &R,
        subject: Subject,
        patience: Duration,
    ) -> Result<(R::Answer, Summed), ClusterError> {
        let version = match self.versions.negotiate(R::API, R::VERSIONS) {
            Ok(version) => version,
            Err(error) => return Err(ClusterError::new(self.place(R::API, subject), ErrorKind::Version(error))),
        };
        let begun = Instant::now();
        let answer = self.conn.call_for_frame(request, version, patience).await;
        if answer.is_ok() {
            self.fastest.took(begun.elapsed());
        }
        answer.map_err(|error| ClusterError::from_call(self.place(R::API, subject), error))
    }

    /// The place of an error about an answer of this connection.
    pub(super) fn place(&self, api: ApiKey, subject: Subject) -> Place {
        Place { side: self.side, broker: Some(self.broker.clone()), api: Some(api), subject }
    }

    /// The error for a code in an answer; `Ok` for NONE.
    pub(super) fn check(
        &self,
        api: ApiKey,
        subject: Subject,
        code: ErrorCode,
        message: Option<&str>,
    ) -> Result<(), ClusterError> {
        code.check().map_err(|code| {
            let message = message.filter(|message| !message.is_empty()).map(str::to_owned);
            ClusterError::new(self.place(api, subject), ErrorKind::Code { code, message })
        })
    }
}
