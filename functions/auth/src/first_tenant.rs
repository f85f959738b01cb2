//! The tenant that a user begins in: asked for at the sign-up, made or joined when the address is proved.
//!
//! Until then anybody may have asked for it, with anybody's address. So nothing is written before that others see: no
//! member of a tenant, no event, no audit record. Otherwise a tenant that is open to sign-ups would tell which addresses
//! have an account, and hold those whom a stranger signed up to it.

use serde::{Deserialize, Serialize};
use shared::dynamo::AttributeValue;
use shared::events::Event;
use shared::events::identity::UserCreated;
use shared::http::Problem;
use shared::id::TenantId;
use shared::identity::Role;
use shared::time::Timestamp;

use crate::app::App;
use crate::audit::{Action, Origin};
use crate::membership::{MemberStatus, Membership};
use crate::store::Write;
use crate::tenant::{Settings, Tenant};
use crate::user::{Name, User};

/// Which tenant a sign-up asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FirstTenant {
    /// One of the user's own.
    Own {
        /// What it is called; like the user without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Name>,
    },
    /// One that is there, if it still admits the address.
    Joined {
        /// Which.
        tenant_id: TenantId,
    },
}

impl Tenant {
    /// A new tenant of a user's own.
    pub fn of_own(id: TenantId, name: Option<&Name>, now: Timestamp) -> Self {
        Self {
            id,
            name: name.cloned().unwrap_or_else(Name::unnamed),
            settings: Settings::default(),
            created_at: now,
            updated_at: now,
            tokens_ended_at: None,
            revision: 1,
        }
    }
}

impl Membership {
    /// That of a user in the home tenant, from `now` on.
    pub fn at_home(user: &User, role: Role, now: Timestamp) -> Self {
        Self {
            tenant_id: user.home_tenant_id,
            user_id: user.id,
            roles: vec![role.into()],
            status: MemberStatus::Active,
            email: user.email.clone(),
            name: user.name.clone(),
            created_at: now,
            updated_at: now,
            access_changed_at: None,
            revision: 1,
        }
    }
}

/// The event of a new user.
pub fn created(user: &User) -> UserCreated {
    UserCreated {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name.as_ref().map(ToString::to_string),
        verified: user.is_verified(),
    }
}

/// Where a user signs in.
pub(crate) struct Place {
    pub(crate) membership: Membership,
    pub(crate) tenant: Tenant,
    /// The user's record where it was changed by that.
    pub(crate) moved: Option<User>,
}

/// A user who has a place, and the writes that make it.
pub(crate) struct Placed {
    pub(crate) user: User,
    /// The event, for the write of the user.
    pub(crate) outbox: AttributeValue,
    pub(crate) writes: Vec<Write>,
}

impl App {
    /// Gives a user whose address was proved just now the tenant that the sign-up asked for.
    pub(crate) async fn placed(&self, user: User, wanted: FirstTenant, origin: &Origin) -> Result<Placed, Problem> {
        let now = self.clock.now();
        let own = |name: Option<&Name>| Tenant::of_own(user.home_tenant_id, name.or(user.name.as_ref()), now);
        let (tenant, joined) = match wanted {
            FirstTenant::Own { name } => (own(name.as_ref()), false),
            FirstTenant::Joined { tenant_id } => {
                let tenant = self.accounts.tenant(&tenant_id).await?;
                match tenant.filter(|tenant| tenant.settings.admit(&user.email)) {
                    Some(tenant) => (tenant, true),
                    None => (own(None), false),
                }
            }
        };
        let user = User { home_tenant_id: tenant.id, first_tenant: None, ..user };
        let mut writes = if joined { Vec::new() } else { vec![self.accounts.tenant_added(&tenant)?] };
        let role = if joined { Role::Member } else { Role::Owner };
        writes.extend(self.accounts.member_added(&Membership::at_home(&user, role, now))?);
        let record = origin.record(tenant.id, Action::SignedUp, user.id, now, &self.random);
        writes.push(self.accounts.audit_write(&record)?);
        let event = Event::new(tenant.id, user.id, created(&user), now, &self.random);
        let outbox = event.outbox().map_err(Problem::internal)?;
        Ok(Placed { user, outbox, writes })
    }

    /// A tenant for a user who was removed from the last one, and their home from now on: the account stays theirs, and can
    /// be used and deleted.
    pub(crate) async fn placed_anew(&self, user: &User, origin: &Origin) -> Result<Place, Problem> {
        let now = self.clock.now();
        let tenant = Tenant::of_own(TenantId::new(now, &self.random), user.name.as_ref(), now);
        let user = User { home_tenant_id: tenant.id, ..user.clone() }.changed(now);
        let membership = Membership::at_home(&user, Role::Owner, now);
        let record = origin.record(tenant.id, Action::TenantCreated, user.id, now, &self.random).on(tenant.id);
        let event = Event::new(tenant.id, user.id, created(&user), now, &self.random);
        let mut along = vec![self.accounts.tenant_added(&tenant)?, self.accounts.audit_write(&record)?];
        along.extend(self.accounts.member_added(&membership)?);
        let outbox = event.outbox().map_err(Problem::internal)?;
        self.accounts.update_user(&user, Some(outbox), along).await?;
        Ok(Place { membership, tenant, moved: Some(user) })
    }
}
