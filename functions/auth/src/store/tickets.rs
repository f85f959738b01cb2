//! One-time secrets.

use shared::dynamo::{Delete, DynamoError, Put, TransactWrite, Update, n};
use shared::time::Timestamp;

use super::{AccountStore, Write, WriteError, item, key, removed_at};
use crate::one_time::{CODE_TRIES, OneTime, TicketHash};

fn partition(ticket: &TicketHash) -> String {
    format!("ticket#{}", ticket.as_str())
}

impl AccountStore {
    /// The write that keeps a one-time secret, a new one or the same again.
    pub fn ticket_write(&self, ticket: &TicketHash, one_time: &OneTime) -> Result<Write, WriteError> {
        let record = removed_at(item(partition(ticket), "ticket", one_time)?, one_time.expires_at);
        Ok(Write::sure(TransactWrite::Put(Put::new(&self.table, record))))
    }

    /// The same over one that is there and was not used. [`WriteError::Stale`] when it is not.
    pub fn ticket_changed(&self, ticket: &TicketHash, one_time: &OneTime) -> Result<Write, WriteError> {
        let record = removed_at(item(partition(ticket), "ticket", one_time)?, one_time.expires_at);
        let put = Put::new(&self.table, record).only_if("attribute_exists(pk)");
        Ok(Write::or(TransactWrite::Put(put), WriteError::Stale))
    }

    /// Keeps a one-time secret.
    pub async fn put_ticket(&self, ticket: &TicketHash, one_time: &OneTime) -> Result<(), WriteError> {
        self.transact(vec![self.ticket_write(ticket, one_time)?]).await
    }

    /// What a ticket is good for, while it is. Looking does not use it up.
    pub async fn ticket(&self, ticket: &TicketHash, now: Timestamp) -> Result<Option<OneTime>, WriteError> {
        let found: Option<OneTime> = self.one(partition(ticket), "ticket").await?;
        Ok(found.filter(|one_time| now < one_time.expires_at))
    }

    /// The write that uses a ticket up, once: part of the transaction that has the effect. [`WriteError::Stale`] when it
    /// was used.
    pub fn ticket_used(&self, ticket: &TicketHash) -> Write {
        let delete = Delete::new(&self.table, key(partition(ticket), "ticket")).only_if("attribute_exists(pk)");
        Write::or(TransactWrite::Delete(delete), WriteError::Stale)
    }

    /// Uses a ticket up and nothing else. `false` when it was used before.
    pub async fn use_ticket(&self, ticket: &TicketHash) -> Result<bool, WriteError> {
        match self.transact(vec![self.ticket_used(ticket)]).await {
            Ok(()) => Ok(true),
            Err(WriteError::Stale | WriteError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Counts one try of the code that goes with a ticket, before the code is looked at. `false` when the tries are used
    /// up: the ticket is void then.
    pub async fn try_code(&self, ticket: &TicketHash) -> Result<bool, WriteError> {
        let update = Update::new(&self.table, key(partition(ticket), "ticket"), "ADD tries :one")
            .only_if("attribute_exists(pk) AND (attribute_not_exists(tries) OR tries < :most)")
            .value(":one", n(1))
            .value(":most", n(CODE_TRIES));
        match self.dynamo.update(update).await {
            Ok(_) => Ok(true),
            Err(DynamoError::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
