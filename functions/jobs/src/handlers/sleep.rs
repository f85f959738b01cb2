//! `sleep`: takes its time, tells how far it is, and fails on demand. For trials.

use std::time::Duration;

use serde::Deserialize;
use shared::http::FieldError;
use shared::outbound::Outbound;

use super::{Failed, Handler, Work};
use crate::attempt::Failure;

/// The longest sleep in milliseconds: 14 minutes.
const LONGEST: u64 = 840_000;

pub(super) struct Sleep;

/// How it goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    /// How long, in milliseconds.
    milliseconds: u64,
    /// How many attempts fail before one succeeds.
    #[serde(default)]
    fail_attempts: u32,
    /// Whether it fails for good.
    #[serde(default)]
    poison: bool,
}

impl Handler for Sleep {
    const TYPE: &'static str = "sleep";
    type Payload = Payload;
    type Result = ();

    fn check(payload: &Payload, _outbound: &Outbound) -> Vec<FieldError> {
        let too_long = || FieldError::new("/milliseconds", "out_of_range", "may be at most 840000");
        if payload.milliseconds > LONGEST { vec![too_long()] } else { Vec::new() }
    }

    async fn run(&self, payload: Payload, work: &Work) -> Result<(), Failed> {
        const STEPS: u32 = 20;
        let step = Duration::from_millis(payload.milliseconds) / STEPS;
        for done in 1..=STEPS {
            tokio::select! {
                () = tokio::time::sleep(step) => {}
                () = work.stopped() => return Err(Failed::Stopped),
            }
            work.progress(f64::from(done) / f64::from(STEPS), format!("slept {} ms", (step * done).as_millis()));
        }
        if payload.poison {
            return Err(Failed::Poison(Failure::new("asked_for", "it was asked to fail for good")));
        }
        if work.attempt <= payload.fail_attempts {
            return Err(Failed::Retry(
                Failure::new("asked_for", format!("it was asked to fail attempt {}", work.attempt)),
                None,
            ));
        }
        Ok(())
    }
}
