//! Second factors and passkeys: the user's own items, and the claims that make a credential id one user's alone.

use shared::dynamo::{AttributeValue, Delete, Item, Key, Put, Query, TransactWrite, Update, n, s};
use shared::time::Timestamp;

use super::{AccountStore, Write, WriteError, item, key, read, removed_at, user_partition};
use crate::factor::passkey::PasskeyRecord;
use crate::factor::{PendingTotp, RecoveryRecord, TotpRecord};
use crate::user::{Name, UserId};

const TOTP: &str = "totp";
const PENDING_TOTP: &str = "totp_pending";
const RECOVERY: &str = "recovery";
/// The sort key of a claim; the partition key of one, and the sort key of the user's item, is [`passkey_key`].
const PASSKEY: &str = "passkey";

fn passkey_key(credential_hash: &str) -> String {
    format!("{PASSKEY}#{credential_hash}")
}

fn passkey_item(passkey: &PasskeyRecord) -> Key {
    key(user_partition(&passkey.user_id), passkey_key(&passkey.credential_hash()))
}

impl AccountStore {
    /// A user's authenticator app.
    pub async fn totp(&self, user: &UserId) -> Result<Option<TotpRecord>, WriteError> {
        self.one(user_partition(user), TOTP).await
    }

    /// The authenticator app that a user began to set up, while it can be confirmed.
    pub async fn pending_totp(&self, user: &UserId, now: Timestamp) -> Result<Option<PendingTotp>, WriteError> {
        let pending: Option<PendingTotp> = self.one(user_partition(user), PENDING_TOTP).await?;
        Ok(pending.filter(|pending| now < pending.expires_at))
    }

    /// Keeps an authenticator app until it is confirmed, in place of one that never was.
    pub async fn put_pending_totp(&self, user: &UserId, pending: &PendingTotp) -> Result<(), WriteError> {
        let record = removed_at(item(user_partition(user), PENDING_TOTP, pending)?, pending.expires_at);
        Ok(self.dynamo.put(Put::new(&self.table, record)).await?)
    }

    /// The writes that set an authenticator app up in place of the pending one.
    pub fn totp_added(&self, user: &UserId, totp: &TotpRecord) -> Result<Vec<Write>, WriteError> {
        let put = Put::new(&self.table, item(user_partition(user), TOTP, totp)?).only_if("attribute_not_exists(pk)");
        let confirmed = Delete::new(&self.table, key(user_partition(user), PENDING_TOTP))
            .only_if("secret = :secret")
            .value(":secret", s(totp.secret.as_str()));
        Ok(vec![
            Write::or(TransactWrite::Put(put), WriteError::Stale),
            Write::or(TransactWrite::Delete(confirmed), WriteError::Stale),
        ])
    }

    /// The write that uses the code of `step`, once.
    pub fn totp_used(&self, user: &UserId, step: u64) -> Write {
        let update = Update::new(&self.table, key(user_partition(user), TOTP), "SET last_used_step = :step")
            .only_if("last_used_step < :step")
            .value(":step", n(step));
        Write::or(TransactWrite::Update(update), WriteError::Stale)
    }

    /// The write that removes the authenticator app.
    pub fn totp_removed(&self, user: &UserId) -> Write {
        let delete = Delete::new(&self.table, key(user_partition(user), TOTP)).only_if("attribute_exists(pk)");
        Write::or(TransactWrite::Delete(delete), WriteError::Stale)
    }

    /// A user's recovery codes.
    pub async fn recovery_codes(&self, user: &UserId) -> Result<Option<RecoveryRecord>, WriteError> {
        self.one(user_partition(user), RECOVERY).await
    }

    /// The write of a new set of recovery codes, which makes the old ones void.
    pub fn recovery_codes_made(&self, user: &UserId, codes: &RecoveryRecord) -> Result<Write, WriteError> {
        Ok(Write::sure(TransactWrite::Put(Put::new(&self.table, item(user_partition(user), RECOVERY, codes)?))))
    }

    /// The write that uses the code at `place` (0 to 9) of the set that was made at `made_at`, once. Two codes of a set can
    /// be used at once.
    pub fn recovery_code_used(&self, user: &UserId, made_at: Timestamp, place: usize) -> Write {
        let code = format!("codes.hashes[{place}]");
        let update = Update::new(&self.table, key(user_partition(user), RECOVERY), format!("SET {code} = :used"))
            .only_if(format!("created_at = :made_at AND attribute_type({code}, :text)"))
            .value(":used", AttributeValue::Null(true))
            .value(":made_at", s(made_at.to_string()))
            .value(":text", s("S"));
        Write::or(TransactWrite::Update(update), WriteError::Stale)
    }

    /// The write that removes the recovery codes.
    pub fn recovery_codes_removed(&self, user: &UserId) -> Write {
        Write::sure(TransactWrite::Delete(Delete::new(&self.table, key(user_partition(user), RECOVERY))))
    }

