//! Message sets as an old client would have written them.

use crate::batch::codec::Codec;
use crate::batch::testing::Model;

/// A message as brokers before record batches stored it.
pub(crate) fn message(magic: i8, attributes: i8, model: &Model) -> Vec<u8> {
    let mut covered = vec![magic.cast_unsigned(), attributes.cast_unsigned()];
    if magic == 1 {
        covered.extend(model.timestamp.to_be_bytes());
    }
    for field in [&model.key, &model.value] {
        covered.extend(field.as_ref().map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        covered.extend(field.iter().flatten());
    }
    let mut crc = flate2::Crc::new();
    crc.update(&covered);
    let size = covered.len() as i32 + 4;
    [&model.offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.sum().to_be_bytes(), &covered].concat()
}

/// A compressed set of the models, whose offsets count from `base`.
pub(crate) fn wrapper(magic: i8, attributes: i8, codec: Codec, models: &[Model], base: i64, timestamp: i64) -> Vec<u8> {
    let inner_base = if magic == 0 { base } else { 0 };
    let inner = |model: &Model| message(magic, 0, &Model { offset: inner_base + model.offset, ..model.clone() });
    let set: Vec<u8> = models.iter().flat_map(inner).collect();
    let value = Some(codec.encode(set).expect("compressed"));
    let offset = base + models.last().expect("a model").offset;
    let attributes = attributes | codec.bits() as i8;
    message(magic, attributes, &Model { offset, timestamp, key: None, value, headers: Vec::new() })
}
