//! Writes that meet a transaction of others, which holds the item for some milliseconds. DynamoDB refuses them and has done
//! nothing, so that they can be sent again as they are
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>).
//!
//! Of many transactions at one item, such as the count of a limit of concurrency, one is done at a time. So the pauses are
//! random, and there are enough of them that some twenty at once all have their turn.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Cancellation, DynamoError};
use crate::random::Random;

/// How often a write is tried.
const TRIES: u32 = 8;

/// The longest pause before the second try; it doubles for each further one, to 640 ms before the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Where the pauses are drawn from. Nothing but the time of a try depends on them.
static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);

/// Does `once`, again while a transaction of others is in its way.
pub(super) async fn again<T, F>(once: impl Fn() -> F) -> Result<T, DynamoError>
where
    F: Future<Output = Result<T, DynamoError>>,
{
    for attempt in 1..TRIES {
        match once().await {
            Err(error) if met_another(&error) => pause(attempt).await,
            done => return done,
        }
    }
    once().await
}

/// Waits before the try that follows this one.
pub(super) async fn pause(attempt: u32) {
    tokio::time::sleep(RANDOM.pause(FIRST_PAUSE, attempt)).await;
}

/// Whether a write was not done because a transaction held an item, and for nothing else.
fn met_another(error: &DynamoError) -> bool {
    match error {
        DynamoError::Conflict(_) => true,
        DynamoError::Cancelled { reasons } => {
            reasons.contains(&Cancellation::Conflict)
                && reasons.iter().all(|reason| matches!(reason, Cancellation::Conflict | Cancellation::None))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;
    use crate::dynamo::Item;

    fn cancelled(reasons: &[Cancellation]) -> DynamoError {
        DynamoError::Cancelled { reasons: reasons.to_vec() }
    }

    #[test]
    fn only_what_met_another_transaction_is_tried_again() {
        let (met, failed) = (Cancellation::Conflict, Cancellation::ConditionFailed(Item::new()));
        assert!(met_another(&DynamoError::Conflict("held".into())));
        assert!(met_another(&cancelled(&[Cancellation::None, met.clone()])));
        for reasons in [vec![met, failed.clone()], vec![failed], vec![Cancellation::Other("x".into())]] {
            assert!(!met_another(&cancelled(&reasons)), "{reasons:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_tried_until_it_meets_nobody_but_not_for_ever() {
        for (meetings, tried, is_done) in [(0, 1, true), (TRIES - 1, TRIES, true), (TRIES, TRIES, false)] {
            let tries = Cell::new(0);
            let done = again(|| {
                tries.set(tries.get() + 1);
                ready(if tries.get() > meetings { Ok(()) } else { Err(DynamoError::Conflict("held".into())) })
            });
            assert_eq!((done.await.is_ok(), tries.get()), (is_done, tried));
        }
    }
}
