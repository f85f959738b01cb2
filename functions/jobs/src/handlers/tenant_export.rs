//! `tenant.export`: has every service write what it has of the tenant into files beside the job, and says in a manifest what
//! is in them.
//!
//! The services make their parts by themselves ([`shared::export`]): the job asks for them by an event, and looks now and
//! then which are there. Between two looks it is snoozed, so that waiting takes no worker's time and no attempt. An attempt
//! that misses a part for [`PATIENCE`] has failed; the next one asks again for what is missing, and keeps what is there. A part
//! that was too much for one invocation says where it goes on, and is asked for the rest.
//!
//! The event is published directly: one that is lost is asked for again.

mod manifest;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::BoxError;
use shared::events::export::{ExportRequested, Next, PARTS, Part};
use shared::events::{Event, Events};
use shared::identity::permission::{ExportTenant, Permission as _};
use shared::lambda::Runtime;
use shared::random::Random;
use shared::telemetry::chain;
use shared::time::{Clock, Timestamp};

use self::manifest::Done;
use super::{Failed, Handler, Work};
use crate::attempt::Failure;
use crate::files::Files;
use crate::payload::folder;

/// How long an attempt waits for the parts: longer than a function has to make one.
const PATIENCE: Duration = Duration::from_mins(20);

/// The shortest and the longest time between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The document in which a job keeps what it has asked for.
const REQUEST: &str = "export/request.json";

/// How parts are asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exports {
    events: Events,
    random: Random,
}

impl Exports {
    /// Reads `EVENTS_TOPIC_ARN`.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let topic: String = reader.required("EVENTS_TOPIC_ARN");
        reader.finish()?;
        Ok(Self { events: Events::new(runtime.aws.sns.clone(), topic), random: runtime.random.clone() })
    }
}

pub(super) struct TenantExport {
    exports: Exports,
    clock: Clock,
    files: Files,
}

/// Nothing is to be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    /// Tells this export from one that the same job has made before.
    run: String,
    began_at: Timestamp,
    /// The attempt that asked last; none when the next one is to ask again.
    attempt: Option<u32>,
    asked_at: Timestamp,
    /// Where parts were asked to go on, by their names.
    #[serde(default)]
    went_on: BTreeMap<String, Next>,
    /// Whether all has come: what runs after that is a new export.
    #[serde(default)]
    finished: bool,
}

impl Request {
    fn new(now: Timestamp, random: &Random) -> Self {
        let run = token(random);
        Self { run, began_at: now, attempt: None, asked_at: now, went_on: BTreeMap::new(), finished: false }
    }

    /// Where all of it is written, below the job's folder.
    fn place(&self) -> String {
        format!("export/{}/", self.run)
    }

    /// Whether a part has come to another place since it was asked to go on.
    fn has_moved(&self, (name, part): &Found) -> bool {
        part.as_ref().is_some_and(|part| part.next.is_some() && part.next.as_ref() != self.went_on.get(*name))
    }

    fn waited(&self, now: Timestamp) -> Duration {
        now.duration_since(self.asked_at).try_into().unwrap_or_default()
    }
}

