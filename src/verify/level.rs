//! How closely source and target are compared.

use std::fmt;
use std::str::FromStr;

use crate::config;

/// How closely source and target were compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Offsets and counts; the content is vouched for by the CRC chain.
    Offsets,
    /// Both sides are read again. Batches that passed as they were are compared without decompressing them, the others
    /// record by record.
    Digest,
    /// Every record of both sides is decoded and compared.
    Records,
}

impl Level {
    /// The name in configuration and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offsets => "offsets",
            Self::Digest => "digest",
            Self::Records => "records",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there are the levels offsets, digest and records")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(word: &str) -> Result<Self, UnknownLevel> {
        [Self::Offsets, Self::Digest, Self::Records]
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or(UnknownLevel)
    }
}

impl From<config::Verify> for Level {
    fn from(wanted: config::Verify) -> Self {
        match wanted {
            config::Verify::Offsets => Self::Offsets,
            config::Verify::Digest => Self::Digest,
            config::Verify::Records => Self::Records,
        }
    }
}
