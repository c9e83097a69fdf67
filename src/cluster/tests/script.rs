//! Brokers that answer from a script, over pipes.

use crate::cluster::{Cluster, ClusterError, Options};
use crate::kafka::{ErrorCode, HostPort, Side};
use crate::net::{BoxFuture, Dial, DialError, Stream, Tried};
use bytes::{Buf, BufMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;

/// What a scripted broker does with a request.
pub(super) enum Reply {
    Body(Vec<u8>),
    Close,
    Silence,
}

/// A request as a broker sees it: its address, the API, the version, and how often this API came to any broker before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) port: u16,
    pub(super) api: i16,
    pub(super) version: i16,
    pub(super) before: usize,
}

type Play = dyn Fn(Asked) -> Reply + Send + Sync;

/// All brokers of a scripted cluster. Ports below 100 refuse connections.
pub(super) struct Script {
    play: Arc<Play>,
    log: Arc<Mutex<Vec<(u16, i16)>>>,
    brokers: Mutex<JoinSet<()>>,
}

impl Script {
    pub(super) fn new(play: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { play: Arc::new(play), log: Arc::default(), brokers: Mutex::default() })
    }

    /// A cluster that knows its bootstrap address, port 100, alone.
    pub(super) async fn connect(self: &Arc<Self>) -> Cluster {
        self.connect_to(&[100]).await.expect("the script lets us in")
    }

    pub(super) async fn connect_to(self: &Arc<Self>, ports: &[u16]) -> Result<Cluster, ClusterError> {
        let bootstrap: Vec<_> = ports.iter().map(|port| HostPort { host: "kafka".to_owned(), port: *port }).collect();
        let dial: Arc<dyn Dial> = Arc::<Self>::clone(self);
        Cluster::connect(Side::Source, dial, &bootstrap, Options::default()).await
    }

    /// How many requests of an API came to the broker at a port, or to any.
    pub(super) fn count(&self, port: Option<u16>, api: i16) -> usize {
        let log = self.log.lock().expect("no test panicked");
        log.iter().filter(|(at, asked)| *asked == api && port.is_none_or(|port| *at == port)).count()
    }
}

