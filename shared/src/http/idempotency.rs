//! `Idempotency-Key`: a POST that is sent again is answered again, and done once
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! The record of the first answer is written in the same DynamoDB transaction as the effect, so there is no moment in
//! which one is there without the other, and nothing to clean up after a crash. Two requests at once race to that
//! transaction: the loser finds the winner's record and replays it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ETag;
use super::extract::{BODY_LIMIT, json_response, json_within, parse_json};
use super::problem::{Problem, ProblemType};
use super::reply::{Created, Tagged};
use crate::dynamo::{Dynamo, DynamoError, Item, Put, TransactWrite, n, number, s, text};
use crate::id::TenantId;
use crate::time::Clock;

/// How long an answer is kept.
pub(crate) const KEPT_SECONDS: i64 = 24 * 60 * 60;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer is one to a request that was done before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A client's key: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdempotencyKey(…)")
    }
}

impl FromStr for IdempotencyKey {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::new(
                ProblemType::BadRequest,
                "Idempotency-Key has 1 to 255 printable ASCII characters and is sent once",
            ))
        }
    }
}

impl IdempotencyKey {
    /// The key of a request, when it has one.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().unwrap_or_default().parse().map(Some),
            (Some(_), Some(_)) => "".parse().map(Some),
        }
    }
}

/// A JSON body that may come with an `Idempotency-Key`: the extractor of every POST that creates or triggers.
/// Its refusals are those of [`super::Json`], with `LIMIT` bytes for the body.
#[derive(Debug)]
pub struct Submitted<T, const LIMIT: usize = BODY_LIMIT> {
    /// The body.
    pub body: T,
    key: Option<IdempotencyKey>,
    /// Of the body's bytes: what must be the same when the request is sent again.
    fingerprint: String,
}

