//! The extractors by which a handler asks for a caller who may do something.

use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts};
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;

use super::authenticate::{Authenticator, Freshness};
use super::permission::Permission;
use super::principal::{Principal, PrincipalKind};
use crate::http::versions::Version;
use crate::http::{ClientAddress, Problem, ProblemType, RequestContext};
use crate::time::{SignedDuration, Timestamp};

/// How recently a user must have proved who they are for a [`Sensitive`] route.
pub const STEP_UP_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// A caller who may do what `P` names. A handler that takes it cannot be reached otherwise.
#[derive(Clone, Debug)]
pub struct Caller<P> {
    principal: Principal,
    permission: PhantomData<fn() -> P>,
}

/// A [`Caller`] for the routes that matter most: a revocation holds at once, and a user has proved who they are within
/// [`STEP_UP_WITHIN`] (RFC 9470). Programs prove themselves with each request. An application that acts for a user is
/// refused: its user may not even be there.
#[derive(Clone, Debug)]
pub struct Sensitive<P>(Caller<P>);

/// An application that acts for a user, whose token has the scope [`OpenIdCaller::SCOPE`] (OpenID Connect Core 1.0, section
/// 5.3). It has no permission, and needs none. A revocation holds at once. Neither a machine nor a session of the user's own is
/// one, whatever its scopes, and an API key is no access token.
#[derive(Clone, Debug)]
pub struct OpenIdCaller(Principal);

impl OpenIdCaller {
    /// The scope by which an application is told who its user is.
    pub const SCOPE: &str = "openid";
}

impl Deref for OpenIdCaller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl<P> Deref for Caller<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<P> Deref for Sensitive<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl Principal {
    /// Refuses a caller who may not do what `permission` names: where only the request's body says what is needed, beside
    /// what the handler's signature does.
    pub fn require(&self, permission: &str) -> Result<(), Problem> {
        if self.allows(permission) { Ok(()) } else { Err(lacks(permission)) }
    }
}

impl<P: Permission> Caller<P> {
    async fn admitted(parts: &Parts, authenticator: &Authenticator, freshness: Freshness) -> Result<Self, Problem> {
        let address = parts.extensions.get::<ClientAddress>().copied().unwrap_or_default();
        let principal = authenticator.authenticate(&parts.headers, address, freshness).await?;
        if let Some(context) = parts.extensions.get::<RequestContext>() {
            context.note_caller(&principal);
        }
        check_version(&principal, parts)?;
        if principal.may::<P>() { Ok(Self { principal, permission: PhantomData }) } else { Err(lacks(P::NAME)) }
    }
}

impl<S, P> FromRequestParts<S> for Caller<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Self::admitted(parts, &Authenticator::from_ref(state), Freshness::Remembered).await
    }
}

impl<S, P> FromRequestParts<S> for Sensitive<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let authenticator = Authenticator::from_ref(state);
        let caller = Caller::<P>::admitted(parts, &authenticator, Freshness::AtOnce).await?;
        if caller.is_delegated() {
            return Err(lacks(P::NAME));
        }
        if needs_step_up(&caller, authenticator.clock().now()) {
            return Err(step_up_required());
        }
        Ok(Self(caller))
    }
}

impl<S> FromRequestParts<S> for OpenIdCaller
where
    S: Send + Sync,
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Authenticator::from_ref(state).access_token(&parts.headers).await?;
        if let Some(context) = parts.extensions.get::<RequestContext>() {
            context.note_caller(&principal);
        }
        if principal.is_delegated() && principal.scopes.iter().any(|scope| scope == Self::SCOPE) {
            return Ok(Self(principal));
        }
        let detail = "an access token of an application that acts for a user, with the scope openid, is needed";
        Err(insufficient_scope(Self::SCOPE, detail))
    }
}

/// Refuses a key that is pinned to another version than the one that the client asks for. A route that there is in one
/// version alone carries none, and any key may use it.
fn check_version(principal: &Principal, parts: &Parts) -> Result<(), Problem> {
    match (principal.pinned, parts.extensions.get::<Version>()) {
        (Some(pinned), Some(asked)) if pinned != *asked => {
            let detail = format!("the API key is pinned to {pinned}, and this is {asked}");
            Err(Problem::new(ProblemType::VersionPinned, detail))
        }
        _ => Ok(()),
    }
}

fn needs_step_up(principal: &Principal, now: Timestamp) -> bool {
    let is_recent = |at: Timestamp| is_recent(at, now);
    principal.kind == PrincipalKind::User && !principal.authenticated_at.is_some_and(is_recent)
}

/// Whether a sign-in at `authenticated_at` is recent enough for what lasts longer than a token.
pub fn is_recent(authenticated_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(authenticated_at) <= STEP_UP_WITHIN
}

fn lacks(permission: &str) -> Problem {
    insufficient_scope(permission, &format!("the permission {permission} is needed"))
}

/// RFC 6750, section 3.1.
fn insufficient_scope(scope: &str, detail: &str) -> Problem {
    let problem = Problem::new(ProblemType::Forbidden, detail);
    match HeaderValue::try_from(format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)) {
        Ok(challenge) => problem.header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

/// What a caller is told who did not sign in recently (RFC 9470, section 3).
pub fn step_up_required() -> Problem {
    let seconds = STEP_UP_WITHIN.as_secs();
    let problem = Problem::new(ProblemType::StepUpRequired, format!("sign in again: at most {seconds} seconds ago"));
    match HeaderValue::try_from(format!(r#"Bearer error="insufficient_user_authentication", max_age={seconds}"#)) {
        Ok(challenge) => problem.header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::TenantId;
    use crate::identity::permission::Scopes;
    use crate::random::Random;

    fn caller(pinned: Option<Version>) -> Principal {
        Principal {
            tenant: TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1)),
            subject: "key_1".to_owned(),
            kind: PrincipalKind::ApiKey,
            roles: Vec::new(),
            granted: Scopes::default(),
            scopes: Scopes::all(),
            session: None,
            authenticated_at: None,
            client: None,
            token_id: None,
            issued_at: None,
            as_of: None,
            expires_at: None,
            pinned,
        }
    }

    fn parts(asked: Option<Version>) -> Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        if let Some(version) = asked {
            parts.extensions.insert(version);
        }
        parts
    }

    #[test]
    fn a_pinned_key_is_for_its_version_and_for_routes_of_one_version_alone() {
        for pinned in Version::ALL {
            for asked in Version::ALL {
                assert_eq!(check_version(&caller(Some(pinned)), &parts(Some(asked))).is_ok(), pinned == asked);
            }
            check_version(&caller(Some(pinned)), &parts(None)).unwrap();
        }
    }

    #[test]
    fn a_key_that_is_not_pinned_is_for_all_versions() {
        for asked in Version::ALL.map(Some).into_iter().chain([None]) {
            check_version(&caller(None), &parts(asked)).unwrap();
        }
    }

    #[test]
    fn the_refusal_names_both_versions() {
        let problem = check_version(&caller(Some(Version::V2)), &parts(Some(Version::V1))).unwrap_err();
        assert_eq!(problem.kind(), ProblemType::VersionPinned);
        assert_eq!(problem.to_string(), "version-pinned: the API key is pinned to v2, and this is v1");
    }
}
