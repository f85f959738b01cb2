//! JSON Merge Patch (RFC 7396).

use axum::extract::{FromRequest, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::extract::{BODY_LIMIT, body_within, fault, from_value, parse_json, require_content_type};
use super::problem::{FieldError, Problem};

/// A merge patch: members replace, `null` removes, what is absent stays.
/// Sent as `application/merge-patch+json` or `application/json`.
#[derive(Clone, Debug)]
pub struct MergePatch(Value);

impl MergePatch {
    /// `current` with the patch applied, read back with the same checks as a whole body.
    pub fn apply<T: Serialize + DeserializeOwned>(&self, current: &T) -> Result<T, Problem> {
        let mut value = serde_json::to_value(current).map_err(Problem::internal)?;
        // Merging drops a null without a look at its name, which may be mistyped.
        let unknown: Vec<_> = self
            .0
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, patch)| patch.is_null() && value.get(name).is_none())
            .map(|(name, _)| fault("", &format!("unknown field `{name}`")))
            .collect();
        if !unknown.is_empty() {
            return Err(Problem::validation(unknown));
        }
        json_patch::merge(&mut value, &self.0);
        from_value(value)
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        require_content_type(request.headers(), &["application/merge-patch+json", "application/json"])?;
        let value: Value = parse_json(&body_within(request, BODY_LIMIT).await?)?;
        if value.is_object() {
            Ok(Self(value))
        } else {
            Err(Problem::validation(vec![FieldError::new("", "invalid_type", "a merge patch is a JSON object")]))
        }
    }
}
