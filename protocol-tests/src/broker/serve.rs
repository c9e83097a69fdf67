//! The cluster behind real sockets: one listener per node on 127.0.0.1, all on one thread of their own. Or behind pipes in
//! the memory of one runtime, by that runtime's clock.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::call::{ConnectionId, Event, Outcome};
use super::core::Core;
use super::version::Version;

/// socket.request.max.bytes: a longer request closes the connection.
const MAX_FRAME: usize = 100 * 1024 * 1024;

/// A running cluster; dropping it ends it.
pub struct Embedded {
    shared: Arc<Shared>,
    ports: BTreeMap<i32, u16>,
    thread: Option<JoinHandle<()>>,
}

/// A stream to a client.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Boxed = Box<dyn Stream>;

/// What the sockets' thread and the tests share.
struct Shared {
    core: Mutex<Core>,
    /// ms since 1970.
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    /// The core was changed from outside, or is to end.
    changed: Notify,
    stop: Notify,
}

impl Shared {
    fn new(core: Core, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { core: Mutex::new(core), now: Box::new(now), changed: Notify::new(), stop: Notify::new() }
    }

    /// Looks at the cluster or changes it, while no request is being handled.
    fn with_core<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        core.tick((self.now)());
        let result = act(&mut core);
        core.changes += 1;
        drop(core);
        self.changed.notify_one();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A test that panicked with the lock held has failed already; the others may go on.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// ms since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Embedded {
    /// Starts `nodes` brokers on free ports, advertised as 127.0.0.1.
    pub fn start(version: Version, nodes: usize) -> io::Result<Self> {
        Self::start_with(Core::new(version, nodes, now_ms()))
    }

    /// Starts a cluster that was prepared before.
    pub fn start_with(mut core: Core) -> io::Result<Self> {
        let mut listeners = BTreeMap::new();
        let mut ports = BTreeMap::new();
        for (id, node) in &mut core.nodes {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            (node.host, node.port) = ("127.0.0.1".to_owned(), port);
            ports.insert(*id, port);
            listeners.insert(*id, listener);
        }
        // No two clusters have one id, and the ports are the only thing that two of the same size do not share.
        if let Some(port) = ports.values().next() {
            core.cluster_id.push_str(&format!("-{port}"));
        }
        let shared = Arc::new(Shared::new(core, now_ms));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("embedded-kafka".to_owned()).spawn(move || {
            // A listener that can't be handed to the runtime leaves the test with a refused connection to look at.
            let _ = runtime.block_on(listen(&served, listeners));
        })?;
        Ok(Self { shared, ports, thread: Some(thread) })
    }

    /// `127.0.0.1:port` of each node.
    pub fn bootstrap(&self) -> Vec<String> {
        self.ports.values().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// The port a node listens on.
    pub fn port(&self, node: i32) -> Option<u16> {
        self.ports.get(&node).copied()
    }

    /// Lets a node advertise another address than the one it listens on.
    pub fn advertise(&self, node: i32, host: &str, port: u16) {
        self.with_core(|core| {
            if let Some(node) = core.nodes.get_mut(&node) {
                (node.host, node.port) = (host.to_owned(), port);
            }
        });
    }

    /// Looks at the cluster or changes it, while no request is being handled.
    pub fn with_core<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        self.shared.with_core(act)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed there.
            let _ = thread.join();
        }
    }
}

/// The two tasks of a connection, seen from the core.
struct Peer {
    node: i32,
    /// What is to be written.
    outbox: mpsc::UnboundedSender<Outcome>,
    /// Lets the next request be read.
    turn: mpsc::UnboundedSender<()>,
}

/// A frame, or `None` at the connection's end.
type Incoming = (ConnectionId, Option<Bytes>);

/// All connections, by the number the core knows them by.
#[derive(Default)]
struct Open {
    peers: BTreeMap<ConnectionId, Peer>,
    last: u64,
}

/// A cluster behind pipes. It serves while [`Piped::serve`] is polled; its clock is that of the runtime.
pub struct Piped {
    shared: Arc<Shared>,
    dialled: mpsc::UnboundedSender<(i32, Boxed)>,
    connections: Mutex<Option<mpsc::UnboundedReceiver<(i32, Boxed)>>>,
}

impl Piped {
    /// A cluster that was prepared before, whose time is `start_ms` (since 1970) now.
    pub fn new(core: Core, start_ms: i64) -> Self {
        let begun = Instant::now();
        let now = move || start_ms + i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (dialled, connections) = mpsc::unbounded_channel();
        Self { shared: Arc::new(Shared::new(core, now)), dialled, connections: Mutex::new(Some(connections)) }
    }

    /// Opens a connection to the node at this address; `None` where none listens.
    pub fn connect(&self, host: &str, port: u16) -> Option<DuplexStream> {
        let core = self.shared.lock();
        let (id, _) = core.nodes.iter().find(|(_, node)| node.up && node.host == host && node.port == port)?;
        let (ours, theirs) = duplex(PIPE);
        self.dialled.send((*id, Box::new(theirs))).ok()?;
        Some(ours)
    }

    /// Looks at the cluster or changes it, while no request is being handled.
    pub fn with_core<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        self.shared.with_core(act)
    }

    /// Serves its connections, for ever. To be called once.
    pub async fn serve(&self) {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connections) = connections {
            // It only ends when the cluster does.
            let _ = run(&self.shared, connections, JoinSet::new()).await;
        }
    }
}

