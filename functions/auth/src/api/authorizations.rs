//! `GET /v1/auth/authorizations/{id}`, `POST /v1/auth/authorizations/{id}`: what an application asks of the user, and the
//! user's decision. `/auth/authorize` calls these; an owner's own page may.
//!
//! Who decides is who holds the access token of a session of their own: an application's cannot, nor can a key. Nothing is
//! remembered of who looked; a request decides about nobody but the user who sends it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, Json, Path, Problem, ProblemType};
use shared::identity::{Caller, Principal, Scopes, is_recent, permission, step_up_required};
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::logout::session_of;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::issue::{lacks_second_factor, second_factor_first};
use crate::mail::task::{MailTask, Occasion};
use crate::mail::templates::Message;
use crate::membership::{Membership, RoleName};
use crate::oauth::access_time::AccessTime;
use crate::oauth::authorization::{self, AuthorizationRequest, CODE_LIFETIME};
use crate::oauth::client::Client;
use crate::oauth::grant::{self, Application, Grant, in_words};
use crate::oauth::redirect_uri::{answer, proves_the_client, shown_host};
use crate::one_time::Ticket;
use crate::session::Session;
use crate::store::Write;
use crate::tenant::Tenant;
use crate::user::{User, UserId};
use crate::users::race::{Failure, race};

/// The most sessions that one application has of a user: the one that was unused the longest gives way.
const MOST_OF_ONE: usize = 5;

/// What an application asks of the user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Authorization, example = json!({
    "client": {"id": "client_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Report Maker"}, "redirect_host": "reports.example.com",
    "tenant": {"id": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Example Inc."},
    "scopes": [{"name": "links:read", "description": "See links and their statistics."}],
    "access": {
        "seconds": 2_592_000, "unused_seconds": 1_209_600,
        "description": "For up to 30 days, and for no more than 14 days without using it.",
    },
    "consented": false, "is_other_account": false, "expires_at": "2026-05-04T09:40:00.000Z",
}))]
pub struct AuthorizationView {
    /// Who asks.
    client: Named,
    /// Where the answer goes: a host, or the scheme of a program of the user's.
    #[schema(example = "reports.example.com")]
    redirect_host: String,
    /// Where it would act.
    tenant: Named,
    /// What it would get: of what it asks for, what the user may do.
    scopes: Vec<ScopeView>,
    /// How long it would have access.
    access: AccessTime,
    /// Whether the user agreed to all of this before, for the same redirect URIs, so that it may be allowed without asking.
    consented: bool,
    /// Whether the application expects another user (`id_token_hint`): to allow it tells the application so
    /// (`login_required`), and gives it nothing.
    is_other_account: bool,
    /// Until when it can be decided.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    expires_at: Timestamp,
}

/// Something with a name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthorizationParty)]
struct Named {
    /// Its id.
    #[schema(example = "client_01k9z4n2y6e0qv3m8t5w7x9abc")]
    id: String,
    /// What it is called.
    #[schema(example = "Report Maker")]
    name: String,
}

/// A scope in words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthorizationScope)]
struct ScopeView {
    /// Its name.
    #[schema(example = "links:read")]
    name: String,
    /// What it lets the application do.
    #[schema(example = "See links and their statistics.")]
    description: &'static str,
}

/// What is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDecision {
    /// `allow` or `deny`.
    decision: Decision,
    /// With `allow`: which of the scopes; all of them without it.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["links:read"]))]
    scopes: Option<Scopes>,
}

