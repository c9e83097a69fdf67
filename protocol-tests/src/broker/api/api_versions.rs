//! ApiVersions. 1 throttle time; 3 flexible, client name, features; 4 features with minimum 0.
//! A version that is too new is answered in version 0 with UNSUPPORTED_VERSION and the ranges (KIP-511); before that KIP
//! without them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;
use crate::broker::version::Version;

pub(crate) fn handle(core: &mut Core, call: &Call, _: ApiVersionsRequest) -> Step {
    call.reply(&response(core))
}

pub(crate) fn too_new(core: &Core, call: &Call) -> Step {
    let ranges = if core.version == Version::V0_10 { ApiVersionsResponse::default() } else { response(core) };
    call.reply_in(0, &ranges.with_error_code(ResponseError::UnsupportedVersion.code()))
}

fn response(core: &Core) -> ApiVersionsResponse {
    let served = core.version.served().iter();
    let keys = served.map(|(key, low, high)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*low).with_max_version(*high)
    });
    let answer = ApiVersionsResponse::default().with_api_keys(keys.collect());
    let level = core.transaction_version();
    if level == 0 {
        return answer;
    }
    let name = || text("transaction.version");
    let supported = SupportedFeatureKey::default().with_name(name()).with_min_version(0).with_max_version(level);
    let finalized =
        FinalizedFeatureKey::default().with_name(name()).with_min_version_level(level).with_max_version_level(level);
    answer
        .with_supported_features(vec![supported])
        .with_finalized_features_epoch(1)
        .with_finalized_features(vec![finalized])
}
