//! The four bytes in front of every request and answer: how many bytes follow.

/// The largest answer that is read into memory: 100 MiB, the brokers' own limit for requests (`socket.request.max.bytes`).
/// What other protocols send first (`HTTP`, a TLS record) is far above it as a length.
pub const CAP: usize = 100 << 20;

/// An answer's least length: its correlation id.
const LEAST: usize = 4;

/// A length that no answer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer claims {length} bytes, where 4 to {cap} are possible")]
pub struct FrameError {
    /// The four bytes as they came.
    pub head: [u8; 4],
    /// The length they claim.
    pub length: i32,
    /// The largest length that would have been taken.
    pub cap: usize,
}

/// The length of an answer from the four bytes in front of it, checked before anything is reserved for it.
pub fn length(head: [u8; 4], cap: usize) -> Result<usize, FrameError> {
    let length = i32::from_be_bytes(head);
    let possible = usize::try_from(length).ok().filter(|length| (LEAST..=cap).contains(length));
    possible.ok_or(FrameError { head, length, cap })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_possible_length_is_taken() {
        assert_eq!(length([0, 0, 1, 0], CAP), Ok(256));
        assert_eq!(length([0, 0, 1, 0], 256), Ok(256));
        for wrong in [[0, 0, 1, 1], [0, 0, 0, 3], [0xff; 4], *b"HTTP", [0x15, 3, 3, 0]] {
            assert!(length(wrong, 256).is_err(), "{wrong:?}");
        }
        assert_eq!(
            length(*b"HTTP", CAP).map_err(|error| error.to_string()),
            Err("the answer claims 1213486160 bytes, where 4 to 104857600 are possible".to_owned())
        );
    }
}
