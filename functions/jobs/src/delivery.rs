//! Jobs that are sent to a URL of their tenant, signed by Standard Webhooks.
//!
//! The body is `{"type", "timestamp", "data", "job": {"id", "queue", "attempt", "max_attempts", "claim"}}`, whose `data` is
//! the job's payload as it was written; a job that depends on others also has what came of them, in `parents`. There is a
//! signature of each scheme ([`Scheme`]), and a receiver checks the one for which it has a key.
//!
//! `webhook-id` is the same for each attempt of a message, as Standard Webhooks has it ([`Job::message_id`]): a server that did
//! the work, and whose answer was lost, knows it again. It is the job's id with the claim that was the message's first, or to
//! be. Another message is what is sent after the server has taken one over (by 202, or by saying through the API what came of
//! it), and when the job is done again. The claim of the attempt is in the body.
//!
//! The header `traceparent` has the trace of the request, or of the tick of a schedule, that made the job.
//!
//! An answer of 2xx ends the job, and a JSON body of it is its result; 202 says that the work goes on, and that
//! `POST /v2/jobs/{id}/complete` will say how it ended. What tells of another job's end is no work, and any 2xx takes it. 410 says that no attempt can succeed. Any other is a failure, after
//! which `Retry-After` is honoured.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::cache::Cache;
use shared::id::TenantId;
use shared::outbound::{Outbound, OutboundError, Request, Response};
use shared::random::Random;
use shared::signing::Signer;
use shared::telemetry::{TRACEPARENT, TraceContext};
use shared::time::{Clock, SignedDuration, Timestamp};

use crate::attempt::{Failure, Outcome};
use crate::handlers::{Failed, LARGEST_RESULT};
use crate::job::{Job, JobId};
use crate::name::{JobType, QueueName};
use crate::store::signing::{Scheme, SigningKeys};
use crate::store::{JobStore, StoreError};
use crate::view::ParentView;

/// How late a new signing key is noticed.
const STALENESS: SignedDuration = SignedDuration::from_secs(30);

/// How much longer a request may take than the attempt that makes it.
pub(crate) const TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// The longest wait that a `Retry-After` can ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Sends jobs. Clones share connections.
#[derive(Clone, Debug)]
pub struct Delivery {
    outbound: Outbound,
    jobs: JobStore,
    keys: Cache<TenantId, [SigningKeys; 2]>,
    clock: Clock,
    random: Random,
}

/// What came of it.
#[derive(Debug)]
pub enum Delivered {
    /// The attempt has ended.
    Ended(Outcome),
    /// The work goes on elsewhere.
    Accepted,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a JobType,
    #[serde(serialize_with = "shared::time::millis")]
    timestamp: Timestamp,
    data: &'a RawValue,
    job: Envelope<'a>,
    /// What came of the jobs that it depends on.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    parents: &'a [ParentView],
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: JobId,
    queue: &'a QueueName,
    attempt: u32,
    max_attempts: u32,
    claim: u64,
}

impl Delivery {
    /// Sends by `outbound`, signed by the keys in `jobs`.
    pub fn new(outbound: Outbound, jobs: JobStore, clock: Clock, random: Random) -> Self {
        Self { outbound, jobs, keys: Cache::new(1000, STALENESS, clock.clone()), clock, random }
    }

    /// Sends `job` with its payload once.
    pub async fn send(
        &self,
        job: &Job,
        url: &str,
        payload: &RawValue,
        parents: &[ParentView],
        time: Duration,
    ) -> Result<Delivered, StoreError> {
        let now = self.clock.now();
        let body = serde_json::to_vec(&Body {
            kind: &job.kind,
            timestamp: now,
            data: payload,
            job: Envelope {
                id: job.id,
                queue: &job.queue,
                attempt: job.attempt,
                max_attempts: job.max_attempts,
                claim: job.claims,
            },
            parents,
        })?;
        let keys = self.keys(&job.tenant_id).await?;
        let signer = Signer::new(keys.iter().flat_map(|keys| keys.signing(now)).cloned());
        let headers = signer.ok().and_then(|signer| signer.sign(&job.message_id(), now, &body).ok());
        let Some(mut headers) = headers else {
            return Ok(Delivered::Ended(Outcome::failed(Failure::new("signing", "the request could not be signed"))));
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(trace) = TraceContext::current()
            && let Ok(trace) = HeaderValue::try_from(trace.to_string())
        {
            headers.insert(TRACEPARENT, trace);
        }
        let mut request = Request::new(Method::POST, url);
        request.headers = headers;
        request.body = body.into();
        // The attempt's own time-out comes first, so that it has one name.
        request.timeout = time + TIMEOUT_MARGIN;
        Ok(match self.outbound.send(request).await {
            Err(error) => Delivered::Ended(failed(&error).into()),
            Ok(response) if response.status == StatusCode::ACCEPTED && !job.is_notification() => Delivered::Accepted,
            Ok(response) if response.status.is_success() => Delivered::Ended(Outcome::Succeeded(result(&response))),
            Ok(response) => Delivered::Ended(refused(&response, now).into()),
        })
    }

    /// The tenant's keys of each scheme, made when there are none.
    pub async fn keys(&self, tenant: &TenantId) -> Result<[SigningKeys; 2], StoreError> {
        let of = |scheme| Box::pin(self.jobs.signing_keys(tenant, scheme, &self.clock, &self.random));
        let load = async { Ok(tokio::try_join!(of(Scheme::Secret), of(Scheme::KeyPair))?.into()) };
        self.keys.get_or_load(*tenant, load).await.map_err(StoreError::Shared)
    }
}

/// The body of an answer, when it is JSON that can be a result.
fn result(response: &Response) -> Option<String> {
    if response.body.len() > LARGEST_RESULT {
        return None;
    }
    let json: Box<RawValue> = serde_json::from_slice(&response.body).ok()?;
    Some(json.get().to_owned())
}

/// A request without an answer. What breaks a rule now breaks it in every attempt; where a name leads to can change.
pub(crate) fn failed(error: &OutboundError) -> Failed {
    let failure = Failure::new(error.code(), error.to_string());
    match error {
        OutboundError::InvalidUrl(_) | OutboundError::InvalidMethod | OutboundError::InvalidHeader(_) => {
            Failed::Poison(failure)
        }
        _ => Failed::Retry(failure, None),
    }
}

/// An answer that is no success.
pub(crate) fn refused(response: &Response, now: Timestamp) -> Failed {
    let status = response.status.as_u16();
    let failure = Failure::new(format!("http_{status}"), format!("the answer was {status}"));
    if response.status == StatusCode::GONE {
        return Failed::Poison(failure);
    }
    let wait = response.headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
    Failed::Retry(failure, wait)
}

/// `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let wait = if let Ok(seconds) = text.trim().parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
        Duration::try_from(at.duration_since(now)).ok()?
    };
    Some(wait.min(LONGEST_WAIT))
}

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Retry(failure, retry_after) => Self::Failed { failure, permanent: false, retry_after },
            Failed::Poison(failure) => Self::poison(failure),
            Failed::Snoozed(wait) => Self::Snoozed(wait),
            Failed::Stopped => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now: Timestamp = "2026-05-04T09:30:00Z".parse().unwrap_or_default();
        assert_eq!(retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Mon, 04 May 2026 09:31:00 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(retry_after("99999999", now), Some(LONGEST_WAIT));
        for none in ["", "soon", "-1", "Mon, 04 May 2026 09:29:00 GMT"] {
            assert_eq!(retry_after(none, now), None, "{none}");
        }
    }
}
