//! The header fields of a decision: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11
//! (structured fields, RFC 9651), and `Retry-After` (RFC 9110, section 10.2.3).

use std::fmt::Write as _;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};

use super::{Decision, LimitState};
use crate::http::{Problem, ProblemType};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl Decision {
    /// The fields for the response, allowed or not; none when no limit was checked.
    ///
    /// `q` and `w` are the policy's quota and window (`w` is left out unless it is whole seconds, which is all that the
    /// field can say), `qu` its unit unless that is requests, and `tenfold-burst` its burst where that is not the
    /// quota. `r` is what remains and `t` the seconds until there is more, left out while the bucket is full. The
    /// optional `pk` is not sent: the keys name tenants and callers. `Retry-After` is there when a wait helps.
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let policies = list(&self.limits, write_policy);
        let states = list(&self.limits, write_state);
        // The grammar of names leaves nothing that a field value cannot hold.
        let mut fields: Vec<_> = [(RATELIMIT_POLICY, policies), (RATELIMIT, states)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
            .collect();
        if let Some(wait) = self.retry_after() {
            fields.push((RETRY_AFTER, HeaderValue::from(whole_seconds(wait))));
        }
        fields
    }

    /// The decision, if it allowed the request for which it was made.
    ///
    /// # Errors
    /// 429 with the fields above.
    pub fn admitted(self, detail: &str) -> Result<Self, Problem> {
        if self.allowed {
            return Ok(self);
        }
        let problem = Problem::new(ProblemType::RateLimited, detail);
        Err(self.headers().into_iter().fold(problem, |problem, (name, value)| problem.header(name, value)))
    }
}

fn list(limits: &[LimitState], write: fn(&mut String, &LimitState)) -> String {
    let mut value = String::new();
    for limit in limits {
        if !value.is_empty() {
            value.push_str(", ");
        }
        write(&mut value, limit);
    }
    value
}

fn write_policy(value: &mut String, limit: &LimitState) {
    let policy = &limit.policy;
    // Writing to a String does not fail.
    let _ = write!(value, "\"{}\";q={}", policy.name(), policy.quota());
    if policy.window().subsec_nanos() == 0 {
        let _ = write!(value, ";w={}", policy.window().as_secs());
    }
    if policy.burst() != policy.quota() {
        let _ = write!(value, ";tenfold-burst={}", policy.burst());
    }
}

fn write_state(value: &mut String, limit: &LimitState) {
    let _ = write!(value, "\"{}\";r={}", limit.policy.name(), limit.remaining);
    if let Some(wait) = limit.next_unit_after {
        let _ = write!(value, ";t={}", whole_seconds(wait));
    }
}

/// Rounded up: a client that waits so long is not refused.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
