//! The header of a request (versions 1 and 2) and of an answer (versions 0 and 1).

use super::api::Throttle;
use super::{ApiKey, Reader, Rope, WireError};
use bytes::{Buf, BufMut, Bytes};
use std::time::Duration;

/// Puts length and header in front of a request's body. `correlation` comes back with the answer. Fails where the client
/// id or the whole request is longer than the protocol can say.
pub fn frame(api: ApiKey, version: i16, correlation: i32, client_id: &str, mut body: Rope) -> Result<Rope, WireError> {
    let too_long = |what: &str, length: usize| WireError::Unwritable { reason: format!("{what} has {length} bytes") };
    let mut header = Vec::with_capacity(client_id.len().saturating_add(16));
    header.put_i16(api.number());
    header.put_i16(version);
    header.put_i32(correlation);
    header.put_i16(i16::try_from(client_id.len()).map_err(|_| too_long("the client id", client_id.len()))?);
    header.put_slice(client_id.as_bytes());
    if api.is_flexible(version) {
        // No tagged fields. The client id keeps its classic encoding in header version 2 as well (KIP-482).
        header.put_u8(0);
    }
    let total = header.len().saturating_add(body.len());
    let length = i32::try_from(total).map_err(|_| too_long("the request", total))?;
    let mut head = Vec::with_capacity(header.len().saturating_add(4));
    head.put_i32(length);
    head.append(&mut header);
    body.push_front(head);
    Ok(body)
}

/// The correlation id that starts an answer; the cap on frames guarantees its four bytes.
pub fn correlation(answer: &[u8]) -> Result<i32, WireError> {
    Reader::new(answer, false).i32("correlation_id")
}

/// The body of `answer`, behind its header. The answer to ApiVersions keeps header version 0 at every version, since a
/// client reads it before it knows what the broker speaks (KIP-511).
pub fn body(api: ApiKey, version: i16, mut answer: Bytes) -> Result<Bytes, WireError> {
    let mut reader = Reader::new(&answer, api.is_flexible(version) && api != ApiKey::ApiVersions);
    reader.i32("correlation_id")?;
    reader.tags()?;
    let read = reader.position();
    answer.advance(read);
    Ok(answer)
}

/// The longest throttling that is believed; brokers' quotas measure over some seconds.
const MOST_THROTTLE: Duration = Duration::from_secs(300);

/// For how long the broker will not read from this connection after the answer with this body (KIP-219).
pub fn throttle(api: ApiKey, version: i16, body: &[u8]) -> Duration {
    let bytes = match api.throttle() {
        Throttle::First(since) if version >= since => body.first_chunk(),
        Throttle::Last => body.last_chunk(),
        Throttle::First(_) | Throttle::Inside => None,
    };
    let milliseconds = bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes));
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()).min(MOST_THROTTLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_classic_request_has_header_version_1() {
        let request = frame(ApiKey::Metadata, 1, 7, "kf", Rope::from(&b"body"[..])).map(|rope| rope.to_vec());
        let expected = [0, 0, 0, 16, 0, 3, 0, 1, 0, 0, 0, 7, 0, 2, b'k', b'f', b'b', b'o', b'd', b'y'];
        assert_eq!(request, Ok(expected.to_vec()));
    }

    #[test]
    fn a_flexible_request_has_tagged_fields_behind_the_client_id() {
        let request = frame(ApiKey::Metadata, 9, 7, "kf", Rope::new()).map(|rope| rope.to_vec());
        assert_eq!(request, Ok(vec![0, 0, 0, 13, 0, 3, 0, 9, 0, 0, 0, 7, 0, 2, b'k', b'f', 0]));
    }

    #[test]
    fn a_client_id_that_is_too_long_is_refused() {
        let request = frame(ApiKey::Metadata, 9, 7, &"x".repeat(40_000), Rope::new());
        assert_eq!(
            request.map_err(|error| error.to_string()),
            Err("the request can't be written: the client id has 40000 bytes".to_owned())
        );
    }

    #[test]
    fn an_answer_says_how_long_the_broker_is_mute() {
        let throttle = |api, version, body: &[u8]| throttle(api, version, body).as_millis();
        assert_eq!(throttle(ApiKey::Metadata, 3, &[0, 0, 3, 0xe8, 9, 9, 9, 9]), 1_000);
        assert_eq!(throttle(ApiKey::Metadata, 2, &[0, 0, 3, 0xe8, 9, 9, 9, 9]), 0);
        assert_eq!(throttle(ApiKey::Produce, 8, &[9, 9, 9, 9, 0, 0, 3, 0xe8]), 1_000);
        assert_eq!(throttle(ApiKey::ApiVersions, 3, &[0, 0, 3, 0xe8]), 0);
        assert_eq!(throttle(ApiKey::Fetch, 11, &[0xff; 4]), 0, "a negative one");
        assert_eq!(throttle(ApiKey::Fetch, 11, &[0x7f; 4]), MOST_THROTTLE.as_millis(), "24 days");
        assert_eq!(throttle(ApiKey::Fetch, 11, &[]), 0);
    }

    #[test]
    fn an_answers_body_starts_behind_its_header() {
        let answer = Bytes::from_static(&[0, 0, 0, 7, 0, 42]);
        assert_eq!(body(ApiKey::Metadata, 1, answer.clone()).as_deref(), Ok(&[0, 42][..]));
        assert_eq!(body(ApiKey::Metadata, 9, answer.clone()).as_deref(), Ok(&[42][..]));
        assert_eq!(body(ApiKey::ApiVersions, 3, answer).as_deref(), Ok(&[0, 42][..]));
        assert!(body(ApiKey::Metadata, 9, Bytes::from_static(&[0, 0, 0, 7])).is_err());
    }
}
