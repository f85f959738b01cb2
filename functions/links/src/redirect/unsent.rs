//! The clicks that are on their way to the counting worker: each is sent once the answer is out, and again after the
//! next one when the queue did not take it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use shared::BoxFuture;
use shared::lambda::Deferred;
use shared::queue::{Message, Outbound};
use shared::telemetry::{TraceContext, chain};

use crate::click::{Click, ClickId};

/// The most clicks that an instance holds, of about half a kilobyte each.
const MOST: usize = 1_000;

/// How many of those that had to wait are sent at once.
const CONCURRENCY: usize = 10;

/// A click with the trace of its visit.
#[derive(Clone, Debug)]
struct Traced {
    click: Click,
    trace: Option<TraceContext>,
}

/// The clicks of an instance that the queue has not taken yet. Clones share them.
#[derive(Clone)]
pub(super) struct Unsent {
    queue: Outbound,
    deferred: Deferred,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// By their ids, which sort by time.
    clicks: BTreeMap<ClickId, Traced>,
    /// Whether a flush is deferred already, which will send all of them.
    is_deferred: bool,
}

impl Waiting {
    /// Adds a click; gives up the oldest one when there are too many.
    fn add(&mut self, click: Traced) -> Option<Traced> {
        self.clicks.insert(click.click.id, click);
        if self.clicks.len() > MOST { self.clicks.pop_first().map(|(_, oldest)| oldest) } else { None }
    }
}

impl Unsent {
    pub(super) fn new(queue: Outbound, deferred: Deferred) -> Self {
        Self { queue, deferred, waiting: Arc::default() }
    }

    /// Has a click sent once the answer is out.
    pub(super) async fn send(&self, click: Click) {
        if self.keep(Traced { click, trace: TraceContext::current() }) {
            self.deferred.defer(self.clone().flush()).await;
        }
    }

    /// Keeps a click for the next flush, whether that is after an answer or at the end of the instance. Answers whether
    /// that flush is yet to be deferred.
    fn keep(&self, click: Traced) -> bool {
        let (lost, was_deferred) = {
            let mut waiting = self.lock();
            (waiting.add(click), std::mem::replace(&mut waiting.is_deferred, true))
        };
        if let Some(lost) = lost {
            tracing::error!(click = %lost.click.id, "a click was lost: the queue has not taken the last {MOST}");
        }
        !was_deferred
    }

    /// Sends the newest click and, once the queue has taken that one, all others, a few at a time: while it takes none, a
    /// flush costs no more than one call.
    fn flush(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let newest = {
                let mut waiting = self.lock();
                waiting.is_deferred = false;
                waiting.clicks.pop_last()
            };
            let Some((_, newest)) = newest else { return };
            if self.try_send(newest).await {
                join_all((0..CONCURRENCY).map(|_| self.send_others())).await;
            }
        })
    }

    /// Sends clicks one after the other, the oldest first, until the queue does not take one.
    fn send_others(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let oldest = self.lock().clicks.pop_first();
                let Some((_, click)) = oldest else { return };
                if !self.try_send(click).await {
                    return;
                }
            }
        })
    }

    /// Whether the queue took the click; if not, it waits for the next flush. When only the queue's answer was lost, the
    /// click comes twice, with the same id, and counts once.
    async fn try_send(&self, click: Traced) -> bool {
        let message = match self.message(&click) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(error = chain(&error), "a click was lost: it has no form as JSON");
                return true;
            }
        };
        let mut underway = Underway { unsent: self, click: Some(click) };
        let sent = self.queue.send(&message).await;
        match &sent {
            Ok(()) => underway.click = None,
            Err(error) => {
                tracing::warn!(error = chain(error), click = message.id, "a click waits: the queue did not take it");
            }
        }
        sent.is_ok()
    }

    fn message(&self, Traced { click, trace }: &Traced) -> serde_json::Result<Message> {
        let message = Message::json(self.queue.queue_url(), click.tenant_id, click.id.to_string(), click)?;
        Ok(message.in_trace(*trace))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A click on its way. What the queue has not taken waits for the next flush, also when the flush is cut.
struct Underway<'a> {
    unsent: &'a Unsent,
    click: Option<Traced>,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let Some(click) = self.click.take() else { return };
        if self.unsent.keep(click) && self.unsent.deferred.try_defer(self.unsent.clone().flush()).is_err() {
            // With the next visit's click, then.
            self.unsent.lock().is_deferred = false;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::random::Random;
    use shared::time::{SignedDuration, Timestamp};

    use super::*;
    use crate::link::tests::link;
    use crate::visitor::Visitor;

    #[test]
    fn the_oldest_click_is_given_up_for_one_too_many() {
        let at = |millisecond| {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(millisecond);
            Traced { click: Click::new(&link(), Visitor::read(false, |_| None), now, &Random::seeded(1)), trace: None }
        };
        let mut waiting = Waiting::default();
        // One that had failed comes back after newer ones.
        let times = (1..=1_000).rev();
        assert!(times.into_iter().all(|time| waiting.add(at(time)).is_none()));
        assert_eq!(waiting.add(at(2_000)).unwrap().click.id, at(1).click.id);
        assert_eq!(waiting.add(at(0)).unwrap().click.id, at(0).click.id);
        assert_eq!(waiting.clicks.len(), MOST);
    }
}
