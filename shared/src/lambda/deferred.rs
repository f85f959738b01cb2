//! Work that does not belong on a request's path: it is done when the answer has gone out, within the same invocation.
//!
//! On Lambda an internal extension does it (the platform waits for it before it freezes the instance, and signals
//! SIGTERM before it ends one); in the local stack the gateway calls it after it has answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::BoxFuture;
use crate::telemetry::TraceContext;

/// At most this many pieces of work wait; one more is run at once by whoever defers it.
const LIMIT: usize = 1_000;

/// A list of work. Clones share one list.
#[derive(Clone, Default)]
pub struct Deferred(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Deferred {
    /// Keeps `work` until [`Self::flush`], with the trace that it is part of. When [`LIMIT`] pieces wait already, it is done
    /// at once instead.
    pub async fn defer(&self, work: BoxFuture<'static, ()>) {
        if let Err(work) = self.try_defer(work) {
            work.await;
        }
    }

    /// The same where nothing can be awaited.
    ///
    /// # Errors
    /// The work, when [`LIMIT`] pieces wait already.
    pub fn try_defer(&self, work: BoxFuture<'static, ()>) -> Result<(), BoxFuture<'static, ()>> {
        let work: BoxFuture<'static, ()> = match TraceContext::current() {
            Some(trace) => Box::pin(trace.scope(work)),
            None => work,
        };
        let mut waiting = self.lock();
        if waiting.len() < LIMIT {
            waiting.push(work);
            Ok(())
        } else {
            Err(work)
        }
    }

    /// Does all that waits, concurrently.
    pub async fn flush(&self) {
        let mut running = self.take();
        while running.next().await.is_some() {}
    }

    /// The same within `time`: what has not ended by then is dropped, which the log tells. Without any time nothing is
    /// begun, and all waits for the next flush.
    pub async fn flush_within(&self, time: Duration) {
        if time.is_zero() {
            let waiting = self.lock().len();
            if waiting > 0 {
                tracing::warn!(waiting, "the function's time is over: work after the answer waits for the next one");
            }
            return;
        }
        let mut running = self.take();
        let all = async { while running.next().await.is_some() {} };
        if tokio::time::timeout(time, all).await.is_err() {
            tracing::error!(cut = running.len(), "work after the answer was cut: the function's time was ending");
        }
    }

    fn take(&self) -> FuturesUnordered<BoxFuture<'static, ()>> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BoxFuture<'static, ()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Deferred {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Deferred").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::lambda::Function;

    const SECOND: Duration = Duration::from_secs(1);

    /// Defers work that counts itself when it ends, after `time`.
    async fn defer(deferred: &Deferred, time: Duration) -> Arc<AtomicUsize> {
        let ended = Arc::<AtomicUsize>::default();
        let count = ended.clone();
        let work = async move {
            tokio::time::sleep(time).await;
            count.fetch_add(1, Ordering::SeqCst);
        };
        deferred.defer(Box::pin(work)).await;
        ended
    }

    #[tokio::test(start_paused = true)]
    async fn work_after_the_answer_ends_within_its_time_and_the_rest_is_cut() {
        let deferred = Deferred::default();
        let (short, long) = (defer(&deferred, SECOND).await, defer(&deferred, 10 * SECOND).await);
        let began = tokio::time::Instant::now();
        deferred.flush_within(5 * SECOND).await;
        assert_eq!(began.elapsed(), 5 * SECOND);
        let ended = [short, long].map(|work| work.load(Ordering::SeqCst));
        assert_eq!(ended, [1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_whose_time_is_over_begins_nothing_and_does_it_after_the_next_answer() {
        let deferred = Deferred::default();
        let function = Function::event(deferred.clone(), async |event, _| Ok(event));
        let work = defer(&deferred, SECOND).await;
        let long_ago = 1_000_000_000_000;
        function.after_response_before(long_ago).await;
        assert_eq!(work.load(Ordering::SeqCst), 0);
        function.after_response().await;
        assert_eq!(work.load(Ordering::SeqCst), 1);
    }
}
