//! A service's part of the export of a tenant: a queue's consumer that writes what the service has of a tenant into the
//! bucket of the jobs, one file for each kind of record, and last the document that says what the part has.
//!
//! A service says with [`Source`] what it has, page by page; all else is here. When the function's time is nearly over, the
//! document says where the part goes on; the job asks for the rest by another event, and that is written into further files
//! (`links-2.ndjson`). An event may come twice: the part is made again then, in files of its own beside the first, and one of
//! the two documents is what counts. A part that fails is tried again by the queue, and asked for again by the job. An event
//! of another day asks for nothing any more: its job may be gone, and what was written for it would stay.
//!
//! # Memory
//! However many records there are, a file that is being written holds 16 MiB at most and its largest record
//! ([`crate::blob::Upload`]). A step has two files at most, and reads page by page.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::blob::{BlobError, Blobs, Upload};
use crate::events::Event;
use crate::events::export::{ExportRequested, ExportedFile, LeftOut, Next, Part};
use crate::id::TenantId;
use crate::lambda::{ConsumeError, Consumer, Received, Runtime};
use crate::random::Random;
use crate::time::{Clock, SignedDuration};
use crate::{BoxError, BoxFuture};

/// The media type of the files.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// How long an event asks for a part: a job that has ended is kept for a day at least.
const VALIDITY: SignedDuration = SignedDuration::from_hours(12);

/// The share of the function's time that is kept back for the page under way and the documents, unless the environment says
/// how much it is: a fifth.
const STOP_MARGIN: u32 = 5;

/// Records that are written together, page by page.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its name, which no other step of the service has.
    pub name: &'static str,
    /// The kinds of its records, in the plural: each has a file.
    pub files: &'static [&'static str],
}

/// What a service has of a tenant.
pub trait Source: Send + Sync + 'static {
    /// Its part, one of [`crate::events::export::PARTS`].
    const PART: &'static str;

    /// Hears that an export is asked for, before it is written.
    fn begin(
        &self,
        _tenant: &TenantId,
        _request: &ExportRequested,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        std::future::ready(Ok(()))
    }

    /// What it writes, one after the other.
    fn steps(&self) -> &'static [Step];

    /// Writes the page of a step that follows `after`, or the first. Answers after what the next one follows; none when this
    /// was the last. No secret is in it, nor what is made of one.
    fn page(
        &self,
        tenant: &TenantId,
        step: &'static str,
        after: Option<String>,
        files: &mut PartWriter,
    ) -> impl Future<Output = Result<Option<String>, BoxError>> + Send;

    /// What is not in it.
    fn left_out(&self) -> Vec<LeftOut> {
        Vec::new()
    }
}

/// The consumer of the events that ask for a part.
#[derive(Debug)]
pub struct Exporter<S> {
    source: S,
    blobs: Blobs,
    clock: Clock,
    random: Random,
    stop_margin: Option<Duration>,
}

impl<S: Source> Exporter<S> {
    /// Reads `EXPORT_BUCKET` and `EXPORT_STOP_MARGIN_SECONDS`.
    pub fn new(runtime: &Runtime, source: S) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let bucket: String = reader.required("EXPORT_BUCKET");
        let margin: Option<u64> = reader.optional("EXPORT_STOP_MARGIN_SECONDS");
        reader.finish()?;
        let blobs = Blobs::new(runtime.aws.s3.clone(), bucket);
        let stop_margin = margin.map(Duration::from_secs);
        Ok(Self { source, blobs, clock: runtime.clock.clone(), random: runtime.random.clone(), stop_margin })
    }

    /// Writes the part, or as much of it as can be begun before `stop_at`: a page at least.
    async fn write(&self, tenant: &TenantId, request: ExportRequested, stop_at: Instant) -> Result<Part, BoxError> {
        let Part { files, next, .. } = request.so_far.unwrap_or_default();
        let mut writer = PartWriter {
            blobs: self.blobs.clone(),
            tenant: *tenant,
            folder: request.folder,
            place: self.random.word(12),
            open: BTreeMap::new(),
            part: Part { files, ..Part::default() },
        };
        let steps = self.source.steps();
        let first = next.as_ref().and_then(|next| steps.iter().position(|step| step.name == next.step));
        let mut after = next.map(|next| next.after);
        for step in steps.iter().skip(first.unwrap_or(0)) {
            writer.open(step);
            loop {
                after = self.source.page(tenant, step.name, after, &mut writer).await?;
                let Some(after) = &after else { break };
                if Instant::now() >= stop_at {
                    writer.keep(false).await?;
                    let next = Next { step: step.name.to_owned(), after: after.clone() };
                    return Ok(Part { next: Some(next), ..writer.part });
                }
            }
            writer.keep(true).await?;
        }
        Ok(Part { left_out: self.source.left_out(), ..writer.part })
    }
}

