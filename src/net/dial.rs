//! Opening a byte stream to a broker's address.

use crate::kafka::{HostPort, units};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// A future on the heap, so that [`Dial`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How kferry reaches brokers: the only way it does.
pub trait Dial: Send + Sync {
    /// Opens a stream to `address`; each attempt to connect gets `wait`.
    fn dial<'a>(&'a self, address: &'a HostPort, wait: Duration) -> BoxFuture<'a, Result<Box<dyn Stream>, DialError>>;
}

/// Why no stream could be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DialError {
    /// The host's name leads to no address.
    #[error("the name {host} can't be resolved: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// None of the host's addresses took the connection.
    #[error("{}", list(host, tried))]
    Refused {
        /// The name or address that was given.
        host: String,
        /// Each address with its own reason.
        tried: Vec<Tried>,
    },
}

/// One address that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub reason: String,
}

/// The reasons, each behind its address; an address that the caller gave himself is not repeated.
fn list(host: &str, tried: &[Tried]) -> String {
    let shown = |Tried { address, reason }: &Tried| match host.parse::<IpAddr>() {
        Ok(_) => reason.clone(),
        Err(_) => format!("{address}: {reason}"),
    };
    tried.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// A host name can lead to many addresses; more than this are not tried.
const MOST_ADDRESSES: usize = 16;

/// Plain TCP, without Nagle's delay. All addresses of a name are tried in the resolver's order, IPv6 and IPv4 alike.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tcp;

impl Dial for Tcp {
    fn dial<'a>(&'a self, address: &'a HostPort, wait: Duration) -> BoxFuture<'a, Result<Box<dyn Stream>, DialError>> {
        Box::pin(async move {
            let mut tried = Vec::new();
            for resolved in resolve(address, wait).await? {
                match connect(resolved, wait).await {
                    Ok(stream) => return Ok(Box::new(stream) as Box<dyn Stream>),
                    Err(reason) => tried.push(Tried { address: resolved, reason }),
                }
            }
            Err(DialError::Refused { host: address.host.clone(), tried })
        })
    }
}

async fn resolve(address: &HostPort, wait: Duration) -> Result<Vec<SocketAddr>, DialError> {
    let refused = |reason: String| DialError::Unresolved { host: address.host.clone(), reason };
    let found = match timeout(wait, lookup_host((address.host.as_str(), address.port))).await {
        Ok(Ok(found)) => found.take(MOST_ADDRESSES).collect::<Vec<_>>(),
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(refused(format!("no answer within {}", units::Span(wait)))),
    };
    if found.is_empty() { Err(refused("it has no address".to_owned())) } else { Ok(found) }
}

async fn connect(address: SocketAddr, wait: Duration) -> Result<TcpStream, String> {
    let stream = match timeout(wait, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {}", units::Span(wait))),
    };
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const WAIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_name_is_resolved_and_the_address_that_listens_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let address = HostPort { host: "localhost".to_owned(), port };
        assert!(Tcp.dial(&address, WAIT).await.is_ok());
    }

    #[tokio::test]
    async fn every_address_that_refused_is_named_with_its_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let refused = async |host: &str| {
            let address = HostPort { host: host.to_owned(), port };
            Tcp.dial(&address, WAIT).await.map(drop).expect_err("nobody listens").to_string()
        };
        assert_eq!(refused("127.0.0.1").await, "Connection refused (os error 111)");
        let by_name = refused("localhost").await;
        assert!(by_name.contains(&format!("127.0.0.1:{port}: Connection refused (os error 111)")), "{by_name}");
    }
}
