//! S3 behind plain, boxed functions: objects of one bucket, whose keys begin with their tenant.

mod upload;

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::future::try_join_all;

pub use self::upload::{Upload, Uploaded};
use crate::http::Problem;
use crate::id::TenantId;
use crate::time::Timestamp;
use crate::{BoxError, BoxFuture};

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// S3 is down, throttles, or did not answer in time; the SDK's retries are used up.
    #[error("S3 is not available")]
    Unavailable(#[source] BoxError),
    /// A call that cannot succeed: a fault in the code or the permissions.
    #[error("S3 refused the call")]
    Refused(#[source] BoxError),
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unavailable(_) => Self::unavailable(error),
            BlobError::Refused(_) => Self::internal(error),
        }
    }
}

/// The longest time for which a URL of an object is valid.
pub const LONGEST_URL_TIME: Duration = Duration::from_mins(5);

/// A bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    s3: Client,
    bucket: String,
}

impl Blobs {
    /// The bucket of this name.
    pub const fn new(s3: Client, bucket: String) -> Self {
        Self { s3, bucket }
    }

    /// Writes an object, over what is there.
    pub fn put<'a>(
        &'a self,
        tenant: &TenantId,
        name: &str,
        content_type: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        let call = self.s3.put_object().bucket(&self.bucket).key(key(tenant, name)).content_type(content_type);
        Box::pin(async move { call.body(ByteStream::from(bytes)).send().await.map(drop).map_err(sorted) })
    }

    /// Begins an object whose size is not known before, over what is there.
    pub fn upload(&self, tenant: &TenantId, name: &str, content_type: &'static str) -> Upload {
        Upload::new(self.clone(), key(tenant, name), content_type)
    }

    /// Reads a whole object; none when there is none.
    pub fn get(&self, tenant: &TenantId, name: &str) -> BoxFuture<'_, Result<Option<Bytes>, BlobError>> {
        let call = self.s3.get_object().bucket(&self.bucket).key(key(tenant, name));
        Box::pin(async move {
            let answer = match call.send().await {
                Ok(answer) => answer,
                Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
                Err(error) => return Err(sorted(error)),
            };
            let body = answer.body.collect().await.map_err(|error| BlobError::Unavailable(error.into()))?;
            Ok(Some(body.into_bytes()))
        })
    }

    /// Removes an object. That there is none is no error.
    pub fn delete(&self, tenant: &TenantId, name: &str) -> BoxFuture<'_, Result<(), BlobError>> {
        let call = self.s3.delete_object().bucket(&self.bucket).key(key(tenant, name));
        Box::pin(async move { call.send().await.map(drop).map_err(sorted) })
    }

    /// Removes all objects whose names begin with `prefix`. It needs `s3:ListBucket`.
    pub fn delete_all<'a>(&'a self, tenant: &TenantId, prefix: &str) -> BoxFuture<'a, Result<(), BlobError>> {
        let prefix = key(tenant, prefix);
        Box::pin(async move {
            // What is removed is not listed again.
            loop {
                let page = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&prefix).send().await;
                let page = page.map_err(sorted)?;
                let keys = page.contents().iter().filter_map(|object| object.key());
                let deletions = keys.map(|key| self.s3.delete_object().bucket(&self.bucket).key(key).send());
                try_join_all(deletions).await.map_err(sorted)?;
                if page.is_truncated() != Some(true) {
                    return Ok(());
                }
            }
        })
    }

    /// A URL by which whoever has it reads an object from `now` on, for `time` (at most [`LONGEST_URL_TIME`]; the
    /// credentials that sign it may end before). Nothing is asked of S3: that there is such an object is for the caller to
    /// know.
    pub fn url(
        &self,
        tenant: &TenantId,
        name: &str,
        now: Timestamp,
        time: Duration,
    ) -> BoxFuture<'_, Result<String, BlobError>> {
        let call = self.s3.get_object().bucket(&self.bucket).key(key(tenant, name));
        Box::pin(async move {
            let validity = PresigningConfig::builder()
                .start_time(SystemTime::from(now))
                .expires_in(time.min(LONGEST_URL_TIME))
                .build()
                .map_err(|error| BlobError::Refused(error.into()))?;
            Ok(call.presigned(validity).await.map_err(sorted)?.uri().to_owned())
        })
    }
}

fn key(tenant: &TenantId, name: &str) -> String {
    format!("{tenant}/{name}")
}

/// Splits failures into those that pass and those that do not.
fn sorted<E>(error: SdkError<E>) -> BlobError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let refused = match &error {
        SdkError::ServiceError(service) => {
            service.raw().status().is_client_error()
                && !service.err().code().is_some_and(|code| code == "SlowDown" || code.contains("Throttl"))
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    if refused { BlobError::Refused(error.into()) } else { BlobError::Unavailable(error.into()) }
}
