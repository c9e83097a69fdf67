//! A configuration file. An error names a line that is there; what resolves is usable.
#![no_main]

use kferry::config::{Layer, Place, Settings, file};
use kferry_fuzz::memory::{multiple, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.matches('\n').count() + 1;
    // The parser keeps every key and value with its place.
    let layer = match within(multiple(text.len(), 512), || file::parse("kferry.toml", text)) {
        Ok(layer) => layer,
        Err(error) => {
            let place = error.place.as_ref().expect("an error of a file has a place");
            assert!(matches!(place, Place::File { line: Some(line), .. } if (1..=lines).contains(line)), "{error}");
            return;
        }
    };
    match Settings::resolve(vec![Layer::defaults(), layer.clone()]) {
        Ok(settings) => {
            assert!(!settings.source.bootstrap.is_empty() && !settings.target.bootstrap.is_empty());
            assert!(!settings.name.as_str().is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(file::parse("kferry.toml", text), Ok(layer), "the same text, the same layer");
});
