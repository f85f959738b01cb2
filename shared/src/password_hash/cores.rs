//! Work that takes a whole core, off the async executor: no more of it runs at once than there are cores, so that a crowd
//! that signs in waits in turn instead of filling the memory.

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// The cores of this process. All of its functions share them, so it is the process that counts.
static CORES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, usize::from)));

/// Runs `work` on a thread of its own when its turn comes. Work that has begun is done to its end and keeps its turn, also
/// when nobody waits for it any more. Fails when the work panics.
pub async fn on_a_core<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // The semaphore is never closed, so there is always a turn.
    let turn = CORES.acquire().await.ok();
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_run_at_once_than_there_are_cores() {
        let cores = available_parallelism().unwrap().get();
        let running = Arc::new(AtomicUsize::new(0));
        let tasks = (0..8 * cores).map(|_| {
            let running = Arc::clone(&running);
            on_a_core(move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                now
            })
        });
        let most = futures::future::try_join_all(tasks).await.unwrap().into_iter().max().unwrap();
        assert!(most <= cores, "{most}");
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_gives_its_turn_back() {
        for _ in 0..2 * available_parallelism().unwrap().get() {
            assert!(on_a_core(|| panic!("at work")).await.unwrap_err().is_panic());
        }
        assert_eq!(on_a_core(|| 1).await.unwrap(), 1);
    }
}
