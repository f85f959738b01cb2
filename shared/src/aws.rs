//! The AWS SDK's clients: one HTTP client with one TLS provider (ring) and one short list of roots,
//! credentials from the function's environment, and a count of the calls each request makes.
//!
//! `aws-config` and its chain of credential providers are left out: a Lambda always has its role's credentials in
//! its environment, and so has the local stack.

mod connect;
mod secrets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedHttpClient;

pub use self::connect::connect;
pub use self::secrets::{SecretError, Secrets};
use crate::config::{ConfigError, Environment, Secret};

/// Amazon Trust Services' roots (<https://www.amazontrust.com/repository/>): all that AWS endpoints chain to.
const ROOTS: &[u8] = include_bytes!("aws_roots.pem");

/// The clients of one function. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aws {
    /// DynamoDB.
    pub dynamo: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// Secrets Manager.
    pub secrets: Secrets,
}

impl Aws {
    /// Builds the clients from `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`
    /// and, for the local stack, `AWS_ENDPOINT_URL`. Nothing is connected yet.
    pub fn new(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = environment.reader();
        let region: String = reader.required("AWS_REGION");
        let access_key: String = reader.required("AWS_ACCESS_KEY_ID");
        let secret_key: Secret = reader.required("AWS_SECRET_ACCESS_KEY");
        let session_token: Option<Secret> = reader.optional("AWS_SESSION_TOKEN");
        let endpoint: Option<String> = reader.optional("AWS_ENDPOINT_URL");
        reader.finish()?;

        let credentials = Credentials::new(
            access_key,
            secret_key.expose(),
            session_token.map(|token| token.expose().to_owned()),
            None,
            "environment",
        );
        let config = aws_types::SdkConfig::builder()
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client(endpoint.as_deref()))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(aws_smithy_async::time::SystemTimeSource::new())
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)))
            .timeout_config(
                // Of one call, with all its attempts: shorter than the time-out of any function.
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(1))
                    .operation_attempt_timeout(Duration::from_secs(3))
                    .operation_timeout(Duration::from_secs(8))
                    .build(),
            )
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest());
        let local = endpoint.is_some();
        let config = match endpoint {
            Some(endpoint) => config.endpoint_url(endpoint).build(),
            None => config.build(),
        };
        Ok(Self {
            dynamo: aws_sdk_dynamodb::Client::from_conf(
                aws_sdk_dynamodb::config::Builder::from(&config)
                    .interceptor(CountCalls)
                    .retry_partition(retries())
                    .build(),
            ),
            sqs: aws_sdk_sqs::Client::from_conf(
                aws_sdk_sqs::config::Builder::from(&config).interceptor(CountCalls).retry_partition(retries()).build(),
            ),
            sns: aws_sdk_sns::Client::from_conf(
                aws_sdk_sns::config::Builder::from(&config).interceptor(CountCalls).retry_partition(retries()).build(),
            ),
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&config)
                    // The bucket in the path, not in the host's name: the local stack's host has no names below it.
                    .force_path_style(local)
                    .interceptor(CountCalls)
                    .retry_partition(retries())
                    .build(),
            ),
            secrets: Secrets::new(aws_sdk_secretsmanager::Client::from_conf(
                aws_sdk_secretsmanager::config::Builder::from(&config)
                    .interceptor(CountCalls)
                    .retry_partition(retries())
                    .build(),
            )),
        })
    }
}

/// An allowance of retries for one client. The library's default is one for the whole process, in which the local stack
/// and the tests run many functions.
fn retries() -> RetryPartition {
    RetryPartition::custom("client").build()
}

/// The HTTP client of every SDK client. An `http://` endpoint (the local stack's) needs no TLS.
pub fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        return builder.build_http();
    }
    let builder = builder.tls_provider(Provider::Rustls(CryptoMode::Ring));
    match TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(ROOTS)).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        Err(error) => {
            tracing::error!(%error, "the built-in AWS roots were refused; the machine's own are used");
            builder.build_https()
        }
    }
}

/// How many AWS calls (attempts included) and DynamoDB capacity units a request has used.
/// One is set for each invocation by [`count`].
#[derive(Debug, Default)]
pub struct Usage {
    calls: AtomicU64,
    /// Tenths of a unit, as eventually consistent reads cost half of one.
    read_tenths: AtomicU64,
    write_tenths: AtomicU64,
}

impl Usage {
    /// Calls sent, each retry counted.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// DynamoDB read capacity units.
    #[allow(clippy::cast_precision_loss)] // a request uses far fewer than 2^52 units
    pub fn read_units(&self) -> f64 {
        self.read_tenths.load(Ordering::Relaxed) as f64 / 10.0
    }

    /// DynamoDB write capacity units.
    #[allow(clippy::cast_precision_loss)] // as above
    pub fn write_units(&self) -> f64 {
        self.write_tenths.load(Ordering::Relaxed) as f64 / 10.0
    }
}

tokio::task_local! {
    static USAGE: Arc<Usage>;
}

/// Runs `work` and adds what it uses to `usage`.
pub async fn count<F: Future>(usage: Arc<Usage>, work: F) -> F::Output {
    USAGE.scope(usage, work).await
}

/// Adds consumed capacity to the running invocation's usage.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // units are small and positive
pub(crate) fn add_capacity(read: f64, write: f64) {
    let _ = USAGE.try_with(|usage| {
        usage.read_tenths.fetch_add((read * 10.0).round() as u64, Ordering::Relaxed);
        usage.write_tenths.fetch_add((write * 10.0).round() as u64, Ordering::Relaxed);
    });
}

/// Counts each attempt that is sent.
#[derive(Debug)]
struct CountCalls;

#[dyn_dispatch_hint]
impl Intercept for CountCalls {
    fn name(&self) -> &'static str {
        "CountCalls"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let _ = USAGE.try_with(|usage| usage.calls.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}
