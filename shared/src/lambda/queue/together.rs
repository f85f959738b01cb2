//! A batch at a time.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsMessage;
use futures::FutureExt as _;

use super::delivery::{Delivery, Outcome};
use super::{BatchConsumer, SETTLE_MARGIN, STOP_MARGIN, Worker};
use crate::BoxFuture;

pub(super) struct Together<C>(pub(super) C);

impl<C: BatchConsumer> Worker for Together<C> {
    fn work<'a>(
        &'a self,
        delivery: &'a Delivery,
        messages: &'a [SqsMessage],
        budget: Duration,
    ) -> BoxFuture<'a, Vec<(usize, Outcome)>> {
        Box::pin(async move {
            if budget < STOP_MARGIN {
                return (0..messages.len()).map(|index| (index, Outcome::Failed { later: true })).collect();
            }
            let mut outcomes = Vec::with_capacity(messages.len());
            let (mut batch, mut indexes) = (Vec::new(), Vec::new());
            for (index, message) in messages.iter().enumerate() {
                match Delivery::decode(message, budget) {
                    Ok(received) => {
                        batch.push(received);
                        indexes.push(index);
                    }
                    Err(reason) => outcomes.push((index, delivery.poison(message, &reason).await)),
                }
            }
            let work = AssertUnwindSafe(self.0.consume(batch)).catch_unwind();
            let mut answers = match tokio::time::timeout(budget.saturating_sub(SETTLE_MARGIN), work).await {
                Ok(Ok(answers)) => answers,
                Ok(Err(_)) => {
                    tracing::error!("the consumer panicked; the batch is tried again");
                    Vec::new()
                }
                Err(_) => {
                    tracing::error!("the function's time ended before the batch's work");
                    Vec::new()
                }
            }
            .into_iter();
            for index in indexes {
                let outcome = match (messages.get(index), answers.next()) {
                    (Some(message), Some(answer)) => delivery.settle(message, answer).await,
                    _ => Outcome::Failed { later: false },
                };
                outcomes.push((index, outcome));
            }
            outcomes
        })
    }
}
