//! The audit trail: every security event of a tenant, as a record that nobody edits.

mod device;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use shared::http::{ClientAddress, RequestContext};
use shared::id::{Id, Kind, TenantId};
use shared::identity::Principal;
use shared::random::Random;
use shared::text::is_unprintable;
use shared::time::{SignedDuration, Timestamp};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::mail::templates::Occurrence;
use crate::session::Device;

/// How long a record is kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The kind of an audit record's id.
#[derive(Debug)]
pub enum AuditKind {}
impl Kind for AuditKind {
    const PREFIX: &'static str = "audit";
}
/// The id of an audit record. Ids sort by time.
pub type AuditId = Id<AuditKind>;

/// One security event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// The id.
    #[schema(value_type = String, example = "audit_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub id: AuditId,
    /// Whose trail it is in.
    #[schema(value_type = String, example = "tenant_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub tenant_id: TenantId,
    /// What happened.
    pub action: Action,
    /// Who did it: the id of a user, an API key or a client; `anonymous` before anybody was proved.
    #[schema(example = "user_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub actor: String,
    /// What it was done to: an id or a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What else is to know, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request that caused it.
    pub request_id: String,
    /// The network it came from: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "203.0.113.0/24")]
    pub network: Option<String>,
    /// What its `User-Agent` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub at: Timestamp,
}

/// Defines the list of actions once.
macro_rules! actions {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// What an audit record tells of. Expect new values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Action { $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)* }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name: `noun.verb` in the past tense.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

// By hand: the derived one does not see names that a macro gives.
impl PartialSchema for Action {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What an audit record tells of. Expect new values."))
            .enum_values(Some(Self::ALL.iter().map(|action| action.as_str())))
            .into()
    }
}

impl ToSchema for Action {}

actions! {
    /// An account was made.
    SignedUp = "user.signed_up";
    /// An address was proved.
    EmailVerified = "user.email_verified";
    /// The address was changed.
    EmailChanged = "user.email_changed";
    /// A session was begun.
    SignedIn = "session.signed_in";
    /// The first factor of a log-in was right, and the second was asked for.
    FirstFactorProved = "session.first_factor_proved";
    /// A log-in failed.
    SignInFailed = "session.sign_in_failed";
    /// The user proved themselves again.
    SteppedUp = "session.stepped_up";
    /// A session was ended by its user.
    SignedOut = "session.signed_out";
    /// A session was ended from another one, or by an administrator.
    SessionRevoked = "session.revoked";
    /// A refresh token was used twice: its session was ended.
    RefreshTokenReused = "session.refresh_token_reused";
    /// A new password was asked for.
    PasswordResetRequested = "password.reset_requested";
    /// The password was reset by mail.
    PasswordReset = "password.reset";
    /// The password was changed.
    PasswordChanged = "password.changed";
    /// A second factor or passkey was set up.
    FactorAdded = "factor.added";
    /// A second factor or passkey was taken away.
    FactorRemoved = "factor.removed";
    /// A second factor was offered that is wrong.
    FactorFailed = "factor.failed";
    /// A recovery code was used.
    RecoveryCodeUsed = "factor.recovery_code_used";
    /// A passkey's counter went back: it may have been cloned.
    PasskeyCloned = "factor.passkey_clone_suspected";
    /// An account of a provider was linked.
    IdentityLinked = "identity.linked";
    /// An account of a provider was unlinked.
    IdentityUnlinked = "identity.unlinked";
    /// A member's roles were changed.
    RolesChanged = "member.roles_changed";
    /// A member was suspended.
    MemberSuspended = "member.suspended";
    /// A member was let in again.
    MemberReinstated = "member.reinstated";
    /// A member was removed.
    MemberRemoved = "member.removed";
    /// A custom role was made.
    RoleCreated = "role.created";
    /// A custom role was changed.
    RoleUpdated = "role.updated";
    /// A custom role was deleted.
    RoleDeleted = "role.deleted";
    /// An API key was made.
    ApiKeyCreated = "api_key.created";
    /// An API key got another name, or was pinned to a version of the API.
    ApiKeyChanged = "api_key.changed";
    /// An API key got a successor.
    ApiKeyRotated = "api_key.rotated";
    /// An API key was revoked.
    ApiKeyRevoked = "api_key.revoked";
    /// An OAuth client was made.
    ClientCreated = "client.created";
    /// An OAuth client was changed.
    ClientUpdated = "client.updated";
    /// An OAuth client got a new secret.
    ClientSecretRotated = "client.secret_rotated";
    /// An OAuth client was deleted.
    ClientDeleted = "client.deleted";
    /// Somebody said to be an OAuth client and did not prove it.
    ClientRefused = "client.refused";
    /// A user let an application in.
    ConsentGiven = "consent.given";
    /// A user did not let an application in.
    ConsentRefused = "consent.refused";
    /// A user took back that an application is let in.
    ConsentWithdrawn = "consent.withdrawn";
    /// An authorization code was used twice: its session was ended.
    AuthorizationCodeReused = "session.authorization_code_reused";
    /// A tenant was made for a user who was removed from the last one.
    TenantCreated = "tenant.created";
    /// The tenant's settings were changed.
    SettingsChanged = "tenant.settings_changed";
    /// An export of all that the tenant has was asked for.
    ExportRequested = "tenant.export_requested";
    /// An account was deleted.
    AccountDeleted = "user.deleted";
}

