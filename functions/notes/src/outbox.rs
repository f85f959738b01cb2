//! `notes.outbox`: hands over what is to be told and was left behind.
//!
//! A change writes its events into the outbox, in its own transaction, and hands them over after the answer. Where that
//! did not happen, because the instance was killed or DynamoDB was away, and for what `notes.users` and `notes.purge` have
//! to tell, this does it, each minute. So nothing that took place goes untold, and an event may be told twice.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use shared::lambda::{Function, Runtime, Task, Tick};
use shared::time::{SignedDuration, Timestamp};
use shared::{BoxError, BoxFuture};

use crate::app::store;
use crate::hand_over::HandOver;
use crate::store::NoteStore;
use crate::telling::Entry;

/// Younger entries are left to who wrote them.
pub const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// Kept back from the function's time: no batch begins later.
const MARGIN: Duration = Duration::from_secs(15);

/// Entries that are on their way at once.
const AT_ONCE: usize = 10;

struct Outbox {
    /// None where the deployment has no Postgres.
    notes: Option<NoteStore>,
    hand_over: HandOver,
}

impl Task for Outbox {
    async fn run(&self, tick: Tick) -> Result<(), BoxError> {
        let Some(notes) = &self.notes else { return Ok(()) };
        let before = tick.now.checked_sub(GRACE).unwrap_or(Timestamp::UNIX_EPOCH);
        while tick.has_time(MARGIN) {
            let (entries, more) = notes.waiting(before).await?;
            let (sent, failure) = self.send(entries).await;
            if !sent.is_empty() {
                notes.remove_entries(&sent).await?;
                tracing::info!(count = sent.len(), "entries of the outbox that were left behind were handed over");
            }
            // What could be handed over is; the next tick tries the rest again.
            failure.map_or(Ok(()), Err)?;
            if !more {
                break;
            }
        }
        Ok(())
    }
}

impl Outbox {
    /// Those that were handed over, and the last failure.
    async fn send(&self, entries: Vec<Entry>) -> (Vec<Entry>, Option<BoxError>) {
        let sending: Vec<BoxFuture<'_, Result<Entry, BoxError>>> = entries
            .into_iter()
            .map(|entry| -> BoxFuture<'_, _> { Box::pin(async { self.hand_over.send(&entry).await.map(|()| entry) }) })
            .collect();
        let mut sending = stream::iter(sending).buffer_unordered(AT_ONCE);
        let (mut sent, mut failure) = (Vec::new(), None);
        while let Some(outcome) = sending.next().await {
            match outcome {
                Ok(entry) => sent.push(entry),
                Err(error) => failure = Some(error),
            }
        }
        (sent, failure)
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let outbox = Outbox { notes: store(&runtime)?, hand_over: HandOver::new(&runtime)? };
        Ok(Function::schedule(&runtime, outbox))
    })
}
