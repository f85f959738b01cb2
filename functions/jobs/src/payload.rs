//! What a job is about: any JSON, kept as it was written.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::BoxError;
use shared::blob::Blobs;
use shared::lambda::Runtime;
use shared::telemetry::chain;

use crate::handlers;
use crate::job::{Job, JobId};
use crate::store::StoreError;

/// The largest payload in bytes.
pub const LARGEST: usize = 5 * 1024 * 1024;

/// A payload up to this size in bytes is kept in the job's own item. DynamoDB charges each of a job's writes by the size
/// of the whole item: from about this size on, an object in S3 is cheaper.
pub const INLINE: usize = 4 * 1024;

/// Where a payload is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// In the job.
    Inline(String),
    /// In S3, under the job's id.
    Stored {
        /// Its size.
        bytes: u64,
    },
}

impl Payload {
    /// The place for `json`.
    pub fn of(json: &RawValue) -> Self {
        let text = json.get();
        if text.len() <= INLINE { Self::Inline(text.to_owned()) } else { Self::Stored { bytes: text.len() as u64 } }
    }

    /// The place in the job for what this program itself has made or bounded.
    pub fn inline(json: Option<&RawValue>) -> Self {
        Self::Inline(json.unwrap_or(RawValue::NULL).get().to_owned())
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Inline(text) => text.len() as u64,
            Self::Stored { bytes } => *bytes,
        }
    }
}

/// Where payloads are that have no place in their job. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Payloads {
    blobs: Blobs,
}

/// What begins the names of all that the bucket holds of a job.
pub(crate) fn folder(id: &JobId) -> String {
    format!("jobs/{id}/")
}

/// The name of a job's payload in the bucket.
fn name(id: &JobId) -> String {
    format!("{}payload.json", folder(id))
}

impl Payloads {
    /// Reads `JOBS_BUCKET`.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let bucket: String = reader.required("JOBS_BUCKET");
        reader.finish()?;
        Ok(Self { blobs: Blobs::new(runtime.aws.s3.clone(), bucket) })
    }

    /// Keeps the payload of a new job that has no place in the job itself, before the job is written.
    pub async fn keep(&self, job: &Job, payload: &RawValue) -> Result<(), StoreError> {
        if let Payload::Stored { .. } = job.payload {
            let bytes = payload.get().to_owned().into();
            self.blobs.put(&job.tenant_id, &name(&job.id), "application/json", bytes).await?;
        }
        Ok(())
    }

    /// Removes the payload of a job of which it is known that it was not written. One that stays takes room and does no other
    /// harm, so that a failure is none of the request.
    pub async fn discard(&self, job: &Job) {
        if let Payload::Stored { .. } = job.payload
            && let Err(error) = self.blobs.delete(&job.tenant_id, &name(&job.id)).await
        {
            tracing::warn!(job_id = %job.id, error = chain(&error), "the payload of a job that was not made stays");
        }
    }

    /// The payload of a job.
    pub async fn of(&self, job: &Job) -> Result<Box<RawValue>, StoreError> {
        match &job.payload {
            Payload::Inline(text) => Ok(RawValue::from_string(text.clone())?),
            Payload::Stored { .. } => {
                let bytes = self.blobs.get(&job.tenant_id, &name(&job.id)).await?;
                Ok(serde_json::from_slice(&bytes.ok_or(StoreError::NoPayload)?)?)
            }
        }
    }

    /// Removes all that the bucket holds of a job that is not there any more: its payload, and the files that its work has
    /// made. Nothing is asked of S3 for a job that can have neither.
    pub async fn remove(&self, job: &Job) -> Result<(), StoreError> {
        if handlers::makes_files(&job.kind) {
            self.blobs.delete_all(&job.tenant_id, &folder(&job.id)).await?;
        } else if let Payload::Stored { .. } = job.payload {
            self.blobs.delete(&job.tenant_id, &name(&job.id)).await?;
        }
        Ok(())
    }
}
