//! `auth.sweeper`: deletes accounts whose address was never proved, and erases what deleted ones leave behind.
//!
//! Each hour it reads what is due of each shard. It may run twice at once, and stop at any line: an entry is removed when all
//! of its work is done, and all of it can be done again.

use std::time::Duration;

use shared::dynamo::Dynamo;
use shared::identity::store::IdentityStore;
use shared::lambda::{Function, Runtime, Task, Tick};
use shared::random::Random;
use shared::time::Timestamp;
use shared::{BoxError, BoxFuture};

use crate::erasure::{delete_account, erase};
use crate::store::{Accounts, SHARDS, SweepEntry, SweepReason, WriteError};

/// Entries that are read at a time.
const PAGE: usize = 50;
/// No further entry is begun when less time is left.
const MARGIN: Duration = Duration::from_secs(10);

struct Sweeper {
    accounts: Accounts,
    random: Random,
}

impl Task for Sweeper {
    async fn run(&self, tick: Tick) -> Result<(), BoxError> {
        let mut failed = None;
        for shard in 0..SHARDS {
            let mut last = None;
            loop {
                let due = self.accounts.sweep_due(shard, tick.now, last.as_ref(), PAGE).await?;
                if due.is_empty() {
                    break;
                }
                for entry in &due {
                    if !tick.has_time(MARGIN) {
                        tracing::warn!("the rest is left to the next hour");
                        return failed.map_or(Ok(()), Err);
                    }
                    if let Err(error) = self.sweep(entry, tick.now).await {
                        let told = shared::telemetry::chain(&error);
                        tracing::error!(error = told, user = %entry.user_id, "an account was left to the next hour");
                        failed = Some(error.into());
                    }
                }
                last = due.into_iter().last();
            }
        }
        // What cannot be done holds nothing else up, and is counted as the function's error.
        failed.map_or(Ok(()), Err)
    }
}

impl Sweeper {
    async fn sweep(&self, entry: &SweepEntry, now: Timestamp) -> Result<(), WriteError> {
        match entry.reason {
            SweepReason::Unverified => {
                let user = self.accounts.user(&entry.user_id).await?;
                if let Some(user) = user.filter(|user| !user.is_verified()) {
                    match delete_account(&self.accounts, &user, Vec::new(), now, &self.random).await {
                        Ok(()) => tracing::info!(user = %user.id, "an account without a proved address was deleted"),
                        // It was verified or changed at this moment: the next hour looks again.
                        Err(WriteError::Stale | WriteError::Conflict) => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
            SweepReason::Erase => erase(&self.accounts, &entry.user_id).await?,
        }
        Ok(self.accounts.sweep_done(entry).await?)
    }
}

/// Builds the function. It reads `ACCOUNTS_TABLE` and `IDENTITY_TABLE`.
pub fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let accounts: String = reader.required("ACCOUNTS_TABLE");
        let identity: String = reader.required("IDENTITY_TABLE");
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let identity = IdentityStore::new(dynamo.clone(), identity, runtime.random.clone());
        let accounts = Accounts::new(dynamo, accounts, identity);
        let sweeper = Sweeper { accounts, random: runtime.random.clone() };
        Ok(Function::schedule(&runtime, sweeper))
    })
}
