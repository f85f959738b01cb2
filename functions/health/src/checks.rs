//! Checking the dependencies: in parallel, bounded in time, once for many callers.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::Serialize;
use shared::cache::Cache;
use shared::telemetry::chain;
use shared::time::{Clock, SignedDuration, Timestamp};
use shared::{BoxError, BoxFuture};
use utoipa::ToSchema;

/// How long a dependency has for its answer, with connecting: all are asked at once, so a report takes less than a
/// second.
pub const TIMEOUT: Duration = Duration::from_millis(900);

/// How old a report may be. However many ask, the dependencies are checked once in this time.
pub const MAX_AGE: SignedDuration = SignedDuration::from_secs(5);

/// How a dependency is asked.
type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// Something that Tenfold depends on.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    critical: bool,
    /// None when it is no part of this deployment.
    probe: Option<Probe>,
}

impl Dependency {
    /// Without it nothing works.
    pub fn critical<P>(name: &'static str, probe: P) -> Self
    where
        P: Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync + 'static,
    {
        Self { name, critical: true, probe: Some(Arc::new(probe)) }
    }

    /// Without it some things do not work.
    pub fn optional<P>(name: &'static str, probe: P) -> Self
    where
        P: Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync + 'static,
    {
        Self { name, critical: false, probe: Some(Arc::new(probe)) }
    }

    /// It is no part of this deployment.
    pub const fn off(name: &'static str, critical: bool) -> Self {
        Self { name, critical, probe: None }
    }

    async fn check(&self, timeout: Duration) -> Check {
        let mut check =
            Check { name: self.name, status: Status::Off, critical: self.critical, latency_ms: None, detail: None };
        let Some(probe) = &self.probe else { return check };
        let started = Instant::now();
        let outcome = tokio::time::timeout(timeout, probe()).await;
        check.latency_ms = Some(milliseconds(started.elapsed()));
        check.status = Status::Down;
        match outcome {
            Ok(Ok(())) => check.status = Status::Ok,
            Ok(Err(error)) => {
                // The cause may name an address: it is for the log alone.
                tracing::warn!(dependency = self.name, error = chain(&*error), "a dependency is down");
                check.detail = Some("it could not be reached or refused");
            }
            Err(_) => {
                tracing::warn!(dependency = self.name, "a dependency did not answer in time");
                check.detail = Some("it did not answer in time");
            }
        }
        check
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Dependency").field("name", &self.name).finish_non_exhaustive()
    }
}

/// To hundredths, as a local Redis answers in one or two.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// How one dependency is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DependencyStatus)]
pub enum Status {
    /// It answers.
    Ok,
    /// It does not.
    Down,
    /// It is no part of this deployment.
    Off,
}

/// How the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OverallStatus)]
pub enum Overall {
    /// Every dependency answers.
    Ok,
    /// An optional dependency does not.
    Degraded,
    /// A critical dependency does not.
    Down,
}

/// The check of one dependency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// The dependency.
    #[schema(example = "dynamodb")]
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// Whether nothing works without it.
    pub critical: bool,
    /// How long the answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3.25)]
    pub latency_ms: Option<f64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
}

/// All checks.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "degraded",
    "checks": [
        {"name": "dynamodb", "status": "ok", "critical": true, "latency_ms": 3.25},
        {"name": "redis", "status": "down", "critical": false, "latency_ms": 900.25, "detail": "it did not answer in time"},
        {"name": "postgres", "status": "off", "critical": false},
    ],
    "checked_at": "2026-01-31T12:00:00.000Z",
}))]
pub struct Report {
    /// How the whole is.
    pub status: Overall,
    /// The dependencies.
    pub checks: Vec<Check>,
    /// When they were checked.
    #[schema(value_type = String, format = DateTime, example = "2026-01-31T12:00:00.000Z")]
    #[serde(serialize_with = "shared::time::millis")]
    pub checked_at: Timestamp,
}

/// The dependencies, and their last report. Clones share it.
#[derive(Clone, Debug)]
pub struct Checks {
    dependencies: Arc<[Dependency]>,
    clock: Clock,
    last: Cache<(), Arc<Report>>,
    timeout: Duration,
}

impl Checks {
    /// Checks of `dependencies`.
    pub fn new(dependencies: Vec<Dependency>, clock: Clock) -> Self {
        let last = Cache::new(1, MAX_AGE, clock.clone());
        Self { dependencies: dependencies.into(), clock, last, timeout: TIMEOUT }
    }

