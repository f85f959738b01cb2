//! The files that the work of jobs makes: kept in the bucket beside the payloads, as long as their job, and read from S3 by
//! a URL that is valid for some minutes.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
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
    /// Where it is below the job's folder; none: with the files that [`Files::keep`] has written.
    #[serde(default)]
    place: Option<String>,
    #[serde(default)]
    variants: Vec<Self>,
    #[serde(default)]
    files: Vec<Self>,
}

/// A file of a job that has succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

/// Where [`Files::keep`] writes.
const FILES: &str = "files";

fn key(id: &JobId, name: &str) -> String {
    format!("{}{FILES}/{name}", folder(id))
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

    /// Writes a document that only the work itself reads, or files of which more than one have the same name: `name` is
    /// below the job's folder.
    pub async fn put(
        &self,
        tenant: &TenantId,
        id: &JobId,
        name: &str,
        content_type: &'static str,
        content: Vec<u8>,
    ) -> Result<(), BlobError> {
        self.blobs.put(tenant, &format!("{}{name}", folder(id)), content_type, Bytes::from(content)).await
    }

    /// Reads such a document.
    pub async fn document<T: DeserializeOwned>(
        &self,
        tenant: &TenantId,
        id: &JobId,
        name: &str,
    ) -> Result<Option<T>, BlobError> {
        let content = self.blobs.get(tenant, &format!("{}{name}", folder(id))).await?;
        let read = |content: Bytes| serde_json::from_slice(&content);
        content.map(read).transpose().map_err(|error| BlobError::Refused(error.into()))
    }

    /// A URL from which whoever has it reads this file for [`URL_TIME`].
    pub async fn url(&self, job: &Job, place: &Place, now: Timestamp) -> Result<String, BlobError> {
        self.blobs.url(&job.tenant_id, &format!("{}{}", folder(&job.id), place.0), now, URL_TIME).await
    }
}

/// Where the file of this name is that the job has made. What an attempt has left behind that did not succeed is none.
pub fn file_of(job: &Job, name: &str) -> Option<Place> {
    if !handlers::makes_files(&job.kind) {
        return None;
    }
    let made: Made = serde_json::from_str(job.result.as_deref()?).ok()?;
    let all = std::iter::once(&made).chain(&made.variants).chain(&made.files);
    let file = all.into_iter().find(|made| made.file.as_deref() == Some(name))?;
    Some(Place(format!("{}/{name}", file.place.as_deref().unwrap_or(FILES))))
}
