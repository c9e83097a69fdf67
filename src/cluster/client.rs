//! The handle to a cluster: its connections, and asking again.

use super::connection::{Connection, Fastest, Opening, Use};
use super::error::{ClusterError, ErrorKind, Node, Place, Subject};
use super::gather::gather;
use super::metadata::{Broker, State};
use super::retry::{Attempts, Jitter, RetryPolicy};
use crate::kafka::{BrokerId, ErrorCode, HostPort, Retry, Side};
use crate::net::{ConnOptions, Dial, Pool};
use crate::wire::{ApiKey, Request, frame};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How a cluster is talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// What kferry calls itself in brokers' logs and quotas.
    pub client_id: String,
    /// The rack kferry runs in, for reading from the closest replica (KIP-392).
    pub rack: Option<String>,
    /// How long a broker has to take a connection, per address, and to say what it speaks.
    pub connect_timeout: Duration,
    /// How long a connection may stand still while it owes an answer.
    pub patience: Duration,
    /// When and how often calls are repeated.
    pub retry: RetryPolicy,
    /// Bytes of answers on [`Use::Data`] connections that are held at most.
    pub memory: usize,
    /// The seed of the jitter between repeated calls.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: env!("CARGO_PKG_NAME").to_owned(),
            rack: None,
            connect_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            memory: 64 << 20,
            seed: 0,
        }
    }
}

/// A Kafka cluster. Clones share everything: connections, leaders, coordinators.
#[derive(Clone)]
pub struct Cluster(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) side: Side,
    pub(super) options: Options,
    dial: Arc<dyn Dial>,
    bootstrap: Vec<HostPort>,
    control: ConnOptions,
    data: ConnOptions,
    state: Mutex<State>,
    /// One refresh of metadata at a time; the others wait and share its result.
    pub(super) turn: tokio::sync::Mutex<()>,
    slots: Mutex<BTreeMap<(Target, Use), Arc<Slot>>>,
    jitter: Mutex<Jitter>,
    fastest: Fastest,
}

/// Where a connection leads: to a broker by its id, or to a bootstrap address by its place in the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Target {
    Broker(BrokerId),
    Bootstrap(usize),
}

/// A connection that is there or is being opened by whoever holds the lock.
type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("side", &self.0.side).field("bootstrap", &self.0.bootstrap).finish()
    }
}

impl Cluster {
    /// Connects to the first bootstrap address that answers, and learns the cluster's brokers from it. Fails with one
    /// error per address when none answers; it does not try again.
    pub async fn connect(
        side: Side,
        dial: Arc<dyn Dial>,
        bootstrap: &[HostPort],
        options: Options,
    ) -> Result<Self, ClusterError> {
        let client_id: Arc<str> = Arc::from(options.client_id.as_str());
        let conn = |pool| ConnOptions { client_id: Arc::clone(&client_id), pool, cap: frame::CAP };
        let cluster = Self(Arc::new(Inner {
            side,
            dial,
            bootstrap: bootstrap.to_vec(),
            control: conn(Pool::unlimited()),
            data: conn(Pool::limited(options.memory)),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            slots: Mutex::default(),
            jitter: Mutex::new(Jitter::new(options.seed)),
            fastest: Fastest::default(),
            options,
        }));
        cluster.bootstrap().await?;
        Ok(cluster)
    }

    /// Which of the two clusters this is.
    pub fn side(&self) -> Side {
        self.0.side
    }

    /// The rack kferry runs in, as the options say; empty for none.
    pub fn rack(&self) -> &str {
        self.0.options.rack.as_deref().unwrap_or_default()
    }

    /// How long the way to a broker and back takes, at most: the shortest time in which a question was answered so far;
    /// `None` before the first answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.0.fastest.get()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to a broker for this use: the one there is, or a new one. Whoever asks meanwhile for the same waits
    /// for the same. Fails at once where the broker can't be reached.
    pub async fn connection(&self, broker: BrokerId, used: Use) -> Result<Arc<Connection>, ClusterError> {
        let address = self.state().brokers.get(&broker).map(|known| known.address.clone());
        match address {
            Some(address) => self.open(Target::Broker(broker), Node { id: Some(broker), address }, used).await,
            None => Err(self.error(None, Subject::Whole, ErrorKind::UnknownBroker)),
        }
    }

