//! A tenant and its settings: who may join, how long sessions live, whether a second factor is required.

use serde::{Deserialize, Serialize};
use shared::id::TenantId;
use shared::refusal::{Fault, Refusal};
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::email::EmailAddress;
use crate::user::Name;

/// The most domains that a tenant's setting may list.
const MOST_DOMAINS: usize = 50;

/// What is stored of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The id.
    pub id: TenantId,
    /// What it is called.
    pub name: Name,
    /// The rules for its members.
    #[serde(default)]
    pub settings: Settings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When the access tokens of all its members were last ended: by the change of a role or of a setting, or with the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_ended_at: Option<Timestamp>,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

/// The rules for a tenant's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who may become a member by signing up with the tenant's id.
    pub sign_up: SignUp,
    /// When not empty: only addresses of these domains may sign up.
    #[schema(example = json!(["example.com"]))]
    pub allowed_email_domains: Vec<String>,
    /// A session ends this long after its log-in: 300 (5 minutes) to 31536000 (a year).
    #[schema(example = 2_592_000)]
    pub session_seconds: u32,
    /// A session ends when it was not used for this long: 300 to 31536000.
    #[schema(example = 1_209_600)]
    pub session_idle_seconds: u32,
    /// Whether every member must prove a second factor. The tokens of a session in which none was proved give access to
    /// the member's own account alone.
    pub second_factor_required: bool,
}

/// Who may sign up to a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignUpPolicy)]
pub enum SignUp {
    /// Nobody.
    #[default]
    Closed,
    /// Whoever proves an address of an allowed domain; with no domain listed, of any.
    Open,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sign_up: SignUp::Closed,
            allowed_email_domains: Vec::new(),
            session_seconds: 30 * 24 * 60 * 60,
            session_idle_seconds: 14 * 24 * 60 * 60,
            second_factor_required: false,
        }
    }
}

impl Settings {
    /// Checks and normalises what an administrator sent.
    pub fn check(mut self) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let seconds = 300..=365 * 24 * 60 * 60;
        for (pointer, value) in
            [("/session_seconds", self.session_seconds), ("/session_idle_seconds", self.session_idle_seconds)]
        {
            if !seconds.contains(&value) {
                faults.push(Refusal::new("out_of_range", "is 300 to 31536000 seconds").at(pointer));
            }
        }
        if self.allowed_email_domains.len() > MOST_DOMAINS {
            let detail = format!("may have at most {MOST_DOMAINS} domains");
            faults.push(Refusal::new("too_many", detail).at("/allowed_email_domains"));
        }
        for domain in &mut self.allowed_email_domains {
            // A domain is one when an address in it is an address.
            match EmailAddress::try_from(format!("a@{domain}")) {
                Ok(address) => address.domain().clone_into(domain),
                Err(_) => faults.push(
                    Refusal::new("invalid_domain", "has an entry that is no domain").at("/allowed_email_domains"),
                ),
            }
        }
        self.allowed_email_domains.sort_unstable();
        self.allowed_email_domains.dedup();
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    /// Whether `address` may sign up.
    pub fn admit(&self, address: &EmailAddress) -> bool {
        self.sign_up == SignUp::Open
            && (self.allowed_email_domains.is_empty()
                || self.allowed_email_domains.iter().any(|domain| domain == address.domain()))
    }

    /// When a session that begins at `now` ends at the latest.
    pub fn session_ends(&self, now: Timestamp) -> Timestamp {
        later(now, self.session_seconds)
    }

    /// When a session that was used at `now` ends if it is not used again.
    pub fn idle_ends(&self, now: Timestamp) -> Timestamp {
        later(now, self.session_idle_seconds)
    }
}

fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> EmailAddress {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_tenant_admits_whom_its_settings_name() {
        let closed = Settings::default();
        assert!(!closed.admit(&address("ann@example.com")));
        let open = Settings { sign_up: SignUp::Open, ..Settings::default() };
        assert!(open.admit(&address("ann@example.com")));
        let domains = vec!["EXAMPLE.com".to_owned(), "bücher.example".to_owned()];
        let limited = Settings { allowed_email_domains: domains, ..open }.check().unwrap();
        assert!(limited.admit(&address("ann@Example.COM")) && limited.admit(&address("ann@xn--bcher-kva.example")));
        assert!(!limited.admit(&address("ann@sub.example.com")) && !limited.admit(&address("ann@example.org")));
    }

    #[test]
    fn every_bad_setting_is_named() {
        let settings = Settings {
            session_seconds: 299,
            session_idle_seconds: 40_000_000,
            allowed_email_domains: vec!["not a domain".to_owned()],
            ..Settings::default()
        };
        let pointers: Vec<_> = settings.check().unwrap_err().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/session_seconds", "/session_idle_seconds", "/allowed_email_domains"]);
    }
}
