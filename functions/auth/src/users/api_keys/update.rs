//! `PATCH /v1/api-keys/{id}`: rename a key.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, Tagged};
use shared::id::TenantId;
use shared::identity::api_key::ApiKeyId;
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::view::ApiKeyView;
use crate::app::Core;
use crate::store::api_keys::ListedKey;
use crate::user::Name;
use crate::users::race::{Failure, race};

/// What is changed of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEdit {
    /// What people call it.
    name: Name,
}

/// Rename an API key.
///
/// A JSON Merge Patch of the name. What a key may do stays as it was made; who needs something else makes another.
#[utoipa::path(
    patch, path = "/v1/api-keys/{id}", operation_id = "update_api_key", tag = "api-keys",
    params(("id" = String, Path, example = "key_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = ApiKeyEdit, content_type = "application/merge-patch+json", example = json!({"name": "Website"})),
    responses(
        (status = 200, description = "The key after the change", body = ApiKeyView, headers(("ETag" = String))),
        (status = 404, description = "not-found: the tenant has no such key", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(core): State<Core>,
    caller: Caller<permission::WriteApiKeys>,
    Path(id): Path<ApiKeyId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<ApiKeyView>, Problem> {
    race(&core.random, || core.rename_key(&caller.tenant, &id, &conditions, &patch)).await
}

impl Core {
    async fn rename_key(
        &self,
        tenant: &TenantId,
        id: &ApiKeyId,
        conditions: &Preconditions,
        patch: &MergePatch,
    ) -> Result<Tagged<ApiKeyView>, Failure> {
        let found = self.key(tenant, id).await?;
        let (etag, view) = self.key_view(&found.listed, found.record.as_ref())?;
        conditions.check(&etag)?;
        // The name of a key that was made elsewhere may be none that is taken here.
        let name = Name::try_from(found.listed.name.clone()).unwrap_or_else(|_| Name::unnamed());
        let current = ApiKeyEdit { name };
        let edit = patch.apply(&current)?;
        if edit == current {
            return Ok(Tagged::new(etag, view));
        }
        let counted = usize::from(found.listed.counts());
        let listed = ListedKey { name: edit.name.into(), revision: found.listed.revision + 1, ..found.listed };
        self.write_new_key(self.accounts.key_listing(&[&listed], counted)?).await?;
        let (etag, view) = self.key_view(&listed, found.record.as_ref())?;
        Ok(Tagged::new(etag, view))
    }
}
