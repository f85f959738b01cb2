//! Sessions.

use shared::dynamo::{Check, Delete, DynamoError, Put, Query, TransactWrite, n, s};
use shared::identity::revocation::Revoked;
use shared::time::Timestamp;

use super::{AccountStore, Accounts, Write, WriteError, item, key, read, removed_at, user_partition};
use crate::oauth::client::ClientId;
use crate::session::{Session, SessionId};
use crate::user::UserId;

/// How many sessions a user has; a further log-in ends the one that was unused the longest. All can be ended in one
/// transaction, which holds 100 writes.
pub const MOST_SESSIONS: usize = 30;

fn sort_key(session: &SessionId) -> String {
    format!("session#{session}")
}

impl AccountStore {
    /// A session that is not over.
    pub async fn session(&self, user: &UserId, id: &SessionId, now: Timestamp) -> Result<Option<Session>, WriteError> {
        let session: Option<Session> = self.one(user_partition(user), sort_key(id)).await?;
        Ok(session.filter(|session| !session.is_over(now)))
    }

    /// A user's sessions that are not over.
    pub async fn sessions(&self, user: &UserId, now: Timestamp) -> Result<Vec<Session>, WriteError> {
        let mut sessions: Vec<Session> = Vec::new();
        let mut start = None;
        loop {
            let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
                .value(":pk", s(user_partition(user)))
                .value(":prefix", s("session#"))
                .after(start)
                .consistent();
            let page = self.dynamo.query(query).await?;
            for item in page.items {
                sessions.push(read(item)?);
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        sessions.retain(|session| !session.is_over(now));
        Ok(sessions)
    }

    /// The write of a new session.
    pub fn session_begun(&self, session: &Session) -> Result<Write, WriteError> {
        let record =
            removed_at(item(user_partition(&session.user_id), sort_key(&session.id), session)?, session.expires_at);
        let put = Put::new(&self.table, record).only_if("attribute_not_exists(pk)");
        Ok(Write::or(TransactWrite::Put(put), WriteError::Stale))
    }

    /// The write of a session over the revision before. [`WriteError::Stale`] when it was changed or is over.
    pub fn session_changed(&self, session: &Session) -> Result<Write, WriteError> {
        Ok(Write::or(TransactWrite::Put(self.session_put(session)?), WriteError::Stale))
    }

    /// The same alone, at half a transaction's cost.
    pub async fn change_session(&self, session: &Session) -> Result<(), WriteError> {
        match self.dynamo.put(self.session_put(session)?).await {
            Ok(()) => Ok(()),
            Err(DynamoError::ConditionFailed { .. }) => Err(WriteError::Stale),
            Err(DynamoError::Conflict(_)) => Err(WriteError::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    fn session_put(&self, session: &Session) -> Result<Put, WriteError> {
        let record =
            removed_at(item(user_partition(&session.user_id), sort_key(&session.id), session)?, session.expires_at);
        Ok(Put::new(&self.table, record)
            .only_if("revision = :before")
            .value(":before", n(session.revision.saturating_sub(1))))
    }

    /// The condition that a session was not ended: [`WriteError::Stale`] when it was.
    pub fn session_lives(&self, user: &UserId, id: &SessionId) -> Write {
        let check = Check::new(&self.table, key(user_partition(user), sort_key(id))).only_if("attribute_exists(pk)");
        Write::or(TransactWrite::Check(check), WriteError::Stale)
    }
}

impl Accounts {
    /// The writes that end a session, which its access tokens feel too; three for each session.
    pub fn session_ended(&self, user: &UserId, id: &SessionId, now: Timestamp) -> Vec<Write> {
        let delete = Delete::new(&self.table, key(user_partition(user), sort_key(id)));
        self.ended_by(Write::sure(TransactWrite::Delete(delete)), id, now)
    }

    /// The same for what is told: of several requests one ends it, for the others it is [`WriteError::Stale`].
    pub fn session_ended_once(&self, user: &UserId, id: &SessionId, now: Timestamp) -> Vec<Write> {
        let delete = Delete::new(&self.table, key(user_partition(user), sort_key(id))).only_if("attribute_exists(pk)");
        self.ended_by(Write::or(TransactWrite::Delete(delete), WriteError::Stale), id, now)
    }

    fn ended_by(&self, delete: Write, id: &SessionId, now: Timestamp) -> Vec<Write> {
        let revoked = self.identity().revocation_writes(&[Revoked::Session(id.to_string())], now);
        std::iter::once(delete).chain(revoked.into_iter().map(Write::sure)).collect()
    }

    /// The writes that end all of a user's sessions but `kept`, and how many they end: up to 90 writes. Log-ins at once
    /// can make more sessions than [`MOST_SESSIONS`]; those beyond are ended at once.
    pub async fn sessions_ended(
        &self,
        user: &UserId,
        kept: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<(Vec<Write>, usize), WriteError> {
        let mut sessions = self.sessions(user, now).await?;
        sessions.retain(|session| Some(&session.id) != kept);
        let beyond = sessions.split_off(sessions.len().min(MOST_SESSIONS));
        self.end(user, &beyond, now).await?;
        let writes = sessions.iter().flat_map(|session| self.session_ended(user, &session.id, now)).collect();
        Ok((writes, sessions.len() + beyond.len()))
    }

    /// The writes that end the sessions that an application has of a user: up to 90.
    pub async fn application_ended(
        &self,
        user: &UserId,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<Vec<Write>, WriteError> {
        let mut sessions = self.sessions(user, now).await?;
        sessions.retain(|session| session.is_of(Some(*client)));
        let beyond = sessions.split_off(sessions.len().min(MOST_SESSIONS));
        self.end(user, &beyond, now).await?;
        Ok(sessions.iter().flat_map(|session| self.session_ended(user, &session.id, now)).collect())
    }

    /// Ends all of a user's sessions but `kept`, by transactions of their own.
    pub async fn end_sessions(
        &self,
        user: &UserId,
        kept: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let mut sessions = self.sessions(user, now).await?;
        sessions.retain(|session| Some(&session.id) != kept);
        self.end(user, &sessions, now).await
    }

    async fn end(&self, user: &UserId, sessions: &[Session], now: Timestamp) -> Result<(), WriteError> {
        for some in sessions.chunks(MOST_SESSIONS) {
            let writes = some.iter().flat_map(|session| self.session_ended(user, &session.id, now));
            self.transact(writes.collect()).await?;
        }
        Ok(())
    }
}
