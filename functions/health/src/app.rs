//! What the endpoints answer from.

use std::time::Duration;

use shared::dynamo::{Dynamo, s};
use shared::lambda::Runtime;
use shared::limits::{Limit, Limiter as _, Policy, RedisLimiter};
use shared::postgres::{Postgres, Settings};
use shared::time::{Clock, Timestamp};
use shared::{BoxError, BoxFuture};

use crate::checks::{Checks, Dependency};

/// The state of the service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The clock.
    pub clock: Clock,
    /// When this instance started.
    pub started_at: Timestamp,
    /// The dependencies.
    pub checks: Checks,
}

impl App {
    /// Reads `IDENTITY_TABLE`, and `CLICKS_QUEUE_URL`, `REDIS_URL` and `DATABASE_URL`, each of which may be absent.
    /// Inside a VPC nothing reaches SQS, so `CLICKS_QUEUE_URL` is absent there. Nothing is connected yet.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let dependencies = vec![dynamodb(runtime)?, sqs(runtime), redis(runtime)?, postgres(runtime)?];
        Ok(Self {
            clock: runtime.clock.clone(),
            started_at: runtime.clock.now(),
            checks: Checks::new(dependencies, runtime.clock.clone()),
        })
    }
}

/// Reads an item that does not exist: half a read unit, and no right but `dynamodb:GetItem` on the table.
fn dynamodb(runtime: &Runtime) -> Result<Dependency, BoxError> {
    let mut reader = runtime.environment.reader();
    let table: String = reader.required("IDENTITY_TABLE");
    reader.finish()?;
    let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
    Ok(Dependency::critical("dynamodb", move || -> BoxFuture<'static, Result<(), BoxError>> {
        let read = dynamo.clone();
        let table = table.clone();
        Box::pin(async move {
            read.get(&table, [("pk", s("health")), ("sk", s("health"))].into(), false).await?;
            Ok(())
        })
    }))
}

/// Asks for no attribute of the clicks' queue, which needs `sqs:GetQueueAttributes` on it.
fn sqs(runtime: &Runtime) -> Dependency {
    let Some(queue_url) = runtime.environment.get("CLICKS_QUEUE_URL").map(str::to_owned) else {
        return Dependency::off("sqs", true);
    };
    let sqs = runtime.aws.sqs.clone();
    Dependency::critical("sqs", move || -> BoxFuture<'static, Result<(), BoxError>> {
        let asked = sqs.get_queue_attributes().queue_url(&queue_url).send();
        Box::pin(async move {
            asked.await?;
            Ok(())
        })
    })
}

/// Looks at a rate limit without charging it: what Redis is there for, with the limiter's own connection and time-outs.
fn redis(runtime: &Runtime) -> Result<Dependency, BoxError> {
    let Some(url) = runtime.environment.get("REDIS_URL") else {
        return Ok(Dependency::off("redis", false));
    };
    let limiter = std::sync::Arc::new(RedisLimiter::new(url)?);
    let policy = Policy::new("health", 1, Duration::from_secs(1), 1)?;
    let clock = runtime.clock.clone();
    Ok(Dependency::optional("redis", move || -> BoxFuture<'static, Result<(), BoxError>> {
        let (limiter, policy, now) = (limiter.clone(), policy.clone(), clock.now());
        Box::pin(async move {
            limiter.check("health", &[Limit { policy: &policy, key: "", cost: 0 }], now).await?;
            Ok(())
        })
    }))
}

/// Asks Postgres for an answer, on the connection of this instance.
fn postgres(runtime: &Runtime) -> Result<Dependency, BoxError> {
    let mut reader = runtime.environment.reader();
    let url = reader.optional("DATABASE_URL");
    reader.finish()?;
    let Some(url) = url else {
        return Ok(Dependency::off("postgres", false));
    };
    let postgres = Postgres::new(&url, Settings::new(runtime.name, "public"), runtime.random.clone())?;
    Ok(Dependency::optional("postgres", move || -> BoxFuture<'static, Result<(), BoxError>> {
        let postgres = postgres.clone();
        Box::pin(async move { Ok(postgres.ping().await?) })
    }))
}
