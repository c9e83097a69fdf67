//! Who holds the lock, as told in the member's metadata.

use crate::cluster::Member;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A process that runs a migration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The host's name; as the broker sees it where the process does not say.
    pub host: String,
    /// The process id; 0 where the process does not say.
    pub pid: u32,
}

/// What a member tells its group.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    holder: &'a Holder,
    version: &'static str,
}

impl Holder {
    /// As a member's metadata: JSON.
    pub(super) fn metadata(&self) -> Bytes {
        let told = Told { holder: self, version: env!("CARGO_PKG_VERSION") };
        // Two strings and a number can always be written.
        serde_json::to_vec(&told).unwrap_or_default().into()
    }

    /// Who a member is. Brokers show its metadata only while the group is stable.
    pub(super) fn of(member: &Member) -> Self {
        let otherwise = || Self { host: member.host.trim_start_matches('/').to_owned(), pid: 0 };
        serde_json::from_slice(&member.metadata).unwrap_or_else(|_| otherwise())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(f, "a process on host {}", self.host),
            pid => write!(f, "process {pid} on host {}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(metadata: Bytes) -> Member {
        Member { id: "m".to_owned(), client_id: "kferry".to_owned(), host: "/10.0.0.7".to_owned(), metadata }
    }

    #[test]
    fn a_holder_is_read_from_what_it_told_and_by_newer_versions_too() {
        let holder = Holder { host: "a\"b".to_owned(), pid: 4_711 };
        assert_eq!(Holder::of(&member(holder.metadata())), holder);
        let newer = Bytes::from_static(b"{\"pid\":7,\"host\":\"h\",\"version\":\"9\",\"rack\":[]}");
        assert_eq!(Holder::of(&member(newer)).to_string(), "process 7 on host h");
    }

    #[test]
    fn a_member_that_says_nothing_is_known_by_its_address() {
        assert_eq!(Holder::of(&member(Bytes::new())).to_string(), "a process on host 10.0.0.7");
    }
}
