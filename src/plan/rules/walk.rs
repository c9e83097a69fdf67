//! Finding a topic for each of a million commits.

use crate::kafka::TopicName;

/// Entries by topic name. Commits are in order too, so that the next one to be found is mostly the next entry: it is tried
/// first, before the others are bisected.
pub(super) struct Walk<'a, V> {
    /// In the order of their names.
    pub(super) entries: Vec<(&'a TopicName, V)>,
    next: usize,
}

impl<'a, V> Walk<'a, V> {
    /// `entries` are in the order of their names, each name once.
    pub(super) fn over(entries: impl Iterator<Item = (&'a TopicName, V)>) -> Self {
        Self { entries: entries.collect(), next: 0 }
    }

    /// The entry of a topic.
    pub(super) fn find(&mut self, topic: &TopicName) -> Option<&mut V> {
        let place = match self.entries.get(self.next) {
            Some((name, _)) if *name == topic => self.next,
            _ => self.entries.binary_search_by(|(name, _)| (*name).cmp(topic)).ok()?,
        };
        self.next = place + 1;
        self.entries.get_mut(place).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_found_in_whatever_order_they_are_asked_for() {
        let names: Vec<TopicName> = ["a", "b", "d", "e"].map(TopicName::from).to_vec();
        let mut walk = Walk::over(names.iter().map(|name| (name, name.as_str())));
        for topic in ["a", "b", "c", "d", "e", "f", "a", "e", "d", "b", "b", "", "a", "d"] {
            let found = walk.find(&TopicName::from(topic)).copied();
            assert_eq!(found, Some(topic).filter(|topic| names.contains(&TopicName::from(*topic))), "{topic}");
        }
        assert_eq!(Walk::<()>::over(std::iter::empty()).find(&TopicName::from("a")), None);
    }
}
