//! DescribeConfigs: the configs of topics and brokers. Version 0 is written by hand (the library begins at 1); version 1
//! added where a value comes from (KIP-226).

use super::{owned, string, write};
use crate::kafka::{BrokerId, ErrorCode, TopicName};
use crate::wire::fetch::{put_count, put_string};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{DescribeConfigsRequest, describe_configs_request::DescribeConfigsResource};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

/// What has configs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Resource {
    /// A topic.
    Topic(TopicName),
    /// A broker, which alone answers for itself.
    Broker(BrokerId),
}

impl Resource {
    fn parts(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (TOPIC, name.to_string()),
            Self::Broker(id) => (BROKER, id.to_string()),
        }
    }
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Asks for the configs of some resources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeConfigs {
    /// Topics, or the one broker that is asked.
    pub resources: Vec<Resource>,
    /// The configs that are asked for by name, at least one; `None` for all. A name that the broker does not know is no
    /// error: the answer lacks it.
    pub names: Option<&'static [&'static str]>,
}

/// A broker's answer to [`DescribeConfigs`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeConfigsAnswer {
    /// One entry per resource.
    pub resources: Vec<ResourceConfigs>,
}

/// The configs of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceConfigs {
    /// Whose; `None` for a kind that was not asked for.
    pub resource: Option<Resource>,
    /// NONE, or why there are none.
    pub error: ErrorCode,
    /// The broker's own words about the error.
    pub message: Option<String>,
    /// The configs by name.
    pub entries: BTreeMap<String, ConfigEntry>,
}

/// Where a config's value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on the broker at run time.
    DynamicBroker,
    /// Set for all brokers at run time.
    DynamicDefaultBroker,
    /// From the broker's file.
    StaticBroker,
    /// Kafka's own default.
    Default,
    /// Something else, or a broker of version 0 that says only that it is no default.
    Other,
}

/// One config of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// Its effective value; `None` for sensitive ones and those without a value.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether the value is hidden.
    pub sensitive: bool,
}

impl ConfigEntry {
    /// Whether the value is not set on the resource itself: a topic inherits it from its broker.
    pub fn is_default(&self) -> bool {
        matches!(self.source, ConfigSource::Default | ConfigSource::StaticBroker | ConfigSource::DynamicDefaultBroker)
    }
}

impl Request for DescribeConfigs {
    const API: ApiKey = ApiKey::DescribeConfigs;
    type Answer = DescribeConfigsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        if version == 0 {
            return self.encode_0();
        }
        let keys = self.names.map(|names| names.iter().copied().map(StrBytes::from_static_str).collect::<Vec<_>>());
        let resource = |resource: &Resource| {
            let (kind, name) = resource.parts();
            DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(string(&name))
                .with_configuration_keys(keys.clone())
        };
        let resources = self.resources.iter().map(resource).collect();
        write(&DescribeConfigsRequest::default().with_resources(resources), version)
    }

    fn decode(version: i16, body: Bytes) -> Result<DescribeConfigsAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        let resources = reader.array("results", |reader| resource(version, reader))?;
        Ok(DescribeConfigsAnswer { resources })
    }
}

impl DescribeConfigs {
    fn encode_0(&self) -> Result<Rope, WireError> {
        let mut out = Vec::new();
        put_count(&mut out, self.resources.len())?;
        for (kind, name) in self.resources.iter().map(Resource::parts) {
            out.put_i8(kind);
            put_string(&mut out, "resource_name", &name)?;
            let Some(names) = self.names else {
                out.put_i32(-1); // config_names: all
                continue;
            };
            put_count(&mut out, names.len())?;
            for name in names {
                put_string(&mut out, "config_name", name)?;
            }
        }
        Ok(Rope::from(out))
    }
}

fn resource(version: i16, reader: &mut Reader<'_>) -> Result<ResourceConfigs, WireError> {
    let error = reader.code()?;
    let message = owned(reader.nullable_text("error_message")?);
    let kind = reader.i8("resource_type")?;
    let name = reader.text("resource_name")?;
    let resource = match kind {
        TOPIC => Some(Resource::Topic(TopicName::from(name))),
        BROKER => name.parse().ok().map(|id| Resource::Broker(BrokerId(id))),
        _ => None,
    };
    let entries = reader.array("configs", |reader| entry(version, kind, reader))?;
    reader.tags()?;
    Ok(ResourceConfigs { resource, error, message, entries: entries.into_iter().collect() })
}

fn entry(version: i16, kind: i8, reader: &mut Reader<'_>) -> Result<(String, ConfigEntry), WireError> {
    let name = reader.text("config name")?.to_owned();
    let value = owned(reader.nullable_text("config value")?);
    reader.bool("read_only")?;
    let source = match version {
        0 if reader.bool("is_default")? => ConfigSource::Default,
        0 if kind == TOPIC => ConfigSource::DynamicTopic,
        0 => ConfigSource::Other,
        _ => source(reader.i8("config_source")?),
    };
    let sensitive = reader.bool("is_sensitive")?;
    if version >= 1 {
        reader.array("synonyms", |reader| {
            reader.text("synonym")?;
            reader.nullable_text("synonym's value")?;
            reader.i8("synonym's source")?;
            reader.tags()
        })?;
    }
    if version >= 3 {
        reader.i8("config_type")?;
        reader.nullable_text("documentation")?;
    }
    reader.tags()?;
    Ok((name, ConfigEntry { value, source, sensitive }))
}

const fn source(number: i8) -> ConfigSource {
    match number {
        1 => ConfigSource::DynamicTopic,
        2 => ConfigSource::DynamicBroker,
        3 => ConfigSource::DynamicDefaultBroker,
        4 => ConfigSource::StaticBroker,
        5 => ConfigSource::Default,
        _ => ConfigSource::Other,
    }
}
