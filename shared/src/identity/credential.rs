//! Which credential a request has, and how one that is not accepted is answered.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

use crate::http::{Problem, ProblemType};

/// The one credential of a request, not yet verified.
pub(super) enum Credential {
    /// An API key by its form.
    ApiKey(String),
    /// Whatever else: an access token, or nothing that is known.
    Token(String),
}

impl Credential {
    /// From `Authorization` or `X-Api-Key`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let authorization: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        let api_key: Vec<_> = headers.get_all("x-api-key").iter().collect();
        let text = |value: &HeaderValue| {
            value.to_str().map(str::to_owned).map_err(|_| invalid_token("the credential has characters that none has"))
        };
        match (authorization.as_slice(), api_key.as_slice()) {
            ([], []) => Err(unauthenticated("send Authorization: Bearer with an access token or an API key")),
            // API Gateway joins headers that are there twice.
            ([], [one]) | ([one], []) if one.as_bytes().contains(&b',') => Err(ambiguous()),
            ([], [key]) => Ok(Self::ApiKey(text(key)?)),
            ([authorization], []) => {
                let authorization = text(authorization)?;
                let (scheme, token) = authorization.split_once(' ').unwrap_or((&authorization, ""));
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(unauthenticated("the only scheme is Bearer"));
                }
                Ok(Self::in_bearer(token.trim()))
            }
            _ => Err(ambiguous()),
        }
    }

    /// What the Bearer scheme carries.
    pub(super) fn in_bearer(text: &str) -> Self {
        if text.starts_with("tf_") { Self::ApiKey(text.to_owned()) } else { Self::Token(text.to_owned()) }
    }
}

fn ambiguous() -> Problem {
    Problem::new(ProblemType::AmbiguousCredentials, "send one credential, in one header")
}

/// No credential was understood: the challenge says no more than the scheme (RFC 6750, section 3.1).
fn unauthenticated(detail: &str) -> Problem {
    Problem::new(ProblemType::Unauthenticated, detail)
}

/// A credential was sent and is not valid.
pub(super) fn invalid_token(detail: &str) -> Problem {
    unauthenticated(detail).header(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#))
}
