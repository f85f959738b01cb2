//! The files that the work of jobs makes: kept in the bucket beside the payloads, as long as their job, and read from S3 by
//! a URL that is valid for some minutes.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use shared::BoxError;
use shared::blob::{BlobError, Blobs};
use shared::id::TenantId;
use shared::lambda::Runtime;
use shared::time::Timestamp;

use crate::handlers;
use crate::job::{Job, JobId};
use crate::payload::folder;

/// How long the URL of a file is valid.
pub const URL_TIME: Duration = Duration::from_mins(5);

/// The files of all jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    blobs: Blobs,
}

/// A file that was kept, as the result of its job tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its name.
    pub file: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its size.
    pub bytes: usize,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// What the results of those handlers that make files have in common.
#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    variants: Vec<Self>,
}

fn key(id: &JobId, name: &str) -> String {
    format!("{}files/{name}", folder(id))
}

impl Files {
    /// Reads `JOBS_BUCKET`.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let bucket: String = reader.required("JOBS_BUCKET");
        reader.finish()?;
        Ok(Self { blobs: Blobs::new(runtime.aws.s3.clone(), bucket) })
    }

    /// Keeps a file of a job, over one of the same name: an attempt that comes twice leaves the same files.
    pub async fn keep(
        &self,
        tenant: &TenantId,
        id: &JobId,
        name: String,
        content_type: &'static str,
        content: Vec<u8>,
    ) -> Result<File, BlobError> {
        let sha256 = HEXLOWER.encode(digest(&SHA256, &content).as_ref());
        let bytes = content.len();
        self.blobs.put(tenant, &key(id, &name), content_type, Bytes::from(content)).await?;
        Ok(File { file: name, content_type, bytes, sha256 })
    }

    /// A URL from which whoever has it reads this file for [`URL_TIME`].
    pub async fn url(&self, job: &Job, name: &str, now: Timestamp) -> Result<String, BlobError> {
        self.blobs.url(&job.tenant_id, &key(&job.id, name), now, URL_TIME).await
    }
}

/// Whether the job has made this file. What an attempt has left behind that did not succeed is none.
pub fn has_file(job: &Job, name: &str) -> bool {
    let made = || serde_json::from_str::<Made>(job.result.as_deref()?).ok();
    let is_it = |made: &Made| made.file.as_deref() == Some(name);
    handlers::makes_files(&job.kind) && made().is_some_and(|made| is_it(&made) || made.variants.iter().any(is_it))
}
