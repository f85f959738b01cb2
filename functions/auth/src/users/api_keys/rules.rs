//! How an API key is made: what a client asks for, and what of it is acceptable.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;
use shared::http::Problem;
use shared::http::versions::Version;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::credits::{Credits, Refill};
use shared::identity::store::{ApiKeyRecord, MOST_NETWORKS};
use shared::identity::{Principal, Scopes};
use shared::refusal::{Fault, Refusal};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::limits::Limits;
use crate::user::Name;
use crate::users::authority::{Scoped, check_scopes, known};

/// The most credits.
const MOST_CREDITS: u64 = 1_000_000_000_000;
/// The longest time between two refills: a year.
const LONGEST_PERIOD: u64 = 365 * 24 * 60 * 60;

/// What a client sends.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What people call it.
    name: Name,
    /// What it may do: 1 to 50 names of permissions, `resource:*`, or `*`; nothing that its maker may not.
    #[schema(value_type = Vec<String>)]
    scopes: Scopes,
    /// `live`, for production data, or `test`.
    #[serde(default = "live")]
    #[schema(value_type = Option<String>, example = "live")]
    mode: KeyMode,
    /// When it ends, to the second. Without it, when it is revoked; or when the key ends that makes it, and never later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The networks from which it may be used, in CIDR notation, or addresses; 20 at most. From anywhere when empty; or from
    /// those of the key that makes it, and from no others.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["203.0.113.0/24", "2001:db8::/48"]))]
    allowed_networks: Vec<Network>,
    /// How many requests it may make. Any number without.
    #[serde(default)]
    credits: Option<NewCredits>,
    /// The one version of the API that it may be used with. Each of them without.
    #[serde(default)]
    api_version: Option<Version>,
}

/// Credits of a new key.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredits {
    /// The balance at first: 1 to 1000000000000 requests.
    amount: u64,
    /// Without it, the key ends with its last credit.
    #[serde(default)]
    refill: Option<NewRefill>,
}

/// The refill of a new key's credits.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefill {
    /// The balance after each refill: 1 to 1000000000000 requests. What was left is lost.
    amount: u64,
    /// The time between two refills: 1 to 31536000 seconds.
    every_seconds: u64,
}

/// A network: `203.0.113.0/24`, or an address, which is a network of its own. An IPv4 network that is written as IPv6 is
/// one of IPv4, as addresses are when they are compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Network(IpNet);

impl TryFrom<String> for Network {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network: IpNet = network.map_err(|_| {
            Refusal::new("invalid_network", "is neither a network such as 203.0.113.0/24 nor an address")
        })?;
        let mapped = match network {
            IpNet::V6(wide) => wide.addr().to_ipv4_mapped().zip(wide.prefix_len().checked_sub(96)),
            IpNet::V4(_) => None,
        };
        let network = match mapped {
            Some((address, bits)) => Ipv4Net::new(address, bits).map_or(network, IpNet::V4),
            None => network,
        };
        Ok(Self(network.trunc()))
    }
}

const fn live() -> KeyMode {
    KeyMode::Live
}

/// A key that is acceptable.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// `live` or `test`.
    pub(crate) mode: KeyMode,
    name: Name,
    scopes: Scopes,
    expires_at: Option<Timestamp>,
    allowed_networks: Vec<IpNet>,
    credits: Option<NewCredits>,
    api_version: Option<Version>,
}

impl NewApiKey {
    /// Checks what `caller`, who has these limits, sent at `now`.
    pub(crate) fn check(&self, caller: &Principal, limits: &Limits, now: Timestamp) -> Result<Draft, Problem> {
        let mut faults = Vec::new();
        let scopes = known(&self.scopes, 1).map_err(|refusal| faults.push(refusal.at("/scopes"))).unwrap_or_default();
        // A key's times are kept to the second.
        let expires_at = self.expires_at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
        if expires_at.is_some_and(|at| at <= now) {
            faults.push(Refusal::new("in_the_past", "must be in the future").at("/expires_at"));
        }
        if self.allowed_networks.len() > MOST_NETWORKS {
            let detail = format!("may have at most {MOST_NETWORKS} networks");
            faults.push(Refusal::new("too_many", detail).at("/allowed_networks"));
        }
        faults.extend(self.credits.iter().flat_map(NewCredits::faults));
        if !faults.is_empty() {
            return Err(faults.into());
        }
        check_scopes(caller, Scoped::ApiKey, &scopes)?;
        let expires_at = limits.end(expires_at);
        let networks = limits.networks(self.allowed_networks.iter().map(|network| network.0).collect());
        limits.check(expires_at, &networks)?;
        Ok(Draft {
            mode: self.mode,
            name: self.name.clone(),
            scopes,
            expires_at,
            allowed_networks: networks,
            credits: self.credits,
            api_version: self.api_version,
        })
    }
}

impl NewCredits {
    fn faults(&self) -> Vec<Fault> {
        let amount = (1..=MOST_CREDITS, "/credits/amount", self.amount);
        let refill = self.refill.map(|refill| {
            [
                (1..=MOST_CREDITS, "/credits/refill/amount", refill.amount),
                (1..=LONGEST_PERIOD, "/credits/refill/every_seconds", refill.every_seconds),
            ]
        });
        let all = std::iter::once(amount).chain(refill.into_iter().flatten());
        all.filter(|(range, _, value)| !range.contains(value))
            .map(|(range, pointer, _)| Refusal::new("out_of_range", format!("is 1 to {}", range.end())).at(pointer))
            .collect()
    }
}

impl Draft {
    /// The record of `key`, made by `caller` at `now`.
    pub(crate) fn record(self, key: &ApiKey, caller: &Principal, now: Timestamp) -> ApiKeyRecord {
        let credits = self.credits.map(|credits| Credits {
            remaining: credits.amount,
            refill: credits.refill.map(|refill| Refill {
                amount: refill.amount,
                every_seconds: refill.every_seconds,
                // It is kept to the second, and is answered as it is kept.
                refilled_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            }),
        });
        ApiKeyRecord {
            expires_at: self.expires_at,
            allowed_networks: self.allowed_networks,
            credits,
            api_version: self.api_version,
            ..ApiKeyRecord::new(key, caller.tenant, self.name.as_str(), self.scopes, &caller.subject)
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
