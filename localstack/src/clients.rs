//! The AWS clients of the local stack itself: for the deployment and for the pollers, which wait longer for an answer
//! than a function may.

use aws_sdk_cloudformation::config::{BehaviorVersion, Credentials, Region, SharedHttpClient, timeout::TimeoutConfig};

use crate::template::REGION;

/// The access key of everything local. It is not twelve digits, so that its account is the default one.
pub(crate) const ACCESS_KEY: &str = "test";

/// Clients of one endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) endpoint: String,
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
}

/// The configuration of one SDK crate; each has a builder type of its own.
macro_rules! config {
    ($sdk:ident, $endpoint:expr, $http:expr) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(REGION))
                .credentials_provider(Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "local stack"))
                .endpoint_url($endpoint)
                .http_client($http)
                .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(LONGEST_CALL).build())
                .build(),
        )
    };
}

/// A queue's long poll takes up to 20 seconds.
const LONGEST_CALL: std::time::Duration = std::time::Duration::from_secs(30);

impl Clients {
    /// Nothing is connected yet.
    pub(crate) fn new(endpoint: &str) -> Self {
        let http: SharedHttpClient = shared::aws::http_client(Some(endpoint));
        Self {
            endpoint: endpoint.to_owned(),
            cloudformation: config!(aws_sdk_cloudformation, endpoint, http.clone()),
            dynamo: config!(aws_sdk_dynamodb, endpoint, http.clone()),
            streams: config!(aws_sdk_dynamodbstreams, endpoint, http.clone()),
            sqs: config!(aws_sdk_sqs, endpoint, http),
        }
    }
}
