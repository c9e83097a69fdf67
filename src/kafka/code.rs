//! The error codes of the Kafka protocol: number, name, and whether asking again can help.
//!
//! Source: the protocol guide's table of error codes, as of Apache Kafka 4.3. Produce is never repeated on the strength
//! of this table: an answer to it that is not certain goes to the lane as an event.

use std::fmt;

/// Whether a call that got this code may succeed if it is asked again, and what must be looked up first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Asking again gives the same answer.
    Never,
    /// The same broker may answer otherwise a little later.
    Later,
    /// The partition's leader must be looked up again first.
    Leader,
    /// The group's coordinator must be looked up again first.
    Coordinator,
}

/// A code as it came over the wire, known to the table or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

macro_rules! codes {
    ($($number:literal $name:ident $retry:ident)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!("Code ", stringify!($number), ".")]
                pub const $name: Self = Self($number);
            )*

            /// The name in the protocol guide; `None` for a code that is newer than this table.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Whether asking again can help; a code that is newer than the table is never repeated.
            pub const fn retry(self) -> Retry {
                match self {
                    $(Self::$name => Retry::$retry,)*
                    _ => Retry::Never,
                }
            }
        }
    };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR Never
    0 NONE Never
    1 OFFSET_OUT_OF_RANGE Never
    2 CORRUPT_MESSAGE Later
    3 UNKNOWN_TOPIC_OR_PARTITION Leader
    4 INVALID_FETCH_SIZE Never
    5 LEADER_NOT_AVAILABLE Leader
    6 NOT_LEADER_OR_FOLLOWER Leader
    7 REQUEST_TIMED_OUT Later
    8 BROKER_NOT_AVAILABLE Never
    9 REPLICA_NOT_AVAILABLE Leader
    10 MESSAGE_TOO_LARGE Never
    11 STALE_CONTROLLER_EPOCH Never
    12 OFFSET_METADATA_TOO_LARGE Never
    13 NETWORK_EXCEPTION Leader
    14 COORDINATOR_LOAD_IN_PROGRESS Later
    15 COORDINATOR_NOT_AVAILABLE Coordinator
    16 NOT_COORDINATOR Coordinator
    17 INVALID_TOPIC_EXCEPTION Never
    18 RECORD_LIST_TOO_LARGE Never
    19 NOT_ENOUGH_REPLICAS Later
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND Later
    21 INVALID_REQUIRED_ACKS Never
    22 ILLEGAL_GENERATION Never
    23 INCONSISTENT_GROUP_PROTOCOL Never
    24 INVALID_GROUP_ID Never
    25 UNKNOWN_MEMBER_ID Never
    26 INVALID_SESSION_TIMEOUT Never
    27 REBALANCE_IN_PROGRESS Later
    28 INVALID_COMMIT_OFFSET_SIZE Never
    29 TOPIC_AUTHORIZATION_FAILED Never
    30 GROUP_AUTHORIZATION_FAILED Never
    31 CLUSTER_AUTHORIZATION_FAILED Never
    32 INVALID_TIMESTAMP Never
    33 UNSUPPORTED_SASL_MECHANISM Never
    34 ILLEGAL_SASL_STATE Never
    35 UNSUPPORTED_VERSION Never
    36 TOPIC_ALREADY_EXISTS Never
    37 INVALID_PARTITIONS Never
    38 INVALID_REPLICATION_FACTOR Never
    39 INVALID_REPLICA_ASSIGNMENT Never
    40 INVALID_CONFIG Never
    41 NOT_CONTROLLER Leader
    42 INVALID_REQUEST Never
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT Never
    44 POLICY_VIOLATION Never
    45 OUT_OF_ORDER_SEQUENCE_NUMBER Never
    46 DUPLICATE_SEQUENCE_NUMBER Never
    47 INVALID_PRODUCER_EPOCH Never
    48 INVALID_TXN_STATE Never
    49 INVALID_PRODUCER_ID_MAPPING Never
    50 INVALID_TRANSACTION_TIMEOUT Never
    51 CONCURRENT_TRANSACTIONS Later
    52 TRANSACTION_COORDINATOR_FENCED Never
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED Never
    54 SECURITY_DISABLED Never
    55 OPERATION_NOT_ATTEMPTED Never
    56 KAFKA_STORAGE_ERROR Leader
    57 LOG_DIR_NOT_FOUND Never
    58 SASL_AUTHENTICATION_FAILED Never
    59 UNKNOWN_PRODUCER_ID Never
    60 REASSIGNMENT_IN_PROGRESS Never
    61 DELEGATION_TOKEN_AUTH_DISABLED Never
    62 DELEGATION_TOKEN_NOT_FOUND Never
    63 DELEGATION_TOKEN_OWNER_MISMATCH Never
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED Never
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED Never
    66 DELEGATION_TOKEN_EXPIRED Never
    67 INVALID_PRINCIPAL_TYPE Never
    68 NON_EMPTY_GROUP Never
    69 GROUP_ID_NOT_FOUND Never
    70 FETCH_SESSION_ID_NOT_FOUND Later
    71 INVALID_FETCH_SESSION_EPOCH Later
    72 LISTENER_NOT_FOUND Leader
    73 TOPIC_DELETION_DISABLED Never
    74 FENCED_LEADER_EPOCH Leader
    75 UNKNOWN_LEADER_EPOCH Later
    76 UNSUPPORTED_COMPRESSION_TYPE Never
    77 STALE_BROKER_EPOCH Never
    78 OFFSET_NOT_AVAILABLE Later
    79 MEMBER_ID_REQUIRED Never
    80 PREFERRED_LEADER_NOT_AVAILABLE Leader
    81 GROUP_MAX_SIZE_REACHED Never
    82 FENCED_INSTANCE_ID Never
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE Leader
    84 ELECTION_NOT_NEEDED Never
    85 NO_REASSIGNMENT_IN_PROGRESS Never
    86 GROUP_SUBSCRIBED_TO_TOPIC Never
    87 INVALID_RECORD Never
    88 UNSTABLE_OFFSET_COMMIT Later
    89 THROTTLING_QUOTA_EXCEEDED Later
    90 PRODUCER_FENCED Never
    91 RESOURCE_NOT_FOUND Never
    92 DUPLICATE_RESOURCE Never
    93 UNACCEPTABLE_CREDENTIAL Never
    94 INCONSISTENT_VOTER_SET Never
    95 INVALID_UPDATE_VERSION Never
    96 FEATURE_UPDATE_FAILED Never
    97 PRINCIPAL_DESERIALIZATION_FAILURE Never
    98 SNAPSHOT_NOT_FOUND Never
    99 POSITION_OUT_OF_RANGE Never
    100 UNKNOWN_TOPIC_ID Leader
    101 DUPLICATE_BROKER_REGISTRATION Never
    102 BROKER_ID_NOT_REGISTERED Never
    103 INCONSISTENT_TOPIC_ID Leader
    104 INCONSISTENT_CLUSTER_ID Never
    105 TRANSACTIONAL_ID_NOT_FOUND Never
    106 FETCH_SESSION_TOPIC_ID_ERROR Later
    107 INELIGIBLE_REPLICA Never
    108 NEW_LEADER_ELECTED Never
    109 OFFSET_MOVED_TO_TIERED_STORAGE Never
    110 FENCED_MEMBER_EPOCH Never
    111 UNRELEASED_INSTANCE_ID Never
    112 UNSUPPORTED_ASSIGNOR Never
    113 STALE_MEMBER_EPOCH Never
    114 MISMATCHED_ENDPOINT_TYPE Never
    115 UNSUPPORTED_ENDPOINT_TYPE Never
    116 UNKNOWN_CONTROLLER_ID Never
    117 UNKNOWN_SUBSCRIPTION_ID Never
    118 TELEMETRY_TOO_LARGE Never
    119 INVALID_REGISTRATION Never
    120 TRANSACTION_ABORTABLE Never
    121 INVALID_RECORD_STATE Never
    122 SHARE_SESSION_NOT_FOUND Later
    123 INVALID_SHARE_SESSION_EPOCH Later
    124 FENCED_STATE_EPOCH Never
    125 INVALID_VOTER_KEY Never
    126 DUPLICATE_VOTER Never
    127 VOTER_NOT_FOUND Never
    128 INVALID_REGULAR_EXPRESSION Never
    129 REBOOTSTRAP_REQUIRED Never
    130 STREAMS_INVALID_TOPOLOGY Never
    131 STREAMS_INVALID_TOPOLOGY_EPOCH Never
    132 STREAMS_TOPOLOGY_FENCED Never
    133 SHARE_SESSION_LIMIT_REACHED Later
}

impl ErrorCode {
    /// `Ok` for NONE, the code itself otherwise.
    pub const fn check(self) -> Result<(), Self> {
        match self {
            Self::NONE => Ok(()),
            other => Err(other),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "error code {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_by_name_and_an_unknown_one_by_number() {
        assert_eq!(ErrorCode(10).to_string(), "MESSAGE_TOO_LARGE");
        assert_eq!(ErrorCode(9_999).to_string(), "error code 9999");
        assert_eq!(ErrorCode(9_999).retry(), Retry::Never);
    }

    #[test]
    fn no_error_is_success() {
        assert_eq!(ErrorCode(0).check(), Ok(()));
        assert_eq!(ErrorCode(3).check(), Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    }
}
