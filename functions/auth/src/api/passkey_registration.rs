//! `POST /v1/auth/passkeys/register/…`: a new passkey.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Created, Document, Json, Problem, ProblemType};
use shared::refusal::Refusal;
use utoipa::ToSchema;
use webauthn_rs::prelude::RegisterPublicKeyCredential;

use super::credential_owner::CredentialOwner;
use super::factors::FactorEvent;
use super::passkey_ceremony::PasskeyOptions;
use super::passkeys::PasskeyView;
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::factor::MULTI_FACTOR;
use crate::factor::passkey::{Ceremony, MOST_PASSKEYS, PasskeyId, PasskeyRecord, Registering};
use crate::factor::recovery::RecoveryCode;
use crate::mail::templates::{Factor, FactorChange};
use crate::user::{Name, SecondFactors, User};

/// What a client sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// The ticket of the options.
    #[schema(example = "tf_ot_…")]
    ticket: String,
    /// What `navigator.credentials.create` made: the JSON form (`toJSON`) of its `PublicKeyCredential`.
    #[schema(value_type = Object)]
    credential: RegisterPublicKeyCredential,
    /// What the user calls it.
    #[serde(default)]
    name: Option<Name>,
}

/// The new passkey.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "passkey_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Phone", "backed_up": true, "blocked": false,
    "created_at": "2026-05-04T09:30:00.000Z", "last_used_at": null, "recovery_codes": ["k7vq2-mz4hs", "w3n9x-7cfb4"],
}))]
pub struct PasskeyAdded {
    /// The passkey.
    #[serde(flatten)]
    pub passkey: PasskeyView,
    /// Ten codes for the day on which it is lost, shown this once: with the user's first factor. Each works once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_codes: Option<Vec<RecoveryCode>>,
}

/// Begin to register a passkey.
///
/// Give `options` to `navigator.credentials.create` as `publicKey` (`PublicKeyCredential.parseCreationOptionsFromJSON`),
/// and send what it makes to `/v1/auth/passkeys/register/finish`. It needs a sign-in within the last 15 minutes, with a
/// second factor if one is set up.
#[utoipa::path(
    post, path = "/v1/auth/passkeys/register/begin", operation_id = "begin_passkey_registration", tag = "auth",
    responses(
        (status = 200, description = "The options", body = PasskeyOptions),
        (status = 404, description = "not-found: there are no passkeys in this installation", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: the user has 10 passkeys", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn begin(
    State(app): State<App>,
    CredentialOwner { user, .. }: CredentialOwner,
) -> Result<Json<PasskeyOptions>, Problem> {
    let relying_party = app.relying_party()?;
    let known = app.accounts.passkeys(&user.id).await?;
    if known.len() >= usize::from(MOST_PASSKEYS) {
        return Err(too_many());
    }
    let (options, state) = relying_party.begin_registration(&user, &known).map_err(Problem::internal)?;
    let state = Registering { user_id: user.id, state };
    app.begin_ceremony(Ceremony::Registration, options, &state).await.map(Json)
}

/// Register a passkey.
///
/// It signs in alone from now on, and a log-in with a password asks for it or another second factor. With the user's first
/// factor the answer has recovery codes: show them, they cannot be had again. An `Idempotency-Key` is not looked at: the
/// ticket is good for one passkey.
#[utoipa::path(
    post, path = "/v1/auth/passkeys/register/finish", operation_id = "finish_passkey_registration", tag = "auth",
    request_body(content = NewPasskey, example = json!({"ticket": "tf_ot_…", "credential": {"id": "…", "rawId": "…", "type": "public-key", "response": {}}, "name": "Phone"})),
    responses(
        (status = 201, description = "The passkey", body = PasskeyAdded, headers(("Location" = String), ("ETag" = String))),
        (status = 400, description = "invalid-one-time-token: the ticket is void, or was used: ask for new options", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is registered, or the user has 10 passkeys", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation: the credential was not made by these options, in this place", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn finish(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
    Json(given): Json<NewPasskey>,
) -> Result<Created<PasskeyAdded>, Problem> {
    let (ticket, begun) = app.ceremony::<Registering>(Ceremony::Registration, &given.ticket).await?;
    if begun.user_id != user.id {
        let detail = "the ticket is another user's: ask for new options";
        return Err(Problem::new(ProblemType::InvalidOneTimeToken, detail));
    }
    if user.second_factors.passkeys >= MOST_PASSKEYS {
        return Err(too_many());
    }
    let made = app.relying_party()?.finish_registration(&given.credential, &begun.state).map_err(|error| {
        let refusal =
            Refusal::new("not_accepted", "was not made by these options, or not at an origin of this installation");
        Problem::from(refusal.at("/credential")).caused_by(error)
    })?;
    let now = app.clock.now();
    let passkey = PasskeyRecord::new(PasskeyId::new(now, &app.random), user.id, given.name, made, now);
    let mut writes = vec![app.accounts.ticket_used(&ticket)];
    writes.extend(app.accounts.passkey_added(&passkey)?);
    let (recovery_codes, write) = app.first_recovery_codes(&user).await?;
    writes.extend(write);
    let passkeys = user.second_factors.passkeys + 1;
    let user = User { second_factors: SecondFactors { passkeys, ..user.second_factors }, ..user };
    let event = FactorEvent {
        action: Action::FactorAdded,
        target: passkey.id.to_string(),
        change: FactorChange::Added,
        factor: Factor::Passkey,
        label: passkey.name.as_ref().map(Name::to_string),
        proved: vec![passkey.method(), "user", MULTI_FACTOR],
    };
    app.change_factors(&caller, &origin, user, event, writes).await?;
    let view = PasskeyView::of(&passkey);
    Ok(Created {
        location: format!("/v1/auth/passkeys/{}", passkey.id),
        etag: view.etag()?,
        body: PasskeyAdded { passkey: view, recovery_codes },
    })
}

fn too_many() -> Problem {
    Problem::new(ProblemType::Conflict, format!("a user has at most {MOST_PASSKEYS} passkeys: remove one first"))
}
