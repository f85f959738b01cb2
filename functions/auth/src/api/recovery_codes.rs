//! `/v1/auth/factors/recovery-codes`: codes for the day on which the other factors are lost.

use axum::extract::State;
use serde::Serialize;
use shared::http::{Created, Document, ETag, Json, Problem, ProblemType};
use shared::identity::{Caller, permission};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::factors::FactorEvent;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::factor::RecoveryRecord;
use crate::factor::recovery::{COUNT, RecoveryCode, RecoveryCodes};
use crate::mail::templates::{Factor, FactorChange};
use crate::password::on_a_core;
use crate::store::Write;
use crate::user::User;

/// A new set.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"recovery_codes": ["k7vq2-mz4hs", "w3n9x-7cfb4"]}))]
pub struct NewRecoveryCodes {
    /// The codes, shown this once. Each works once.
    pub recovery_codes: Vec<RecoveryCode>,
}

/// What is left of a set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"remaining": 9, "total": 10, "created_at": "2026-05-04T09:30:00.000Z"}))]
pub struct RecoveryCodesLeft {
    /// How many codes are not used.
    pub remaining: usize,
    /// How many there were.
    pub total: usize,
    /// When the set was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
}

/// How many recovery codes are left.
#[utoipa::path(
    get, path = "/v1/auth/factors/recovery-codes", operation_id = "get_recovery_codes", tag = "auth",
    responses(
        (status = 200, description = "How many are left, not the codes", body = RecoveryCodesLeft),
        (status = 404, description = "not-found: there is no set, as there is no second factor", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
) -> Result<Json<RecoveryCodesLeft>, Problem> {
    let record = app.accounts.recovery_codes(&person(&caller)?).await?.ok_or_else(Problem::not_found)?;
    let remaining = record.codes.remaining();
    Ok(Json(RecoveryCodesLeft { remaining, total: COUNT, created_at: record.created_at }))
}

/// Make new recovery codes.
///
/// The old ones are void. It needs a sign-in within the last 15 minutes, with a second factor. An `Idempotency-Key` is not
/// looked at, as the codes are kept nowhere: a request that is sent again makes another set.
#[utoipa::path(
    post, path = "/v1/auth/factors/recovery-codes", operation_id = "create_recovery_codes", tag = "auth",
    responses(
        (status = 201, description = "The codes", body = NewRecoveryCodes, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "conflict: no second factor is set up", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
) -> Result<Created<NewRecoveryCodes>, Problem> {
    if !user.second_factors.any() {
        return Err(Problem::new(
            ProblemType::Conflict,
            "recovery codes come with the first second factor: set one up",
        ));
    }
    let (record, recovery_codes) = app.draw_recovery_codes().await?;
    let write = app.accounts.recovery_codes_made(&user.id, &record)?;
    let event = FactorEvent {
        action: Action::FactorAdded,
        target: "recovery_codes".to_owned(),
        change: FactorChange::Replaced,
        factor: Factor::RecoveryCodes,
        label: None,
        proved: Vec::new(),
    };
    // The user's record is written too, unchanged but for its revision: the last factor cannot go meanwhile.
    app.change_factors(&caller, &origin, user, event, vec![write]).await?;
    Ok(Created {
        location: "/v1/auth/factors/recovery-codes".to_owned(),
        etag: ETag::of_version(record.created_at.as_microsecond()),
        body: NewRecoveryCodes { recovery_codes },
    })
}

impl App {
    async fn draw_recovery_codes(&self) -> Result<(RecoveryRecord, Vec<RecoveryCode>), Problem> {
        let random = self.random.clone();
        let drawn = on_a_core(move || RecoveryCodes::generate(&random)).await.map_err(Problem::internal)?;
        let (codes, shown) = drawn.map_err(Problem::internal)?;
        Ok((RecoveryRecord { codes, created_at: self.clock.now() }, shown))
    }

    /// The recovery codes that come with the first second factor of `user`, as the record is before it; none with another.
    pub(crate) async fn first_recovery_codes(
        &self,
        user: &User,
    ) -> Result<(Option<Vec<RecoveryCode>>, Option<Write>), Problem> {
        if user.second_factors.any() {
            return Ok((None, None));
        }
        let (record, shown) = self.draw_recovery_codes().await?;
        Ok((Some(shown), Some(self.accounts.recovery_codes_made(&user.id, &record)?)))
    }
}
