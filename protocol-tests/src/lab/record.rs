//! Records as a consumer sees them, and digests of many.

use serde_json::{Value, json};

/// One record, raw bytes throughout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its offset; set by the broker, ignored when writing.
    pub offset: i64,
    /// Milliseconds since 1970, the time a consumer is shown.
    pub timestamp: i64,
    /// Whether that time is the broker's (LogAppendTime) rather than the producer's.
    pub append_time: bool,
    /// `None` is Kafka's null, which is not empty.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In order, duplicates kept.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The key, as it stands on the wire.
    pub key: Vec<u8>,
    /// `None` is null.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// A record with a key and a value.
    pub fn new(timestamp: i64, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let [key, value] = [key.as_ref(), value.as_ref()].map(|bytes| Some(bytes.to_vec()));
        Self { timestamp, key, value, ..Self::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, key: impl AsRef<[u8]>, value: Option<&[u8]>) -> Self {
        self.headers.push(Header { key: key.as_ref().to_vec(), value: value.map(<[u8]>::to_vec) });
        self
    }

    /// The same record at another offset, for comparing what was written with what is read.
    #[must_use]
    pub fn at(mut self, offset: i64) -> Self {
        self.offset = offset;
        self
    }

    /// As the Java tool writes and reads it: bytes in hexadecimal.
    pub fn to_json(&self) -> Value {
        let headers: Vec<Value> =
            self.headers.iter().map(|header| json!([hex(&header.key), header.value.as_deref().map(hex)])).collect();
        json!({
            "timestamp": self.timestamp,
            "key": self.key.as_deref().map(hex),
            "value": self.value.as_deref().map(hex),
            "headers": headers,
        })
    }

    /// From the Java tool.
    pub fn from_json(json: &Value) -> Self {
        let headers = json["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            offset: json["offset"].as_i64().expect("an offset"),
            timestamp: json["timestamp"].as_i64().expect("a timestamp"),
            append_time: json["timestampType"] == "LogAppendTime",
            key: json["key"].as_str().map(unhex),
            value: json["value"].as_str().map(unhex),
            headers: (headers.iter())
                .map(|pair| Header {
                    key: pair[0].as_str().map(unhex).expect("a header key"),
                    value: pair[1].as_str().map(unhex),
                })
                .collect(),
        }
    }
}

/// What a large range of records boils down to: two logs with the same digest hold the same records in the same order.
/// Offsets are left out, so that a copy's digest equals its source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many records.
    pub count: u64,
    /// CRC-32C over timestamp, key, value and headers of each, lengths included.
    pub crc: u32,
}

impl Digest {
    /// The digest of `records`.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut digest = Self::default();
        for record in records {
            digest.add(record);
        }
        digest
    }

    /// Takes one more record in.
    pub fn add(&mut self, record: &Record) {
        let mut bytes = record.timestamp.to_be_bytes().to_vec();
        put(&mut bytes, record.key.as_deref());
        put(&mut bytes, record.value.as_deref());
        bytes.extend(length(record.headers.len()));
        for header in &record.headers {
            put(&mut bytes, Some(&header.key));
            put(&mut bytes, header.value.as_deref());
        }
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        self.count += 1;
    }
}

fn put(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => out.extend((-1_i32).to_be_bytes()),
        Some(bytes) => {
            out.extend(length(bytes.len()));
            out.extend(bytes);
        }
    }
}

fn length(len: usize) -> [u8; 4] {
    i32::try_from(len).expect("a field below 2 GiB").to_be_bytes()
}

/// Records made up from a number, the same ones here and in the Java tool.
#[derive(Clone, Debug)]
pub struct Fill {
    /// How many.
    pub count: u64,
    /// Bytes of each value.
    pub size: usize,
    /// Other seeds give other values.
    pub seed: u64,
    /// The first timestamp; each record is one millisecond later than the one before.
    pub timestamp: i64,
}

impl Fill {
    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        (0..self.count).map(|index| {
            let timestamp = self.timestamp + i64::try_from(index).expect("a count below 2^63");
            Record::new(timestamp, format!("key-{index}"), self.value(index))
        })
    }

    /// Sixteen letters, so that codecs have something to do: splitmix64, one letter for each four bits.
    fn value(&self, index: u64) -> Vec<u8> {
        let mut state = self.seed.wrapping_add(index.wrapping_mul(0x2545_F491_4F6C_DD1D));
        let mut value = Vec::with_capacity(self.size + 16);
        while value.len() < self.size {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word ^= word >> 31;
            value.extend((0..16).map(|letter| b'a' + ((word >> (4 * letter)) & 15) as u8));
        }
        value.truncate(self.size);
        value
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal.
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::{Digest, Record};

    #[test]
    fn a_digest_tells_null_from_empty_and_one_order_from_another() {
        let [a, b] = ["a", "b"].map(|key| Record::new(1, key, ""));
        let null = Record { value: None, ..a.clone() };
        assert_eq!(Digest::of([&a, &b]), Digest::of([&a.clone().at(7), &b]));
        assert_ne!(Digest::of([&a, &b]), Digest::of([&b, &a]));
        assert_ne!(Digest::of([&a]), Digest::of([&null]));
        assert_ne!(Digest::of([&a]), Digest::of([&a.clone().with_header("h", None)]));
    }

    #[test]
    fn a_record_survives_the_way_through_json() {
        let mut record = Record::new(5, [0, 255], "v").with_header([0xC3, 0x28], None).with_header("h", Some(b""));
        record.key = None;
        let mut json = record.to_json();
        json["offset"] = 9.into();
        assert_eq!(Record::from_json(&json), record.at(9));
    }
}
