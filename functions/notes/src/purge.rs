//! `notes.purge`: drops for good what was deleted thirty days ago, and what nothing asks for any more: the answers to
//! idempotency keys that have ended, and the memory of users who were removed.
//!
//! It works in batches of a transaction each, and stops in time; the next tick goes on.

use std::time::Duration;

use shared::lambda::{Function, Runtime, Task, Tick};
use shared::postgres::PostgresError;
use shared::time::{SignedDuration, Timestamp};
use shared::{BoxError, BoxFuture};

use crate::app::store;
use crate::store::NoteStore;

/// How long a deleted note can be restored.
pub const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Kept back from the function's time: no batch begins later. A statement takes five seconds at most.
const MARGIN: Duration = Duration::from_secs(10);

struct Purge {
    /// None where the deployment has no Postgres.
    notes: Option<NoteStore>,
}

impl Task for Purge {
    async fn run(&self, tick: Tick) -> Result<(), BoxError> {
        let Some(notes) = &self.notes else { return Ok(()) };
        let in_time = || tick.has_time(MARGIN);
        let before = tick.now.checked_sub(KEPT).unwrap_or(Timestamp::UNIX_EPOCH);
        // What cannot be dropped of one kind keeps none of another.
        let dropped: [Result<(), PostgresError>; 3] = [
            async {
                while in_time() && notes.purge_notes(before, tick.now).await? {}
                Ok(())
            }
            .await,
            async {
                while in_time() && notes.purge_keys(tick.now).await? {}
                Ok(())
            }
            .await,
            async {
                // An event is delivered for fourteen days at most.
                while in_time() && notes.purge_states(before).await? {}
                Ok(())
            }
            .await,
        ];
        Ok(dropped.into_iter().collect::<Result<(), _>>()?)
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let purge = Purge { notes: store(&runtime)? };
        Ok(Function::schedule(&runtime, purge))
    })
}
