//! What kferry's speed is measured with.

pub mod peers;
