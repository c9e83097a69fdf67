//! ListGroups, and DescribeGroups for groups of the classic protocol.
//!
//! ListGroups: version 4 added the state (KIP-518), 5 the type (KIP-848). DescribeGroups answers the state `Dead` for a
//! group that does not exist or that is not of the classic protocol.

use super::{string, write};
use crate::kafka::{ErrorCode, GroupId};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::{DescribeGroupsRequest, ListGroupsRequest};

/// Asks a broker for the groups it coordinates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListGroups;

/// A broker's answer to [`ListGroups`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListGroupsAnswer {
    /// NONE, or why there is no list.
    pub error: ErrorCode,
    /// The groups that the caller may see.
    pub groups: Vec<ListedGroup>,
}

/// One group of a [`ListGroupsAnswer`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// Its id.
    pub id: GroupId,
    /// `consumer`, `connect`, ...; empty for a group that only has offsets.
    pub protocol_type: String,
    /// `Stable`, `Empty`, ...; not known before version 4.
    pub state: Option<String>,
    /// `classic`, `consumer`, `share`, `streams`; not known before version 5.
    pub kind: Option<String>,
}

impl Request for ListGroups {
    const API: ApiKey = ApiKey::ListGroups;
    type Answer = ListGroupsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        write(&ListGroupsRequest::default(), version)
    }

    fn decode(version: i16, body: Bytes) -> Result<ListGroupsAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        if version >= 1 {
            reader.throttle()?;
        }
        let error = reader.code()?;
        let groups = reader.array("groups", |reader| {
            let id = GroupId::from(reader.text("group_id")?);
            let protocol_type = reader.text("protocol_type")?.to_owned();
            let state = if version >= 4 { Some(reader.text("group_state")?.to_owned()) } else { None };
            let kind = if version >= 5 { Some(reader.text("group_type")?.to_owned()) } else { None };
            reader.tags()?;
            Ok(ListedGroup { id, protocol_type, state, kind })
        })?;
        Ok(ListGroupsAnswer { error, groups })
    }
}

/// Asks a coordinator about groups of the classic protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeGroups {
    /// The groups.
    pub groups: Vec<GroupId>,
}

/// A coordinator's answer to [`DescribeGroups`] and its siblings of the newer protocols.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeGroupsAnswer {
    /// One entry per group.
    pub groups: Vec<DescribedGroup>,
}

/// One group of a [`DescribeGroupsAnswer`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    /// Its id.
    pub id: GroupId,
    /// NONE, or why the rest is missing.
    pub error: ErrorCode,
    /// The broker's own words about the error.
    pub message: Option<String>,
    /// `Stable`, `Empty`, `Dead`, ...
    pub state: String,
    /// `consumer`, `connect`, ...; empty for an empty group.
    pub protocol_type: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The id the coordinator gave it.
    pub id: String,
    /// What it calls itself.
    pub client_id: String,
    /// The host it connected from, as the broker saw it: `/10.0.0.7`.
    pub host: String,
    /// What it told the group when it joined; empty in the newer protocols.
    pub metadata: Bytes,
}

impl Request for DescribeGroups {
    const API: ApiKey = ApiKey::DescribeGroups;
    type Answer = DescribeGroupsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let groups = self.groups.iter().map(|group| string(group.as_str()).into()).collect();
        write(&DescribeGroupsRequest::default().with_groups(groups), version)
    }

    fn decode(version: i16, body: Bytes) -> Result<DescribeGroupsAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        if version >= 1 {
            reader.throttle()?;
        }
        let groups = reader.array("groups", |reader| classic(version, reader))?;
        Ok(DescribeGroupsAnswer { groups })
    }
}

fn classic(version: i16, reader: &mut Reader<'_>) -> Result<DescribedGroup, WireError> {
    let error = reader.code()?;
    let id = GroupId::from(reader.text("group_id")?);
    let state = reader.text("group_state")?.to_owned();
    let protocol_type = reader.text("protocol_type")?.to_owned();
    reader.text("protocol_data")?;
    let members = reader.array("members", |reader| {
        let id = reader.text("member_id")?.to_owned();
        if version >= 4 {
            reader.nullable_text("group_instance_id")?;
        }
        let client_id = reader.text("client_id")?.to_owned();
        let host = reader.text("client_host")?.to_owned();
        // A copy: a group's description outlives the frame it came in.
        let metadata = Bytes::copy_from_slice(reader.nullable_bytes("member_metadata")?.unwrap_or_default());
        reader.nullable_bytes("member_assignment")?;
        reader.tags()?;
        Ok(Member { id, client_id, host, metadata })
    })?;
    if version >= 3 {
        reader.i32("authorized_operations")?;
    }
    reader.tags()?;
    Ok(DescribedGroup { id, error, message: None, state, protocol_type, members })
}
