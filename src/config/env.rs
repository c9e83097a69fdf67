//! The environment as a layer: `KFERRY_RUN_MEMORY` sets `run.memory`.

use std::ffi::OsString;

use super::error::{ConfigError, Problem};
use super::keys::{self, Key};
use super::layer::{Layer, Place, Value};

/// Reads the variables that begin with `KFERRY_`. One that is empty counts as not set.
///
/// # Errors
///
/// A variable that no key has: a misspelt one would otherwise be overlooked for good. A value of the wrong shape.
pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for (name, text) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(keys::VARIABLES)) else { continue };
        if text.is_empty() {
            continue;
        }
        let refuse = |problem| ConfigError { place: Some(Place::Variable(name.to_owned())), problem };
        let key = keys::all().find(|key| key.variable() == name).ok_or_else(|| refuse(unknown(name)))?;
        let wrong = || Problem::WrongKind {
            name: key.path.to_owned(),
            wanted: key.kind.wanted(),
            found: format!("{:?}", text.to_string_lossy()),
        };
        let value = text.to_str().and_then(|text| Value::read(key.kind, text)).ok_or_else(|| refuse(wrong()))?;
        layer.say(key, value, Place::Variable(name.to_owned()));
    }
    Ok(layer)
}

fn unknown(name: &str) -> Problem {
    match name.strip_suffix("_PASSWORD").and_then(|stem| stem.strip_prefix(keys::VARIABLES)) {
        // Its own name would be as plain to see as the value: any process lister shows both.
        Some(stem @ ("SOURCE_SASL" | "TARGET_SASL")) => {
            Problem::PlainPassword { name: format!("{}.password", stem.to_lowercase().replace('_', ".")) }
        }
        _ => {
            Problem::UnknownKey { name: name.to_owned(), nearest: keys::nearest(name, keys::all().map(Key::variable)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(variables: &[(&str, &str)]) -> Result<Layer, String> {
        read(variables.iter().map(|(name, text)| (name.into(), text.into()))).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_sets_its_key() {
        let layer = layer(&[("HOME", "/"), ("KFERRY_SOURCE_BOOTSTRAP", "a:1,b:2"), ("KFERRY_RUN_RATE", "")]);
        let said: Vec<_> = layer.expect("a layer").said().map(|(path, said)| (path, said.value.clone())).collect();
        assert_eq!(said, [("source.bootstrap", Value::List(vec!["a:1".into(), "b:2".into()]))]);
    }

    #[test]
    fn a_misspelt_variable_is_refused() {
        let error = layer(&[("KFERRY_RUN_MEMROY", "1GiB")]).expect_err("no such key");
        assert_eq!(error, "KFERRY_RUN_MEMROY: unknown key `KFERRY_RUN_MEMROY`: did you mean `KFERRY_RUN_MEMORY`?");
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused() {
        let error = layer(&[("KFERRY_TOPICS_CREATE", "yes")]).expect_err("not a flag");
        assert_eq!(error, "KFERRY_TOPICS_CREATE: `topics.create` must be true or false, not \"yes\"");
    }

    #[test]
    fn a_password_in_the_environment_is_refused_by_its_own_name() {
        let error = layer(&[("KFERRY_SOURCE_SASL_PASSWORD", "geheim")]).expect_err("a password");
        assert!(error.contains("`source.sasl.password_env`"), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }
}
