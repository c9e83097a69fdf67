//! FindCoordinator: which broker keeps a group's offsets. From version 4 on for many groups at once (KIP-699).

use super::{owned, string, write};
use crate::kafka::{BrokerId, ErrorCode, GroupId};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::FindCoordinatorRequest;

/// Asks for the coordinators of groups; before version 4 exactly one group can be named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindCoordinator {
    /// The groups.
    pub groups: Vec<GroupId>,
}

/// A broker's answer to [`FindCoordinator`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindCoordinatorAnswer {
    /// One entry per group.
    pub coordinators: Vec<Coordinator>,
}

/// One group's coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coordinator {
    /// The group; before version 4 the answer does not repeat it.
    pub group: Option<GroupId>,
    /// Why there is none, or NONE.
    pub error: ErrorCode,
    /// The broker's own words about the error.
    pub message: Option<String>,
    /// The coordinator's node id; meaningless with an error.
    pub broker: BrokerId,
    /// The host it advertises.
    pub host: String,
    /// The port it advertises.
    pub port: i32,
}

impl Request for FindCoordinator {
    const API: ApiKey = ApiKey::FindCoordinator;
    type Answer = FindCoordinatorAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let mut keys = self.groups.iter().map(|group| string(group.as_str()));
        let request = FindCoordinatorRequest::default();
        if version >= 4 {
            return write(&request.with_coordinator_keys(keys.collect()), version);
        }
        match (keys.next(), keys.next()) {
            (Some(key), None) => write(&request.with_key(key), version),
            _ => Err(WireError::Unwritable { reason: format!("version {version} asks for one group at a time") }),
        }
    }

    fn decode(version: i16, body: Bytes) -> Result<FindCoordinatorAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        if version >= 1 {
            reader.throttle()?;
        }
        if version >= 4 {
            let coordinators = reader.array("coordinators", batched)?;
            return Ok(FindCoordinatorAnswer { coordinators });
        }
        let error = reader.code()?;
        let message = if version >= 1 { owned(reader.nullable_text("error_message")?) } else { None };
        let broker = BrokerId(reader.i32("node_id")?);
        let host = reader.text("host")?.to_owned();
        let port = reader.i32("port")?;
        Ok(FindCoordinatorAnswer {
            coordinators: vec![Coordinator { group: None, error, message, broker, host, port }],
        })
    }
}

fn batched(reader: &mut Reader<'_>) -> Result<Coordinator, WireError> {
    let group = Some(GroupId::from(reader.text("key")?));
    let broker = BrokerId(reader.i32("node_id")?);
    let host = reader.text("host")?.to_owned();
    let port = reader.i32("port")?;
    let error = reader.code()?;
    let message = owned(reader.nullable_text("error_message")?);
    reader.tags()?;
    Ok(Coordinator { group, error, message, broker, host, port })
}
