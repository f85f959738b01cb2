//! How many jobs of a queue may be begun in a time.

use std::time::Duration;

use shared::BoxError;
use shared::dynamo::Dynamo;
use shared::http::Problem;
use shared::id::TenantId;
use shared::lambda::Runtime;
use shared::limits::{DynamoLimiter, InvalidPolicy, Limit, LimitError, Limiter as _};
use shared::time::Clock;

use crate::message::Ready;
use crate::name::QueueName;
use crate::queue::RateLimit;

/// Why a queue's rate could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// The limiter has no answer.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// What is set for the queue is no policy.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
}

impl From<RateError> for Problem {
    fn from(error: RateError) -> Self {
        match error {
            RateError::Limit(error) => error.into(),
            error @ RateError::Policy(_) => Self::internal(error),
        }
    }
}

/// The limiter of queues. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rates {
    limiter: DynamoLimiter,
    clock: Clock,
}

impl Rates {
    /// Reads `LIMITS_TABLE`.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("LIMITS_TABLE");
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        Ok(Self { limiter: DynamoLimiter::new(dynamo, table, runtime.random.clone()), clock: runtime.clock.clone() })
    }

    /// How many jobs of a queue may be begun now by its rate, and in how long one more; nothing is counted.
    pub async fn room(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        rate: RateLimit,
    ) -> Result<(usize, Duration), RateError> {
        let policy = rate.policy()?;
        let limit = Limit { policy: &policy, key: queue.as_str(), cost: 0 };
        let decision = self.limiter.check(&tenant.to_string(), &[limit], self.clock.now()).await?;
        let state = decision.limits.first();
        let room = state.map_or(0, |state| state.remaining);
        let next_after = state.and_then(|state| state.next_unit_after);
        // A full one has its next unit when one was taken.
        let next_after = next_after.unwrap_or(policy.window() / policy.quota());
        Ok((usize::try_from(room).unwrap_or(usize::MAX), next_after))
    }

    /// How long to wait by the queue's rate; none when the job may be begun, which is counted.
    pub async fn wait(&self, ready: &Ready, rate: RateLimit) -> Result<Option<Duration>, RateError> {
        let policy = rate.policy()?;
        let limit = Limit { policy: &policy, key: ready.queue.as_str(), cost: 1 };
        let decision = self.limiter.check(&ready.tenant_id.to_string(), &[limit], self.clock.now()).await?;
        Ok(if decision.allowed { None } else { Some(decision.retry_after().unwrap_or(policy.window())) })
    }
}
