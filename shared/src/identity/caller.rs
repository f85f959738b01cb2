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
/// [`STEP_UP_WITHIN`] (RFC 9470). Programs prove themselves with each request.
#[derive(Clone, Debug)]
pub struct Sensitive<P>(Caller<P>);

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
        if self.allows(permission) { Ok(()) } else { Err(insufficient_scope(permission)) }
    }
}

impl<P: Permission> Caller<P> {
    async fn admitted(parts: &Parts, authenticator: &Authenticator, freshness: Freshness) -> Result<Self, Problem> {
        let address = parts.extensions.get::<ClientAddress>().copied().unwrap_or_default();
        let principal = authenticator.authenticate(&parts.headers, address, freshness).await?;
        if let Some(context) = parts.extensions.get::<RequestContext>() {
            context.note_caller(&principal.tenant, principal.kind.as_str());
        }
        if principal.may::<P>() {
            Ok(Self { principal, permission: PhantomData })
        } else {
            Err(insufficient_scope(P::NAME))
        }
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
        let caller = Caller::admitted(parts, &authenticator, Freshness::AtOnce).await?;
        if needs_step_up(&caller, authenticator.clock().now()) {
            return Err(step_up_required());
        }
        Ok(Self(caller))
    }
}

fn needs_step_up(principal: &Principal, now: Timestamp) -> bool {
    let recent = |at: Timestamp| now.duration_since(at) <= STEP_UP_WITHIN;
    principal.kind == PrincipalKind::User && !principal.authenticated_at.is_some_and(recent)
}

/// RFC 6750, section 3.1.
fn insufficient_scope(permission: &str) -> Problem {
    let problem = Problem::new(ProblemType::Forbidden, format!("the permission {permission} is needed"));
    match HeaderValue::try_from(format!(r#"Bearer error="insufficient_scope", scope="{permission}""#)) {
        Ok(challenge) => problem.header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

/// RFC 9470, section 3.
fn step_up_required() -> Problem {
    let seconds = STEP_UP_WITHIN.as_secs();
    let problem = Problem::new(ProblemType::StepUpRequired, format!("sign in again: at most {seconds} seconds ago"));
    match HeaderValue::try_from(format!(r#"Bearer error="insufficient_user_authentication", max_age={seconds}"#)) {
        Ok(challenge) => problem.header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}
