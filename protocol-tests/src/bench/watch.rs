//! Waits for the records of a set on the target.

use std::collections::BTreeMap;
use std::time::Instant;

use super::admin::Admin;
use super::process::now;
use super::sets::Set;

/// Looks at the target's log ends. A partition that is complete is not asked again: of thousands of partitions each look
/// keeps the broker busy for a while.
pub struct Watch {
    target: Admin,
    /// What is not complete: the expected ends.
    open: BTreeMap<(String, i32), i64>,
    /// When the first record was seen.
    pub first: Option<Instant>,
    /// When the last one was.
    pub last: Option<Instant>,
}

impl Watch {
    /// A watch over an empty target that is to get all of `set`.
    ///
    /// # Errors
    /// When the target can't be reached.
    pub fn over(target: &str, set: &Set) -> Result<Self, String> {
        let name = |topic: usize| set.topics.get(topic).map_or_else(String::new, |topic| topic.name.clone());
        let open = set.ends().map(|(topic, partition, end)| ((name(topic), partition), end)).collect();
        Ok(Self { target: Admin::connect(target)?, open, first: None, last: None })
    }

    /// Looks; whether all is there. While topics are made some are missing, and a look that fails is made again.
    pub fn look(&mut self) -> bool {
        if self.last.is_some() {
            return true;
        }
        let mut asked: Vec<(&str, Vec<i32>)> = Vec::new();
        for (topic, partition) in self.open.keys() {
            match asked.last_mut() {
                Some((last, partitions)) if last == topic => partitions.push(*partition),
                _ => asked.push((topic, vec![*partition])),
            }
        }
        let Ok(ends) = self.target.ends_of(&asked) else { return false };
        let now = now();
        for (topic, partition, end) in ends {
            let end = end.unwrap_or(0);
            if end > 0 {
                self.first.get_or_insert(now);
            }
            let place = (topic, partition);
            if self.open.get(&place).is_some_and(|expected| end >= *expected) {
                self.open.remove(&place);
            }
        }
        if self.open.is_empty() {
            self.last = Some(now);
        }
        self.last.is_some()
    }
}