    /// A user's passkeys, the oldest first: at most [`crate::factor::passkey::MOST_PASSKEYS`].
    pub async fn passkeys(&self, user: &UserId) -> Result<Vec<PasskeyRecord>, WriteError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(user_partition(user)))
            .value(":prefix", s(passkey_key("")))
            .consistent();
        let items = self.dynamo.query(query).await?.items;
        let mut passkeys: Vec<PasskeyRecord> = items.into_iter().map(read).collect::<Result<_, _>>()?;
        passkeys.sort_by_key(|passkey| passkey.id);
        Ok(passkeys)
    }

    /// A user's passkey by the hash of its credential id.
    pub async fn passkey(&self, user: &UserId, credential_hash: &str) -> Result<Option<PasskeyRecord>, WriteError> {
        self.one(user_partition(user), passkey_key(credential_hash)).await
    }

    /// The writes of a new passkey. [`WriteError::Taken`] when its credential id is registered, whoever's it is.
    pub fn passkey_added(&self, passkey: &PasskeyRecord) -> Result<Vec<Write>, WriteError> {
        let sort_key = passkey_key(&passkey.credential_hash());
        let claim = item(sort_key.as_str(), PASSKEY, &Claim { user_id: passkey.user_id })?;
        let record = item(user_partition(&passkey.user_id), sort_key, passkey)?;
        let new = |item| {
            let put = Put::new(&self.table, item).only_if("attribute_not_exists(pk)");
            Write::or(TransactWrite::Put(put), WriteError::Taken)
        };
        Ok([claim, record].map(new).into())
    }

    /// The write of a passkey that was used, over `before`. [`WriteError::Stale`] when its counter has risen meanwhile, or
    /// it is blocked.
    pub fn passkey_used(&self, before: &PasskeyRecord, after: &PasskeyRecord) -> Result<Write, WriteError> {
        let mut record: Item = serde_dynamo::to_item(after)?;
        let mut attribute = |name| record.remove(name).unwrap_or(AttributeValue::Null(true));
        let change = "SET credential = :credential, credential_version = :after, last_used_at = :now";
        let update = Update::new(&self.table, passkey_item(before), change)
            .only_if("credential_version = :before AND attribute_not_exists(cloned_at)")
            .value(":credential", attribute("credential"))
            .value(":now", attribute("last_used_at"))
            .value(":after", n(after.credential_version))
            .value(":before", n(before.credential_version));
        Ok(Write::or(TransactWrite::Update(update), WriteError::Stale))
    }

    /// The write that blocks a passkey of which there may be a copy.
    pub fn passkey_blocked(&self, passkey: &PasskeyRecord, now: Timestamp) -> Write {
        let update = Update::new(&self.table, passkey_item(passkey), "SET cloned_at = :now")
            .only_if("attribute_exists(pk) AND attribute_not_exists(cloned_at)")
            .value(":now", s(now.to_string()));
        Write::or(TransactWrite::Update(update), WriteError::Stale)
    }

    /// Gives a passkey another name. [`WriteError::Stale`] when it was renamed or removed meanwhile.
    pub async fn rename_passkey(&self, passkey: &PasskeyRecord, name: Option<&Name>) -> Result<(), WriteError> {
        let change = if name.is_some() { "SET #name = :name" } else { "REMOVE #name" };
        let mut update = Update::new(&self.table, passkey_item(passkey), change)
            .only_if(is_still_called(passkey.name.as_ref()))
            .name("#name", "name");
        for (placeholder, name) in [(":name", name), (":before", passkey.name.as_ref())] {
            if let Some(name) = name {
                update = update.value(placeholder, s(name.as_str()));
            }
        }
        self.transact(vec![Write::or(TransactWrite::Update(update), WriteError::Stale)]).await
    }

    /// The writes that remove a passkey, and free its credential id. [`WriteError::Stale`] when it was renamed or removed
    /// meanwhile.
    pub fn passkey_removed(&self, passkey: &PasskeyRecord) -> Vec<Write> {
        let claim = Delete::new(&self.table, key(passkey_key(&passkey.credential_hash()), PASSKEY));
        let mut record = Delete::new(&self.table, passkey_item(passkey))
            .only_if(is_still_called(passkey.name.as_ref()))
            .name("#name", "name");
        if let Some(name) = &passkey.name {
            record = record.value(":before", s(name.as_str()));
        }
        vec![Write::or(TransactWrite::Delete(record), WriteError::Stale), Write::sure(TransactWrite::Delete(claim))]
    }

    /// Whether an account of a provider is linked to the user's.
    pub async fn has_identity(&self, user: &UserId) -> Result<bool, WriteError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(user_partition(user)))
            .value(":prefix", s("identity#"))
            .limit(1)
            .consistent();
        Ok(!self.dynamo.query(query).await?.items.is_empty())
    }
}

/// The condition that a passkey is there and called as it was when it was read: `:before` or nothing.
const fn is_still_called(before: Option<&Name>) -> &'static str {
    match before {
        Some(_) => "attribute_exists(pk) AND #name = :before",
        None => "attribute_exists(pk) AND attribute_not_exists(#name)",
    }
}

/// What a claim says.
#[derive(serde::Serialize)]
struct Claim {
    user_id: UserId,
}
