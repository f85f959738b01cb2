//! The limiter on Redis or Valkey: one EVALSHA, one round trip, for each check.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, Script, ServerErrorKind};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::gcra::Meter;
use super::{BoxFuture, Decision, Limit, LimitError, Limiter, SPARE_SECONDS, Timestamp, validate};

/// How long to wait for a connection, and for an answer.
const TIMEOUT: Duration = Duration::from_millis(250);
/// After a failed connection attempt, checks fail at once for so long instead of each waiting for its own.
const PAUSE: Duration = Duration::from_millis(500);

/// Limits on one Redis, standalone or cluster: all keys of a check carry the tenant as their hash tag, so they share
/// a slot. (The client itself speaks to one address; a cluster's proxy or single-shard endpoint.)
///
/// There is one multiplexed connection, made by the first check. It is replaced after an error of the connection; a
/// check that finds it closed, as after a Lambda's freeze, is sent once more. Connecting and answering have
/// 250 ms each.
///
/// A bucket that the server loses (an eviction, a failover before replication) is a full one: the server's
/// `maxmemory-policy` should be `noeviction` or `volatile-ttl`.
pub struct RedisLimiter {
    client: Client,
    script: Script,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a failure discards the one it saw and not its replacement.
    generation: u64,
    closed_until: Option<Instant>,
}

/// Without the client, whose address may hold a password.
impl std::fmt::Debug for RedisLimiter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RedisLimiter").finish_non_exhaustive()
    }
}

impl RedisLimiter {
    /// The script that each check runs; its head documents keys, arguments and answer.
    pub const SCRIPT: &str = include_str!("gcra.lua");

    /// A limiter on the server at `url` (`redis://[user:password@]host[:port][/database]`). Nothing is connected yet.
    /// An `url` that cannot be parsed is [`LimitError::Unavailable`].
    pub fn new(url: &str) -> Result<Self, LimitError> {
        let client = Client::open(url).map_err(LimitError::unavailable)?;
        Ok(Self { client, script: Script::new(Self::SCRIPT), slot: Mutex::default() })
    }

    async fn decide(&self, tenant: &str, limits: &[Limit<'_>], now: Timestamp) -> Result<Decision, LimitError> {
        let now = validate(tenant, limits, now)?;
        if limits.is_empty() {
            return Ok(Decision { allowed: true, limits: Vec::new() });
        }
        let answer = self.run(tenant, limits, now).await.map_err(LimitError::unavailable)?;
        let (charged, meters) = parse(&answer, limits.len())
            .ok_or_else(|| LimitError::unavailable("the script's answer has an unknown form"))?;
        let decision = Decision::of(limits.iter().zip(meters), now);
        debug_assert_eq!(decision.allowed, charged, "the script and this crate decide alike");
        Ok(Decision { allowed: charged, ..decision })
    }

    /// Runs the script, on a fresh connection if the present one turns out to be closed.
    async fn run(&self, tenant: &str, limits: &[Limit<'_>], now: i64) -> Result<Vec<i64>, RedisError> {
        let (mut connection, generation) = self.connection().await?;
        let first = self.evaluate(&mut connection, tenant, limits, now).await;
        let Err(error) = first else { return first };
        if !must_reconnect(&error) {
            return Err(error);
        }
        self.discard(generation).await;
        if error.is_timeout() {
            return Err(error);
        }
        let (mut connection, generation) = self.connection().await?;
        let second = self.evaluate(&mut connection, tenant, limits, now).await;
        if second.as_ref().is_err_and(must_reconnect) {
            self.discard(generation).await;
        }
        second
    }

    /// EVALSHA, and EVAL when the server does not know the script.
    async fn evaluate(
        &self,
        connection: &mut MultiplexedConnection,
        tenant: &str,
        limits: &[Limit<'_>],
        now: i64,
    ) -> Result<Vec<i64>, RedisError> {
        let by_hash = command("EVALSHA", self.script.get_hash(), tenant, limits, now);
        match by_hash.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", Self::SCRIPT, tenant, limits, now).query_async(connection).await
            }
            answer => answer,
        }
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((connection.clone(), slot.generation));
        }
        if slot.closed_until.is_some_and(|until| Instant::now() < until) {
            return Err((ErrorKind::Io, "the last attempt to connect failed a moment ago").into());
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
        // The inner time-outs are for each step of connecting; this one is for all of them.
        let attempt = self.client.get_multiplexed_async_connection_with_config(&config);
        let connected = match tokio::time::timeout(TIMEOUT, attempt).await {
            Ok(connected) => connected,
            Err(_) => Err((ErrorKind::Io, "connecting took too long").into()),
        };
        match connected {
            Ok(connection) => {
                slot.connection = Some(connection.clone());
                slot.generation += 1;
                slot.closed_until = None;
                Ok((connection, slot.generation))
            }
            Err(error) => {
                slot.closed_until = Some(Instant::now() + PAUSE);
                Err(error)
            }
        }
    }

    async fn discard(&self, generation: u64) {
        let mut slot = self.slot.lock().await;
        if slot.generation == generation {
            slot.connection = None;
        }
    }
}

impl Limiter for RedisLimiter {
    fn check<'a>(
        &'a self,
        tenant: &'a str,
        limits: &'a [Limit<'a>],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimitError>> {
        Box::pin(self.decide(tenant, limits, now))
    }
}

/// After these, the connection is of no more use: closed, mute, or to a server that is no longer the primary.
fn must_reconnect(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

fn command(verb: &str, script: &str, tenant: &str, limits: &[Limit<'_>], now: i64) -> redis::Cmd {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(limits.len());
    for limit in limits {
        command.arg(format!("limit:{{{tenant}}}:{}", limit.policy.bucket(limit.key)));
    }
    command.arg(now).arg(SPARE_SECONDS * 1000);
    for limit in limits {
        let rate = limit.policy.rate();
        command.arg(rate.increment(limit.cost)).arg(rate.capacity()).arg(rate.per_microsecond());
    }
    command
}

/// Whether the script charged, and each bucket before the charge: `None` when the answer's form is not the script's.
fn parse(answer: &[i64], count: usize) -> Option<(bool, Vec<Meter>)> {
    let (charged, pairs) = answer.split_first()?;
    let (pairs, []) = pairs.as_chunks::<2>() else { return None };
    if pairs.len() != count {
        return None;
    }
    let meter = |[at, debt]: &[i64; 2]| Some(Meter { at: *at, debt: u64::try_from(*debt).ok()? });
    Some((*charged == 1, pairs.iter().map(meter).collect::<Option<_>>()?))
}
