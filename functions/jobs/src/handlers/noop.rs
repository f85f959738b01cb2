//! `noop`: does nothing, and succeeds. For trials and measurements.

use serde::de::IgnoredAny;

use super::{Failed, Handler, Work};

pub(super) struct Noop;

impl Handler for Noop {
    const TYPE: &'static str = "noop";
    type Payload = IgnoredAny;
    type Result = ();

    async fn run(&self, _payload: IgnoredAny, _work: &Work) -> Result<(), Failed> {
        Ok(())
    }
}
