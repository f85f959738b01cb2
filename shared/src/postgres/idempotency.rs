//! `Idempotency-Key` for what is written to Postgres: the key and the first answer are rows of the very transaction that
//! has the effect, so there is no moment in which one is there without the other.
//!
//! A service that uses it has the table `idempotency_keys` in its schema, behind the wall between tenants:
//! `tenant, actor, route, key, fingerprint, expires_at (seconds), answer`, with the first four for its primary key. Keys
//! belong to an actor, because what they replay may be nobody else's to see. Of two requests at once with the same key the
//! second waits for the first one's transaction, and is refused with 409 when that takes longer than a lock is waited for.

use axum::response::Response;
use http::{HeaderName, StatusCode};
use serde::Serialize;
use sqlx::Row as _;

use super::error::is_lock_timeout;
use super::{PostgresError, Transaction};
use crate::http::Created;
use crate::http::idempotency::{KEPT_SECONDS, Submitted, answer, created_answer, in_progress, replay, reused};
use crate::time::Timestamp;

/// What to do with a request.
#[derive(Debug)]
pub enum Claim {
    /// It is the first of its key (or has none): do it, and keep its answer with [`Claimed::keep`].
    First(Claimed),
    /// It was done: answer with this.
    Replay(Response),
}

/// The key of a request that is being done for the first time; none when it came without.
#[derive(Debug)]
pub struct Claimed(Option<[String; 3]>);

/// Claims the key of `request` for `actor` on `route`. The claim lasts if the transaction does.
pub async fn claim<T, const LIMIT: usize>(
    transaction: &mut Transaction,
    actor: &str,
    route: &str,
    request: &Submitted<T, LIMIT>,
    now: Timestamp,
) -> Result<Claim, PostgresError> {
    let Some((key, fingerprint)) = request.keyed() else { return Ok(Claim::First(Claimed(None))) };
    let now = now.as_second();
    let claimed = sqlx::query(
        "INSERT INTO idempotency_keys AS k (actor, route, key, fingerprint, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant, actor, route, key) DO UPDATE
             SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, answer = NULL
             WHERE k.expires_at <= $6",
    )
    .bind(actor)
    .bind(route)
    .bind(key)
    .bind(fingerprint)
    .bind(now + KEPT_SECONDS)
    .bind(now)
    .execute(&mut *transaction)
    .await
    .map_err(|error| if is_lock_timeout(&error) { PostgresError::from(in_progress()) } else { error.into() })?;
    if claimed.rows_affected() == 1 {
        return Ok(Claim::First(Claimed(Some([actor, route, key].map(str::to_owned)))));
    }
    // The tenant is said here as well: a policy for those who purge takes the index away from the policy that says it.
    let kept = sqlx::query(
        "SELECT fingerprint, answer FROM idempotency_keys
         WHERE tenant = tenfold.current_tenant() AND actor = $1 AND route = $2 AND key = $3",
    )
    .bind(actor)
    .bind(route)
    .bind(key)
    .fetch_one(transaction)
    .await?;
    if kept.try_get::<String, _>("fingerprint")? != fingerprint {
        return Err(reused().into());
    }
    Ok(Claim::Replay(replay(&kept.try_get::<String, _>("answer")?)?))
}

impl Claimed {
    /// Keeps the answer to a request that makes something.
    pub async fn keep_created<T: Serialize>(
        &self,
        transaction: &mut Transaction,
        created: &Created<T>,
    ) -> Result<(), PostgresError> {
        match &self.0 {
            Some(key) => write(transaction, key, created_answer(created, &created.body)?).await,
            None => Ok(()),
        }
    }

    /// Keeps another answer in JSON.
    pub async fn keep<T: Serialize>(
        &self,
        transaction: &mut Transaction,
        status: StatusCode,
        body: &T,
    ) -> Result<(), PostgresError> {
        match &self.0 {
            Some(key) => {
                write(transaction, key, answer(status, std::iter::empty::<(HeaderName, String)>(), body)?).await
            }
            None => Ok(()),
        }
    }
}

async fn write(
    transaction: &mut Transaction,
    [actor, route, key]: &[String; 3],
    answer: String,
) -> Result<(), PostgresError> {
    sqlx::query(
        "UPDATE idempotency_keys SET answer = $4
         WHERE tenant = tenfold.current_tenant() AND actor = $1 AND route = $2 AND key = $3",
    )
    .bind(actor)
    .bind(route)
    .bind(key)
    .bind(answer)
    .execute(transaction)
    .await?;
    Ok(())
}
