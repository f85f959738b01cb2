//! Changes that meet others of the same thing, and POSTs that are sent again.

use std::time::Duration;

use axum::response::Response;
use tokio::time::Instant;

use super::idempotency::{Attempt, Begin, Idempotency, Submitted, in_progress};
use super::{Problem, ProblemType};
use crate::id::TenantId;
use crate::random::Random;

/// How often a change is tried that meets others of the same thing.
const RACES: u32 = 8;

/// For how long, as a try may itself have waited for the transactions of others: well within a function's time.
const LONGEST: Duration = Duration::from_secs(3);

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Tries a change again, from its reading on, while other requests come between, which `once` says by none. A request with
/// an `If-Match` that is overtaken finds the newer version then, and is refused by its condition.
///
/// # Errors
/// 409 `conflict` when others were faster each time.
pub async fn race<T, F>(random: &Random, once: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<Option<T>, Problem>>,
{
    tried(random, once).await?.ok_or_else(overtaken)
}

/// The same for a POST that may carry an `Idempotency-Key`: one that was done is answered again. `once` writes the record
/// of its [`Attempt`] with the effect, and says by none that another request came between; if that was one with the same
/// key, the next try finds its answer.
///
/// # Errors
/// When others were faster each time: 409 `idempotency-in-progress` of a request with a key, else 409 `conflict`.
pub async fn race_of_key<T, F, const LIMIT: usize>(
    random: &Random,
    answers: &Idempotency,
    (tenant, route): (&TenantId, &str),
    request: &Submitted<T, LIMIT>,
    once: impl Fn(Attempt) -> F,
) -> Result<Response, Problem>
where
    F: Future<Output = Result<Option<Response>, Problem>>,
{
    let done = tried(random, || {
        let begun = answers.begin(tenant, route, request);
        let once = &once;
        async move {
            match begun.await? {
                Begin::Replay(response) => Ok(Some(response)),
                Begin::First(attempt) => once(attempt).await,
            }
        }
    });
    done.await?.ok_or_else(|| if request.has_key() { in_progress() } else { overtaken() })
}

/// None when others were faster each time.
async fn tried<T, F>(random: &Random, mut once: impl FnMut() -> F) -> Result<Option<T>, Problem>
where
    F: Future<Output = Result<Option<T>, Problem>>,
{
    let began = Instant::now();
    for attempt in 1..=RACES {
        if let Some(done) = once().await? {
            return Ok(Some(done));
        }
        if attempt == RACES || began.elapsed() > LONGEST {
            break;
        }
        tokio::time::sleep(random.pause(FIRST_PAUSE, attempt)).await;
    }
    Ok(None)
}

fn overtaken() -> Problem {
    Problem::new(ProblemType::Conflict, "other requests change it at this moment").retry_after(1)
}
