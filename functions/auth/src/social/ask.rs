//! Asking a provider: within bounds, and for JSON.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::cache::Cache;
use shared::outbound::{Outbound, OutboundError, Request, Response};
use shared::time::{Clock, SignedDuration, Timestamp};

use super::provider::MOST_PROVIDERS;
use crate::foreign_token::InvalidForeignToken;

/// How long one answer may take. A callback asks five times at most, and the function's time-out is longer than that.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// The largest answer in bytes.
const LARGEST_ANSWER: usize = 128 * 1024;
/// How long metadata and keys are taken without asking again.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);
/// How long they are taken when asking again fails.
const USABLE_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Why a provider has proved nobody.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It gives no answer, or not in time, or too large a one.
    #[error("the provider does not answer")]
    Unreachable(#[from] OutboundError),
    /// It answers with another status than its protocol has.
    #[error("the provider answered {0}")]
    Status(StatusCode),
    /// It answers with something else than its protocol has.
    #[error("the provider's answer is not {0}")]
    Unreadable(&'static str),
    /// It refuses: a code of OAuth, or `unknown`.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// It says that it has a failure of its own.
    #[error("the provider has a failure of its own")]
    Failing,
    /// The person refused.
    #[error("access was denied at the provider")]
    Denied,
    /// What it answers must not be believed.
    #[error("the provider's answer is not acceptable: {0}")]
    NotAcceptable(&'static str),
    /// Its id token does not verify.
    #[error("the id token is not acceptable")]
    IdToken(#[from] InvalidForeignToken),
}

impl ProviderError {
    /// The stable code for the page that the browser is sent back to.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Status(_) | Self::Unreadable(_) | Self::Failing => "provider_unavailable",
            Self::Refused(_) => "provider_error",
            Self::Denied => "access_denied",
            Self::NotAcceptable(_) | Self::IdToken(_) => "invalid_response",
        }
    }

    /// What a provider's own error code means (RFC 6749, sections 4.1.2.1 and 5.2).
    pub fn of_code(code: &str) -> Self {
        let plain = code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        match code {
            "access_denied" => Self::Denied,
            "server_error" | "temporarily_unavailable" => Self::Failing,
            _ => Self::Refused(if plain { code } else { "unknown" }.to_owned()),
        }
    }
}

/// Asks, and reads the JSON that comes with a status of success. A redirect is not followed.
pub async fn ask<T: DeserializeOwned>(outbound: &Outbound, request: Request) -> Result<T, ProviderError> {
    let mut request = Request { timeout: ANSWER_WITHIN, response_limit: LARGEST_ANSWER, redirects: 0, ..request };
    request.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    let answer = outbound.send(request).await?;
    if answer.status != StatusCode::OK {
        return Err(refusal(&answer).unwrap_or(ProviderError::Status(answer.status)));
    }
    if !is_json(&answer) {
        return Err(ProviderError::Unreadable("JSON by its content type"));
    }
    serde_json::from_slice(&answer.body).map_err(|_| ProviderError::Unreadable("the JSON that its protocol has"))
}

/// A `GET` of a URL.
pub fn get(url: &str) -> Request {
    Request::new(Method::GET, url)
}

/// A `POST` of a form to a URL.
pub fn form(url: &str, form: &[(&str, &str)]) -> Request {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = Request { body: body.into(), ..Request::new(Method::POST, url) };
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request
}

/// The refusal of RFC 6749, section 5.2, if the answer is one.
fn refusal(answer: &Response) -> Option<ProviderError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    if !matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return None;
    }
    let refusal: Refusal = serde_json::from_slice(&answer.body).ok()?;
    Some(ProviderError::of_code(&refusal.error))
}

fn is_json(answer: &Response) -> bool {
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// What providers publish, kept by its URL: for 10 minutes without asking, and for 24 hours when asking fails.
#[derive(Clone, Debug)]
pub struct Published<T> {
    cache: Cache<String, (Timestamp, Arc<T>)>,
    clock: Clock,
}

impl<T: Send + Sync + 'static> Published<T> {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Self {
        // Room for what a changed URL leaves behind.
        let capacity = 2 * MOST_PROVIDERS as u64;
        Self { cache: Cache::new(capacity, USABLE_FOR, clock.clone()), clock }
    }

    /// What is published at `url`, loaded when it is not fresh.
    pub async fn get(
        &self,
        url: &str,
        load: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        let known = self.cache.get(&url.to_owned()).await;
        if let Some((loaded_at, value)) = &known
            && self.clock.now().duration_since(*loaded_at) < FRESH_FOR
        {
            return Ok(value.clone());
        }
        match (self.load(url, load).await, known) {
            (Err(error), Some((_, value))) => {
                tracing::warn!(error = shared::telemetry::chain(&error), "what a provider published before is used");
                Ok(value)
            }
            (loaded, _) => loaded,
        }
    }

    /// What is published at `url` now.
    pub async fn load(
        &self,
        url: &str,
        load: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        let asked_at = self.clock.now();
        let value = Arc::new(load.await?);
        self.cache.insert_as_of(url.to_owned(), (asked_at, value.clone()), asked_at).await;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_is_published_outlives_an_outage_of_a_day() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let published = Published::new(clock.clone());
        let up = |value: u8| async move { Ok(value) };
        let down = async || Err(ProviderError::Status(StatusCode::BAD_GATEWAY));
        assert_eq!(*published.get("a", up(1)).await.unwrap(), 1);
        clock.advance(FRESH_FOR - SignedDuration::from_secs(1));
        assert_eq!(*published.get("a", up(2)).await.unwrap(), 1);
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(*published.get("a", down()).await.unwrap(), 1);
        assert_eq!(*published.get("a", up(3)).await.unwrap(), 3);
        assert_eq!(*published.load("a", up(4)).await.unwrap(), 4);
        clock.advance(USABLE_FOR);
        assert_eq!(published.get("a", down()).await.unwrap_err().code(), "provider_unavailable");
        assert!(published.get("b", down()).await.is_err());
    }

    #[test]
    fn a_providers_code_is_told_when_it_is_one() {
        assert_eq!(ProviderError::of_code("invalid_grant").to_string(), "the provider refused: invalid_grant");
        assert_eq!(ProviderError::of_code("<b>hello</b>").to_string(), "the provider refused: unknown");
        assert_eq!(ProviderError::of_code("access_denied").code(), "access_denied");
        assert_eq!(ProviderError::of_code("temporarily_unavailable").code(), "provider_unavailable");
    }
}
