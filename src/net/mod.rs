//! Connections to brokers.
//!
//! [`Dial`] opens a byte stream to an address: [`Tcp`] in the binary, an in-memory pipe in simulation; TLS and SASL will
//! wrap it. [`Conn`] keeps one stream busy: requests go out in order, answers come back in order, each has a deadline,
//! and when the connection dies everything that waits gets the one shared [`Cause`]. [`Pool`] is where answers are read
//! into, and where the memory they hold is counted.

mod cause;
mod conn;
mod dial;
mod pool;
mod shared;

pub use cause::{CallError, Cause};
pub use conn::{Conn, ConnOptions};
pub use dial::{BoxFuture, Dial, DialError, Stream, Tcp, Tried};
pub use pool::Pool;

#[cfg(test)]
mod tests;
