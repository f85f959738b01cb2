//! Refusals as OAuth has them (RFC 6749, section 5.2).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use shared::http::{Json, Problem};
use utoipa::ToSchema;

/// The longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 200;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A parameter is missing, there twice, or makes no sense.
    InvalidRequest,
    /// The client did not prove itself.
    InvalidClient,
    /// The grant (a refresh token) is not valid (any more), or was issued to another client.
    InvalidGrant,
    /// The client may not use the grant type.
    UnauthorizedClient,
    /// The scope is unknown or wider than the client's.
    InvalidScope,
    /// The grant type is none that is offered.
    UnsupportedGrantType,
    /// The token is valid, and of a kind that is not revoked (RFC 7009, section 2.2.1).
    UnsupportedTokenType,
}

/// The document of a refusal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"error": "invalid_client", "error_description": "the client did not prove itself"}))]
pub struct OAuthError {
    /// The code, for programs.
    #[schema(example = "invalid_client")]
    pub error: &'static str,
    /// What is wrong, for people.
    #[schema(example = "the client did not prove itself")]
    pub error_description: String,
}

/// What an OAuth endpoint fails with.
#[derive(Debug)]
pub enum Failure {
    /// As OAuth has it.
    Refused(Refused, String),
    /// As everything else has it.
    Problem(Problem),
}

/// What an `error_description` may have (RFC 6749, section 5.2): a client's own text may have more.
pub(super) fn describable(description: impl Into<String>) -> String {
    let mut description = description.into();
    description.retain(|character| matches!(character, ' '..='~') && !matches!(character, '"' | '\\'));
    description.truncate(LONGEST_DESCRIPTION);
    description
}

impl Refused {
    /// The refusal with what to say about this occurrence.
    pub fn because(self, description: impl Into<String>) -> Failure {
        Failure::Refused(self, describable(description))
    }

    const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
        }
    }
}

impl<E: Into<Problem>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (refused, error_description) = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::Refused(refused, description) => (refused, description),
        };
        let body = Json(OAuthError { error: refused.code(), error_description });
        if refused == Refused::InvalidClient {
            let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth\""))];
            return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
        }
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}
