//! Work that does not belong on a request's path: it is done when the answer has gone out, within the same invocation.
//!
//! On Lambda an internal extension does it (the platform waits for it before it freezes the instance, and signals
//! SIGTERM before it ends one); in the local stack the gateway calls it after it has answered.

use std::sync::{Arc, Mutex, PoisonError};

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
        let work: BoxFuture<'static, ()> = match TraceContext::current() {
            Some(trace) => Box::pin(trace.scope(work)),
            None => work,
        };
        let overflow = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < LIMIT {
                waiting.push(work);
                None
            } else {
                Some(work)
            }
        };
        if let Some(work) = overflow {
            work.await;
        }
    }

    /// Does all that waits, concurrently.
    pub async fn flush(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut running: FuturesUnordered<_> = waiting.into_iter().collect();
        while running.next().await.is_some() {}
    }
}

impl std::fmt::Debug for Deferred {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Deferred").finish_non_exhaustive()
    }
}
