//! The work that is built in: one type of job each, with a typed payload that is checked when the job is asked for.
//!
//! A new one is a type with [`Handler`], in a file of its own, and a line in [`BUILT_IN`] and [`Handlers::new`]. An attempt
//! may come twice (at-least-once), so the work is idempotent or says that it is not. `docs/built-in-jobs.md` tells clients
//! of each.

mod http_request;
mod image_derive;
mod mail_send;
mod noop;
mod report_usage;
mod sleep;
mod tenant_export;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use shared::BoxFuture;
use shared::blob::BlobError;
use shared::http::{FieldError, Problem, parse_json};
use shared::outbound::Outbound;
use shared::time::Clock;

use crate::attempt::{Failure, Outcome};
use crate::files::Files;
use crate::name::JobType;
use crate::store::{JobStore, StoreError};
use http_request::HttpRequest;
use image_derive::ImageDerive;
use mail_send::MailSend;
pub use mail_send::Mails;
use noop::Noop;
use report_usage::ReportUsage;
use sleep::Sleep;
pub use tenant_export::Exports;
use tenant_export::TenantExport;
pub use work::Work;

/// The largest result in bytes of JSON.
pub const LARGEST_RESULT: usize = 16 * 1024;

/// A kind of work.
pub trait Handler: Send + Sync + 'static {
    /// The type of its jobs.
    const TYPE: &'static str;
    /// What its jobs are about.
    type Payload: DeserializeOwned + Send;
    /// What comes of them: at most [`LARGEST_RESULT`].
    type Result: Serialize;
    /// Whether the work keeps files ([`Work::keep`]), which its result then names as `file`, in `variants` or in `files`.
    const MAKES_FILES: bool = false;
    /// What whoever asks for such a job, or reads its files, must be allowed, besides making or reading jobs.
    const PERMISSION: Option<&'static str> = None;

    /// Rules of the payload beyond its type, each broken one as a field error; `outbound` knows which requests are refused.
    /// They hold when the job is made, and again when it is done.
    fn check(_payload: &Self::Payload, _outbound: &Outbound) -> Vec<FieldError> {
        Vec::new()
    }

    /// Does the work once. It is dropped at its time-out, and when it goes on after it was asked to stop.
    fn run(&self, payload: Self::Payload, work: &Work) -> impl Future<Output = Result<Self::Result, Failed>> + Send;
}

/// Why the work was not done.
#[derive(Debug)]
pub enum Failed {
    /// Another attempt may do it, after this wait at least.
    Retry(Failure, Option<Duration>),
    /// No attempt can.
    Poison(Failure),
    /// It is not its time: it is done after this wait, and the attempt does not count.
    Snoozed(Duration),
    /// It stopped because it was asked to.
    Stopped,
}

impl Failed {
    /// Poison of this class.
    fn poison(class: &'static str, message: impl AsRef<str>) -> Self {
        Self::Poison(Failure::new(class, message))
    }
}

/// The bucket is away, or does not do it.
impl From<BlobError> for Failed {
    fn from(error: BlobError) -> Self {
        Self::Retry(Failure::new("storage", error.to_string()), None)
    }
}

/// The same of the table.
impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Retry(Failure::new("storage", error.to_string()), None)
    }
}

/// A type of job that is built in, and how its payload is checked.
struct BuiltIn {
    kind: &'static str,
    check: fn(&RawValue, &Outbound) -> Result<(), Problem>,
    makes_files: bool,
    permission: Option<&'static str>,
}

const fn built_in<H: Handler>() -> BuiltIn {
    BuiltIn { kind: H::TYPE, check: check::<H>, makes_files: H::MAKES_FILES, permission: H::PERMISSION }
}

/// All of them.
const BUILT_IN: &[BuiltIn] = &[
    built_in::<HttpRequest>(),
    built_in::<ImageDerive>(),
    built_in::<MailSend>(),
    built_in::<Noop>(),
    built_in::<ReportUsage>(),
    built_in::<Sleep>(),
    built_in::<TenantExport>(),
];

fn find(kind: &JobType) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|built_in| built_in.kind == kind.as_str())
}

fn check<H: Handler>(payload: &RawValue, outbound: &Outbound) -> Result<(), Problem> {
    let text = payload.get();
    // A handler may take null, a text or a number; only objects have members to tell faults of.
    let whole = if text.starts_with(['{', '[']) { None } else { serde_json::from_str(text).ok() };
    let parsed = whole.map_or_else(|| parse_json(text.as_bytes()), Ok);
    let payload: H::Payload = parsed.map_err(|problem| problem.below("/payload"))?;
    let faults = H::check(&payload, outbound);
    if faults.is_empty() { Ok(()) } else { Err(Problem::validation(faults).below("/payload")) }
}

/// Whether there is a handler for this type.
pub fn is_built_in(kind: &JobType) -> bool {
    find(kind).is_some()
}

/// Whether jobs of this type may have files.
pub fn makes_files(kind: &JobType) -> bool {
    find(kind).is_some_and(|built_in| built_in.makes_files)
}

