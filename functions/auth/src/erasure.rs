//! Deleting an account: at once what gives access and what others see, later what is left.

use shared::dynamo::{Delete, DynamoError, Item, Key, s, text};
use shared::events::Event;
use shared::events::identity::UserDeleted;
use shared::identity::revocation::Revoked;
use shared::random::Random;
use shared::time::Timestamp;

use crate::app::App;
use crate::store::{AccountStore, Accounts, SweepEntry, SweepReason, Write, WriteError, key, user_partition};
use crate::user::{User, UserId};

/// Items of a user that are read at a time.
const PAGE: usize = 100;
/// What claims something for one user has the sort key of the user's own item for its partition key.
const CLAIMS: [&str; 2] = ["identity", "passkey"];

/// Deletes a user in one transaction: the address is free again, the memberships are gone, and the tokens are refused. A
/// tenant in which nobody is left ends with it: its API keys and OAuth clients are refused, too. The sweeper removes the
/// rest. [`WriteError::LastOwner`] when a tenant with other members would have no owner.
pub async fn delete_account(
    accounts: &Accounts,
    user: &User,
    mut along: Vec<Write>,
    now: Timestamp,
    random: &Random,
) -> Result<(), WriteError> {
    let memberships = accounts.memberships(&user.id).await?;
    let mut writes = vec![accounts.user_deletion(user), accounts.release_email(&user.email)];
    for membership in &memberships {
        // Whoever is alone in a tenant may leave it without an owner, and ends it.
        writes.extend(accounts.departure(membership, now).await?);
    }
    let entry = SweepEntry { user_id: user.id, at: now, reason: SweepReason::Erase };
    writes.push(match user.seat(&memberships) {
        Some(told) => {
            let tenant_ids = memberships.iter().map(|membership| membership.tenant_id).collect();
            let data = UserDeleted { user_id: user.id.to_string(), tenant_ids };
            let event = Event::new(told, user.id, data, now, random);
            let outbox = event.outbox().map_err(|error| DynamoError::Refused(error.into()))?;
            accounts.sweep_write_telling(&entry, outbox)?
        }
        // Nobody was told of an account that is in no tenant.
        None => accounts.sweep_write(&entry)?,
    });
    let revoked = accounts.identity().revocation_writes(&[Revoked::User(user.id.to_string())], now);
    writes.extend(revoked.into_iter().map(Write::sure));
    writes.append(&mut along);
    accounts.transact(writes).await
}

impl App {
    /// Deletes an account whose address was never proved, as the sweeper would, for whoever proves it now. It goes as a
    /// whole: a stranger may have chosen its password, its name and its tenant. [`WriteError::Conflict`] when it was proved
    /// or deleted meanwhile.
    pub(crate) async fn give_way(&self, user: &User) -> Result<(), WriteError> {
        match delete_account(&self.accounts, user, Vec::new(), self.clock.now(), &self.random).await {
            Err(WriteError::Stale) => Err(WriteError::Conflict),
            deleted => deleted,
        }
    }
}

/// Removes all that is kept under a user's id, and what it claims.
pub async fn erase(accounts: &AccountStore, user: &UserId) -> Result<(), WriteError> {
    loop {
        let items = accounts.user_items(user, PAGE).await?;
        if items.is_empty() {
            return Ok(());
        }
        for item in &items {
            let sort_key = sort_key(item);
            if let Some(kind) = CLAIMS.into_iter().find(|kind| sort_key.starts_with(&format!("{kind}#"))) {
                give_up(accounts, user, key(sort_key, kind)).await?;
            }
            accounts.dynamo().delete(Delete::new(accounts.table(), key(user_partition(user), sort_key))).await?;
        }
    }
}

/// Removes a claim, unless it is somebody else's by now: another run of this may have been faster.
async fn give_up(accounts: &AccountStore, user: &UserId, claim: Key) -> Result<(), WriteError> {
    let delete = Delete::new(accounts.table(), claim)
        .only_if("attribute_not_exists(pk) OR user_id = :user")
        .value(":user", s(user.to_string()));
    match accounts.dynamo().delete(delete).await {
        Ok(()) | Err(DynamoError::ConditionFailed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sort_key(item: &Item) -> &str {
    text(item, "sk").unwrap_or_default()
}
