//! The versions of Apache Kafka that the lab can start.

use std::fmt;
use std::str::FromStr;

/// A release of Apache Kafka, ordered as released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    parts: [u16; 4],
}

impl Version {
    /// A release such as `Version::of(4, 1, 0)`.
    pub const fn of(major: u16, minor: u16, patch: u16) -> Self {
        Self { parts: [major, minor, patch, 0] }
    }

    /// A release before 1.0, such as `Version::ancient(0, 11, 0, 3)`.
    pub const fn ancient(major: u16, minor: u16, patch: u16, fix: u16) -> Self {
        Self { parts: [major, minor, patch, fix] }
    }

    /// Whether it keeps its metadata itself (KRaft) rather than in ZooKeeper. 3.x could do both; the lab starts 3.x
    /// as KRaft.
    pub fn is_kraft(self) -> bool {
        self >= Self::of(3, 0, 0)
    }

    /// The Scala version in the name of the broker's artifact.
    pub fn scala(self) -> &'static str {
        match self {
            _ if self >= Self::of(2, 4, 0) => "2.13",
            _ if self >= Self::ancient(0, 10, 2, 0) => "2.12",
            _ => "2.11",
        }
    }

    /// Whether it has record batches, and with them headers, idempotent producers and transactions.
    pub fn has_batches(self) -> bool {
        self >= Self::ancient(0, 11, 0, 0)
    }

    /// Whether it is of the releases before 1.0, whose names have four numbers.
    fn is_ancient(self) -> bool {
        self < Self::of(1, 0, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, fix] = self.parts;
        write!(out, "{major}.{minor}.{patch}")?;
        if self.is_ancient() { write!(out, ".{fix}") } else { Ok(()) }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = [0; 4];
        let mut given = 0;
        for part in text.split('.') {
            let place = parts.get_mut(given).ok_or_else(|| format!("{text} is not a version: too many numbers"))?;
            *place = part.parse().map_err(|cause| format!("{text} is not a version: {part}: {cause}"))?;
            given += 1;
        }
        let version = Self { parts };
        let expected = if version.is_ancient() { 4 } else { 3 };
        if given == expected { Ok(version) } else { Err(format!("{text} is not a whole version ({expected} numbers)")) }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_and_written_as_apache_names_them_and_ordered_as_released() {
        let names = ["0.10.2.2", "0.11.0.3", "1.1.1", "2.8.2", "3.9.1", "4.1.0", "4.3.0"];
        let versions: Vec<Version> = names.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(versions.iter().map(ToString::to_string).collect::<Vec<_>>(), names);
        assert!(versions.is_sorted());
        for wrong in ["4.1", "0.11.0", "4.1.0.0", "4.x.0", ""] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong:?} was taken");
        }
    }
}
