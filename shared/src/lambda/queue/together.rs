//! A batch at a time.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::delivery::{Delivery, Outcome, Taken};
use super::{Batch, BatchConsumer, CONCURRENCY, SETTLE_MARGIN, STOP_MARGIN, Worker};
use crate::BoxFuture;

pub(super) struct Together<C>(pub(super) C);

impl<C: BatchConsumer> Worker for Together<C> {
    fn work<'a>(
        &'a self,
        delivery: &'a Delivery,
        batch: &'a Batch,
        budget: Duration,
    ) -> BoxFuture<'a, Vec<(usize, Outcome)>> {
        let messages = &batch.messages;
        Box::pin(async move {
            if budget < STOP_MARGIN {
                return (0..messages.len()).map(|index| (index, Outcome::Failed { later: true })).collect();
            }
            let deadline = Instant::now() + budget.saturating_sub(SETTLE_MARGIN);
            let (mut batch, mut taken, mut undecodable) = (Vec::new(), Vec::new(), Vec::new());
            for (index, message) in messages.iter().enumerate() {
                let one = delivery.take(message);
                match one.decode(budget) {
                    Ok(received) => {
                        batch.push(received);
                        taken.push((index, one));
                    }
                    Err(reason) => undecodable.push((index, one, reason)),
                }
            }
            let work = timeout_at(deadline, AssertUnwindSafe(self.0.consume(batch)).catch_unwind());
            let poison = undecodable.iter().map(|(index, one, reason)| {
                settled(delivery, deadline, *index, one, Box::pin(delivery.poison(one, reason)))
            });
            let (answers, mut outcomes) = tokio::join!(work, all(poison.collect()));

            let (answers, unanswered) = match answers {
                Ok(Ok(answers)) => (answers, "the consumer gave no answer"),
                Ok(Err(_)) => (Vec::new(), "the consumer panicked"),
                Err(_) => (Vec::new(), "the function's time ended before the batch's work"),
            };
            let mut answers = answers.into_iter();
            let settling = taken.iter().map(|(index, one)| -> BoxFuture<'_, _> {
                match answers.next() {
                    Some(answer) => {
                        let until = deadline + SETTLE_MARGIN / 2;
                        settled(delivery, until, *index, one, Box::pin(delivery.settle(one, answer)))
                    }
                    None => Box::pin(async { (*index, delivery.fail(one, unanswered)) }),
                }
            });
            outcomes.extend(all(settling.collect()).await);
            outcomes
        })
    }
}

/// What became of a message that is being settled, which is tried again when that takes longer than `until`.
fn settled<'a>(
    delivery: &'a Delivery,
    until: Instant,
    index: usize,
    one: &'a Taken<'a>,
    settling: BoxFuture<'a, Outcome>,
) -> BoxFuture<'a, (usize, Outcome)> {
    Box::pin(async move {
        let outcome = timeout_at(until, settling).await;
        (index, outcome.unwrap_or_else(|_| delivery.fail(one, "the function's time ended before it was settled")))
    })
}

/// Settles several at once.
fn all(settling: Vec<BoxFuture<'_, (usize, Outcome)>>) -> BoxFuture<'_, Vec<(usize, Outcome)>> {
    Box::pin(stream::iter(settling).buffer_unordered(CONCURRENCY).collect())
}