impl<S: Source> Consumer for Exporter<S> {
    type Message = Event<ExportRequested>;

    async fn consume(&self, message: Received<Self::Message>) -> Result<(), ConsumeError> {
        let margin = self.stop_margin.unwrap_or(message.remaining / STOP_MARGIN);
        let stop_at = Instant::now() + message.remaining.saturating_sub(margin);
        let Event { tenantid: tenant, time, data: request, .. } = message.body;
        let is_late = self.clock.now().duration_since(time) > VALIDITY;
        if is_late || !request.parts.iter().any(|part| part == S::PART) {
            return Ok(());
        }
        self.source.begin(&tenant, &request).await?;
        let name = ExportRequested::document(&request.folder, S::PART);
        let part = self.write(&tenant, request, stop_at).await?;
        self.blobs.put(&tenant, &name, "application/json", serde_json::to_vec(&part)?.into()).await?;
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
    /// The files of the step under way, by their kinds.
    open: BTreeMap<&'static str, FileWriter>,
    part: Part,
}

impl PartWriter {
    /// Adds a record to the file of its kind, which is one of the step's.
    pub async fn write<T: Serialize + Sync>(&mut self, kind: &str, record: &T) -> Result<(), BoxError> {
        let file = self.open.get_mut(kind).ok_or("a step writes files that it has not named")?;
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        file.upload.write(&line).await?;
        file.records += 1;
        Ok(())
    }

    fn open(&mut self, step: &Step) {
        for kind in step.files {
            let number = 1 + self.part.files.iter().filter(|file| is_of(kind, &file.file)).count();
            let file = if number == 1 { format!("{kind}.ndjson") } else { format!("{kind}-{number}.ndjson") };
            let name = format!("{}{}/{file}", self.folder, self.place);
            let upload = self.blobs.upload(&self.tenant, &name, CONTENT_TYPE);
            self.open.insert(kind, FileWriter { file, is_first: number == 1, upload, records: 0 });
        }
    }

    /// Makes the open files part of the export. Of a step that is done, each kind has one, though it is empty.
    fn keep(&mut self, is_done: bool) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            for (_, FileWriter { file, is_first, upload, records }) in std::mem::take(&mut self.open) {
                if records > 0 || (is_done && is_first) {
                    let uploaded = upload.finish().await?;
                    let (bytes, sha256) = (uploaded.bytes, uploaded.sha256);
                    self.part.files.push(ExportedFile { file, place: self.place.clone(), records, bytes, sha256 });
                }
            }
            Ok(())
        })
    }
}

/// Whether `file` is one of the files of `kind`.
fn is_of(kind: &str, file: &str) -> bool {
    file.strip_prefix(kind).is_some_and(|rest| rest.starts_with(['.', '-']))
}

/// A file that is being written.
#[derive(Debug)]
struct FileWriter {
    file: String,
    /// Whether it is the first of its kind.
    is_first: bool,
    upload: Upload,
    records: u64,
}
