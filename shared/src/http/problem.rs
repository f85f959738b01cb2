//! Problem documents: RFC 9457 `application/problem+json`, for every failure.

use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::BoxError;

/// Defines the list of problem types once: variant, status, slug and title.
macro_rules! problem_types {
    ($($(#[doc = $doc:literal])* $variant:ident = $status:ident, $slug:literal, $title:literal;)*) => {
        /// Every type of problem that Tenfold answers with. Clients switch on the type; people read the detail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemType { $($(#[doc = $doc])* $variant,)* }

        impl ProblemType {
            /// All of them, for the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The status that goes with the type.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// The last part of the type's URI.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// What it means, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problem_types! {
    /// The request cannot be read: a header, parameter or combination that makes no sense.
    BadRequest = BAD_REQUEST, "bad-request", "The request cannot be understood";
    /// The body is not JSON.
    MalformedJson = BAD_REQUEST, "malformed-json", "The body is not valid JSON";
    /// The cursor was altered, or made for another tenant or query.
    InvalidCursor = BAD_REQUEST, "invalid-cursor", "The cursor is not valid for this request";
    /// More than one credential was sent.
    AmbiguousCredentials = BAD_REQUEST, "ambiguous-credentials", "More than one credential was sent";
    /// No credential, or one that is not valid (any more).
    Unauthenticated = UNAUTHORIZED, "unauthenticated", "A valid credential is needed";
    /// The user's last proof of who they are is too long ago for this: they sign in again, and come back.
    StepUpRequired = UNAUTHORIZED, "step-up-required", "A recent sign-in is needed";
    /// A log-in that does not work. It does not tell whether there is such an account.
    InvalidCredentials = UNAUTHORIZED, "invalid-credentials", "The credentials are not right";
    /// A one-time token or code that is wrong, used or expired.
    InvalidOneTimeToken = BAD_REQUEST, "invalid-one-time-token", "The token is not valid any more";
    /// The refresh token is not valid (any more): sign in again.
    InvalidRefreshToken = UNAUTHORIZED, "invalid-refresh-token", "The session is over";
    /// The password is right, and the address is not proved yet.
    EmailNotVerified = FORBIDDEN, "email-not-verified", "The e-mail address is not verified";
    /// The provider proves an address that has an account: who signs in to it otherwise may link the two.
    AccountExists = CONFLICT, "account-exists", "The address has an account already";
    /// A tenant keeps at least one owner who can act.
    LastOwner = CONFLICT, "last-owner", "A tenant needs an owner";
    /// The caller is known and may not do this.
    Forbidden = FORBIDDEN, "forbidden", "The caller may not do this";
    /// The credential is pinned to another version of the API.
    VersionPinned = FORBIDDEN, "version-pinned", "The credential is for another version";
    /// There is no such thing, or not for this caller.
    NotFound = NOT_FOUND, "not-found", "There is nothing here";
    /// The path exists, for other methods (listed in `Allow`).
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not offered here";
    /// None of the representations asked for by `Accept` is offered.
    NotAcceptable = NOT_ACCEPTABLE, "not-acceptable", "No acceptable representation is offered";
    /// The state of the thing does not allow this.
    Conflict = CONFLICT, "conflict", "The request conflicts with the present state";
    /// The alias of a link is in use.
    AliasTaken = CONFLICT, "alias-taken", "The alias is in use";
    /// The first request with this `Idempotency-Key` is still running.
    IdempotencyInProgress = CONFLICT, "idempotency-in-progress", "The first request with this key is still running";
    /// It was there and is not any more.
    Gone = GONE, "gone", "It is not available any more";
    /// The version of the API, or the route, has ended: the documents at its `Link` say what to use instead.
    VersionSunset = GONE, "version-sunset", "This version has ended";
    /// `If-Match` names another version than the present one.
    PreconditionFailed = PRECONDITION_FAILED, "precondition-failed", "It has changed since it was read";
    /// The tenant wants every change to say by `If-Match` which version it is about.
    PreconditionRequired = PRECONDITION_REQUIRED, "precondition-required", "If-Match is needed";
    /// The body is over the route's limit.
    PayloadTooLarge = PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large";
    /// The body has another `Content-Type` than the route reads.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The content type is not supported";
    /// Fields of the request have bad values; `errors` has one entry for each.
    Validation = UNPROCESSABLE_ENTITY, "validation", "The request has invalid fields";
    /// The `Idempotency-Key` was used with another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The idempotency key belongs to another request";
    /// A rate limit is used up; `Retry-After` says until when.
    RateLimited = TOO_MANY_REQUESTS, "rate-limited", "Too many requests";
    /// The API key's credits are used up; `Retry-After` says when they are refilled, if they are.
    CreditsExhausted = TOO_MANY_REQUESTS, "credits-exhausted", "The key's credits are used up";
    /// Our fault. The request id finds it in the log.
    Internal = INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side";
    /// A dependency is down or overloaded; `Retry-After` says when to try again.
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "The service is not available at the moment";
    /// The provider that one signs in by is down, or answers nonsense.
    ProviderUnavailable = SERVICE_UNAVAILABLE, "provider-unavailable", "The provider is not available at the moment";
    /// The work did not end within the function's time.
    Timeout = GATEWAY_TIMEOUT, "timeout", "The request took too long";
}

/// One bad field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    /// What is wrong, for programs.
    #[schema(value_type = String)]
    pub code: std::borrow::Cow<'static, str>,
    /// What is wrong, for people.
    pub detail: String,
}

impl FieldError {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

/// A failure on its way to the client. Its source is for the log alone.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", kind.slug())]
pub struct Problem {
    kind: ProblemType,
    detail: String,
    errors: Vec<FieldError>,
    /// Boxed, so that results stay small.
    headers: Box<HeaderMap>,
    source: Option<BoxError>,
}

impl Problem {
    /// A problem with what to say about this occurrence.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Box::default(), source: None }
    }

    /// There is no such thing (or not for this caller).
    pub fn not_found() -> Self {
        Self::new(ProblemType::NotFound, "there is no such resource")
    }

    /// Fields with bad values.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "1 field is invalid".to_owned(),
            count => format!("{count} fields are invalid"),
        };
        Self { errors, ..Self::new(ProblemType::Validation, detail) }
    }

    /// The same about a part of the body: its fields lie below the JSON pointer `prefix`.
    pub fn below(mut self, prefix: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, prefix);
        }
        self
    }

    /// The same with its bad fields elsewhere.
    pub(crate) fn move_pointers(&mut self, moved: impl Fn(&str) -> String) {
        for error in &mut self.errors {
            error.pointer = moved(&error.pointer);
        }
    }

    /// A failure of our own. The client learns nothing but the request id.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(ProblemType::Internal, "the failure was logged under the request id").caused_by(source)
    }

    /// A dependency that is down or overloaded: try again after a second.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::new(ProblemType::Unavailable, "a service that this needs does not answer")
            .caused_by(source)
            .retry_after(1)
    }

    /// Keeps the cause for the log.
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds `Retry-After`, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(http::header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The type.
    pub const fn kind(&self) -> ProblemType {
        self.kind
    }

    /// The bad fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The document as it is sent.
    pub(crate) fn document(&self, instance: &str, request_id: &str) -> Document {
        Document {
            kind: format!("https://tenfold.dev/problems/{}", self.kind.slug()),
            title: self.kind.title().to_owned(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }
}

/// The problem document of RFC 9457 with Tenfold's members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// The type of problem: a stable URI. Clients switch on it.
    #[serde(rename = "type")]
    #[schema(example = "https://tenfold.dev/problems/validation")]
    pub kind: String,
    /// The type's meaning.
    #[schema(example = "The request has invalid fields")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What happened this time.
    #[schema(example = "1 field is invalid")]
    pub detail: String,
    /// The path of the request.
    #[schema(example = "/v1/links")]
    pub instance: String,
    /// Finds the request in the log.
    #[schema(example = "req_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub request_id: String,
    /// The bad fields, one entry for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

impl IntoResponse for Problem {
    /// The status, the headers and the problem itself as an extension: the path and the request id are known to
    /// [`super::conventions`], which writes the document.
    fn into_response(mut self) -> Response {
        let headers = std::mem::take(&mut self.headers);
        let mut response = (self.kind.status(), *headers).into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_slug_of_its_own() {
        let mut slugs: Vec<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
    }

    #[test]
    fn every_type_has_its_row_in_the_documentation() {
        let documented: Vec<_> = include_str!("../../../docs/problems.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(slug, rest)| (slug, rest.split_once(' ').unwrap_or_default().0))
            .collect();
        let statuses: Vec<_> = ProblemType::ALL.iter().map(|kind| kind.status().as_str().to_owned()).collect();
        let defined = ProblemType::ALL.iter().zip(&statuses).map(|(kind, status)| (kind.slug(), status.as_str()));
        assert_eq!(documented, defined.collect::<Vec<_>>());
    }

    #[test]
    fn the_cause_of_an_internal_problem_stays_out_of_the_document() {
        let problem = Problem::internal("SELECT secret FROM arn:aws:…");
        let text = serde_json::to_string(&problem.document("/v1/links", "req_1")).unwrap_or_default();
        assert!(text.contains("req_1") && !text.contains("SELECT"));
    }
}
