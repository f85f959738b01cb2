//! `notes.users`: keeps the copy of identity's users, which notes refer to.
//!
//! Events may come twice and in any order: the copy holds what happened last. A user whose account is gone takes their
//! notes along; those of a user who left the tenant are the tenant's from then on, and they are unknown to it until they begin
//! in it again. Events of other kinds are none of its business. Inside a VPC it reaches no queue: see
//! [`QueueSettings::out_of_reach`].

use serde::de::DeserializeOwned;
use shared::events::identity::{MemberRemoved, UserCreated, UserDeleted, UserUpdated};
use shared::events::{Event, EventData};
use shared::id::TenantId;
use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::{BoxError, BoxFuture};

use crate::app::store;
use crate::store::NoteStore;
use crate::store::users::{Change, Told};

struct Users {
    /// None where the deployment has no Postgres.
    notes: Option<NoteStore>,
}

impl Consumer for Users {
    type Message = Event;

    async fn consume(&self, message: Received<Event>) -> Result<(), ConsumeError> {
        let Some(notes) = &self.notes else { return Ok(()) };
        for change in changes(message.body)? {
            notes.take_in(&change).await?;
        }
        Ok(())
    }
}

/// What an event says of users, tenant by tenant.
fn changes(event: Event) -> Result<Vec<Change>, ConsumeError> {
    let (tenant, told_at) = (event.tenantid, event.time.as_microsecond());
    let one = |tenant: TenantId, user: String, told: Told| Change { tenant, user, told_at, told };
    Ok(match event.kind.as_str() {
        UserCreated::TYPE => {
            let UserCreated { user_id, email, name, .. } = read(event.data)?;
            vec![one(tenant, user_id, Told::Known { email, name, begins: true })]
        }
        UserUpdated::TYPE => {
            let UserUpdated { user_id, email, name, .. } = read(event.data)?;
            vec![one(tenant, user_id, Told::Known { email, name, begins: false })]
        }
        MemberRemoved::TYPE => {
            let MemberRemoved { user_id } = read(event.data)?;
            vec![one(tenant, user_id, Told::Left)]
        }
        UserDeleted::TYPE => {
            let UserDeleted { user_id, tenant_ids } = read(event.data)?;
            tenant_ids.into_iter().map(|tenant| one(tenant, user_id.clone(), Told::Erased)).collect()
        }
        _ => Vec::new(),
    })
}

fn read<D: DeserializeOwned>(data: serde_json::Value) -> Result<D, ConsumeError> {
    serde_json::from_value(data).map_err(|error| ConsumeError::Poison(error.to_string()))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let users = Users { notes: store(&runtime)? };
        Ok(Function::queue(&runtime, QueueSettings::out_of_reach(), users))
    })
}
