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
            let (mut batch, mut taken) = (Vec::new(), Vec::new());
            for (index, message) in messages.iter().enumerate() {
                let one = delivery.take(message);
                match one.decode(budget) {
                    Ok(received) => {
                        batch.push(received);
                        taken.push((index, one));
                    }
                    Err(reason) => outcomes.push((index, delivery.poison(&one, &reason).await)),
                }
            }
            let work = AssertUnwindSafe(self.0.consume(batch)).catch_unwind();
            let (answers, unanswered) = match tokio::time::timeout(budget.saturating_sub(SETTLE_MARGIN), work).await {
                Ok(Ok(answers)) => (answers, "the consumer gave no answer"),
                Ok(Err(_)) => (Vec::new(), "the consumer panicked"),
                Err(_) => (Vec::new(), "the function's time ended before the batch's work"),
            };
            let mut answers = answers.into_iter();
            for (index, one) in taken {
                let outcome = match answers.next() {
                    Some(answer) => delivery.settle(&one, answer).await,
                    None => delivery.fail(&one, unanswered),
                };
                outcomes.push((index, outcome));
            }
            outcomes
        })
    }
}
