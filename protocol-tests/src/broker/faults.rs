//! Faults on purpose: delays, cut connections, and requests or answers replaced by anything.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;

use super::call::{Call, ConnectionId};

/// Turns bytes into other bytes.
pub type Change = Arc<dyn Fn(Bytes) -> Bytes + Send + Sync>;

/// What happens to a request or its answer.
#[derive(Clone)]
pub enum Action {
    /// The request's body is replaced before it is handled.
    Request(Change),
    /// It is handled this many ms later, even if its connection is closed by then.
    DelayRequest(i64),
    /// It is handled now and answered this many ms later.
    DelayReply(i64),
    /// The connection is closed and the request never handled.
    CutBefore,
    /// The request is handled, then the connection is closed without an answer.
    CutAfter,
    /// The request is handled and never answered; nothing behind it on the connection is handled.
    Hold,
    /// The response frame (correlation id first, no length) is replaced.
    Reply(Change),
    /// These bytes are sent in place of length and response frame; the request is handled.
    Raw(Bytes),
}

impl Action {
    /// Replaces the body of the request.
    pub fn request(change: impl Fn(Bytes) -> Bytes + Send + Sync + 'static) -> Self {
        Self::Request(Arc::new(change))
    }

    /// Replaces the response frame.
    pub fn reply(change: impl Fn(Bytes) -> Bytes + Send + Sync + 'static) -> Self {
        Self::Reply(Arc::new(change))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(_) => f.write_str("Request"),
            Self::DelayRequest(ms) => write!(f, "DelayRequest({ms})"),
            Self::DelayReply(ms) => write!(f, "DelayReply({ms})"),
            Self::CutBefore => f.write_str("CutBefore"),
            Self::CutAfter => f.write_str("CutAfter"),
            Self::Hold => f.write_str("Hold"),
            Self::Reply(_) => f.write_str("Reply"),
            Self::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
        }
    }
}

/// Which requests a fault meets. Without conditions: the next one.
#[derive(Clone, Default, Debug)]
pub struct Rule {
    api: Option<ApiKey>,
    node: Option<i32>,
    connection: Option<ConnectionId>,
    client_id: Option<String>,
    skip: u32,
    times: Option<u32>,
}

impl Rule {
    /// Every request, once.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of one kind, once.
    pub fn api(api: ApiKey) -> Self {
        Self { api: Some(api), ..Self::default() }
    }

    /// Only on this node.
    #[must_use]
    pub fn on_node(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Only on this connection.
    #[must_use]
    pub fn on_connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Only from this client.
    #[must_use]
    pub fn from_client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// Not the first `count` of them.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// `count` of them instead of one; `u32::MAX` for all.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    fn meets(&self, call: &Call) -> bool {
        self.api.is_none_or(|api| api == call.api)
            && self.node.is_none_or(|node| node == call.node)
            && self.connection.is_none_or(|connection| connection == call.connection)
            && self.client_id.as_ref().is_none_or(|client| *client == call.client_id)
    }
}

type Hook = Box<dyn FnMut(&Call, &Bytes) -> Option<Action> + Send>;

/// The faults that are to happen.
#[derive(Default)]
pub struct Faults {
    rules: Vec<(Rule, Action)>,
    hook: Option<Hook>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Faults {
    /// Adds a fault; of several that meet a request the one added first happens.
    pub fn add(&mut self, rule: Rule, action: Action) {
        self.rules.push((rule, action));
    }

    /// Asks `hook` about every request (header and body) that no rule meets.
    pub fn hook(&mut self, hook: impl FnMut(&Call, &Bytes) -> Option<Action> + Send + 'static) {
        self.hook = Some(Box::new(hook));
    }

    /// Takes all faults back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many rules have not happened as often as they should.
    pub fn left(&self) -> usize {
        self.rules.len()
    }

    pub(crate) fn meet(&mut self, call: &Call, body: &Bytes) -> Option<Action> {
        let found = self.rules.iter_mut().enumerate().find_map(|(index, (rule, action))| {
            if !rule.meets(call) {
                return None;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            let left = rule.times.unwrap_or(1);
            rule.times = Some(if left == u32::MAX { left } else { left.saturating_sub(1) });
            Some((index, action.clone()))
        });
        if let Some((index, action)) = found {
            if self.rules.get(index).is_some_and(|(rule, _)| rule.times == Some(0)) {
                self.rules.remove(index);
            }
            return Some(action);
        }
        self.hook.as_mut().and_then(|hook| hook(call, body))
    }
}
