//! What is moved: the data sets, each a few topics filled with batches of one shape.

use crate::broker::Codec;

/// Bytes of a record's value, where it is not tiny.
const VALUE: usize = 1024;
/// Records of a full batch: with their own overhead a little less than the brokers' default limit of 1 MiB.
const FULL: usize = 1000;

/// So many topics take longer to make than to fill: they are made once, and emptied before each run.
pub const MANY: usize = 100;

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// As the command line names it.
    pub name: String,
    /// Its topics.
    pub topics: Vec<Topic>,
}

/// A topic of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name, which no other set has.
    pub name: String,
    /// How many batches each of its partitions holds.
    pub batches: Vec<u64>,
    /// What they look like.
    pub shape: Shape,
}

/// What the batches of a topic look like. Values are printable ASCII without a line end: tools that know lines only can
/// copy them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How records are compressed.
    pub codec: Codec,
    /// Records per batch.
    pub records: usize,
    /// Bytes of a value.
    pub value: usize,
    /// How many bytes of a value are drawn at random, the others repeating; in percent.
    pub random: usize,
}

impl Shape {
    const BIG: Self = Self { codec: Codec::None, records: FULL, value: VALUE, random: 100 };
    const FEW: Self = Self { records: 10, ..Self::BIG };
    const TINY: Self = Self { records: 1, value: 100, ..Self::BIG };

    /// About 2.2:1 with lz4.
    const fn packed(codec: Codec) -> Self {
        Self { codec, random: 43, ..Self::BIG }
    }
}

/// How large sets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Bytes of the values of the sets that are measured in bytes.
    pub bytes: u64,
    /// Batches of the sets that are measured in batches.
    pub batches: u64,
}

impl Set {
    /// The names that [`Set::named`] knows.
    pub const NAMES: [&str; 8] = ["big", "lz4", "zstd", "tiny", "huge", "skew", "many", "wide"];

    /// The set of that name; `None` for a name that none has.
    pub fn named(name: &str, scale: Scale) -> Option<Self> {
        let topics = match name {
            "big" => full(name, Shape::BIG, scale),
            "lz4" => full(name, Shape::packed(Codec::Lz4), scale),
            "zstd" => full(name, Shape::packed(Codec::Zstd), scale),
            "tiny" => vec![Topic::even(name, 0, 16, scale.batches.div_ceil(16), Shape::TINY)],
            "huge" => vec![Topic::even(name, 0, 1, full_batches(scale), Shape::BIG)],
            "skew" => {
                vec![Topic::even(name, 0, 1, full_batches(scale), Shape::BIG), Topic::even(name, 1, 300, 1, Shape::FEW)]
            }
            "many" => (0..1000).map(|index| Topic::even(name, index, 8, 1, Shape::FEW)).collect(),
            "wide" => (0..100).map(|index| Topic::even(name, index, 1, 1, Shape::FEW)).collect(),
            _ => return None,
        };
        Some(Self { name: name.to_owned(), topics })
    }

    /// `count` partitions with a few records each, in topics of ten.
    pub fn partitions(count: usize) -> Self {
        let name = format!("partitions-{count}");
        let topics = (0..count.div_ceil(10)).map(|index| Topic::even(&name, index, 10, 1, Shape::FEW)).collect();
        Self { name, topics }
    }

    /// A topic of `count` partitions, evenly filled.
    pub fn spread(count: usize, scale: Scale) -> Self {
        let name = format!("spread-{count}");
        let batches = full_batches(scale).div_ceil(count as u64);
        Self { topics: vec![Topic::even(&name, 0, count, batches, Shape::BIG)], name }
    }

    /// The group that has all of it to read.
    pub fn group(&self) -> String {
        format!("bench-{}", self.name)
    }

    /// The topic's place in the set, the partition, and where its log ends once it is filled: every partition that gets
    /// something.
    pub fn ends(&self) -> impl Iterator<Item = (usize, i32, i64)> {
        let topics = self.topics.iter().enumerate();
        let ends = topics.flat_map(|(index, topic)| {
            let end = |batches: &u64| i64::try_from(*batches * topic.shape.records as u64).unwrap_or(i64::MAX);
            (0..).zip(&topic.batches).map(move |(partition, batches)| (index, partition, end(batches)))
        });
        ends.filter(|(_, _, end)| *end > 0)
    }

    /// How many partitions it has.
    pub fn partition_count(&self) -> usize {
        self.topics.iter().map(|topic| topic.batches.len()).sum()
    }
}

impl Topic {
    fn even(set: &str, index: usize, partitions: usize, batches: u64, shape: Shape) -> Self {
        Self { name: format!("{set}-{index}"), batches: vec![batches; partitions], shape }
    }
}

fn full(name: &str, shape: Shape, scale: Scale) -> Vec<Topic> {
    let batches = full_batches(scale).div_ceil(8);
    (0..2).map(|index| Topic::even(name, index, 4, batches, shape)).collect()
}

fn full_batches(scale: Scale) -> u64 {
    scale.bytes.div_ceil((FULL * VALUE) as u64)
}

#[cfg(test)]
mod tests {
    use super::{Scale, Set};

    #[test]
    fn every_set_that_is_named_can_be_had_and_no_two_share_a_topic() {
        let scale = Scale { bytes: 1 << 20, batches: 100 };
        let sets: Vec<Set> = Set::NAMES.iter().map(|name| Set::named(name, scale).expect(name)).collect();
        let mut topics: Vec<&str> = sets.iter().flat_map(|set| &set.topics).map(|topic| topic.name.as_str()).collect();
        let all = topics.len();
        topics.sort_unstable();
        topics.dedup();
        assert_eq!(topics.len(), all);
        assert_eq!(Set::named("other", scale), None);
    }
}
