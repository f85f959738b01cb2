//! JSON Merge Patch (RFC 7396).

use axum::extract::{FromRequest, Request};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::{BODY_LIMIT, body_within, from_value, parse_json, require_content_type};
use super::faults::{fault, pointer_to};
use super::problem::{FieldError, Problem};
use super::unambiguous::Unambiguous;

/// A merge patch: members replace, `null` removes, what is absent stays.
/// Sent as `application/merge-patch+json` or `application/json`.
#[derive(Clone, Debug)]
pub struct MergePatch(Value);

impl MergePatch {
    /// What the patch says at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

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
            .map(|(name, _)| fault(&pointer_to(name), &format!("unknown field `{name}`")))
            .collect();
        if !unknown.is_empty() {
            return Err(Problem::validation(unknown));
        }
        json_patch::merge(&mut value, &self.0);
        from_value(&value)
    }
}

/// A patch within a body.
impl<'de> Deserialize<'de> for MergePatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unambiguous(value) = Unambiguous::deserialize(deserializer)?;
        if value.is_object() { Ok(Self(value)) } else { Err(D::Error::custom("invalid_type: is a JSON object")) }
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        require_content_type(request.headers(), &["application/merge-patch+json", "application/json"])?;
        let Unambiguous(value) = parse_json(&body_within(request, BODY_LIMIT).await?)?;
        if value.is_object() {
            Ok(Self(value))
        } else {
            Err(Problem::validation(vec![FieldError::new("", "invalid_type", "a merge patch is a JSON object")]))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shelf {
        name: String,
        label: Option<String>,
    }

    fn patched(patch: Value) -> Result<Shelf, Problem> {
        MergePatch(patch).apply(&Shelf { name: "a".to_owned(), label: Some("b".to_owned()) })
    }

    #[test]
    fn members_replace_null_removes_and_what_is_absent_stays() {
        assert_eq!(patched(json!({"label": null})).unwrap(), Shelf { name: "a".to_owned(), label: None });
        assert_eq!(patched(json!({"name": "c"})).unwrap(), Shelf { name: "c".to_owned(), label: Some("b".to_owned()) });
    }

    #[test]
    fn an_unknown_member_is_pointed_at_also_when_it_is_null() {
        for value in [json!(null), json!(1)] {
            let problem = patched(json!({"la/bel~": value})).unwrap_err();
            let faults: Vec<_> = problem.errors().iter().map(|fault| (&*fault.pointer, &*fault.code)).collect();
            assert_eq!(faults, [("/la~1bel~0", "unknown_field")]);
        }
    }
}
