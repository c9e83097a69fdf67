//! Making the topics that the target lacks.
//!
//! All of them are checked before the first one is made, so that a target that refuses is left as it was. A configuration
//! that the target refuses does not fail its topic: the topic is made without it.

use std::collections::{BTreeMap, BTreeSet};

use super::mirror::{ConfigLeftOut, LeftOutBecause, Mirrored, command};
use crate::cluster::{Cluster, ClusterError, Configs, ErrorKind, NewTopic, TopicValues};
use crate::kafka::units::Count;
use crate::kafka::{ErrorCode, TopicName};

/// So many configurations of a topic the target may refuse one after the other.
const ROUNDS: usize = 64;

/// The target did not make, or not finish, some topics.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TopicsError {
    /// Some could not be created.
    #[error("{}", refused(.first, *.others, *.made))]
    Refused {
        /// Why the first of them could not.
        first: Box<ClusterError>,
        /// How many more could not.
        others: usize,
        /// How many had been made before; none where the target refused when it was only asked.
        made: usize,
        /// The topics that are missing, as they must be created.
        missing: Vec<NewTopic>,
        /// The commands that create them by hand.
        commands: Vec<String>,
    },
    /// Some did not take the settings they get at the end.
    #[error("{first}{}", and_more(*.others))]
    Unfinished {
        /// Why the first of them did not.
        first: Box<ClusterError>,
        /// How many more did not.
        others: usize,
    },
}

impl TopicsError {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Refused { first, commands, .. } => {
                let by_hand = format!("create them by hand, then run the same again:\n  {}", commands.join("\n  "));
                Some(first.advice().map_or(by_hand.clone(), |advice| format!("{advice}, or {by_hand}")))
            }
            Self::Unfinished { first, .. } => first.advice(),
        }
    }
}

fn refused(first: &ClusterError, others: usize, made: usize) -> String {
    let done = if made == 0 { "no topic was created".to_owned() } else { format!("{made} topics were created before") };
    format!("{first}{}; {done}, nothing was written", and_more(others))
}

fn and_more(others: usize) -> String {
    if others == 0 {
        return String::new();
    }
    format!(" (and {} more topics)", Count(i64::try_from(others).unwrap_or(i64::MAX)))
}

/// What became of topics that were to be made.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Made {
    /// Those that were made, as they were made: what the target refused of their configurations is among what they lack.
    pub topics: Vec<Mirrored>,
    /// Those that somebody else has made meanwhile.
    pub found: BTreeSet<TopicName>,
}

/// Creates the topics and waits until each of their partitions has a leader that serves.
///
/// # Errors
///
/// A topic that the target refuses. When it did so on being asked, none was created.
pub async fn create(target: &Cluster, wanted: &[Mirrored]) -> Result<Made, TopicsError> {
    let mut topics: BTreeMap<TopicName, Mirrored> =
        wanted.iter().map(|topic| (topic.spec.name.clone(), topic.clone())).collect();
    let mut found = BTreeSet::new();
    for validate_only in [true, false] {
        let mut failed = settle(target, &mut topics, validate_only).await;
        failed.retain(|name, error| {
            let exists = error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS);
            if exists {
                topics.remove(name);
                found.insert(name.clone());
            }
            !exists
        });
        if let Some(error) = refusal(target, &topics, failed, validate_only) {
            return Err(error);
        }
    }
    Ok(Made { topics: topics.into_values().collect(), found })
}

/// Sets what created topics get once they are filled, by topic.
///
/// # Errors
///
/// A topic that did not take it; the others have it.
pub async fn finish(target: &Cluster, late: &TopicValues) -> Result<(), TopicsError> {
    if late.is_empty() {
        return Ok(());
    }
    // Brokers before 2.3 replace all overrides of a topic at once.
    let names: Vec<TopicName> = late.keys().cloned().collect();
    let known = target.topic_configs(&names, None).await;
    let whole = late.iter().map(|(name, configs)| {
        let mut whole: BTreeMap<String, String> = match known.get(name) {
            Some(Ok(known)) => overrides(known).collect(),
            Some(Err(_)) | None => BTreeMap::new(),
        };
        whole.extend(configs.clone());
        (name.clone(), whole)
    });
    let answers = target.set_topic_configs(late, &whole.collect()).await;
    let mut failed = answers.into_values().filter_map(Result::err);
    match failed.next() {
        None => Ok(()),
        Some(first) => Err(TopicsError::Unfinished { first: Box::new(first), others: failed.count() }),
    }
}

