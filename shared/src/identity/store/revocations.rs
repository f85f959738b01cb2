//! Revocations of access tokens, each stored under its own key and in the list that every process copies.

use futures::future::try_join_all;

use super::{Corrupt, IdentityStore};
use crate::dynamo::{AttributeValue, DynamoError, Item, Key, Put, Query, TransactWrite, n, s};
use crate::identity::principal::Principal;
use crate::identity::revocation::{KEPT, Revoked};
use crate::time::{Timestamp, rfc3339_millis};

/// Revocations that one transaction takes: each is two of its hundred writes.
const TRANSACTION: usize = 50;

const LIST: &str = "denylist";

impl IdentityStore {
    /// The writes that revoke (two for each), to be done in the transaction that ends the session, suspends the user, and
    /// so on.
    pub fn revocation_writes(&self, revoked: &[Revoked], now: Timestamp) -> Vec<TransactWrite> {
        let mut keys: Vec<_> = revoked.iter().map(ToString::to_string).collect();
        // A transaction takes no item twice.
        keys.sort_unstable();
        keys.dedup();
        let item = |pk: String, sk: String| -> Item {
            [
                ("pk".to_owned(), s(pk)),
                ("sk".to_owned(), s(sk)),
                ("at_ms".to_owned(), n(now.as_millisecond())),
                ("removed_at".to_owned(), n((now + KEPT).as_second())),
            ]
            .into()
        };
        let at = rfc3339_millis(now);
        keys.iter()
            .flat_map(|key| {
                [item(format!("denied#{key}"), "denied".to_owned()), item(LIST.to_owned(), format!("{at}#{key}"))]
            })
            .map(|item| TransactWrite::Put(Put::new(&self.table, item)))
            .collect()
    }

    /// Revokes by themselves: up to 50 at once, more in several transactions.
    pub async fn revoke(&self, revoked: &[Revoked], now: Timestamp) -> Result<(), DynamoError> {
        for some in revoked.chunks(TRANSACTION) {
            self.dynamo.transact(self.revocation_writes(some, now)).await?;
        }
        Ok(())
    }

    /// Whether the token of `principal` is revoked at this moment, by consistent reads.
    pub(in crate::identity) async fn denies(&self, principal: &Principal) -> Result<bool, DynamoError> {
        let all = Revoked::of(principal);
        let reads = all.iter().map(|revoked| self.dynamo.get(&self.table, denied(revoked), true));
        let found = try_join_all(reads).await?;
        let ends = |(revoked, item): (&Revoked, &Item)| {
            let at = item.get("at_ms").and_then(|at| at.as_n().ok()).and_then(|at| at.parse().ok());
            let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
            // What cannot be read ends the token.
            at.is_none_or(|at| revoked.ends(principal.as_of, at))
        };
        Ok(all.iter().zip(&found).filter_map(|(revoked, item)| Some((revoked, item.as_ref()?))).any(ends))
    }

    /// The revocations from a moment on, oldest first, each with its time and key.
    pub(in crate::identity) async fn revocations_since(
        &self,
        from: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, DynamoError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let query = Query::new(&self.table, "pk = :pk AND sk >= :from").after(start);
            let query = query.value(":pk", s(LIST)).value(":from", s(rfc3339_millis(from)));
            let page = self.dynamo.query(query).await?;
            for item in &page.items {
                let entry = item.get("sk").and_then(entry).ok_or_else(|| Corrupt::new(LIST, "sk"))?;
                found.push(entry);
            }
            start = page.next;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}

fn denied(revoked: &Revoked) -> Key {
    [("pk", s(format!("denied#{revoked}"))), ("sk", s("denied"))].into()
}

fn entry(sk: &AttributeValue) -> Option<(Timestamp, String)> {
    let (at, key) = sk.as_s().ok()?.split_once('#')?;
    Some((at.parse().ok()?, key.to_owned()))
}
