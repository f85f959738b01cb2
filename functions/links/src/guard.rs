//! Guards the passwords of links against guessing: so many tries of a network, and so many of all together, for each
//! link and minute. It fails closed, because what it protects is a secret.

use std::time::Duration;

use shared::digest::sha256_base64url;
use shared::http::{ClientNetwork, Problem};
use shared::limits::{Decision, DynamoLimiter, InvalidPolicy, Limit, Limiter as _, Policy};
use shared::time::Timestamp;

use crate::link::Link;

/// Tries of one network for one link.
const OF_A_NETWORK: u32 = 10;

/// Tries of all for one link.
const OF_ALL: u32 = 100;

/// Counts the tries in the limits table. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    limiter: DynamoLimiter,
    of_a_network: Policy,
    of_all: Policy,
}

impl Guard {
    pub(crate) fn new(limiter: DynamoLimiter) -> Result<Self, InvalidPolicy> {
        let minute = Duration::from_mins(1);
        Ok(Self {
            limiter,
            of_a_network: Policy::new("password-tries", OF_A_NETWORK, minute, OF_A_NETWORK)?,
            of_all: Policy::new("password-tries-of-all", OF_ALL, minute, OF_ALL)?,
        })
    }

    /// Takes one try from both limits, or refuses with 429.
    pub(crate) async fn admit(&self, link: &Link, network: ClientNetwork, now: Timestamp) -> Result<Decision, Problem> {
        let all = link.id.to_string();
        // Hashed, so that the table's keys have one length and show no address at a glance.
        let one = sha256_base64url(format!("{all}#{network}"));
        let limits = [
            Limit { policy: &self.of_a_network, key: &one, cost: 1 },
            Limit { policy: &self.of_all, key: &all, cost: 1 },
        ];
        let decision = self.limiter.check(&link.tenant_id.to_string(), &limits, now).await?;
        decision.admitted("too many passwords were tried")
    }
}
