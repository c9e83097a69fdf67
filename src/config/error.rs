//! What can be wrong with a configuration: where it stands and what to write instead.

use std::fmt;

use super::layer::Place;
use crate::kafka::Side;

/// A configuration that can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where it was said; `None` for something that nobody said.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// The file can't be read.
    #[error("cannot read the configuration file: {0}")]
    Unreadable(String),
    /// The file is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// No key has this name.
    #[error("unknown key `{name}`{}", nearest.as_ref().map_or_else(String::new, |near| format!(": did you mean `{near}`?")))]
    UnknownKey {
        /// The name as it was written.
        name: String,
        /// The key that was most likely meant.
        nearest: Option<String>,
    },
    /// A password stands where other people read it.
    #[error(
        "`{name}` would keep a password in plain sight: put it into a variable or a file of its own and name that with \
         `{name}_env` or `{name}_file`"
    )]
    PlainPassword {
        /// The key's name.
        name: String,
    },
    /// The value has another shape than the key takes.
    #[error("`{name}` must be {wanted}, not {found}")]
    WrongKind {
        /// The key's name.
        name: String,
        /// What it takes.
        wanted: String,
        /// What was written.
        found: String,
    },
    /// The value has the right shape but no meaning.
    #[error("`{name}`: {why}")]
    BadValue {
        /// The key's name.
        name: String,
        /// What is wrong with the value, and what to write.
        why: String,
    },
    /// The key takes no effect in this version.
    #[error("`{name}` is not supported yet in this version of kferry: leave it out")]
    NotYet {
        /// The key's name.
        name: String,
    },
    /// A cluster has no address.
    #[error(
        "no address of the {side}: pass --{side} host:port, or set `{side}.bootstrap` in kferry.toml or \
         KFERRY_{}_BOOTSTRAP", side.to_string().to_uppercase()
    )]
    NoAddress {
        /// Which cluster.
        side: Side,
    },
    /// Both clusters have the same address.
    #[error("{address} is both source and target: name two different clusters")]
    SameAddress {
        /// The address.
        address: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}