/// What the user says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuthorizationAnswer)]
enum Decision {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// Where the browser goes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthorizationDecided, example = json!({"redirect_to": "https://reports.example.com/callback?code=tf_ot_8aK…&state=af0ifjsldkj&iss=https%3A%2F%2Fapi.example.com"}))]
pub struct Decided {
    /// The application's address with the answer.
    redirect_to: String,
}

/// A request with what it is decided by.
struct Pending {
    request: AuthorizationRequest,
    expires_at: Timestamp,
    /// What uses it up.
    deletion: Write,
    client: Client,
    user: User,
    /// The session that decides.
    by: Session,
    tenant: Tenant,
    /// What the application would get.
    scopes: Scopes,
    grant: Option<Grant>,
}

/// What an application asks for.
///
/// For the page that asks the user: `/oauth/authorize` gives it the id. Every member of the tenant that registered the
/// application can decide, for themselves.
#[utoipa::path(
    get, path = "/v1/auth/authorizations/{id}", operation_id = "get_authorization", tag = "auth",
    params(("id" = String, Path, example = "tf_ot_Vx2")),
    responses(
        (status = 200, description = "What it asks for", body = AuthorizationView),
        (status = 403, description = "forbidden: no active membership in the application's tenant, or a second factor is to be set up first", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the request was decided, or its time is over", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    Path(id): Path<String>,
) -> Result<Json<AuthorizationView>, Problem> {
    let pending = app.pending(&id, &caller).await?;
    let covered = pending.grant.as_ref().is_some_and(|grant| grant.covers(&pending.scopes, &pending.client));
    let Pending { request, client, tenant, scopes, .. } = &pending;
    Ok(Json(AuthorizationView {
        client: Named { id: client.id.to_string(), name: client.name.to_string() },
        redirect_host: shown_host(&request.redirect_uri),
        tenant: Named { id: tenant.id.to_string(), name: tenant.name.to_string() },
        scopes: scopes.iter().map(|scope| ScopeView { name: scope.to_owned(), description: in_words(scope) }).collect(),
        access: AccessTime::of(client, &tenant.settings),
        consented: covered
            && !request.asks_again
            && !pending.is_other_account()
            && proves_the_client(&request.redirect_uri),
        is_other_account: pending.is_other_account(),
        expires_at: pending.expires_at,
    }))
}

/// Decide about an application.
///
/// Once for each request, by a session of the user's own. Send the browser to `redirect_to`. What the user agrees to for the
/// first time, and whatever a client without a secret or keys asks for, needs a sign-in within the last 15 minutes.
#[utoipa::path(
    post, path = "/v1/auth/authorizations/{id}", operation_id = "decide_authorization", tag = "auth",
    params(("id" = String, Path, example = "tf_ot_Vx2")),
    request_body(content = AuthorizationDecision, example = json!({"decision": "allow"})),
    responses(
        (status = 200, description = "It is decided", body = Decided),
        (status = 401, description = "step-up-required: a recent sign-in is needed, or the application asks for a newer one", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "forbidden: no active membership in the application's tenant, or a second factor is to be set up first", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the request was decided, or its time is over", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn decide(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    origin: Origin,
    Path(id): Path<String>,
    Json(given): Json<AuthorizationDecision>,
) -> Result<Json<Decided>, Problem> {
    let (redirect_to, mail) = race(&app.random, || async {
        let pending = app.pending(&id, &caller).await?;
        match given.decision {
            Decision::Allow if pending.is_other_account() => Ok((app.not_the_one(pending).await?, None)),
            Decision::Allow => Box::pin(app.allow(pending, given.scopes.as_ref(), &origin)).await,
            Decision::Deny => Ok((app.deny(pending, &origin).await?, None)),
        }
    })
    .await?;
    if let Some(mail) = mail {
        app.hurry(&mail).await;
    }
    Ok(Json(Decided { redirect_to }))
}

impl Pending {
    /// Whether the application expects somebody else.
    fn is_other_account(&self) -> bool {
        self.request.expected_user.is_some_and(|expected| expected != self.user.id)
    }
}

impl App {
    /// The request that waits under `id`, as the caller sees it.
    async fn pending(&self, id: &str, caller: &Principal) -> Result<Pending, Problem> {
        let (user, by) = (person(caller)?, session_of(caller)?);
        let ticket: Ticket = id.parse().map_err(|_| Problem::not_found())?;
        let found = authorization::find_request(&self.accounts, &ticket, self.clock.now()).await?;
        let (request, expires_at, deletion) = found.ok_or_else(Problem::not_found)?;
        let client = self.accounts.client(&request.client_id).await?;
        // It was changed since, or is gone.
        let client = client.filter(|client| client.redirects_to(&request.redirect_uri));
        let client = client.ok_or_else(Problem::not_found)?;
        let user = self.accounts.user(&user).await?.ok_or_else(Problem::not_found)?;
        let by = self.accounts.session(&user.id, &by, self.clock.now()).await?;
        let by = by.filter(|session| session.is_of(None)).ok_or_else(ended)?;
        let (membership, tenant) = self.place(&user.id, &client.tenant_id).await?;
        if lacks_second_factor(&by, &tenant) {
            return Err(second_factor_first());
        }
        let scopes = self.within_the_roles(&grant::still(&request.scopes, &client), &membership).await?;
        let grant = self.accounts.grant(&user.id, &client.id).await?;
        Ok(Pending { request, expires_at, deletion, client, user, by, tenant, scopes, grant })
    }

    /// What a member may give of `scopes`.
    async fn within_the_roles(&self, scopes: &Scopes, membership: &Membership) -> Result<Scopes, Problem> {
        let (custom, _) = self.custom_permissions(membership).await?;
        let custom = Scopes::parse(&custom.unwrap_or_default());
        let built_in: Vec<_> = membership.roles.iter().filter_map(RoleName::built_in).collect();
        Ok(grant::within(scopes, |permission| {
            built_in.iter().any(|role| role.grants(permission)) || custom.grant(permission)
        }))
    }

    /// Where the browser goes, and the mail that tells the user of what they had not agreed to before.
    async fn allow(
        &self,
        pending: Pending,
        chosen: Option<&Scopes>,
        origin: &Origin,
    ) -> Result<(String, Option<MailTask>), Failure> {
        let Pending { request, deletion, client, user, by, tenant, scopes, grant, .. } = pending;
        let now = self.clock.now();
        let scopes = match chosen {
            Some(chosen) if chosen.iter().all(|scope| scopes.iter().any(|offered| offered == scope)) => {
                grant::common(&scopes, chosen)
            }
            None => scopes,
            Some(_) => {
                let refusal = Refusal::new("not_asked_for", "has a scope that is not among those of the request");
                return Err(Problem::from(refusal.at("/scopes")).into());
            }
        };
        if scopes.iter().next().is_none() {
            let refusal = Refusal::new("invalid_length", "has no scope that you may give: deny the request");
            return Err(Problem::from(refusal.at("/scopes")).into());
        }
        if request.authenticated_since.is_some_and(|since| by.authenticated_at.as_second() < since.as_second()) {
            let detail = "the application asks for a newer sign-in: sign in again";
            return Err(Problem::new(ProblemType::StepUpRequired, detail).into());
        }
        // The code is worth weeks of access to whoever reads it here, if nothing else has to be proved for that. An access
        // token that was stolen is worth minutes.
        let covered = grant.as_ref().is_some_and(|grant| grant.covers(&scopes, &client));
        if (client.is_public() || !covered) && !is_recent(by.authenticated_at, now) {
            return Err(step_up_required().into());
        }
        let application = Application {
            client_id: client.id,
            name: client.name.clone(),
            scopes: scopes.clone(),
            client_changed_at: client.updated_at,
        };
        let session = Session::begin_for(application, tenant.id, &by, now + CODE_LIFETIME, now, &self.random);
        let code = request.code(user.id, session.id);
        let (code, code_write) = authorization::keep_code(&self.accounts, &code, now, &self.random)?;
        let grant = Grant::given(grant.as_ref(), user.id, &client, &scopes, now);
        let action = Action::ConsentGiven;
        let record = origin.record(tenant.id, action, user.id, now, &self.random).on(client.id);
        let mut writes = vec![deletion, code_write, self.accounts.grant_write(&grant)?];
        writes.push(self.accounts.session_lives(&user.id, &by.id));
        writes.push(self.accounts.session_begun(&session)?);
        writes.push(self.accounts.audit_write(&record.with(grant::text(&scopes)))?);
        writes.extend(self.crowded_out_by(&user.id, &client, &by, now).await?);
        let notice = if covered { None } else { Some(self.consent_notice(&grant, &tenant, origin)?) };
        let (mail, told) = notice.unzip();
        writes.extend(told);
        self.accounts.transact(writes).await?;
        Ok((self.answer_to(&request, &[("code", &code.expose())]), mail))
    }

    /// The mail that tells a user what they let in.
    fn consent_notice(&self, grant: &Grant, tenant: &Tenant, origin: &Origin) -> Result<(MailTask, Write), Problem> {
        let letter = Message::ConsentGiven {
            application: grant.name.to_string(),
            client_id: grant.client_id.to_string(),
            tenant: tenant.name.to_string(),
            scopes: grant.scopes.iter().map(str::to_owned).collect(),
            occurrence: origin.occurrence(self.clock.now()),
        };
        self.mail(Occasion::Notice { user_id: grant.user_id, email: None, letter: Box::new(letter) })
    }

    /// The writes that make room for one more session of an application: of its own ones those that were unused the longest
    /// end, and the one of all when the user has too many. The one that decides stays.
    async fn crowded_out_by(
        &self,
        user: &UserId,
        client: &Client,
        by: &Session,
        now: Timestamp,
    ) -> Result<Vec<Write>, Problem> {
        let mut sessions = self.accounts.sessions(user, now).await?;
        sessions.retain(|session| session.id != by.id);
        let too_many = sessions.len() + 2 > crate::store::MOST_SESSIONS;
        // Those of applications first, and of these the ones of this application.
        sessions.sort_by_key(|session| {
            (!session.is_of(Some(client.id)), session.application.is_none(), session.last_used_at)
        });
        let own = sessions.iter().filter(|session| session.is_of(Some(client.id))).count();
        let ends = (own + 1).saturating_sub(MOST_OF_ONE).max(usize::from(too_many)).min(MOST_OF_ONE);
        let ended = sessions.iter().take(ends);
        Ok(ended.flat_map(|session| self.accounts.session_ended(user, &session.id, now)).collect())
    }

    async fn deny(&self, pending: Pending, origin: &Origin) -> Result<String, Failure> {
        let Pending { request, deletion, client, user, tenant, .. } = pending;
        let (action, now) = (Action::ConsentRefused, self.clock.now());
        let record = origin.record(tenant.id, action, user.id, now, &self.random).on(client.id);
        self.accounts.transact(vec![deletion, self.accounts.audit_write(&record)?]).await?;
        let description = "the user did not allow it";
        Ok(self.answer_to(&request, &[("error", "access_denied"), ("error_description", description)]))
    }

    /// Of another user than the application expects it is told no more than that (OpenID Connect Core 1.0, section 3.1.2.1).
    async fn not_the_one(&self, pending: Pending) -> Result<String, Failure> {
        let Pending { request, deletion, .. } = pending;
        self.accounts.transact(vec![deletion]).await?;
        let description = "another user signed in than the one of id_token_hint";
        Ok(self.answer_to(&request, &[("error", "login_required"), ("error_description", description)]))
    }

    /// Where the browser goes with an answer (RFC 6749, section 4.1.2; RFC 9207).
    fn answer_to(&self, request: &AuthorizationRequest, members: &[(&str, &str)]) -> String {
        let mut members = members.to_vec();
        members.extend(request.state.as_deref().map(|state| ("state", state)));
        members.push(("iss", self.signer.issuer()));
        answer(&request.redirect_uri, &members)
    }
}

/// The session that would decide is over.
fn ended() -> Problem {
    Problem::new(ProblemType::Unauthenticated, "the session is over: sign in again")
}