impl Dial for Script {
    fn dial<'a>(&'a self, address: &'a HostPort, _wait: Duration) -> BoxFuture<'a, Result<Box<dyn Stream>, DialError>> {
        Box::pin(async move {
            if address.port < 100 {
                let resolved = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port));
                let tried = vec![Tried { address: resolved, reason: "refused".to_owned() }];
                return Err(DialError::Refused { host: address.host.clone(), tried });
            }
            let (ours, theirs) = duplex(1 << 16);
            let (play, log, port) = (Arc::clone(&self.play), Arc::clone(&self.log), address.port);
            self.brokers.lock().expect("no test panicked").spawn(serve(theirs, port, play, log));
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

async fn serve(mut stream: DuplexStream, port: u16, play: Arc<Play>, log: Arc<Mutex<Vec<(u16, i16)>>>) {
    while let Ok(length) = stream.read_u32().await {
        let mut request = vec![0; length as usize];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let mut request = request.as_slice();
        let (api, version, correlation) = (request.get_i16(), request.get_i16(), request.get_i32());
        let before = {
            let mut log = log.lock().expect("no test panicked");
            log.push((port, api));
            log.iter().filter(|(_, asked)| *asked == api).count() - 1
        };
        match play(Asked { port, api, version, before }) {
            Reply::Silence => {}
            Reply::Close => return,
            Reply::Body(body) => {
                let mut frame = Vec::new();
                frame.put_i32(i32::try_from(body.len() + 4).expect("short"));
                frame.put_i32(correlation);
                frame.extend(body);
                if stream.write_all(&frame).await.is_err() {
                    return;
                }
            }
        }
    }
}

pub(super) const PRODUCE: i16 = 0;
pub(super) const FETCH: i16 = 1;
pub(super) const LIST_OFFSETS: i16 = 2;
pub(super) const METADATA: i16 = 3;
pub(super) const OFFSET_FETCH: i16 = 9;
pub(super) const FIND_COORDINATOR: i16 = 10;
pub(super) const LIST_GROUPS: i16 = 16;
pub(super) const API_VERSIONS: i16 = 18;
pub(super) const CREATE_TOPICS: i16 = 19;

/// ApiVersions: these APIs, each at one version. Version 3 is refused, as brokers before 2.4 do.
pub(super) fn versions(asked: Asked, apis: &[(i16, i16)]) -> Reply {
    let mut out = Vec::new();
    out.put_i16(if asked.version == 0 { 0 } else { 35 });
    out.put_i32(i32::try_from(apis.len()).expect("few"));
    for (api, version) in apis {
        out.put_i16(*api);
        out.put_i16(*version);
        out.put_i16(*version);
    }
    Reply::Body(out)
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.put_i16(i16::try_from(text.len()).expect("short"));
    out.put_slice(text.as_bytes());
}

/// Metadata version 5: brokers 1 and 2 at ports 101 and 102, and topic t whose partitions are led as given.
pub(super) fn metadata(leaders: &[i32]) -> Reply {
    metadata_of(ErrorCode::NONE, leaders)
}

/// The same, with an error for the topic.
pub(super) fn metadata_of(topic: ErrorCode, leaders: &[i32]) -> Reply {
    let mut out = Vec::new();
    out.put_i32(0);
    out.put_i32(2);
    for id in [1, 2] {
        out.put_i32(id);
        text(&mut out, "kafka");
        out.put_i32(100 + id);
        out.put_i16(-1);
    }
    text(&mut out, "cluster");
    out.put_i32(1);
    out.put_i32(1);
    out.put_i16(topic.0);
    text(&mut out, "t");
    out.put_u8(0);
    out.put_i32(i32::try_from(leaders.len()).expect("few"));
    for (partition, leader) in (0..).zip(leaders) {
        out.put_i16(0);
        out.put_i32(partition);
        out.put_i32(*leader);
        out.put_slice(&[0; 12]); // no replicas
    }
    Reply::Body(out)
}

/// ListOffsets version 2: partitions of topic t, each with its error and offset.
pub(super) fn offsets(partitions: &[(i32, ErrorCode, i64)]) -> Reply {
    let mut out = Vec::new();
    out.put_i32(0);
    out.put_i32(1);
    text(&mut out, "t");
    out.put_i32(i32::try_from(partitions.len()).expect("few"));
    for (partition, error, offset) in partitions {
        out.put_i32(*partition);
        out.put_i16(error.0);
        out.put_i64(-1);
        out.put_i64(*offset);
    }
    Reply::Body(out)
}

/// Fetch version 4: t/0 with an error or these records.
pub(super) fn fetched(error: ErrorCode, records: &[u8]) -> Reply {
    let mut out = Vec::new();
    out.put_i32(0);
    out.put_i32(1);
    text(&mut out, "t");
    out.put_i32(1);
    out.put_i32(0);
    out.put_i16(error.0);
    out.put_i64(-1); // high watermark
    out.put_i64(-1); // last stable offset
    out.put_i32(-1); // no aborted transactions
    out.put_i32(i32::try_from(records.len()).expect("few"));
    out.put_slice(records);
    Reply::Body(out)
}

/// FindCoordinator version 0: this broker.
pub(super) fn coordinator(id: i32) -> Reply {
    let mut out = Vec::new();
    out.put_i16(0);
    out.put_i32(id);
    text(&mut out, "kafka");
    out.put_i32(100 + id);
    Reply::Body(out)
}

/// OffsetFetch version 2: a commit at 7 on t/0, with an error of the partition and one of the group.
pub(super) fn commit(partition: ErrorCode, group: ErrorCode) -> Reply {
    let mut out = Vec::new();
    out.put_i32(1);
    text(&mut out, "t");
    out.put_i32(1);
    out.put_i32(0);
    out.put_i64(if partition == ErrorCode::NONE { 7 } else { -1 });
    out.put_i16(-1);
    out.put_i16(partition.0);
    out.put_i16(group.0);
    Reply::Body(out)
}
