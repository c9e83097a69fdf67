//! Reads a batch as a consumer would, by the embedded broker's code, and says what a broker would not like about it.

use crate::broker::Codec;
use crate::broker::batch::{Header, OVERHEAD, attribute, crc_matches, walk};
use crate::lab::record::{self, Record};

/// A batch that was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its header.
    pub header: Header,
    /// Its codec.
    pub codec: Codec,
    /// Its records, with the offsets and times that consumers are shown.
    pub records: Vec<Record>,
}

/// Reads one whole batch of magic 2.
///
/// # Errors
/// Why it is none.
pub fn read(bytes: &[u8]) -> Result<Read, String> {
    let header = Header::read(bytes).ok_or("shorter than a header")?;
    if header.magic != 2 || header.size() != bytes.len() {
        return Err(format!("magic {} and a size of {} in {} bytes", header.magic, header.size(), bytes.len()));
    }
    if !crc_matches(bytes) {
        return Err("the CRC is wrong".to_owned());
    }
    let codec = Codec::from_id(header.codec()).ok_or("an unknown codec")?;
    let packed = &bytes[OVERHEAD..];
    // Of a batch without records the cleaner leaves the codec's bits and nothing to unpack.
    let plain =
        if packed.is_empty() { Vec::new() } else { codec.decompress(packed).map_err(|cause| cause.to_string())? };
    let stored = walk(&plain, header.count)?;
    let append_time = header.has(attribute::APPEND_TIME);
    let shown = |stored: &crate::broker::batch::Record<'_>| {
        let headers = stored.each_header()?.into_iter();
        let bytes = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        Ok(Record {
            offset: header.base_offset + i64::from(stored.offset_delta),
            timestamp: if append_time { header.max_timestamp } else { header.base_timestamp + stored.timestamp_delta },
            append_time,
            key: bytes(stored.key),
            value: bytes(stored.value),
            headers: headers.map(|(key, value)| record::Header { key: key.to_vec(), value: bytes(value) }).collect(),
        })
    };
    let records = stored.iter().map(shown).collect::<Result<_, crate::broker::batch::Malformed>>()?;
    Ok(Read { header, codec, records })
}

/// What a broker would refuse about a batch in a Produce request, or store wrongly.
pub fn complaint(read: &Read) -> Option<String> {
    let header = &read.header;
    let forbidden = header.attributes & !attribute::CODEC;
    let deltas = read.records.iter().map(|record| record.offset).eq(0..i64::from(header.count));
    match () {
        () if header.base_offset != 0 => Some(format!("base offset {}", header.base_offset)),
        () if header.count < 1 => Some("no records".to_owned()),
        () if header.last_offset_delta + 1 != header.count => {
            Some(format!("lastOffsetDelta {} of {} records", header.last_offset_delta, header.count))
        }
        () if !deltas => Some("offset deltas that don't count from 0".to_owned()),
        () if forbidden != 0 => Some(format!("attribute bits {forbidden:#x}")),
        () => None,
    }
}