    async fn open(&self, target: Target, broker: Node, used: Use) -> Result<Arc<Connection>, ClusterError> {
        let slot = {
            let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((target, used)).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|open| open.alive()) {
            return Ok(Arc::clone(open));
        }
        let Options { connect_timeout, patience, .. } = self.0.options;
        let conn = match used {
            Use::Control(_) => self.0.control.clone(),
            Use::Data(_) => self.0.data.clone(),
        };
        let (dial, fastest) = (&*self.0.dial, self.0.fastest.clone());
        let opening = Opening { dial, side: self.0.side, broker, conn, connect_timeout, patience, fastest };
        let connection = Arc::new(opening.open().await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn bootstrap(&self) -> Result<(), ClusterError> {
        let mut tried = Vec::new();
        for target in self.bootstrap_targets() {
            match self.learn_from(target).await {
                Ok(()) => return Ok(()),
                Err(error) => tried.push(error),
            }
        }
        Err(self.error(None, Subject::Whole, ErrorKind::Unreachable(tried)))
    }

    fn bootstrap_targets(&self) -> Vec<(Target, Node)> {
        let node = |(index, address): (usize, &HostPort)| {
            (Target::Bootstrap(index), Node { id: None, address: address.clone() })
        };
        self.0.bootstrap.iter().enumerate().map(node).collect()
    }

    async fn learn_from(&self, (target, node): (Target, Node)) -> Result<(), ClusterError> {
        let connection = self.open(target, node, Use::Control(0)).await?;
        let request = crate::wire::messages::Metadata { topics: Some(Vec::new()) };
        let answer = connection.call(&request, Subject::Whole).await?;
        self.state().learn(&answer);
        // From here on brokers are reached at the addresses that they advertise.
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&(target, Use::Control(0)));
        Ok(())
    }

    /// Asks any broker once: the known ones in turn, then the bootstrap addresses, until one can be connected to.
    pub(super) async fn ask_any<R: Request>(
        &self,
        request: &R,
        subject: Subject,
    ) -> Result<(Arc<Connection>, R::Answer), ClusterError> {
        let known: Vec<_> =
            self.state().brokers.values().map(|broker| (Target::Broker(broker.id), broker.node())).collect();
        let mut last = None;
        for (target, node) in known.into_iter().chain(self.bootstrap_targets()) {
            let asked = match self.open(target, node, Use::Control(0)).await {
                Ok(connection) => connection.call(request, subject.clone()).await.map(|answer| (connection, answer)),
                Err(error) => Err(error),
            };
            match asked {
                Err(error) if matches!(error.kind, ErrorKind::Dial(_) | ErrorKind::Lost { .. }) => last = Some(error),
                asked => return asked,
            }
        }
        Err(last.unwrap_or_else(|| self.error(Some(R::API), subject, ErrorKind::UnknownBroker)))
    }

    /// A broker that takes a control connection now, or has one.
    pub(super) async fn reachable(&self) -> Option<BrokerId> {
        for broker in self.brokers() {
            if self.connection(broker.id, Use::Control(0)).await.is_ok() {
                return Some(broker.id);
            }
        }
        None
    }

    /// An error that no broker is to blame for.
    pub(super) fn error(&self, api: Option<ApiKey>, subject: Subject, kind: ErrorKind) -> ClusterError {
        ClusterError::new(Place { side: self.0.side, broker: None, api, subject }, kind)
    }

    /// Asks about `keys` in rounds, until each has an answer that asking again can't better, or the retry policy ends
    /// it. `round` gets the keys that are left and answers for each; before the next round what an error makes doubtful
    /// (a leader, a coordinator) is forgotten.
    pub(super) async fn rounds<K, V, F>(
        &self,
        keys: Vec<K>,
        mut round: impl FnMut(Vec<K>) -> F + Send,
    ) -> BTreeMap<K, Result<V, ClusterError>>
    where
        K: Ord + Clone + Send,
        V: Send,
        F: Future<Output = BTreeMap<K, Result<V, ClusterError>>> + Send,
    {
        let begun = Instant::now();
        let mut attempts = Attempts::new(self.0.options.retry);
        let mut done = BTreeMap::new();
        let mut left = keys;
        while !left.is_empty() {
            let answers = round(std::mem::take(&mut left)).await;
            let wait = self.pause(&mut attempts, begun);
            for (key, answer) in answers {
                match answer {
                    Err(error) if wait.is_some() && self.may_change(&error, attempts.made()) => {
                        tracing::debug!(%error, attempt = attempts.made(), "asking again");
                        self.forget(&error);
                        left.push(key);
                    }
                    Err(mut error) => {
                        error.attempts = attempts.made();
                        done.insert(key, Err(error));
                    }
                    answer => {
                        done.insert(key, answer);
                    }
                }
            }
            if let Some(wait) = wait.filter(|_| !left.is_empty()) {
                sleep(wait).await;
            }
        }
        done
    }

    /// Whether another attempt behind the `made` ones may bring another answer.
    fn may_change(&self, error: &ClusterError, made: u32) -> bool {
        match error.code() {
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => made < self.0.options.retry.unknown,
            _ => error.retry() != Retry::Never,
        }
    }

    /// How long to wait behind a failed attempt, by the cluster's one generator of jitter; `None` to give up.
    pub fn pause(&self, attempts: &mut Attempts, begun: Instant) -> Option<Duration> {
        attempts.failed(begun.elapsed(), &mut self.0.jitter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Self::rounds`], for one thing.
    pub(super) async fn repeat<V, F>(&self, mut ask: impl FnMut() -> F + Send) -> Result<V, ClusterError>
    where
        V: Send,
        F: Future<Output = Result<V, ClusterError>> + Send,
    {
        let mut answers = self
            .rounds(vec![()], |_| {
                let asked = ask();
                async move { BTreeMap::from([((), asked.await)]) }
            })
            .await;
        let unanswered = || self.error(None, Subject::Whole, ErrorKind::Unanswered);
        answers.remove(&()).unwrap_or_else(|| Err(unanswered()))
    }

    /// Asks several brokers at once, each about its own share of `keys`, and puts the answers together. A broker that
    /// can't be asked, and a key that its answer leaves out, is an error for each key concerned; answers that nobody
    /// asked for are dropped.
    pub(super) async fn shares<K, V, F>(
        &self,
        api: ApiKey,
        subject: fn(&K) -> Subject,
        shares: Vec<(BrokerId, Use, Vec<K>)>,
        ask: impl Fn(Arc<Connection>, Vec<K>) -> F + Clone + Send + 'static,
    ) -> BTreeMap<K, Result<V, ClusterError>>
    where
        K: Ord + Clone + Send + 'static,
        V: Send + 'static,
        F: Future<Output = Result<Vec<(K, Result<V, ClusterError>)>, ClusterError>> + Send,
    {
        let asked = shares.into_iter().map(|(broker, used, keys)| {
            let (cluster, ask) = (self.clone(), ask.clone());
            async move {
                let answered = match cluster.connection(broker, used).await {
                    Ok(connection) => ask(connection, keys.clone()).await,
                    Err(error) => Err(error),
                };
                let known = cluster.state().brokers.get(&broker).map(Broker::node);
                let place = Place { side: cluster.side(), broker: known, api: Some(api), subject: Subject::Whole };
                let (mut answers, otherwise) = match answered {
                    Ok(answers) => (BTreeMap::from_iter(answers), ClusterError::new(place, ErrorKind::Unanswered)),
                    Err(error) => (BTreeMap::new(), error),
                };
                let answer = |key: K| {
                    let answer = answers.remove(&key).unwrap_or_else(|| Err(otherwise.about(subject(&key))));
                    (key, answer)
                };
                keys.into_iter().map(answer).collect::<Vec<_>>()
            }
        });
        gather(asked).await.into_iter().flatten().collect()
    }
}
