//! Changes that meet others of the same thing.

use std::time::Duration;

use super::{Problem, ProblemType};
use crate::random::Random;

/// How often a change is tried that meets others of the same thing.
const RACES: u32 = 8;

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Tries a change again, from its reading on, while other requests come between, which `once` says by none. A request with
/// an `If-Match` that is overtaken finds the newer version then, and is refused by its condition.
pub async fn race<T, F>(random: &Random, mut once: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<Option<T>, Problem>>,
{
    for attempt in 1..=RACES {
        if let Some(done) = once().await? {
            return Ok(done);
        }
        if attempt < RACES {
            tokio::time::sleep(random.pause(FIRST_PAUSE, attempt)).await;
        }
    }
    Err(Problem::new(ProblemType::Conflict, "other requests change it at this moment").retry_after(1))
}
