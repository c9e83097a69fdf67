//! ApiVersions: what a broker speaks. Version 3 says who asks (KIP-511).

use super::{Reader, string, write};
use crate::kafka::ErrorCode;
use crate::wire::{ApiKey, Request, Rope, VersionRange, Versions, WireError};
use bytes::Bytes;
use kafka_protocol::messages::ApiVersionsRequest;

/// Asks for the APIs and versions of a broker; the first request on every connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiVersions;

/// A broker's answer to [`ApiVersions`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiVersionsAnswer {
    /// UNSUPPORTED_VERSION where the broker does not speak the version of the request.
    pub error: ErrorCode,
    /// What it speaks.
    pub versions: Versions,
}

impl Request for ApiVersions {
    const API: ApiKey = ApiKey::ApiVersions;
    type Answer = ApiVersionsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request = request
                .with_client_software_name(string(env!("CARGO_PKG_NAME")))
                .with_client_software_version(string(env!("CARGO_PKG_VERSION")));
        }
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<ApiVersionsAnswer, WireError> {
        // A broker that does not speak this version refuses it in version 0, which begins with the same code.
        let error = Reader::new(&body, false).code()?;
        let version = if error == ErrorCode::UNSUPPORTED_VERSION { 0 } else { version };
        let mut reader = super::reader::<Self>(version, &body);
        reader.code()?;
        let listed = reader.array("api_keys", |reader| {
            let number = reader.i16("api_key")?;
            let range = VersionRange { min: reader.i16("min_version")?, max: reader.i16("max_version")? };
            reader.tags()?;
            Ok((number, range))
        })?;
        Ok(ApiVersionsAnswer { error, versions: Versions::new(listed) })
    }
}
