//! Keeps an embedded cluster up until stdin ends, for a person or another client to talk to.

use std::io::Read;

use protocol_tests::broker::{Embedded, Version};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let version = match arguments.next().as_deref() {
        Some("2.8.2") => Version::V2_8,
        _ => Version::V4_1,
    };
    let nodes = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1);
    let cluster = Embedded::start(version, nodes)?;
    cluster.with_core(|core| core.set_broker_config("auto.create.topics.enable", "true"));
    std::fs::write("/dev/stdout", format!("{}\n", cluster.bootstrap().join(",")))?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