/// What whoever asks for a job of this type, or reads its files, must be allowed besides.
pub fn permission(kind: &JobType) -> Option<&'static str> {
    find(kind)?.permission
}

/// Refuses a payload with which the handler of this type could never succeed. Types that are not built in take any.
pub fn check_payload(kind: &JobType, payload: &RawValue, outbound: &Outbound) -> Result<(), Problem> {
    match find(kind) {
        Some(built_in) => (built_in.check)(payload, outbound),
        None => Ok(()),
    }
}

/// A handler whose payload and result are JSON.
trait Run: Send + Sync {
    fn run<'a>(&'a self, payload: &'a str, work: &'a Work, outbound: &'a Outbound) -> BoxFuture<'a, Outcome>;
}

impl<H: Handler> Run for H {
    fn run<'a>(&'a self, payload: &'a str, work: &'a Work, outbound: &'a Outbound) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let payload = match serde_json::from_str(payload) {
                Ok(payload) => payload,
                Err(error) => return Outcome::poison(Failure::new("payload", error.to_string())),
            };
            // That of a job which follows another is the other's result, and was not checked before.
            if let Some(fault) = H::check(&payload, outbound).first() {
                return Outcome::poison(Failure::new("payload", format!("{}: {}", fault.pointer, fault.detail)));
            }
            match Handler::run(self, payload, work).await {
                Ok(result) => done(&result),
                Err(failed) => failed.into(),
            }
        })
    }
}

fn done<R: Serialize>(result: &R) -> Outcome {
    match serde_json::to_string(result) {
        Ok(result) if result.len() > LARGEST_RESULT => {
            Outcome::poison(Failure::new("result", format!("the result is over {LARGEST_RESULT} bytes")))
        }
        Ok(result) => Outcome::Succeeded(Some(result).filter(|result| result != "null")),
        Err(error) => Outcome::poison(Failure::new("result", error.to_string())),
    }
}

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// To ask others' servers.
    pub outbound: Outbound,
    /// The time.
    pub clock: Clock,
    /// Where files are kept.
    pub files: Files,
    /// The jobs themselves.
    pub jobs: JobStore,
    /// How mails leave.
    pub mails: Mails,
    /// How exports are asked for.
    pub exports: Exports,
}

/// The handlers, ready to work.
pub struct Handlers {
    all: BTreeMap<&'static str, Box<dyn Run>>,
    outbound: Outbound,
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.all.keys()).finish()
    }
}

impl Handlers {
    /// All handlers.
    pub fn new(with: Dependencies) -> Self {
        let Dependencies { outbound, clock, files, jobs, mails, exports } = with;
        let mut all: BTreeMap<&'static str, Box<dyn Run>> = BTreeMap::new();
        all.insert(HttpRequest::TYPE, Box::new(HttpRequest::new(outbound.clone(), clock.clone())));
        all.insert(ImageDerive::TYPE, Box::new(ImageDerive::new(outbound.clone(), clock.clone(), files.clone())));
        all.insert(MailSend::TYPE, Box::new(MailSend::new(mails, clock.clone())));
        all.insert(Noop::TYPE, Box::new(Noop));
        all.insert(ReportUsage::TYPE, Box::new(ReportUsage::new(jobs, clock.clone(), files.clone())));
        all.insert(Sleep::TYPE, Box::new(Sleep));
        all.insert(TenantExport::TYPE, Box::new(TenantExport::new(exports, clock, files)));
        Self { all, outbound }
    }

    /// Does a job of this type.
    pub async fn run(&self, kind: &JobType, payload: &str, work: &Work) -> Outcome {
        match self.all.get(kind.as_str()) {
            Some(handler) => handler.run(payload, work, &self.outbound).await,
            None => Outcome::poison(Failure::new("unknown_type", format!("there is no handler for {kind}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::dynamo::Dynamo;
    use shared::lambda::Runtime;

    use super::*;

    /// What handlers work with, which reaches nothing.
    pub(super) fn dependencies() -> Dependencies {
        let names = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "JOBS_BUCKET", "LIMITS_TABLE"];
        let variables = names.map(|name| (name, "x")).into_iter();
        let variables = variables.chain([("MAIL_FROM", "a@example.org"), ("TENANT_MAILS_PER_DAY", "1")]);
        let variables = variables.chain([("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("EVENTS_TOPIC_ARN", "x")]);
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let runtime = Runtime::new("jobs.worker", environment).unwrap();
        Dependencies {
            outbound: Outbound::new(shared::outbound::Settings::default()),
            clock: Clock::system(),
            files: Files::new(&runtime).unwrap(),
            jobs: JobStore::new(Dynamo::new(runtime.aws.dynamo.clone()), "x".to_owned()),
            mails: Mails::new(&runtime).unwrap(),
            exports: Exports::new(&runtime).unwrap(),
        }
    }

    #[test]
    fn every_built_in_type_has_its_handler() {
        let handlers = Handlers::new(dependencies());
        let kinds: Vec<_> = BUILT_IN.iter().map(|built_in| built_in.kind).collect();
        assert_eq!(kinds, handlers.all.keys().copied().collect::<Vec<_>>());
    }
}
