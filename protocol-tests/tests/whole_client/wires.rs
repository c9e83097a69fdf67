//! The way to the clusters: pipes that may end at any byte, and may be long.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use kferry::kafka::HostPort;
use kferry::net::{BoxFuture, Dial, DialError, Stream};
use protocol_tests::broker::Piped;
use protocol_tests::simulation::dice::Dice;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How connections end.
pub(crate) struct Wires {
    pub(crate) dice: Dice,
    /// One in so many connections is cut somewhere; 0: none.
    pub(crate) cuts: usize,
    pub(crate) cut: u32,
    /// How long the way is, if it is long.
    pub(crate) way: Option<Way>,
    /// What carries bytes over it.
    pub(crate) carriers: JoinSet<()>,
}

/// A long way: bytes arrive `one_way` after they left, and a connection carries no more than `window` of them in a round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) one_way: Duration,
    pub(crate) window: usize,
}

impl Way {
    /// The near end of a connection whose far end is `far`.
    fn lay(self, far: DuplexStream, carriers: &mut JoinSet<()>) -> DuplexStream {
        let (near, middle) = duplex(self.window);
        let (there, back) = (split(middle), split(far));
        carriers.spawn(self.carry(there.0, back.1));
        carriers.spawn(self.carry(back.0, there.1));
        near
    }

    async fn carry(self, mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>) {
        let (leaving, mut arriving) = mpsc::unbounded_channel();
        let taken = async move {
            let mut piece = vec![0; self.window / 5];
            let mut free = Instant::now();
            while let Ok(count @ 1..) = from.read(&mut piece).await {
                let now = Instant::now();
                free = free.max(now) + (self.one_way * 2).mul_f64(count as f64 / self.window as f64);
                let sent = leaving.send((now + self.one_way, piece[..count].to_vec()));
                if sent.is_err() {
                    break;
                }
                sleep_until(free).await;
            }
        };
        let given = async move {
            while let Some((due, piece)) = arriving.recv().await {
                sleep_until(due).await;
                if to.write_all(&piece).await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
        };
        tokio::join!(taken, given);
    }
}

/// The way to a cluster.
pub(crate) struct Pipes {
    pub(crate) cluster: Arc<Piped>,
    pub(crate) wires: Arc<Mutex<Wires>>,
}

impl Dial for Pipes {
    fn dial<'a>(&'a self, address: &'a HostPort, _: Duration) -> BoxFuture<'a, Result<Box<dyn Stream>, DialError>> {
        Box::pin(async move {
            let refused = || DialError::Refused { host: address.host.clone(), tried: Vec::new() };
            let inner = self.cluster.connect(&address.host, address.port).ok_or_else(refused)?;
            let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
            let cuts = wires.cuts;
            let cut = cuts > 0 && wires.dice.once_in(cuts);
            wires.cut += u32::from(cut);
            let left = if cut { wires.dice.below(60_000) } else { usize::MAX };
            let inner = match wires.way {
                Some(way) => way.lay(inner, &mut wires.carriers),
                None => inner,
            };
            Ok(Box::new(Wire { inner: Some(inner), left }) as Box<dyn Stream>)
        })
    }
}

/// A connection that ends after so many bytes of both directions.
struct Wire {
    inner: Option<DuplexStream>,
    left: usize,
}

impl Wire {
    fn used(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 {
            self.inner = None;
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let room = buf.remaining().min(self.left);
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(Ok(())) };
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        std::task::ready!(Pin::new(inner).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        self.used(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let part = &bytes[..bytes.len().min(self.left)];
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())) };
        let written = std::task::ready!(Pin::new(inner).poll_write(cx, part))?;
        self.used(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.inner = None;
        Poll::Ready(Ok(()))
    }
}
