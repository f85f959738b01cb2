//! What the API shows of a user, a session, a membership, a role, a tenant.

use serde::Serialize;
use shared::http::ETag;
use shared::id::TenantId;
use shared::identity::Role;
use shared::identity::permission::ALL;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::membership::{CustomRole, MemberStatus, Membership};
use crate::session::{Session, SessionId};
use crate::tenant::{Settings, Tenant};
use crate::user::{Name, User};

/// A user, as the user sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    /// The id.
    #[schema(example = "user_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub id: String,
    /// The address.
    #[schema(example = "ann@example.com")]
    pub email: String,
    /// Whether the address was proved.
    pub email_verified: bool,
    /// What the user is called.
    #[schema(example = "Ann")]
    pub name: Option<String>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether codes of an authenticator app are set up.
    pub totp: bool,
    /// How many passkeys there are.
    pub passkeys: u8,
    /// When the user signed up.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When the account was last changed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
}

impl UserView {
    /// What is shown of `user`.
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            email_verified: user.is_verified(),
            name: user.name.as_ref().map(ToString::to_string),
            has_password: user.password.is_some(),
            totp: user.second_factors.totp,
            passkeys: user.second_factors.passkeys,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }

    /// The version of `user`.
    pub fn etag(user: &User) -> ETag {
        ETag::of_version(format_args!("{}-{}", user.id, user.revision))
    }
}

/// A session, as its user sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// The id.
    #[schema(example = "session_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// What its browser or program called itself.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0")]
    pub user_agent: Option<String>,
    /// The network it was begun from: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
    #[schema(example = "203.0.113.0/24")]
    pub network: Option<String>,
    /// The tenant that its tokens name.
    #[schema(value_type = String, example = "tenant_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub tenant_id: TenantId,
    /// The OAuth client of the application that has it; null for a sign-in of the user's own.
    #[schema(example = "client_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub client_id: Option<String>,
    /// What the application was called when the user let it in.
    #[schema(example = "Report Maker")]
    pub client_name: Option<String>,
    /// How its user was proved (RFC 8176).
    #[schema(example = json!(["pwd"]))]
    pub methods: Vec<String>,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When its tokens were last refreshed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub last_used_at: Timestamp,
    /// When it ends unless it is refreshed before.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub expires_at: Timestamp,
}

impl SessionView {
    /// What is shown of `session` to the one called `current`.
    pub fn of(session: &Session, current: Option<&SessionId>) -> Self {
        Self {
            id: session.id.to_string(),
            current: current == Some(&session.id),
            user_agent: session.device.user_agent.clone(),
            network: session.device.network.clone(),
            tenant_id: session.tenant_id,
            client_id: session.application.as_ref().map(|application| application.client_id.to_string()),
            client_name: session.application.as_ref().map(|application| application.name.to_string()),
            methods: session.methods.clone(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.idle_expires_at,
        }
    }
}

/// A member of a tenant, as its administrators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "email": "ann@example.com", "name": "Ann", "roles": ["member"],
    "status": "active", "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub struct MemberView {
    /// The user.
    #[schema(example = "user_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub id: String,
    /// The address.
    #[schema(example = "ann@example.com")]
    pub email: String,
    /// What the user is called.
    #[schema(example = "Ann")]
    pub name: Option<String>,
    /// The names of the roles.
    #[schema(example = json!(["member"]))]
    pub roles: Vec<String>,
    /// Whether the membership gives access.
    pub status: MemberStatus,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
}

impl MemberView {
    /// What is shown of `member`.
    pub fn of(member: &Membership) -> Self {
        Self {
            id: member.user_id.to_string(),
            email: member.email.to_string(),
            name: member.name.as_ref().map(ToString::to_string),
            roles: member.roles.iter().map(ToString::to_string).collect(),
            status: member.status,
            created_at: member.created_at,
            updated_at: member.updated_at,
        }
    }

    /// The version of `member`.
    pub fn etag(member: &Membership) -> ETag {
        ETag::of_version(format_args!("{}-{}", member.user_id, member.revision))
    }
}

/// A role, as administrators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "support", "description": "Answers customers", "permissions": ["links:read", "users:manage"], "built_in": false,
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub struct RoleView {
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it grants: names of permissions, `resource:*`, or `*`. Those of a built-in role are listed by name.
    pub permissions: Vec<String>,
    /// Whether every tenant has it; it is not changed then.
    pub built_in: bool,
    /// When it was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub updated_at: Option<Timestamp>,
}

impl RoleView {
    /// What is shown of a tenant's own role.
    pub fn of(role: &CustomRole) -> Self {
        Self {
            name: role.name.to_string(),
            description: role.description.clone(),
            permissions: role.permissions.iter().map(str::to_owned).collect(),
            built_in: false,
            created_at: Some(role.created_at),
            updated_at: Some(role.updated_at),
        }
    }

    /// What is shown of a built-in role.
    pub fn built_in(role: Role) -> Self {
        Self {
            name: role.to_string(),
            description: None,
            permissions: ALL.iter().filter(|name| role.grants(name)).map(|name| (*name).to_owned()).collect(),
            built_in: true,
            created_at: None,
            updated_at: None,
        }
    }

    /// The version of a tenant's own role. One that was made again under the name has another.
    pub fn etag(role: &CustomRole) -> ETag {
        ETag::of_version(format_args!("{}-{}-{}", role.name, role.created_at.as_microsecond(), role.revision))
    }
}

/// A tenant, as its administrators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Example Ltd",
    "settings": {
        "sign_up": "closed", "allowed_email_domains": ["example.com"], "session_seconds": 2_592_000,
        "session_idle_seconds": 1_209_600, "second_factor_required": false,
    },
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub struct TenantView {
    /// The id.
    pub id: String,
    /// What it is called.
    pub name: Name,
    /// The rules for its members.
    pub settings: Settings,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
}

impl TenantView {
    /// What is shown of `tenant`.
    pub fn of(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            settings: tenant.settings.clone(),
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }

    /// The version of `tenant`.
    pub fn etag(tenant: &Tenant) -> ETag {
        ETag::of_version(format_args!("{}-{}", tenant.id, tenant.revision))
    }
}
