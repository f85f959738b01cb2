//! Changes that meet others of the same thing.

use shared::http::Problem;

use crate::store::WriteError;

/// How often a change is tried that meets others of the same thing.
const RACES: usize = 8;

/// Tries a change again, from its reading on, while other requests come between. A request with an `If-Match` that is
/// overtaken finds the newer version then, and is refused by its condition.
pub(super) async fn race<T, F>(mut once: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<Option<T>, Problem>>,
{
    for _ in 0..RACES {
        if let Some(done) = once().await? {
            return Ok(done);
        }
    }
    Err(WriteError::Stale.into())
}

/// Whether a write was done; not when another request was between our read and it.
pub(super) fn done(written: Result<(), WriteError>) -> Result<bool, Problem> {
    match written {
        Ok(()) => Ok(true),
        Err(WriteError::Stale | WriteError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
