//! The configuration file as a layer: TOML, every complaint with its line.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::keys::{self, Kind};
use super::layer::{Layer, Place, Value};

/// The file that is read from the current directory where no other is named.
pub const DEFAULT_FILE: &str = "kferry.toml";

/// Reads a file.
///
/// # Errors
///
/// It can't be read, is not TOML, or says something that no key takes.
pub fn load(path: &Path) -> Result<Layer, ConfigError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(error) => {
            let place = Some(Place::File { file, line: None });
            Err(ConfigError { place, problem: Problem::Unreadable(error.to_string()) })
        }
    }
}

/// Reads the text of the file that errors call `file`.
///
/// # Errors
///
/// The first thing in the text that is not TOML or that no key takes.
pub fn parse(file: &str, text: &str) -> Result<Layer, ConfigError> {
    let mut reader = Reader { file, text, layer: Layer::default(), wrong: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reader.table("", table.get_ref()),
        Err(error) => {
            reader.refuse(error.span().unwrap_or_default(), Problem::Syntax(error.message().replace('\n', ", ")))
        }
    }
    // A table's entries come in the order of their names; a person reads from the top.
    match reader.wrong.into_iter().min_by_key(|(at, _)| *at) {
        Some((_, error)) => Err(error),
        None => Ok(reader.layer),
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    layer: Layer,
    wrong: Vec<(usize, ConfigError)>,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        Place::File { file: self.file.to_owned(), line: Some(before.matches('\n').count() + 1) }
    }

    fn refuse(&mut self, span: Range<usize>, problem: Problem) {
        let error = ConfigError { place: Some(self.place(span.start)), problem };
        self.wrong.push((span.start, error));
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = format!("{prefix}{}", name.get_ref());
            let key = keys::find(&path);
            match (key, value.get_ref()) {
                (None, DeValue::Table(below)) if keys::is_table(&path) => self.table(&format!("{path}."), below),
                (None, found) if keys::is_table(&path) => self.refuse(name.span(), wrong(&path, Kind::Table, found)),
                (None, _) => self.refuse(name.span(), unknown(path)),
                (Some(key), found) => {
                    match shape(key.kind, found) {
                        Some(said) => self.layer.say(key, said, self.place(name.span().start)),
                        None => self.refuse(name.span(), wrong(&path, key.kind, found)),
                    }
                    if let DeValue::Table(below) = found {
                        self.table(&format!("{path}."), below);
                    }
                }
            }
        }
    }
}

fn shape(kind: Kind, found: &DeValue<'_>) -> Option<Value> {
    match (kind, found) {
        (Kind::Flag, DeValue::Boolean(flag)) => Some(Value::Flag(*flag)),
        (Kind::Number, DeValue::Integer(digits)) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(Value::Number)
        }
        (Kind::Table, DeValue::Table(_)) => Some(Value::Table),
        (Kind::Addresses | Kind::Patterns, DeValue::Array(items)) => {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<_>>().map(Value::List)
        }
        (Kind::Text | Kind::Choice(_) | Kind::Size | Kind::Rate | Kind::Duration, DeValue::String(text)) => {
            Some(Value::Text(text.clone().into_owned()))
        }
        _ => None,
    }
}

fn wrong(path: &str, kind: Kind, found: &DeValue<'_>) -> Problem {
    let found = match found {
        DeValue::Array(_) if kind.is_list() => "a list with other items",
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::WrongKind { name: path.to_owned(), wanted: kind.wanted(), found: found.to_owned() }
}

fn unknown(name: String) -> Problem {
    if name.rsplit('.').next().is_some_and(|leaf| leaf == "password" || leaf == "key_password") {
        return Problem::PlainPassword { name };
    }
    let tables = keys::all().filter_map(|key| Some(key.path.rsplit_once('.')?.0.to_owned()));
    let nearest = keys::nearest(&name, keys::all().map(|key| key.path.to_owned()).chain(tables));
    Problem::UnknownKey { name, nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse("kferry.toml", text).expect_err("a complaint").to_string()
    }

    #[test]
    fn every_shape_of_value_is_read() {
        let text = "name = 'to-cloud'\nsource.bootstrap = ['a:1', 'b:2']\n[topics]\ncreate = false\nreplication_factor = 3\n[target.tls]\n";
        let layer = parse("kferry.toml", text).expect("a layer");
        let said: Vec<String> =
            layer.said().map(|(path, said)| format!("{path} {:?} {}", said.value, said.place)).collect();
        let expected = [
            "name Text(\"to-cloud\") kferry.toml, line 1",
            "source.bootstrap List([\"a:1\", \"b:2\"]) kferry.toml, line 2",
            "target.tls Table kferry.toml, line 6",
            "topics.create Flag(false) kferry.toml, line 4",
            "topics.replication_factor Number(3) kferry.toml, line 5",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
        let error = refused("name = 'x'\n\n[run]\nmemroy = '64MiB'\n");
        assert_eq!(error, "kferry.toml, line 4: unknown key `run.memroy`: did you mean `run.memory`?");
        assert_eq!(refused("[sorce]"), "kferry.toml, line 1: unknown key `sorce`: did you mean `source`?");
        assert_eq!(refused("colour = 1"), "kferry.toml, line 1: unknown key `colour`");
        assert_eq!(refused("name.first = 'x'"), "kferry.toml, line 1: `name` must be a text in quotes, not a table");
    }

    #[test]
    fn the_first_of_several_mistakes_is_the_one_that_is_named() {
        assert!(refused("[run]\nzzz = 1\naaa = 1\n").starts_with("kferry.toml, line 2: unknown key `run.zzz`"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_what_is_wanted() {
        let error = refused("[run]\nmemory = 64\n");
        assert_eq!(error, "kferry.toml, line 2: `run.memory` must be a size such as \"64MiB\", not a number");
        assert!(refused("run = 1").ends_with("`run` must be a table, not a number"));
        assert!(refused("source.bootstrap = 'a:1'").contains("such as [\"kafka-1:9092\"], not a text"));
        assert!(refused("source.bootstrap = [1]").ends_with("not a list with other items"));
        assert!(refused("topics.replication_factor = 99999999999999999999").contains("a whole number"));
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = refused("[source.sasl]\npassword = 'geheim'\n");
        assert!(error.starts_with("kferry.toml, line 2: `source.sasl.password` would keep"), "{error}");
        assert!(error.contains("`source.sasl.password_env` or `source.sasl.password_file`"), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        assert!(refused("name = 'x'\nrun\n").starts_with("kferry.toml, line 2: not TOML: "));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = load(Path::new("no/such.toml")).expect_err("no file").to_string();
        assert!(error.starts_with("no/such.toml: cannot read the configuration file: No such file"), "{error}");
    }
}
