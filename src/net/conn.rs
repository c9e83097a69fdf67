//! One connection: a driver task that writes requests in order, reads answers in order, and watches the clock.

use super::shared::{Reply, Shared, Waiting};
use super::{CallError, Cause, Pool, Stream};
use crate::batch::Summed;
use crate::wire::{ApiKey, Request, Rope, frame, header};
use bytes::Buf;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Requests that may wait to be written; more callers wait for their turn.
const QUEUE: usize = 64;

/// How long answers are still read after a write failed.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection needs to know.
#[derive(Clone, Debug)]
pub struct ConnOptions {
    /// What kferry calls itself in brokers' logs and quotas.
    pub client_id: Arc<str>,
    /// Where answers are read into.
    pub pool: Pool,
    /// The longest answer that is taken, in bytes.
    pub cap: usize,
}

/// A connection to a broker. Dropping the last handle ends it.
#[derive(Debug)]
pub struct Conn {
    requests: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
    _driver: JoinSet<()>,
}

/// A request on its way to the driver.
struct Outgoing {
    api: ApiKey,
    version: i16,
    body: Rope,
    patience: Duration,
    reply: Reply,
}

impl Conn {
    /// Takes over a stream that was just opened.
    pub fn new(stream: Box<dyn Stream>, options: ConnOptions) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::new());
        let mut driver = JoinSet::new();
        driver.spawn(drive(stream, queue, Arc::clone(&shared), options));
        Self { requests, shared, _driver: driver }
    }

    /// Sends a request and waits for its answer.
    ///
    /// Requests of one connection are written, served and answered in the order of their calls. `patience` is how long
    /// the connection may stand still, in both directions, while this is its oldest request; a broker's throttling does
    /// not count. A call that is dropped leaves the connection as it is: its answer is read and thrown away.
    pub async fn call<R: Request>(
        &self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> Result<R::Answer, CallError> {
        self.call_for_frame(request, version, patience).await.map(|(answer, _)| answer)
    }

    /// As [`Self::call`], with the frame that the answer came in and its sums: on a connection whose pool has a limit.
    pub async fn call_for_frame<R: Request>(
        &self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> Result<(R::Answer, Summed), CallError> {
        let body = request.encode(version).map_err(CallError::Unwritable)?;
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing { api: R::API, version, body, patience, reply };
        self.requests.send(outgoing).await.map_err(|_| self.lost(false))?;
        let frame = answer.await.unwrap_or_else(|_| Err(self.lost(true)))?;
        let body = header::body(R::API, version, frame.bytes().clone()).map_err(CallError::Unreadable)?;
        self.shared.mute(header::throttle(R::API, version, &body));
        let answer = R::decode(version, body).map_err(CallError::Unreadable)?;
        Ok((answer, frame))
    }

    /// Whether requests can still be sent.
    pub fn alive(&self) -> bool {
        self.shared.cause().is_none()
    }

    /// Why the connection ended, once it has.
    pub fn cause(&self) -> Option<Arc<Cause>> {
        self.shared.cause()
    }

    /// Ends the connection; everything that waits on it gets [`Cause::Dropped`]. What was sent may still be served.
    pub fn close(&self) {
        self.shared.close();
    }

    fn lost(&self, sent: bool) -> CallError {
        CallError::Lost { cause: self.shared.cause().unwrap_or_else(|| Arc::new(Cause::Dropped)), sent }
    }
}

async fn drive(
    stream: Box<dyn Stream>,
    mut queue: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
    options: ConnOptions,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let cause = tokio::select! {
        biased;
        cause = shared.closed() => cause,
        cause = read(&mut reader, &shared, &options) => cause,
        cause = write(&mut writer, &mut queue, &shared, &options) => cause,
        cause = shared.watch() => cause,
    };
    let (cause, waiting) = shared.end(cause);
    queue.close();
    for waiting in waiting {
        // A caller that has gone does not need to know.
        let _ = waiting.reply.send(Err(CallError::Lost { cause: Arc::clone(&cause), sent: true }));
    }
    while let Ok(unsent) = queue.try_recv() {
        let _ = unsent.reply.send(Err(CallError::Lost { cause: Arc::clone(&cause), sent: false }));
    }
}

async fn write(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    queue: &mut mpsc::Receiver<Outgoing>,
    shared: &Shared,
    options: &ConnOptions,
) -> Cause {
    let mut correlation = 0_i32;
    while let Some(Outgoing { api, version, body, patience, reply }) = queue.recv().await {
        if reply.is_closed() {
            continue; // given up before it was sent
        }
        correlation = correlation.wrapping_add(1);
        let mut rope = match header::frame(api, version, correlation, &options.client_id, body) {
            Ok(rope) => rope,
            Err(error) => {
                let _ = reply.send(Err(CallError::Unwritable(error)));
                continue;
            }
        };
        shared.register(Waiting { correlation, api, patience, reply });
        if let Err(error) = write_rope(writer, &mut rope, shared).await {
            // The broker may have answered earlier requests before it closed: what it did say is worth more than
            // this error. Reading ends the connection by itself when there is no more.
            sleep(LINGER).await;
            return failed(&error);
        }
    }
    Cause::Dropped
}

/// Vectored writes until the rope is empty; every one that moves bytes is progress.
async fn write_rope(writer: &mut (impl AsyncWrite + Unpin), rope: &mut Rope, shared: &Shared) -> io::Result<()> {
    while rope.has_remaining() {
        if writer.write_buf(rope).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        shared.progress();
    }
    writer.flush().await
}

async fn read(reader: &mut ReadHalf<Box<dyn Stream>>, shared: &Shared, options: &ConnOptions) -> Cause {
    let mut first = true;
    loop {
        let frame = match read_frame(reader, shared, options).await {
            Ok(frame) => frame,
            Err(Cause::Frame(_)) if first => return not_kafka(reader).await,
            Err(Cause::Closed) if first => return Cause::ClosedAtOnce,
            Err(cause) => return cause,
        };
        // The frame's length guarantees the four bytes of the correlation id.
        let correlation = header::correlation(frame.bytes()).unwrap_or_default();
        match shared.answered(correlation) {
            Ok(waiting) => {
                // A caller that has gone does not need it; the frame's memory goes back to the pool.
                let _ = waiting.reply.send(Ok(frame));
            }
            Err(_) if first => return Cause::NotKafka { bytes: frame.bytes().len() + 4 },
            Err(cause) => return cause,
        }
        first = false;
    }
}

async fn read_frame(
    reader: &mut ReadHalf<Box<dyn Stream>>,
    shared: &Shared,
    options: &ConnOptions,
) -> Result<Summed, Cause> {
    let head = read_head(reader, shared).await.map_err(|error| failed(&error))?;
    let length = frame::length(head, options.cap)?;
    let lease = match options.pool.try_lease(length) {
        Some(lease) => lease,
        None => {
            shared.stall(true);
            let lease = options.pool.lease(length).await;
            shared.stall(false);
            lease
        }
    };
    lease.fill(reader, || shared.progress()).await.map_err(|error| failed(&error))
}

/// Mostly one read; a broker may send even these four bytes one by one.
async fn read_head(reader: &mut (impl AsyncRead + Unpin), shared: &Shared) -> io::Result<[u8; 4]> {
    let mut head = [0; 4];
    let mut left = head.as_mut_slice();
    while !left.is_empty() {
        if reader.read_buf(&mut left).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        shared.progress();
    }
    Ok(head)
}

/// Counts what came, for the message: the four bytes of the length and what follows at once.
async fn not_kafka(reader: &mut (impl AsyncRead + Unpin)) -> Cause {
    let mut more = [0; 1020];
    let read = timeout(Duration::from_millis(100), reader.read(&mut more)).await;
    Cause::NotKafka { bytes: 4 + read.map_or(0, Result::unwrap_or_default) }
}

fn failed(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Cause::Closed,
        _ => Cause::Failed { reason: error.to_string() },
    }
}
