//! The local stack's own endpoints below `/_tenfold/`: what `tenfold tick` calls. They are no part of the API, and
//! answer only to who can read the token in the data directory: a web page in the same machine's browser cannot.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::answer::{self, Answer};
use crate::schedules::{Schedules, TickError};

/// Where the control endpoints are.
pub(crate) const PREFIX: &str = "/_tenfold/";

/// What the control endpoints work on.
#[derive(Debug)]
pub(crate) struct Control {
    /// What a caller must show as its bearer token.
    pub(crate) token: String,
    /// The schedules.
    pub(crate) schedules: Arc<Schedules>,
    /// The functions' names.
    pub(crate) functions: Vec<String>,
}

impl Control {
    /// Answers a request whose path starts with [`PREFIX`].
    pub(super) async fn call(&self, parts: &Parts) -> Answer {
        let shown = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let shown = shown.strip_prefix("Bearer ").unwrap_or_default();
        if !bool::from(shown.as_bytes().ct_eq(self.token.as_bytes())) {
            return answer::failure(StatusCode::FORBIDDEN, "Forbidden");
        }
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        match (&parts.method, path.split_once('/')) {
            (&Method::GET, None) if path == "functions" => {
                answer::json(StatusCode::OK, &json!({"functions": self.functions, "schedules": self.schedules.names()}))
            }
            (&Method::POST, Some(("tick", name))) => self.tick(&super::routes::decoded(name)).await,
            _ => answer::failure(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    async fn tick(&self, name: &str) -> Answer {
        match self.schedules.tick(name).await {
            Ok(()) => answer::json(StatusCode::OK, &json!({"ticked": name})),
            Err(error @ TickError::Unknown { .. }) => answer::failure(StatusCode::NOT_FOUND, &error.to_string()),
            Err(error @ TickError::Invoke(_)) => answer::failure(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }
}