impl<T, const LIMIT: usize> Submitted<T, LIMIT> {
    /// Whether it came with an `Idempotency-Key`.
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The key and the body's fingerprint, when there is a key.
    pub(crate) fn keyed(&self) -> Option<(&str, &str)> {
        self.key.as_ref().map(|key| (key.0.as_str(), self.fingerprint.as_str()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync, const LIMIT: usize> FromRequest<S> for Submitted<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let key = IdempotencyKey::of(request.headers())?;
        let bytes = json_within(request, LIMIT).await?;
        let fingerprint = ETag::of_bytes(&bytes).to_string();
        Ok(Self { body: parse_json(&bytes)?, key, fingerprint })
    }
}

/// The same of a POST that has nothing to say: a body is not looked at.
#[derive(Debug)]
pub struct Triggered(Submitted<()>);

impl Deref for Triggered {
    type Target = Submitted<()>;

    fn deref(&self) -> &Submitted<()> {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Triggered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let key = IdempotencyKey::of(&parts.headers)?;
        Ok(Self(Submitted { body: (), key, fingerprint: String::new() }))
    }
}

/// The table of answers.
#[derive(Clone, Debug)]
pub struct Idempotency {
    dynamo: Dynamo,
    table: String,
    clock: Clock,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Begin {
    /// It is the first of its key (or has none): do it, and write [`Attempt::record`] with the effect.
    First(Attempt),
    /// It was done: answer with this.
    Replay(Response),
}

/// What a request is to do that keeps that first. It is answered by [`Answered`].
#[derive(Debug)]
pub enum Planned<P> {
    /// It is the first of its key (or has none): to be kept by [`Idempotency::keep_plan`].
    First(Attempt),
    /// What was kept when it came first, which may be done in part.
    Again(P),
}

/// 200 to a request of which no answer was kept, but what it did: it says whether the request came before.
#[derive(Debug)]
pub struct Answered<T> {
    /// What came of it.
    pub body: T,
    /// Whether it is answered with what was done when it came first.
    pub is_replay: bool,
}

impl<T: Serialize> IntoResponse for Answered<T> {
    fn into_response(self) -> Response {
        let mut response = json_response(&self.body);
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// A request that is being done for the first time.
#[derive(Debug)]
pub struct Attempt {
    table: String,
    key: Option<(String, String)>,
    expires_at: i64,
    now: i64,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Idempotency {
    /// The store in `table` (key `pk`, time to live `expires_at`).
    pub fn new(dynamo: Dynamo, table: String, clock: Clock) -> Self {
        Self { dynamo, table, clock }
    }

    /// Looks whether the request's key was used for `route` before.
    pub async fn begin<T, const LIMIT: usize>(
        &self,
        tenant: &TenantId,
        route: &str,
        request: &Submitted<T, LIMIT>,
    ) -> Result<Begin, Problem> {
        match self.look(tenant, route, request).await? {
            Ok(attempt) => Ok(Begin::First(attempt)),
            Err(answer) => replay(&answer).map(Begin::Replay),
        }
    }

    /// The same for one part of a request whose parts take effect each by itself: every part has a record of its own, named
    /// by its place. `Err` is the body that was answered for it.
    pub async fn begin_part<T, const LIMIT: usize>(
        &self,
        tenant: &TenantId,
        route: &str,
        request: &Submitted<T, LIMIT>,
        place: usize,
    ) -> Result<Result<Attempt, Box<RawValue>>, Problem> {
        match self.look(tenant, &format!("{route}#{place}"), request).await? {
            Ok(attempt) => Ok(Ok(attempt)),
            Err(answer) => {
                let recorded: Recorded = serde_json::from_str(&answer).map_err(Problem::internal)?;
                RawValue::from_string(recorded.body).map(Err).map_err(Problem::internal)
            }
        }
    }

    /// The same for a request that does more than fits into one transaction: what it is to do is kept before any of it is
    /// done, and known again when it is sent again.
    pub async fn begin_plan<T, P: DeserializeOwned, const LIMIT: usize>(
        &self,
        tenant: &TenantId,
        route: &str,
        request: &Submitted<T, LIMIT>,
    ) -> Result<Planned<P>, Problem> {
        match self.look(tenant, route, request).await? {
            Ok(attempt) => Ok(Planned::First(attempt)),
            Err(kept) => {
                let recorded: Recorded = serde_json::from_str(&kept).map_err(Problem::internal)?;
                serde_json::from_str(&recorded.body).map(Planned::Again).map_err(Problem::internal)
            }
        }
    }

    /// Keeps what a request is to do, when it came with a key. Another one with the same key may be faster.
    pub async fn keep_plan<P: Serialize>(&self, attempt: &Attempt, plan: &P) -> Result<(), Problem> {
        let Some(put) = attempt.plan(plan)? else { return Ok(()) };
        match self.dynamo.put(put).await {
            Ok(()) => Ok(()),
            Err(DynamoError::ConditionFailed { .. }) => Err(in_progress()),
            Err(error) => Err(error.into()),
        }
    }

    /// The attempt when it is the first, else what was answered.
    async fn look<T, const LIMIT: usize>(
        &self,
        tenant: &TenantId,
        route: &str,
        request: &Submitted<T, LIMIT>,
    ) -> Result<Result<Attempt, String>, Problem> {
        let (key, fingerprint) = (request.key.as_ref(), request.fingerprint.as_str());
        let now = self.clock.now().as_second();
        let mut attempt = Attempt { table: self.table.clone(), key: None, expires_at: now + KEPT_SECONDS, now };
        let Some(key) = key else { return Ok(Ok(attempt)) };

        let pk = format!("{tenant}#{route}#{}", key.0);
        let found = self.dynamo.get(&self.table, [("pk", s(&pk))].into(), true).await?;
        match found.filter(|item| number(item, "expires_at").is_some_and(|end: i64| end > now)) {
            None => {
                attempt.key = Some((pk, fingerprint.to_owned()));
                Ok(Ok(attempt))
            }
            Some(item) if text(&item, "fingerprint") != Some(fingerprint) => Err(reused()),
            Some(item) => Ok(Err(text(&item, "answer").unwrap_or_default().to_owned())),
        }
    }
}

impl Attempt {
    /// The write that records `created`, to be part of the transaction that has the effect; none when the client sent
    /// no key. The transaction fails by this write's condition when another request with the same key was faster; then
    /// [`Idempotency::begin`] finds that one's answer.
    pub fn record<T: Serialize>(&self, created: &Created<T>) -> Result<Option<TransactWrite>, Problem> {
        self.record_without_secret(created, &created.body)
    }

    /// The same for an answer with a secret that is shown once and stored nowhere: sent again, the request is answered
    /// with `replayed` for a body.
    pub fn record_without_secret<T, R: Serialize>(
        &self,
        created: &Created<T>,
        replayed: &R,
    ) -> Result<Option<TransactWrite>, Problem> {
        Ok(self.put(|| created_answer(created, replayed))?.map(TransactWrite::Put))
    }

    /// The same for the answer to a change of what was there: 200 with what is there now.
    pub fn record_change<T: Serialize>(&self, changed: &Tagged<T>) -> Result<Option<TransactWrite>, Problem> {
        let etag = || [(http::header::ETAG, changed.etag.to_string())];
        Ok(self.put(|| answer(StatusCode::OK, etag(), &changed.body))?.map(TransactWrite::Put))
    }

    /// The same for a request that is known again by [`Idempotency::begin_plan`], where what it did fits into the transaction
    /// with this write.
    pub fn record_plan<P: Serialize>(&self, plan: &P) -> Result<Option<TransactWrite>, Problem> {
        Ok(self.plan(plan)?.map(TransactWrite::Put))
    }

    fn plan<P: Serialize>(&self, plan: &P) -> Result<Option<Put>, Problem> {
        self.put(|| answer(StatusCode::OK, [], plan))
    }

    /// The write that keeps an answer; none without a key.
    fn put(&self, answer: impl FnOnce() -> Result<String, Problem>) -> Result<Option<Put>, Problem> {
        let Some((pk, fingerprint)) = self.key.as_ref() else { return Ok(None) };
        let item: Item = [
            ("pk".to_owned(), s(pk)),
            ("fingerprint".to_owned(), s(fingerprint)),
            ("answer".to_owned(), s(answer()?)),
            ("expires_at".to_owned(), n(self.expires_at)),
        ]
        .into();
        Ok(Some(
            Put::new(&self.table, item)
                .only_if("attribute_not_exists(pk) OR expires_at <= :now")
                .value(":now", n(self.now)),
        ))
    }
}

/// The answer to a request whose transaction met the one of the same key's first request, still under way.
pub fn in_progress() -> Problem {
    Problem::new(ProblemType::IdempotencyInProgress, "send the request again in a moment").retry_after(1)
}

/// The answer to a request whose key was used with another body.
pub(crate) fn reused() -> Problem {
    Problem::new(
        ProblemType::IdempotencyKeyReused,
        "this Idempotency-Key was used with another body; use a new key for a new request",
    )
}

/// What is kept of a 201, to be sent again with `body`.
pub(crate) fn created_answer<T, R: Serialize>(created: &Created<T>, body: &R) -> Result<String, Problem> {
    let headers = [(LOCATION, created.location.clone()), (http::header::ETAG, created.etag.to_string())];
    answer(StatusCode::CREATED, headers, body)
}

/// What is kept of an answer in JSON.
pub(crate) fn answer<R: Serialize>(
    status: StatusCode,
    headers: impl IntoIterator<Item = (HeaderName, String)>,
    body: &R,
) -> Result<String, Problem> {
    let json = (CONTENT_TYPE, "application/json".to_owned());
    let headers = std::iter::once(json).chain(headers).map(|(name, value)| (name.to_string(), value)).collect();
    let body = serde_json::to_string(body).map_err(Problem::internal)?;
    serde_json::to_string(&Recorded { status: status.as_u16(), headers, body }).map_err(Problem::internal)
}

/// A kept answer, sent again.
pub(crate) fn replay(recorded: &str) -> Result<Response, Problem> {
    let recorded: Recorded = serde_json::from_str(recorded).map_err(Problem::internal)?;
    let status = StatusCode::from_u16(recorded.status).map_err(Problem::internal)?;
    let mut response = (status, recorded.body).into_response();
    response.headers_mut().remove(CONTENT_TYPE);
    for (name, value) in &recorded.headers {
        let name: HeaderName = name.parse().map_err(Problem::internal)?;
        response.headers_mut().insert(name, value.parse().map_err(Problem::internal)?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
