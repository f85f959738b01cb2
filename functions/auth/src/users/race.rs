//! Changes that meet others of the same thing, and POSTs that are sent again.

use axum::response::Response;
use shared::http::Problem;
use shared::http::idempotency::{Attempt, Submitted};
use shared::id::TenantId;
use shared::random::Random;

use crate::app::Core;
use crate::store::WriteError;

/// Why one try did not do it.
pub(crate) enum Failure {
    /// Another request was between our read and our write.
    Overtaken,
    /// It is refused.
    Refused(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stale | WriteError::Conflict | WriteError::KeyUsed => Self::Overtaken,
            error => Self::Refused(error.into()),
        }
    }
}

/// Tries a change again, from its reading on, while other requests come between. A request with an `If-Match` that is
/// overtaken finds the newer version then, and is refused by its condition.
pub(crate) async fn race<T, F>(random: &Random, mut once: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<T, Failure>>,
{
    shared::http::race(random, || settled(once())).await
}

/// The same for a POST that may carry an `Idempotency-Key`: one that was done is answered again. `once` writes the record
/// of its [`Attempt`] with the effect, so that the loser of a race finds the winner's answer.
pub(crate) async fn race_of_key<T, F>(
    core: &Core,
    tenant: &TenantId,
    route: &str,
    request: &Submitted<T>,
    once: impl Fn(Attempt) -> F,
) -> Result<Response, Problem>
where
    F: Future<Output = Result<Response, Failure>>,
{
    let answers = core.idempotency.as_ref().ok_or_else(|| Problem::internal("IDEMPOTENCY_TABLE is not set"))?;
    shared::http::race_of_key(&core.random, answers, (tenant, route), request, |attempt| settled(once(attempt))).await
}

/// None when another request was between.
async fn settled<T>(tried: impl Future<Output = Result<T, Failure>>) -> Result<Option<T>, Problem> {
    match tried.await {
        Ok(done) => Ok(Some(done)),
        Err(Failure::Overtaken) => Ok(None),
        Err(Failure::Refused(problem)) => Err(problem),
    }
}
