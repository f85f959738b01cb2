//! One message at a time, several at once.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::SqsMessage;
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};

use super::delivery::{Delivery, Outcome, Taken};
use super::{Batch, CONCURRENCY, Consumer, SETTLE_MARGIN, STOP_MARGIN, Worker};
use crate::BoxFuture;

pub(super) struct Singly<C>(pub(super) C);

impl<C: Consumer> Worker for Singly<C> {
    fn work<'a>(
        &'a self,
        delivery: &'a Delivery,
        batch: &'a Batch,
        budget: Duration,
    ) -> BoxFuture<'a, Vec<(usize, Outcome)>> {
        let started = Instant::now();
        // Boxed one by one: a stream of closures over borrowed messages does not satisfy the compiler's Send check.
        let work: Vec<BoxFuture<'_, (usize, Outcome)>> = batch
            .messages
            .iter()
            .enumerate()
            .map(|(index, message)| -> BoxFuture<'_, _> {
                Box::pin(async move {
                    let outcome = self.within(delivery, message, started, budget).await;
                    if outcome == (Outcome::Failed { later: false }) {
                        batch.note_failed(index);
                    }
                    (index, outcome)
                })
            })
            .collect();
        Box::pin(stream::iter(work).buffer_unordered(CONCURRENCY).collect())
    }
}

impl<C: Consumer> Singly<C> {
    /// Works on a message when there is time for it.
    async fn within(&self, delivery: &Delivery, message: &SqsMessage, started: Instant, budget: Duration) -> Outcome {
        let left = budget.saturating_sub(started.elapsed());
        if left < STOP_MARGIN {
            return Outcome::Failed { later: true };
        }
        let taken = delivery.take(message);
        // A panic fails its own message, not the batch.
        let work = AssertUnwindSafe(taken.trace.scope(self.one(delivery, &taken, left))).catch_unwind();
        match tokio::time::timeout(left.saturating_sub(SETTLE_MARGIN), work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => delivery.fail(&taken, "the consumer panicked"),
            Err(_) => delivery.fail(&taken, "the function's time ended before the message's work"),
        }
    }

    async fn one(&self, delivery: &Delivery, taken: &Taken<'_>, remaining: Duration) -> Outcome {
        match taken.decode(remaining) {
            Ok(received) => delivery.settle(taken, self.0.consume(received).await).await,
            Err(reason) => delivery.poison(taken, &reason).await,
        }
    }
}
