//! Waits for the records of a set on the target.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use super::admin::Admin;
use super::process::now;
use super::sets::Set;

/// Looks at the target's log ends. A partition that is complete is not asked again: of thousands of partitions each look
/// keeps the broker busy for a while.
pub struct Watch<'a> {
    target: Admin,
    set: &'a Set,
    /// What is not complete: where each log ended in the beginning, and where it has to.
    open: BTreeMap<(String, i32), Range<i64>>,
    /// The sum of the ends in the beginning.
    begun: i64,
    /// When the first record was seen.
    pub first: Option<Instant>,
    /// When the last one was.
    pub last: Option<Instant>,
}

impl<'a> Watch<'a> {
    /// A watch over a target that is to get all of `set` behind what is there.
    ///
    /// # Errors
    /// When the target can't be reached.
    pub fn over(target: &str, set: &'a Set) -> Result<Self, String> {
        let mut target = Admin::connect(target)?;
        let name = |topic: usize| set.topics.get(topic).map_or_else(String::new, |topic| topic.name.clone());
        let awaited = set.ends().map(|(topic, partition, count)| ((name(topic), partition), 0..count));
        let mut watch =
            Self { open: awaited.collect(), begun: target.ends(set)?.sum, target, set, first: None, last: None };
        for (topic, partition, end) in watch.target.ends_of(&places(&watch.open))? {
            let begun = end.unwrap_or(0);
            watch.open.entry((topic, partition)).and_modify(|log| *log = begun..begun + log.end);
        }
        Ok(watch)
    }

    /// Looks; whether all is there. While topics are made some are missing, and a look that fails is made again.
    pub fn look(&mut self) -> bool {
        if self.last.is_some() {
            return true;
        }
        let Ok(ends) = self.target.ends_of(&places(&self.open)) else { return false };
        let now = now();
        for (topic, partition, end) in ends {
            let (place, end) = ((topic, partition), end.unwrap_or(0));
            let Some(log) = self.open.get(&place) else { continue };
            if end > log.start {
                self.first.get_or_insert(now);
            }
            if end >= log.end {
                self.open.remove(&place);
            }
        }
        if self.open.is_empty() {
            self.last = Some(now);
        }
        self.last.is_some()
    }

    /// How many records, and markers, have come.
    ///
    /// # Errors
    /// When the target can't be asked.
    pub fn arrived(&mut self) -> Result<i64, String> {
        Ok(self.target.ends(self.set)?.sum - self.begun)
    }

    /// Takes the times at which the target's log files, of partitions in `folder`, were last written, where they tell more
    /// than the looks: the last write is the end; where each partition is written once the first is the beginning.
    pub fn refine(&mut self, folder: &Path) {
        let set = self.set;
        let partitions = set.ends().filter_map(|(topic, partition, _)| {
            Some(folder.join(format!("{}-{partition}", set.topics.get(topic)?.name)))
        });
        let written: Vec<Instant> = partitions.flat_map(|partition| writes(&partition)).collect();
        let earliest = written.iter().min().copied();
        self.first = self.first.map(|seen| earliest.map_or(seen, |earliest| seen.min(earliest)));
        self.last = self.last.map(|seen| written.iter().max().map_or(seen, |latest| seen.min(*latest)));
    }
}

/// By topic: those of one topic stand side by side.
fn places(open: &BTreeMap<(String, i32), Range<i64>>) -> Vec<(&str, Vec<i32>)> {
    let mut places: Vec<(&str, Vec<i32>)> = Vec::new();
    for (topic, partition) in open.keys() {
        match places.last_mut() {
            Some((last, partitions)) if last == topic => partitions.push(*partition),
            _ => places.push((topic, vec![*partition])),
        }
    }
    places
}

/// When each log file of a partition that holds records was last written.
fn writes(partition: &Path) -> Vec<Instant> {
    let files = fs::read_dir(partition).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    let filled = logs.filter_map(|file| file.metadata().ok()).filter(|file| file.len() > 0);
    filled.filter_map(|file| now().checked_sub(file.modified().ok()?.elapsed().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_log_that_is_empty_says_nothing_and_one_that_was_written_says_when() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        file("00000000000000000000.log", b"");
        file("00000000000000000000.index", b"index");
        assert!(writes(folder.path()).is_empty() && writes(&folder.path().join("none")).is_empty());
        let before = now();
        sleep(Duration::from_millis(50));
        file("00000000000000000000.log", b"records");
        let written = writes(folder.path());
        assert!(matches!(written[..], [time] if time > before && time <= now()), "{before:?} {written:?}");
    }
}
