//! What one place says, before anything is merged.

use std::collections::BTreeMap;
use std::fmt;

use super::keys::{self, Key, Kind};

/// Where a value was said, as an error message names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a file: its name as the user gave it, and the line counted from 1.
    File {
        /// The file's name.
        file: String,
        /// The line, counted from 1; `None` for the file as a whole.
        line: Option<usize>,
    },
    /// In an environment variable of this name.
    Variable(String),
    /// By a flag, spelt with its dashes.
    Flag(&'static str),
    /// Nowhere: the key's own default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: Some(line) } => write!(f, "{file}, line {line}"),
            Self::File { file, line: None } => f.write_str(file),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value whose shape fits its key; what it means is decided by [`super::Settings::resolve`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Of [`Kind::Text`], [`Kind::Choice`], [`Kind::Size`], [`Kind::Rate`] and [`Kind::Duration`].
    Text(String),
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Number`].
    Number(i64),
    /// Of [`Kind::Addresses`] and [`Kind::Patterns`].
    List(Vec<String>),
    /// Of [`Kind::Table`]: it is there.
    Table,
}

impl Value {
    /// Reads `text` as an environment variable for a key of `kind` is written; `None` where its shape does not fit.
    pub fn read(kind: Kind, text: &str) -> Option<Self> {
        let text = text.trim();
        match kind {
            Kind::Flag => text.parse().ok().map(Self::Flag),
            Kind::Number => text.parse().ok().map(Self::Number),
            Kind::Table => (text == "true").then_some(Self::Table),
            Kind::Addresses | Kind::Patterns => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Self::List(items.map(str::to_owned).collect()))
            }
            Kind::Text | Kind::Choice(_) | Kind::Size | Kind::Rate | Kind::Duration => {
                Some(Self::Text(text.to_owned()))
            }
        }
    }
}

/// A value and who said it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What one place says: any subset of the keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layer {
    values: BTreeMap<&'static str, Said>,
}

impl Layer {
    /// The layer behind all others: every key's own default.
    pub fn defaults() -> Self {
        let mut layer = Self::default();
        for key in keys::all() {
            if let Some(value) = key.default.and_then(|text| Value::read(key.kind, text)) {
                layer.say(key, value, Place::Default);
            }
        }
        layer
    }

    /// Sets a key, over what this layer said of it before.
    pub fn say(&mut self, key: &Key, value: Value, place: Place) {
        self.values.insert(key.path, Said { value, place });
    }

    pub(super) fn get(&self, path: &str) -> Option<&Said> {
        self.values.get(path)
    }

    #[cfg(test)]
    pub(super) fn said(&self) -> impl Iterator<Item = (&'static str, &Said)> {
        self.values.iter().map(|(path, said)| (*path, said))
    }
}

/// The migration's name as the strongest of the layers says it, whether it is a good one or not.
pub fn name_of(layers: &[Layer]) -> Option<&str> {
    layers.iter().find_map(|layer| match &layer.get("name")?.value {
        Value::Text(name) => Some(name.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_has_the_shape_of_its_key() {
        let defaults = Layer::defaults();
        for key in keys::all().filter(|key| key.default.is_some()) {
            assert!(defaults.get(key.path).is_some(), "{}", key.path);
        }
    }

    #[test]
    fn a_list_is_separated_by_commas_and_may_be_empty() {
        let list = |items: &[&str]| Value::List(items.iter().map(ToString::to_string).collect());
        assert_eq!(Value::read(Kind::Patterns, " a, b* ,,"), Some(list(&["a", "b*"])));
        assert_eq!(Value::read(Kind::Patterns, ""), Some(list(&[])));
        assert_eq!(Value::read(Kind::Flag, "yes"), None);
    }
}
