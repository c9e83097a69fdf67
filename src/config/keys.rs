//! The table of all configuration keys. Whatever reads, checks, defaults or explains a key asks this table.

/// What kind of value a key takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text without further rules.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A list of `host:port`.
    Addresses,
    /// A list of names, globs and `/regular expressions/`.
    Patterns,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number of bytes with its unit.
    Size,
    /// A number of bytes with its unit, per second.
    Rate,
    /// A stretch of time with its unit.
    Duration,
    /// A table whose presence says something even where it is empty.
    Table,
}

impl Kind {
    /// What a value of this kind looks like, to stand behind "must be".
    pub fn wanted(self) -> String {
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Flag => "true or false".into(),
            Self::Number => "a whole number".into(),
            Self::Addresses => "a list of addresses such as [\"kafka-1:9092\"]".into(),
            Self::Patterns => "a list of names or globs such as [\"orders-*\"]".into(),
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::Size => "a size such as \"64MiB\"".into(),
            Self::Rate => "a rate such as \"200MB/s\"".into(),
            Self::Duration => "a time such as \"15s\"".into(),
            Self::Table => "a table".into(),
        }
    }

    /// Whether the value is a list: in the environment its items are separated by commas.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Addresses | Self::Patterns)
    }
}

/// One configuration key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its whole name, tables and key joined by dots: `run.memory`.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value where nobody sets one, written as in the environment; `None`: unset.
    pub default: Option<&'static str>,
    /// Whether it takes effect in this version. A key that does not is refused, so that nobody relies on it in vain.
    pub ready: bool,
    /// What it does, in a line.
    pub help: &'static str,
}

impl Key {
    /// The environment variable that sets it: `KFERRY_RUN_MEMORY`.
    pub fn variable(&self) -> String {
        format!("{VARIABLES}{}", self.path.to_uppercase().replace('.', "_"))
    }

    const fn later(mut self) -> Self {
        self.ready = false;
        self
    }
}

/// What every environment variable of kferry begins with.
pub const VARIABLES: &str = "KFERRY_";

const fn unset(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, default: None, ready: true, help }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { path, kind, default: Some(default), ready: true, help }
}

const MECHANISMS: Kind = Kind::Choice(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]);

/// The keys of one cluster; a const fn can't join texts, a macro can.
macro_rules! endpoint {
    ($side:literal) => {
        [
            unset(concat!($side, ".bootstrap"), Kind::Addresses, "brokers to ask first; they name the others"),
            unset(concat!($side, ".rack"), Kind::Text, "read from the closest replica (KIP-392)").later(),
            unset(concat!($side, ".tls"), Kind::Table, "its presence turns TLS on; empty: the system's roots").later(),
            unset(concat!($side, ".tls.ca"), Kind::Text, "file of the certificates to trust, PEM").later(),
            unset(concat!($side, ".tls.cert"), Kind::Text, "file of the client's certificate, PEM").later(),
            unset(concat!($side, ".tls.key"), Kind::Text, "file of the client's key, PEM").later(),
            unset(concat!($side, ".tls.key_password_env"), Kind::Text, "variable with the key's password").later(),
            unset(concat!($side, ".tls.key_password_file"), Kind::Text, "file with the key's password").later(),
            unset(concat!($side, ".sasl.mechanism"), MECHANISMS, "how to log in").later(),
            unset(concat!($side, ".sasl.username"), Kind::Text, "who logs in").later(),
            unset(concat!($side, ".sasl.password_env"), Kind::Text, "variable with the password").later(),
            unset(concat!($side, ".sasl.password_file"), Kind::Text, "file with the password").later(),
        ]
    };
}

const NAME: [Key; 1] =
    [key("name", Kind::Text, "default", "the migration's name: its state lives in group kferry-NAME on the target")];
const SOURCE: [Key; 12] = endpoint!("source");
const TARGET: [Key; 12] = endpoint!("target");
const REST: [Key; 17] = [
    key("select.groups", Kind::Patterns, "*", "groups whose unread records move: names, globs or \"/regex/\""),
    key("select.exclude_groups", Kind::Patterns, "", "groups that do not count"),
    key("select.topics", Kind::Patterns, "*", "topics that move: names, globs or \"/regex/\""),
    key("select.exclude_topics", Kind::Patterns, "", "topics that stay"),
    key("select.ungrouped", Kind::Choice(&["skip", "earliest"]), "skip", "topics without any commit"),
    key(
        "plan.undecided",
        Kind::Choice(&["earliest", "committed"]),
        "earliest",
        "where a partition starts when the commits do not say what is unread",
    ),
    key("topics.create", Kind::Flag, "true", "create topics that the target lacks"),
    key("topics.replication_factor", Kind::Number, "-1", "of created topics; -1: the target's default"),
    unset(
        "topics.recompress",
        Kind::Choice(&["none", "gzip", "snappy", "lz4"]),
        "codec in place of one that the target can't take; unset: such a topic is refused",
    ),
    key("offsets.translate", Kind::Flag, "true", "commit each group's place on the target"),
    key("offsets.overwrite", Kind::Flag, "false", "replace commits that others made on the target"),
    unset("run.rate", Kind::Rate, "upper bound of the bytes copied; unset: as fast as both clusters allow"),
    key("run.memory", Kind::Size, "64MiB", "upper bound of the data in flight; raise it for long fat links"),
    key("run.verify", Kind::Choice(&["offsets", "digest", "records"]), "offsets", "what is compared after the copy"),
    key("run.allow_active", Kind::Flag, "false", "go on while producers or consumers of the source still run"),
    key("run.skip_corrupt", Kind::Flag, "false", "copy around corrupt batches; what is left out is listed"),
    key("run.late_bound", Kind::Duration, "15s", "how long a request of a dead process may still land"),
];

/// All keys, in the order in which a person reads them.
pub fn all() -> impl Iterator<Item = &'static Key> {
    NAME.iter().chain(&SOURCE).chain(&TARGET).chain(&REST)
}

/// The key of that name.
pub fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

/// Whether keys lie below `path`, as in `[source.sasl]`.
pub fn is_table(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Among `known`, the name that was most likely meant by `wrong`; `None` where none is near.
pub fn nearest(wrong: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let leaf = |path: &str| path.rsplit('.').next().map(str::to_owned);
    let ranked = known.map(|name| {
        // The right key in the wrong table is nearer than any misspelling.
        let moved = wrong.contains('.') && leaf(&name) == leaf(wrong);
        (if moved { 0 } else { strsim::damerau_levenshtein(wrong, &name) }, name)
    });
    let (distance, name) = ranked.min()?;
    (distance <= (wrong.len() / 4).max(2)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_every_variable_has_one_meaning() {
        let mut variables: Vec<String> = all().map(Key::variable).collect();
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }

    #[test]
    fn a_misspelt_name_leads_to_the_right_one() {
        let near = |wrong| nearest(wrong, all().map(|key| key.path.to_owned()));
        assert_eq!(near("run.memroy").as_deref(), Some("run.memory"));
        assert_eq!(near("run.undecided").as_deref(), Some("plan.undecided"));
        assert_eq!(near("nmae").as_deref(), Some("name"));
        assert_eq!(near("colour"), None);
    }
}
