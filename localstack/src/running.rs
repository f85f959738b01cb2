//! Counts what is under way, so that the end of it can be waited for.

use tokio::sync::watch;

/// A count of work under way. Clones share one count.
#[derive(Clone, Debug)]
pub(crate) struct Running(watch::Sender<usize>);

/// One piece of work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Guard(watch::Sender<usize>);

impl Running {
    /// Nothing is under way.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Counts one more, until the guard is dropped.
    pub(crate) fn begin(&self) -> Guard {
        self.0.send_modify(|count| *count += 1);
        Guard(self.0.clone())
    }

    /// Returns when nothing is under way.
    pub(crate) async fn idle(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
