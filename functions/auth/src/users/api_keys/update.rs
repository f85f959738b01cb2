//! `PATCH /v1/api-keys/{id}`: rename a key, or pin it to a version of the API.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::versions::Version;
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, ProblemType, Tagged};
use shared::identity::api_key::ApiKeyId;
use shared::identity::{Caller, Principal, permission};
use utoipa::ToSchema;

use super::on_identity;
use super::view::ApiKeyView;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::store::api_keys::ListedKey;
use crate::user::Name;
use crate::users::race::{Failure, race};

/// What is changed of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEdit {
    /// What people call it.
    name: Name,
    /// The one version of the API that it may be used with; each of them when null.
    #[serde(default)]
    api_version: Option<Version>,
}

/// Rename an API key, or pin it to a version of the API.
///
/// A JSON Merge Patch of the name and the version. A key that is pinned is refused (`version-pinned`) where a path of
/// another version is asked for, within 30 seconds; `api_version: null` ends that. What a key may do stays as it was made;
/// who needs something else makes another. A revoked key stays as it is.
#[utoipa::path(
    patch, path = "/v1/api-keys/{id}", operation_id = "update_api_key", tag = "api-keys",
    params(("id" = String, Path, example = "key_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = ApiKeyEdit, content_type = "application/merge-patch+json", example = json!({"name": "Website", "api_version": "v2"})),
    responses(
        (status = 200, description = "The key after the change", body = ApiKeyView, headers(("ETag" = String))),
        (status = 404, description = "not-found: the tenant has no such key", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is revoked", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(core): State<Core>,
    caller: Caller<permission::WriteApiKeys>,
    origin: Origin,
    Path(id): Path<ApiKeyId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<ApiKeyView>, Problem> {
    race(&core.random, || core.edit_key(&caller, &origin, &id, &conditions, &patch)).await
}

impl Core {
    async fn edit_key(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &ApiKeyId,
        conditions: &Preconditions,
        patch: &MergePatch,
    ) -> Result<Tagged<ApiKeyView>, Failure> {
        let found = self.key(&caller.tenant, id).await?;
        let (etag, view) = self.key_view(&found.listed, found.record.as_ref())?;
        conditions.check(&etag)?;
        if found.listed.revoked_at.is_some() {
            return Err(Problem::new(ProblemType::Conflict, "the key is revoked: it stays as it is").into());
        }
        // The name of a key that was made elsewhere may be none that is taken here.
        let name = Name::try_from(found.listed.name.clone()).unwrap_or_else(|_| Name::unnamed());
        let pinned = found.record.as_ref().and_then(|record| record.api_version);
        let current = ApiKeyEdit { name, api_version: pinned };
        let edit = patch.apply(&current)?;
        if edit == current {
            return Ok(Tagged::new(etag, view));
        }
        let counted = usize::from(found.listed.counts());
        let listed = ListedKey { name: edit.name.into(), revision: found.listed.revision + 1, ..found.listed };
        let mut writes = self.accounts.key_listing(&[&listed], counted)?;
        let changed = origin.by(caller, Action::ApiKeyChanged, self.clock.now(), &self.random).on(id);
        let version = edit.api_version.map_or_else(|| "unpinned".to_owned(), |version| version.to_string());
        writes.push(self.accounts.audit_write(&changed.with(version))?);
        let mut record = found.record;
        if edit.api_version != pinned {
            record.as_mut().ok_or_else(Problem::not_found)?.api_version = edit.api_version;
            writes.push(on_identity(self.accounts.identity().pin_key_write(id, edit.api_version)));
        }
        self.write_new_key(writes).await?;
        let (etag, view) = self.key_view(&listed, record.as_ref())?;
        Ok(Tagged::new(etag, view))
    }
}
