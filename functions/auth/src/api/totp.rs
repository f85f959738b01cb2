//! `/v1/auth/factors/totp`: an authenticator app as second factor.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, Json, NoContent, Problem, ProblemType};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::factors::FactorEvent;
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::factor::recovery::RecoveryCode;
use crate::factor::totp::{TotpSecret, qr_svg};

use crate::factor::{ENROLMENT_LIFETIME, MULTI_FACTOR, ONE_TIME_PASSWORD, PendingTotp, TotpRecord};
use crate::mail::templates::{Factor, FactorChange};
use crate::user::{SecondFactors, User};

/// An authenticator app to be set up.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "otpauth_uri": "otpauth://totp/Tenfold:ann%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tenfold&algorithm=SHA1&digits=6&period=30",
    "qr_svg": "<?xml version=\"1.0\" standalone=\"yes\"?><svg xmlns=\"http://www.w3.org/2000/svg\">…</svg>",
    "expires_at": "2026-05-04T09:45:00.000Z",
}))]
pub struct TotpEnrolment {
    /// The secret, for typing it into the app: base32.
    pub secret: String,
    /// The same with all that the app asks for.
    pub otpauth_uri: String,
    /// The same as a QR code: an SVG document.
    pub qr_svg: String,
    /// Until when it can be confirmed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub expires_at: Timestamp,
}

/// Proves that the app has the secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpConfirmation {
    /// A code that the app shows.
    #[schema(example = "287082")]
    code: String,
}

/// A factor is set up.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"recovery_codes": ["k7vq2-mz4hs", "w3n9x-7cfb4"]}))]
pub struct FactorAdded {
    /// Ten codes for the day on which the factor is lost, shown this once: with the user's first factor. Each works once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_codes: Option<Vec<RecoveryCode>>,
}

/// Begin to set up an authenticator app.
///
/// Show the QR code; the app is set up by a code of it at `/v1/auth/factors/totp/confirm` within 15 minutes. Beginning again
/// makes a new secret. It needs a sign-in within the last 15 minutes, with a second factor if one is set up.
#[utoipa::path(
    post, path = "/v1/auth/factors/totp", operation_id = "begin_totp", tag = "auth",
    responses(
        (status = 200, description = "The secret, for the app", body = TotpEnrolment),
        (status = 409, description = "conflict: one is set up already", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn begin(
    State(app): State<App>,
    CredentialOwner { user, .. }: CredentialOwner,
) -> Result<Json<TotpEnrolment>, Problem> {
    if user.second_factors.totp {
        return Err(set_up_already());
    }
    let secret = TotpSecret::draw(&app.random);
    let expires_at = app.clock.now().checked_add(ENROLMENT_LIFETIME).unwrap_or(Timestamp::MAX);
    let otpauth_uri = secret.otpauth_uri(&app.product_name, user.email.as_str());
    let qr_svg = qr_svg(&otpauth_uri).map_err(Problem::internal)?;
    let sealed = app.signer.vault().seal_totp(&user.id, &secret).await?;
    app.accounts.put_pending_totp(&user.id, &PendingTotp { secret: sealed, expires_at }).await?;
    Ok(Json(TotpEnrolment { secret: secret.base32(), otpauth_uri, qr_svg, expires_at }))
}

/// Set up the authenticator app.
///
/// From now on a log-in asks for a code of it, or for another second factor. With the user's first one the answer has
/// recovery codes: show them, they cannot be had again.
#[utoipa::path(
    post, path = "/v1/auth/factors/totp/confirm", operation_id = "confirm_totp", tag = "auth",
    request_body(content = TotpConfirmation, example = json!({"code": "287082"})),
    responses(
        (status = 200, description = "The app is set up", body = FactorAdded),
        (status = 400, description = "invalid-one-time-token: the code is wrong", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: one is set up already, or none was begun in the last 15 minutes", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn confirm(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
    Json(given): Json<TotpConfirmation>,
) -> Result<Json<FactorAdded>, Problem> {
    if user.second_factors.totp {
        return Err(set_up_already());
    }
    let now = app.clock.now();
    let pending = app.accounts.pending_totp(&user.id, now).await?.ok_or_else(|| {
        Problem::new(ProblemType::Conflict, "none was begun in the last 15 minutes: begin at /v1/auth/factors/totp")
    })?;
    let secret = app.signer.vault().open_totp(&user.id, &pending.secret).await?;
    let step = secret.accept(&given.code, now, None);
    let last_used_step = step.ok_or_else(|| Problem::new(ProblemType::InvalidOneTimeToken, "the code is not right"))?;
    let totp = TotpRecord { secret: pending.secret, last_used_step, created_at: now };
    let mut writes = app.accounts.totp_added(&user.id, &totp)?;
    let (recovery_codes, write) = app.first_recovery_codes(&user).await?;
    writes.extend(write);
    let user = User { second_factors: SecondFactors { totp: true, ..user.second_factors }, ..user };
    let event = FactorEvent {
        action: Action::FactorAdded,
        target: "totp".to_owned(),
        change: FactorChange::Added,
        factor: Factor::AuthenticatorApp,
        label: None,
        proved: vec![ONE_TIME_PASSWORD, MULTI_FACTOR],
    };
    app.change_factors(&caller, &origin, user, event, writes).await?;
    Ok(Json(FactorAdded { recovery_codes }))
}

/// Take the authenticator app away.
///
/// The recovery codes go with the last second factor. It needs a sign-in within the last 15 minutes, with a second factor.
#[utoipa::path(
    delete, path = "/v1/auth/factors/totp", operation_id = "delete_totp", tag = "auth",
    responses(
        (status = 204, description = "Its codes are not accepted any more"),
        (status = 404, description = "not-found: none is set up", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
) -> Result<NoContent, Problem> {
    if !user.second_factors.totp {
        return Err(Problem::not_found());
    }
    let user = User { second_factors: SecondFactors { totp: false, ..user.second_factors }, ..user };
    let mut writes = vec![app.accounts.totp_removed(&user.id)];
    if !user.second_factors.any() {
        writes.push(app.accounts.recovery_codes_removed(&user.id));
    }
    let event = FactorEvent {
        action: Action::FactorRemoved,
        target: "totp".to_owned(),
        change: FactorChange::Removed,
        factor: Factor::AuthenticatorApp,
        label: None,
        proved: Vec::new(),
    };
    app.change_factors(&caller, &origin, user, event, writes).await?;
    Ok(NoContent)
}

fn set_up_already() -> Problem {
    Problem::new(ProblemType::Conflict, "an authenticator app is set up already: take it away first")
}