/// Where a request comes from, as far as it is kept: what sessions and audit records show.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The request's id.
    pub request_id: String,
    /// Network and user agent.
    pub device: Device,
}

impl Origin {
    /// The origin of a request.
    pub fn of(context: &RequestContext, address: ClientAddress, user_agent: Option<&str>) -> Self {
        let user_agent = user_agent
            .map(|text| text.chars().filter(|character| !is_unprintable(*character)).take(200).collect::<String>());
        Self {
            request_id: context.request_id.to_string(),
            device: Device { user_agent: user_agent.filter(|text| !text.is_empty()), network: network_of(address) },
        }
    }

    /// A record that something was done by `actor`.
    #[allow(clippy::needless_pass_by_value)] // ids are passed by value
    pub fn record(
        &self,
        tenant_id: TenantId,
        action: Action,
        actor: impl ToString,
        now: Timestamp,
        random: &Random,
    ) -> AuditRecord {
        AuditRecord {
            id: AuditId::new(now, random),
            tenant_id,
            action,
            actor: actor.to_string(),
            target: None,
            detail: None,
            request_id: self.request_id.clone(),
            network: self.device.network.clone(),
            user_agent: self.device.user_agent.clone(),
            at: now,
        }
    }

    /// The same for a mail.
    pub fn occurrence(&self, now: Timestamp) -> Occurrence {
        let network = self.device.network.clone().unwrap_or_else(|| "unknown".to_owned());
        Occurrence { at: now, device: device::name(self.device.user_agent.as_deref().unwrap_or_default()), network }
    }

    /// A record that the caller did something in their tenant.
    pub fn by(&self, caller: &Principal, action: Action, now: Timestamp, random: &Random) -> AuditRecord {
        self.record(caller.tenant, action, &caller.subject, now, random)
    }
}

impl AuditRecord {
    /// The same, done to `target`.
    #[allow(clippy::needless_pass_by_value)] // ids are passed by value
    pub fn on(self, target: impl ToString) -> Self {
        Self { target: Some(target.to_string()), ..self }
    }

    /// The same, with what else is to know.
    pub fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// The network of an address, coarse enough to be kept: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
fn network_of(address: ClientAddress) -> Option<String> {
    let (address, bits) = match address.get()?.to_canonical() {
        address @ IpAddr::V4(_) => (address, 24),
        address @ IpAddr::V6(_) => (address, 48),
    };
    ipnet::IpNet::new(address, bits).ok().map(|network| network.trunc().to_string())
}

/// The actor of what nobody proved to have done.
pub const ANONYMOUS: &str = "anonymous";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_kept_as_its_network() {
        let network = |text: &str| network_of(ClientAddress::of(text.parse().ok()));
        assert_eq!(network("203.0.113.7").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(network("::ffff:203.0.113.7").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(network("2001:db8:1:2:3::4").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(network("nothing"), None);
    }
}