    /// The last report, or a new one when that is too old. Who asks while it is being made gets the same.
    pub async fn report(&self) -> Arc<Report> {
        let checked = self.last.get_or_load((), async { Ok::<_, Infallible>(Arc::new(self.check().await)) });
        checked.await.unwrap_or_else(|never| match *never {})
    }

    async fn check(&self) -> Report {
        let checked_at = self.clock.now();
        let checks = join_all(self.dependencies.iter().map(|dependency| dependency.check(self.timeout))).await;
        Report { status: overall(&checks), checks, checked_at }
    }
}

fn overall(checks: &[Check]) -> Overall {
    let down = |critical| checks.iter().any(|check| check.status == Status::Down && check.critical == critical);
    if down(true) {
        Overall::Down
    } else if down(false) {
        Overall::Degraded
    } else {
        Overall::Ok
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn answers() -> BoxFuture<'static, Result<(), BoxError>> {
        Box::pin(async { Ok(()) })
    }

    fn fails() -> BoxFuture<'static, Result<(), BoxError>> {
        Box::pin(async { Err("connection to 10.0.0.7 refused".into()) })
    }

    fn checks(dependencies: Vec<Dependency>, clock: &Clock) -> Checks {
        Checks { timeout: Duration::from_millis(20), ..Checks::new(dependencies, clock.clone()) }
    }

    #[tokio::test]
    async fn the_worst_that_matters_decides() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        for (dependencies, expected) in [
            (vec![Dependency::critical("a", answers), Dependency::off("b", false)], Overall::Ok),
            (vec![Dependency::critical("a", answers), Dependency::optional("b", fails)], Overall::Degraded),
            (vec![Dependency::critical("a", fails), Dependency::optional("b", answers)], Overall::Down),
        ] {
            assert_eq!(checks(dependencies, &clock).report().await.status, expected);
        }
    }

    #[tokio::test]
    async fn a_mute_dependency_is_down_in_time_and_holds_up_no_other() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        // Nobody goes on before all three have been asked: none waits for the time-out of another, so that the whole
        // takes no longer than one.
        assert!(TIMEOUT < Duration::from_secs(1));
        let all_asked = Arc::new(tokio::sync::Barrier::new(3));
        let probe = |answer: fn() -> BoxFuture<'static, Result<(), BoxError>>| {
            let all_asked = all_asked.clone();
            move || -> BoxFuture<'static, Result<(), BoxError>> {
                let all_asked = all_asked.clone();
                Box::pin(async move {
                    all_asked.wait().await;
                    answer().await
                })
            }
        };
        let mute: fn() -> BoxFuture<'static, Result<(), BoxError>> = || Box::pin(std::future::pending());
        let dependencies = vec![
            Dependency::critical("mute", probe(mute)),
            Dependency::critical("a", probe(answers)),
            Dependency::optional("c", probe(mute)),
        ];
        let report = checks(dependencies, &clock).report().await;
        let statuses: Vec<_> = report.checks.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [Status::Down, Status::Ok, Status::Down]);
        assert_eq!(report.checks[0].detail, Some("it did not answer in time"));
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cause_one_check_until_it_is_too_old() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let probe = move || -> BoxFuture<'static, Result<(), BoxError>> {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(())
            })
        };
        let checks = checks(vec![Dependency::critical("a", probe)], &clock);
        join_all((0..50).map(|_| checks.report())).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.advance(SignedDuration::from_secs(4));
        checks.report().await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.advance(SignedDuration::from_secs(1));
        join_all((0..50).map(|_| checks.report())).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_document_names_no_address() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let report = checks(vec![Dependency::critical("a", fails), Dependency::off("b", false)], &clock).report().await;
        let mut document = serde_json::to_value(&*report).unwrap();
        document["checks"][0]["latency_ms"].take();
        assert_eq!(
            document,
            serde_json::json!({
                "status": "down",
                "checks": [
                    {"name": "a", "status": "down", "critical": true, "latency_ms": null,
                     "detail": "it could not be reached or refused"},
                    {"name": "b", "status": "off", "critical": false},
                ],
                "checked_at": "1970-01-01T00:00:00.000Z",
            })
        );
    }
}