/// Bytes that a pipe holds in each direction.
const PIPE: usize = 64 * 1024;

async fn listen(shared: &Shared, listeners: BTreeMap<i32, std::net::TcpListener>) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    let (accepted, connections) = mpsc::unbounded_channel();
    for (node, listener) in listeners {
        let listener = TcpListener::from_std(listener)?;
        let accepted = accepted.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Without it an answer may wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                let stream: Boxed = Box::new(stream);
                if accepted.send((node, stream)).is_err() {
                    return;
                }
            }
        });
    }
    run(shared, connections, tasks).await
}

async fn run(
    shared: &Shared,
    mut connections: mpsc::UnboundedReceiver<(i32, Boxed)>,
    mut tasks: JoinSet<()>,
) -> io::Result<()> {
    let (frames, mut incoming) = mpsc::channel::<Incoming>(64);
    let mut open = Open::default();
    loop {
        let wake = sleep_until_due(shared);
        tokio::select! {
            biased;
            () = shared.stop.notified() => return Ok(()),
            Some((node, stream)) = connections.recv() => open.accept(&mut tasks, &frames, node, stream),
            Some((id, frame)) = incoming.recv() => match frame {
                Some(frame) => open.request(shared, id, frame),
                None => open.close(shared, id),
            },
            () = shared.changed.notified() => open.drop_dead(shared),
            () = wake => {}
            Some(_) = tasks.join_next() => continue,
        }
        let events = shared.lock().poll((shared.now)());
        events.into_iter().for_each(|event| open.deliver(event));
    }
}

async fn sleep_until_due(shared: &Shared) {
    let due = shared.lock().next_wake();
    match due {
        // At least one ms: a deadline in the past waits for something else.
        Some(at) => {
            tokio::time::sleep(Duration::from_millis(at.saturating_sub((shared.now)()).max(1).cast_unsigned())).await
        }
        None => std::future::pending().await,
    }
}

impl Open {
    fn accept(&mut self, tasks: &mut JoinSet<()>, frames: &mpsc::Sender<Incoming>, node: i32, stream: Boxed) {
        self.last += 1;
        let id = ConnectionId(self.last);
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let (turn, turns) = mpsc::unbounded_channel();
        let (reader, writer) = split(stream);
        let frames = frames.clone();
        tasks.spawn(async move {
            let talk = async {
                // Either end of the conversation ends it: the client closed, or the core did.
                tokio::select! {
                    biased;
                    _ = write_all(writer, outgoing) => {}
                    _ = read_all(reader, id, &frames, turns) => {}
                }
            };
            talk.await;
            // Nobody listens any more when the whole cluster ends.
            let _ = frames.send((id, None)).await;
        });
        self.peers.insert(id, Peer { node, outbox, turn });
    }

    fn request(&mut self, shared: &Shared, id: ConnectionId, frame: Bytes) {
        let Some(peer) = self.peers.get(&id) else { return };
        let outcome = shared.lock().handle((shared.now)(), peer.node, id, frame);
        self.deliver(Event { connection: id, outcome });
    }

    fn deliver(&mut self, event: Event) {
        if event.outcome == Outcome::Parked {
            return;
        }
        let closes = event.outcome == Outcome::Close;
        if let Some(peer) = self.peers.get(&event.connection) {
            // The client may be gone already.
            let _ = peer.outbox.send(event.outcome);
            let _ = peer.turn.send(());
        }
        if closes {
            self.peers.remove(&event.connection);
        }
    }

    fn close(&mut self, shared: &Shared, id: ConnectionId) {
        self.peers.remove(&id);
        shared.lock().disconnect(id);
    }

    /// Closes the connections of nodes that no longer run.
    fn drop_dead(&mut self, shared: &Shared) {
        let core = shared.lock();
        let down = |peer: &Peer| core.nodes.get(&peer.node).is_none_or(|node| !node.up);
        let dead: Vec<ConnectionId> = self.peers.iter().filter(|(_, peer)| down(peer)).map(|(id, _)| *id).collect();
        drop(core);
        dead.into_iter().for_each(|connection| self.deliver(Event { connection, outcome: Outcome::Close }));
    }
}

/// Reads one request, and the next one when that is answered: real brokers mute a connection meanwhile, so a client that
/// pipelines feels it in its socket.
async fn read_all(
    mut reader: ReadHalf<Boxed>,
    id: ConnectionId,
    frames: &mpsc::Sender<Incoming>,
    mut turns: mpsc::UnboundedReceiver<()>,
) -> io::Result<()> {
    loop {
        let length = reader.read_u32().await? as usize;
        if length > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut frame = BytesMut::with_capacity(length);
        let mut body = (&mut reader).take(length as u64);
        while frame.len() < length {
            if body.read_buf(&mut frame).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if frames.send((id, Some(frame.freeze()))).await.is_err() || turns.recv().await.is_none() {
            return Ok(());
        }
    }
}

async fn write_all(mut writer: WriteHalf<Boxed>, mut outgoing: mpsc::UnboundedReceiver<Outcome>) -> io::Result<()> {
    while let Some(outcome) = outgoing.recv().await {
        match outcome {
            Outcome::Reply(frame) => {
                let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
                writer.write_all(&length.to_be_bytes()).await?;
                writer.write_all(&frame).await?;
            }
            Outcome::Raw(bytes) => writer.write_all(&bytes).await?,
            Outcome::Close => return Ok(()),
            Outcome::Silent | Outcome::Parked => {}
        }
    }
    Ok(())
}