/// What there is of a part.
type Found = (&'static str, Option<Part>);

/// Whether a part is there, and does not go on.
fn is_whole(part: Option<&Part>) -> bool {
    part.is_some_and(|part| part.next.is_none())
}

impl TenantExport {
    pub(super) const fn new(exports: Exports, clock: Clock, files: Files) -> Self {
        Self { exports, clock, files }
    }

    /// Looks once: all is there, or it is looked at later again.
    async fn look(&self, work: &Work) -> Result<Done, Failed> {
        let now = self.clock.now();
        let known = self.files.document(&work.tenant_id, &work.job_id, REQUEST).await?;
        let known = known.filter(|request: &Request| !request.finished);
        let request = known.unwrap_or_else(|| Request::new(now, &self.exports.random));
        let parts = self.parts(work, &request).await?;
        let missing: Vec<&Found> = parts.iter().filter(|(_, part)| !is_whole(part.as_ref())).collect();
        work.progress(share(parts.len() - missing.len()), told(parts.len() - missing.len()));
        if missing.is_empty() {
            return self.finish(work, request, parts, now).await;
        }
        let is_new = request.attempt != Some(work.attempt);
        let to_ask: Vec<&Found> = missing.iter().copied().filter(|found| is_new || request.has_moved(found)).collect();
        if !to_ask.is_empty() {
            self.ask(work, request, &to_ask, now).await?;
            return Err(Failed::Snoozed(LOOKS.0));
        }
        let missing: Vec<&str> = missing.into_iter().map(|(name, _)| *name).collect();
        let waited = request.waited(now);
        if waited < PATIENCE {
            return Err(Failed::Snoozed(until_next_look(waited)));
        }
        self.remember(work, &Request { attempt: None, ..request }).await?;
        let message = format!("it has not come in {} minutes: {}", PATIENCE.as_secs() / 60, missing.join(", "));
        let first = missing.first().copied().unwrap_or_default();
        Err(Failed::Retry(Failure::new(format!("missing_part_{first}"), message), None))
    }

    async fn parts(&self, work: &Work, request: &Request) -> Result<Vec<Found>, Failed> {
        let mut parts = Vec::new();
        for part in PARTS {
            let name = ExportRequested::document(&request.place(), part);
            parts.push((part, self.files.document(&work.tenant_id, &work.job_id, &name).await?));
        }
        Ok(parts)
    }

    /// Asks for parts: by one event for those of which there is nothing, and one for each that goes on. That it has asked is
    /// written first: an attempt that is lost in between is followed by another one, which asks again.
    async fn ask(&self, work: &Work, request: Request, wanted: &[&Found], now: Timestamp) -> Result<(), Failed> {
        let (place, began_at, mut went_on) = (request.place(), request.began_at, request.went_on.clone());
        went_on
            .extend(wanted.iter().filter_map(|(name, part)| Some(((*name).to_owned(), part.as_ref()?.next.clone()?))));
        self.remember(work, &Request { attempt: Some(work.attempt), asked_at: now, went_on, ..request }).await?;
        let data = |parts: Vec<&str>, so_far: Option<Part>| ExportRequested {
            job_id: work.job_id.to_string(),
            folder: format!("{}{place}", folder(&work.job_id)),
            parts: parts.into_iter().map(str::to_owned).collect(),
            began_at,
            requested_by: work.created_by.clone(),
            so_far,
        };
        let unbegun: Vec<_> = wanted.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| *name).collect();
        let going_on = wanted.iter().filter(|(_, part)| part.is_some());
        let going_on = going_on.map(|(name, part)| data(vec![*name], part.clone()));
        let unbegun = Some(unbegun).filter(|parts| !parts.is_empty()).map(|parts| data(parts, None));
        let events: Vec<_> = unbegun
            .into_iter()
            .chain(going_on)
            .map(|data| Event::new(work.tenant_id, work.job_id, data, now, &self.exports.random))
            .collect();
        let published = self.exports.events.publish(&events).await;
        published.map_err(|error| Failed::Retry(Failure::new("events", chain(&error)), None))
    }

    async fn remember(&self, work: &Work, request: &Request) -> Result<(), Failed> {
        let content = serde_json::to_vec(request).map_err(|error| Failed::poison("result", error.to_string()))?;
        Ok(self.files.put(&work.tenant_id, &work.job_id, REQUEST, "application/json", content).await?)
    }

    async fn finish(&self, work: &Work, request: Request, parts: Vec<Found>, now: Timestamp) -> Result<Done, Failed> {
        let all = parts.into_iter().filter_map(|(name, part)| Some((name, part?))).collect();
        // It has a place of its own, as the files of the parts: none that a result has named is written again.
        let place = format!("{}{}", request.place(), token(&self.exports.random));
        let name = format!("{place}/{}", manifest::NAME);
        let (content, done) = manifest::describe(work, (request.began_at, now), all, &request.place(), place)?;
        self.files.put(&work.tenant_id, &work.job_id, &name, manifest::MANIFEST_TYPE, content).await?;
        self.remember(work, &Request { finished: true, ..request }).await?;
        Ok(done)
    }
}

/// A name that nothing else has.
fn token(random: &Random) -> String {
    random.word(12)
}

/// The share of the parts.
#[allow(clippy::cast_precision_loss)] // there are a few
fn share(count: usize) -> f64 {
    count as f64 / PARTS.len() as f64
}

fn told(count: usize) -> String {
    format!("{count} of {} parts", PARTS.len())
}

/// The longer it has waited, the longer it waits.
fn until_next_look(waited: Duration) -> Duration {
    (waited / 2).clamp(LOOKS.0, LOOKS.1)
}

impl Handler for TenantExport {
    const TYPE: &'static str = "tenant.export";
    type Payload = Option<Payload>;
    type Result = Done;
    const MAKES_FILES: bool = true;
    const PERMISSION: Option<&'static str> = Some(ExportTenant::NAME);

    async fn run(&self, _payload: Option<Payload>, work: &Work) -> Result<Done, Failed> {
        tokio::select! {
            looked = self.look(work) => looked,
            () = work.stopped() => Err(Failed::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rarer_and_never_wait_beyond_a_minute() {
        let seconds = |waited: u64| until_next_look(Duration::from_secs(waited)).as_secs();
        assert_eq!([seconds(0), seconds(1), seconds(10), seconds(60), seconds(1200)], [1, 1, 5, 30, 60]);
    }

    #[test]
    fn progress_counts_parts() {
        assert_eq!(told(1), "1 of 4 parts");
        assert!((share(0), share(PARTS.len())) == (0.0, 1.0));
    }

    #[test]
    fn a_payload_says_nothing() {
        for (text, is_taken) in [("null", true), ("{}", true), (r#"{"parts": []}"#, false), ("[1]", false)] {
            assert_eq!(serde_json::from_str::<Option<Payload>>(text).is_ok(), is_taken, "{text}");
        }
    }
}
