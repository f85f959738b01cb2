//! A service's part of the export of a tenant: a queue's consumer that writes what the service has of a tenant into the
//! bucket of the jobs, one file for each kind of record, and last the document that says that the part is whole.
//!
//! A service says with [`Source`] what it has; all else is here. An event may come twice: the part is made again then, in
//! files of its own beside the first, and one of the two documents is what counts. A part that fails is tried again by the
//! queue, and asked for again by the job. An event of another day asks for nothing any more: its job may be gone, and what
//! was written for it would stay.
//!
//! # Memory
//! However many records there are, a file that is being written holds 16 MiB at most and its largest record
//! ([`crate::blob::Upload`]). A source has two files open at most, and reads page by page.

use serde::Serialize;

use crate::blob::{BlobError, Blobs, Upload};
use crate::events::Event;
use crate::events::export::{ExportRequested, ExportedFile, LeftOut, Part};
use crate::id::TenantId;
use crate::lambda::{ConsumeError, Consumer, Received, Runtime};
use crate::random::Random;
use crate::time::{Clock, SignedDuration};
use crate::{BoxError, BoxFuture};

/// The media type of the files.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// How long an event asks for a part: a job that has ended is kept for a day at least.
const VALIDITY: SignedDuration = SignedDuration::from_hours(12);

/// What a service has of a tenant.
pub trait Source: Send + Sync + 'static {
    /// Its part, one of [`crate::events::export::PARTS`].
    const PART: &'static str;

    /// Writes all of it. No secret is in it, nor what is made of one.
    fn write(&self, tenant: &TenantId, part: &mut PartWriter) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// The consumer of the events that ask for a part.
#[derive(Debug)]
pub struct Exporter<S> {
    source: S,
    blobs: Blobs,
    clock: Clock,
    random: Random,
}

impl<S: Source> Exporter<S> {
    /// Reads `EXPORT_BUCKET`.
    pub fn new(runtime: &Runtime, source: S) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let bucket: String = reader.required("EXPORT_BUCKET");
        reader.finish()?;
        let blobs = Blobs::new(runtime.aws.s3.clone(), bucket);
        Ok(Self { source, blobs, clock: runtime.clock.clone(), random: runtime.random.clone() })
    }
}

impl<S: Source> Consumer for Exporter<S> {
    type Message = Event<ExportRequested>;

    async fn consume(&self, message: Received<Self::Message>) -> Result<(), ConsumeError> {
        let Event { tenantid: tenant, time, data: ExportRequested { folder, parts, .. }, .. } = message.body;
        let is_late = self.clock.now().duration_since(time) > VALIDITY;
        if is_late || !parts.iter().any(|part| part == S::PART) {
            return Ok(());
        }
        let place = self.random.text(b"abcdefghjkmnpqrstvwxyz0123456789", 12);
        let mut writer =
            PartWriter { blobs: self.blobs.clone(), tenant, folder: folder.clone(), place, part: Part::default() };
        self.source.write(&tenant, &mut writer).await?;
        let document = serde_json::to_vec(&writer.part)?;
        let name = ExportRequested::document(&folder, S::PART);
        self.blobs.put(&tenant, &name, "application/json", document.into()).await?;
        Ok(())
    }
}

/// A part that is being made.
#[derive(Debug)]
pub struct PartWriter {
    blobs: Blobs,
    tenant: TenantId,
    folder: String,
    place: String,
    part: Part,
}

impl PartWriter {
    /// Begins the file of a kind of record, in the plural. It is part of the export when it was kept.
    pub fn file(&self, kind: &str) -> FileWriter {
        let file = format!("{kind}.ndjson");
        let name = format!("{}{}/{file}", self.folder, self.place);
        FileWriter { file, upload: self.blobs.upload(&self.tenant, &name, CONTENT_TYPE), records: 0 }
    }

    /// Keeps a file as it is now.
    pub fn keep(&mut self, file: FileWriter) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let FileWriter { file, upload, records } = file;
            let uploaded = upload.finish().await?;
            let (bytes, sha256) = (uploaded.bytes, uploaded.sha256);
            self.part.files.push(ExportedFile { file, place: self.place.clone(), records, bytes, sha256 });
            Ok(())
        })
    }

    /// Says that something is not in it.
    pub fn leave_out(&mut self, what: &str, why: &str) {
        self.part.left_out.push(LeftOut { what: what.to_owned(), why: why.to_owned() });
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct FileWriter {
    file: String,
    upload: Upload,
    records: u64,
}

impl FileWriter {
    /// Adds a record.
    pub async fn write<T: Serialize + Sync>(&mut self, record: &T) -> Result<(), BoxError> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.upload.write(&line).await?;
        self.records += 1;
        Ok(())
    }
}
