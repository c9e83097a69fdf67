//! The bytes around an answer: its length, its correlation id, where its body starts.
#![no_main]

use bytes::Bytes;
use kferry::wire::{ApiKey, frame, header};
use kferry_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let cap = input.number(4) as usize;
    let api = ApiKey::ALL[input.number(1) as usize % ApiKey::ALL.len()];
    let version = (input.number(1) % 20) as i16;

    if let Some(head) = input.0.first_chunk() {
        let claimed = i64::from(i32::from_be_bytes(*head));
        match frame::length(*head, cap) {
            Ok(length) => assert!(length as i64 == claimed && length >= 4 && length <= cap),
            Err(error) => assert!(claimed < 4 || claimed > cap as i64, "{error}"),
        }
    }

    let answer = Bytes::copy_from_slice(input.0);
    let correlation = header::correlation(&answer);
    assert_eq!(correlation.ok(), answer.first_chunk().map(|head| i32::from_be_bytes(*head)));
    match header::body(api, version, answer.clone()) {
        Ok(body) => {
            assert!(answer.ends_with(&body) && body.len() + 4 <= answer.len());
            let tagged = api.is_flexible(version) && api != ApiKey::ApiVersions;
            assert_eq!(body.len() + 4 == answer.len(), !tagged, "tagged fields take at least a byte");
            assert!(header::throttle(api, version, &body).as_secs() <= 300, "a broker that mutes us for ever");
        }
        Err(_) => assert!(answer.len() < 4 || api.is_flexible(version)),
    }
});
