//! The end of an attempt: one write, together with what depends on it.

use shared::dynamo::{AttributeValue, TransactWrite, Update, n, s};
use shared::events::OUTBOX;
use shared::time::{Timestamp, rfc3339_millis};

use super::claim::{HELD, held};
use super::{Attention, JobStore, StoreError, job_key, value};
use crate::attempt::{Attempt, Next};
use crate::job::{Job, Phase};

/// How an attempt ends.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Where the job goes.
    pub next: &'a Next,
    /// The attempt for its history; none when it does not count.
    pub attempt: Option<Attempt>,
    /// When.
    pub now: Timestamp,
    /// Events for the relay.
    pub outbox: Option<AttributeValue>,
    /// A job that follows, made in the same write.
    pub follow_up: Option<&'a Job>,
    /// Only if there was no sign of life since the job was read.
    pub unheard: bool,
}

impl JobStore {
    /// Ends the attempt of `job`, which the caller has claimed. [`StoreError::Stale`] when the claim is lost: then nothing
    /// is written.
    pub async fn finish(&self, job: &Job, ending: Ending<'_>) -> Result<(), StoreError> {
        let follow_up = ending.follow_up.map(|next| self.job_put(next)).transpose()?;
        let ends = !matches!(ending.next, Next::Waiting(_));
        let unique = if ends { self.unique_release(job) } else { None };
        let returns = self.slot_returns(job, ending.now);
        let update = self.finish_update(job, ending)?;
        let more: Vec<_> = returns.chain(unique).chain(follow_up.map(TransactWrite::Put)).collect();
        if more.is_empty() {
            return self.dynamo.update(update).await.map(drop).map_err(super::stale);
        }
        self.transact(std::iter::once(TransactWrite::Update(update)).chain(more).collect()).await
    }

    fn finish_update(&self, job: &Job, ending: Ending<'_>) -> Result<Update, StoreError> {
        let now = ending.now;
        let counts = ending.attempt.is_some();
        let fingerprint = ending
            .attempt
            .as_ref()
            .and_then(|attempt| attempt.failure.as_ref())
            .map_or("none", |failure| failure.fingerprint.as_str())
            .to_owned();
        let history = value(&job.history_with(ending.attempt))?;
        let parent = || job.has_children.then(|| Attention::family(job, now));
        let dead = Attention::dead(job, &fingerprint, now);
        let (phase, attention) = match ending.next {
            Next::Waiting(at) => (Phase::Waiting, Some(Attention::waiting(job, *at))),
            Next::Dead => (Phase::Dead, parent().or_else(|| Some(dead.clone()))),
            Next::Succeeded(_) => (Phase::Succeeded, parent()),
            Next::Cancelled => (Phase::Cancelled, parent()),
        };
        let mut set = vec!["#phase = :phase", "revision = revision + :one", "history = :history"];
        let mut remove = vec!["lease_until", "slots", "cancel_requested"];
        let mut values = vec![(":phase", s(phase.as_str())), (":one", n(1)), (":history", history)];
        if !counts {
            set.push("attempt = attempt - :one");
            if let Some(progress) = &job.progress {
                set.push("progress = :progress");
                values.push((":progress", value(progress)?));
            }
        }
        if let Next::Waiting(at) = ending.next {
            set.push("ready_at = :ready_at");
            values.push((":ready_at", s(rfc3339_millis(*at))));
        } else {
            set.extend(["finished_at = :now", "removed_at = :removed_at"]);
            values.extend([(":now", s(rfc3339_millis(now))), (":removed_at", n(job.removed_at(now).as_second()))]);
        }
        if job.acknowledged > 0 {
            set.push("acknowledged = :acknowledged");
            values.push((":acknowledged", n(job.acknowledged)));
        }
        if let Next::Succeeded(Some(result)) = ending.next {
            set.push("#result = :result");
            values.push((":result", s(result)));
        }
        if let Some(outbox) = ending.outbox {
            set.push("#outbox = :outbox");
            values.push((":outbox", outbox));
        }
        // It takes its place among the dead when all have heard of it.
        if phase == Phase::Dead && job.has_children {
            set.push("place_among_dead = :place");
            values.push((":place", s(dead.sk)));
        }
        match &attention {
            Some(_) => set.push(Attention::SET),
            None => remove.extend(["attention_pk", "attention_sk"]),
        }
        let text = format!("SET {} REMOVE {}", set.join(", "), remove.join(", "));
        let mut update = held(Update::new(&self.table, job_key(&job.tenant_id, &job.id), text), job);
        let mut condition = HELD.to_owned();
        // Who depends on it since it was read has to hear of its end.
        if !job.has_children {
            condition.push_str(" AND attribute_not_exists(has_children)");
        }
        // What was called off since it was read is not tried again.
        if phase == Phase::Waiting && !job.cancel_requested {
            condition.push_str(" AND attribute_not_exists(cancel_requested)");
        }
        if ending.unheard {
            condition.push_str(" AND lease_until = :lease_until");
            update = update.value(":lease_until", value(&job.lease_until.map(rfc3339_millis))?);
        }
        update = update.only_if(condition);
        if matches!(ending.next, Next::Succeeded(Some(_))) {
            update = update.name("#result", "result");
        }
        if values.iter().any(|(name, _)| *name == ":outbox") {
            update = update.name("#outbox", OUTBOX);
        }
        for (name, value) in values {
            update = update.value(name, value);
        }
        Ok(match attention {
            Some(attention) => attention.values(update),
            None => update,
        })
    }
}