/// What is set on the topic itself.
fn overrides(configs: &Configs) -> impl Iterator<Item = (String, String)> + '_ {
    let set = configs.iter().filter(|(_, config)| !config.is_default());
    set.filter_map(|(name, config)| Some((name.clone(), config.value.clone()?)))
}

/// Asks for all topics, and again for those of which the target refuses a configuration, without that one. Returns why
/// the rest failed.
async fn settle(
    target: &Cluster,
    topics: &mut BTreeMap<TopicName, Mirrored>,
    validate_only: bool,
) -> BTreeMap<TopicName, ClusterError> {
    let mut failed = BTreeMap::new();
    let mut left: BTreeSet<TopicName> = topics.keys().cloned().collect();
    for round in 0..ROUNDS {
        let specs: Vec<NewTopic> = left.iter().filter_map(|name| Some(topics.get(name)?.spec.clone())).collect();
        if specs.is_empty() {
            break;
        }
        left.clear();
        for (name, answer) in target.create_topics(&specs, validate_only).await {
            let Err(error) = answer else { continue };
            let culprits = match topics.get(&name) {
                Some(topic) if round + 1 < ROUNDS => culprits(target, &topic.spec, &error).await,
                _ => Vec::new(),
            };
            match topics.get_mut(&name) {
                Some(topic) if !culprits.is_empty() => {
                    tracing::warn!(topic = %name, configs = %culprits.join(", "), %error, "created without them");
                    culprits.iter().for_each(|culprit| leave_out(topic, culprit));
                    left.insert(name);
                }
                _ => drop(failed.insert(name, error)),
            }
        }
    }
    failed
}

fn leave_out(topic: &mut Mirrored, config: &str) {
    if let Some(value) = topic.spec.configs.remove(config) {
        topic.left_out.push(ConfigLeftOut { name: config.to_owned(), value, because: LeftOutBecause::Refused });
    }
}

/// The configurations that this refusal is about: those that it names (0.11 refuses a value with UNKNOWN_SERVER_ERROR, so
/// the code does not matter), otherwise those that are refused alone.
async fn culprits(target: &Cluster, spec: &NewTopic, error: &ClusterError) -> Vec<String> {
    let ErrorKind::Code { code, message } = &error.kind else { return Vec::new() };
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
        words.map(|word| word.trim_end_matches('.').to_owned()).collect()
    };
    let words = message.as_deref().map(words).unwrap_or_default();
    let named: Vec<String> = spec.configs.keys().filter(|name| words.contains(*name)).cloned().collect();
    if !named.is_empty() || *code != ErrorCode::INVALID_CONFIG {
        return named;
    }
    let mut refused = Vec::new();
    for (name, value) in &spec.configs {
        let alone = NewTopic { configs: [(name.clone(), value.clone())].into(), ..spec.clone() };
        let answers = target.create_topics(&[alone], true).await;
        let invalid = |error: &ClusterError| error.code() == Some(ErrorCode::INVALID_CONFIG);
        if answers.into_values().any(|answer| answer.is_err_and(|error| invalid(&error))) {
            refused.push(name.clone());
        }
    }
    refused
}

/// The error for topics that failed; `None` where none did.
fn refusal(
    target: &Cluster,
    topics: &BTreeMap<TopicName, Mirrored>,
    failed: BTreeMap<TopicName, ClusterError>,
    validate_only: bool,
) -> Option<TopicsError> {
    let is_missing = |name: &TopicName| validate_only || failed.contains_key(name);
    let missing: Vec<NewTopic> =
        topics.iter().filter(|(name, _)| is_missing(name)).map(|(_, topic)| topic.spec.clone()).collect();
    let made = topics.len() - missing.len();
    let broker = target.brokers().into_iter().next();
    let commands = broker.map(|broker| missing.iter().map(|topic| command(topic, &broker.address)).collect());
    let others = failed.len().saturating_sub(1);
    let first = Box::new(failed.into_values().next()?);
    Some(TopicsError::Refused { first, others, made, missing, commands: commands.unwrap_or_default() })
}
