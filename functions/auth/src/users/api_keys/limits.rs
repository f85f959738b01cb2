//! What an API key that makes others holds them to: none is good for longer, from elsewhere or for more requests than the
//! key itself. Otherwise whoever finds a key that is limited would make one that is not.

use ipnet::IpNet;
use shared::http::{Problem, ProblemType};
use shared::identity::api_key::ApiKeyId;
use shared::identity::store::ApiKeyRecord;
use shared::identity::{Principal, PrincipalKind};
use shared::time::Timestamp;

use crate::app::Core;

/// The limits of a caller: an API key may have them, nobody else has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    expires_at: Option<Timestamp>,
    /// From anywhere when empty.
    networks: Vec<IpNet>,
    has_credits: bool,
}

impl Limits {
    pub(super) fn of(record: &ApiKeyRecord) -> Self {
        Self {
            expires_at: record.expires_at,
            networks: record.allowed_networks.clone(),
            has_credits: record.credits.is_some(),
        }
    }

    /// The end of a new key: what is asked for, or the caller's.
    pub(super) fn end(&self, asked: Option<Timestamp>) -> Option<Timestamp> {
        asked.or(self.expires_at)
    }

    /// The networks of a new key, likewise.
    pub(super) fn networks(&self, asked: Vec<IpNet>) -> Vec<IpNet> {
        if asked.is_empty() { self.networks.clone() } else { asked }
    }

    /// Refuses a key with this end and these networks that would pass the caller's limits.
    pub(super) fn check(&self, expires_at: Option<Timestamp>, networks: &[IpNet]) -> Result<(), Problem> {
        if self.has_credits {
            // Its balance would be there twice, or could not be kept in one place.
            return Err(forbidden("an API key with credits neither makes nor rotates keys"));
        }
        if let Some(end) = self.expires_at
            && expires_at.is_none_or(|at| at > end)
        {
            return Err(forbidden(&format!("the API key would be good after {end}, when yours ends")));
        }
        let is_within = |network: &IpNet| self.networks.iter().any(|own| own.contains(network));
        if !self.networks.is_empty() && (networks.is_empty() || !networks.iter().all(is_within)) {
            return Err(forbidden("the API key would be good from networks from which yours is not"));
        }
        Ok(())
    }

    /// Refuses a caller with limits: an OAuth client has none, and could not be held to them.
    pub(crate) fn check_absent(&self) -> Result<(), Problem> {
        if self.has_credits || self.expires_at.is_some() || !self.networks.is_empty() {
            let detail =
                "an API key with an end, networks or credits gives no OAuth client, which would have none of these";
            return Err(forbidden(detail));
        }
        Ok(())
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(ProblemType::Forbidden, detail)
}

impl Core {
    /// The limits of `caller`, as they are now.
    pub(crate) async fn limits_of(&self, caller: &Principal) -> Result<Limits, Problem> {
        if caller.kind != PrincipalKind::ApiKey {
            return Ok(Limits::default());
        }
        let id: ApiKeyId = caller.subject.parse().map_err(|_| Problem::internal("a key has no id"))?;
        let record = self.accounts.identity().api_key_fresh(&id).await?;
        record.map(|record| Limits::of(&record)).ok_or_else(|| Problem::internal("a key that was verified is gone"))
    }
}
