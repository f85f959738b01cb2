//! The local stack's own endpoints below `/_tenfold/`: what `tenfold tick`, `invoke` and `environment` call. They are no part of the API, and
//! answer only to who can read the token in the data directory: a web page in the same machine's browser cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::answer::{self, Answer};
use crate::instances::Instance;
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
    /// The functions.
    pub(crate) functions: Vec<Arc<Instance>>,
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
                let functions: Vec<_> = self.functions.iter().map(|instance| &instance.declared.handler).collect();
                answer::json(StatusCode::OK, &json!({"functions": functions, "schedules": self.schedules.names()}))
            }
            (&Method::POST, Some((operation @ ("environment" | "invoke"), name))) => {
                let name = super::routes::decoded(name);
                match self.functions.iter().find(|instance| instance.declared.handler == name) {
                    Some(instance) if operation == "environment" => {
                        let variables: BTreeMap<_, _> = instance.environment.iter().collect();
                        answer::json(StatusCode::OK, &json!(variables))
                    }
                    Some(instance) => invoke(instance, parts).await,
                    None => self.unknown(&name),
                }
            }
            (&Method::POST, Some(("tick", name))) => self.tick(&super::routes::decoded(name)).await,
            _ => answer::failure(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    /// 404 with the names that there are.
    fn unknown(&self, name: &str) -> Answer {
        let known: Vec<_> = self.functions.iter().map(|instance| instance.declared.handler.as_str()).collect();
        let message = format!("there is no function {name}; there are {}", known.join(", "));
        answer::failure(StatusCode::NOT_FOUND, &message)
    }

    async fn tick(&self, name: &str) -> Answer {
        match self.schedules.tick(name).await {
            Ok(()) => answer::json(StatusCode::OK, &json!({"ticked": name})),
            Err(error @ TickError::Unknown { .. }) => answer::failure(StatusCode::NOT_FOUND, &error.to_string()),
            Err(error @ TickError::Invoke(_)) => answer::failure(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }
}

/// Invokes a function with the event that is the query, as `aws lambda invoke` does with its payload.
async fn invoke(instance: &Instance, parts: &Parts) -> Answer {
    let event = super::routes::decoded(parts.uri.query().unwrap_or("null"));
    let Ok(event) = RawValue::from_string(event) else {
        return answer::failure(StatusCode::BAD_REQUEST, "the event is not JSON");
    };
    match instance.invoke(event).await {
        Ok(answer) => match serde_json::from_str::<Value>(answer.get()) {
            Ok(answer) => answer::json(StatusCode::OK, &answer),
            Err(error) => answer::failure(StatusCode::BAD_GATEWAY, &error.to_string()),
        },
        Err(error) => answer::failure(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}
