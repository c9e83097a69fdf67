//! The signals that end a run cleanly.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// A signal that asks the process to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// What a run is told about its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stop {
    /// Nothing: it goes on to its end.
    #[default]
    GoOn,
    /// It begins nothing new, takes the answers that are owed, and stores where it is.
    Cleanly,
    /// It waits for nothing any more.
    AtOnce,
}

/// Catches SIGINT and SIGTERM from its making on, and keeps SIGHUP from ending the process.
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// Caught so that it does nothing: a terminal that was closed must not end a copy.
    _hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// # Errors
    ///
    /// The operating system refused the handlers.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Does `work`, which may be left where it stands; a signal ends it.
    ///
    /// # Errors
    ///
    /// That of `work`, or the signal.
    pub async fn end<T, E: From<Signal>>(&mut self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        tokio::select! {
            biased;
            signal = self.next() => Err(signal.into()),
            done = work => done,
        }
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}
