//! The two halves of a ceremony in which a passkey proves its user, for all endpoints that have one.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::time::Timestamp;
use utoipa::ToSchema;
use webauthn_rs::prelude::PublicKeyCredential;

use super::offered_factor::ProvedFactor;
use crate::app::App;
use crate::audit::{ANONYMOUS, Action, Origin};
use crate::factor::MULTI_FACTOR;
use crate::factor::passkey::{Authenticating, Ceremony, NotVerified, PasskeyRecord, RelyingParty, credential_hash};
use crate::mail::templates::{Factor, FactorChange};
use crate::one_time::{OneTime, Purpose, Ticket, TicketHash};
use crate::store::{Write, WriteError};
use crate::user::{Name, UserId};

/// The first half of a ceremony.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "ticket": "tf_ot_…",
    "options": {
        "challenge": "6Gq2v5sD0n1b3kq8rT7yU4wX9zAcEfHjLmNpQsVuYxo", "rpId": "example.com", "timeout": 300_000,
        "allowCredentials": [], "userVerification": "required",
    },
    "expires_at": "2026-05-04T09:40:00.000Z",
}))]
pub struct PasskeyOptions {
    /// Send it back with what the authenticator made. It is good for one ceremony.
    pub ticket: String,
    /// For `navigator.credentials`, as `publicKey`: the JSON form of WebAuthn level 3, section 5.1.8 or 5.1.9.
    #[schema(value_type = Object)]
    pub options: Value,
    /// Until when the ticket is good.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub expires_at: Timestamp,
}

/// The second half, for a passkey that is there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyProof {
    /// The ticket of the options.
    #[schema(example = "tf_ot_…")]
    pub(crate) ticket: String,
    /// What `navigator.credentials.get` made: the JSON form (`toJSON`) of its `PublicKeyCredential`.
    #[schema(value_type = Object)]
    pub(crate) credential: PublicKeyCredential,
}

/// A passkey that proved its user.
pub(crate) struct ProvedPasskey {
    pub(crate) user_id: UserId,
    /// `hwk` or `swk`, as its authenticator says, and that it verified the user: two factors at once.
    pub(crate) methods: Vec<&'static str>,
    /// Uses the ceremony's ticket up, and stores the counter.
    pub(crate) writes: Vec<Write>,
}

impl ProvedPasskey {
    /// The same as a second factor.
    pub(crate) fn factor(self) -> ProvedFactor {
        ProvedFactor { methods: self.methods, writes: self.writes, notice: None }
    }
}

/// Why a passkey proves nobody.
pub(crate) enum NotProved {
    /// It is wrong. The passkey is known unless it names none.
    Wrong { passkey: Option<Box<PasskeyRecord>>, reason: NotVerified },
    /// The ceremony cannot be finished.
    Problem(Problem),
}

impl<E: Into<Problem>> From<E> for NotProved {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

impl App {
    /// The relying party; 404 where passkeys are not set up.
    pub(crate) fn relying_party(&self) -> Result<&RelyingParty, Problem> {
        self.relying_party.as_ref().ok_or_else(|| {
            Problem::new(ProblemType::NotFound, "this installation has no passkeys: set PASSKEY_ORIGINS or PUBLIC_URL")
        })
    }

    /// Keeps the state of a ceremony, and answers its options with the ticket.
    pub(crate) async fn begin_ceremony(
        &self,
        ceremony: Ceremony,
        options: impl Serialize,
        state: &impl Serialize,
    ) -> Result<PasskeyOptions, Problem> {
        let options = serde_json::to_value(options).map_err(Problem::internal)?;
        let state = serde_json::to_string(state).map_err(Problem::internal)?;
        let ticket = Ticket::draw(&self.random);
        let one_time =
            OneTime::new(Purpose::Ceremony { ceremony: ceremony.as_str().to_owned(), state }, self.clock.now());
        self.accounts.put_ticket(&ticket.hash(), &one_time).await?;
        Ok(PasskeyOptions { ticket: ticket.expose(), options, expires_at: one_time.expires_at })
    }

    /// The state of a ceremony that is being finished, and the ticket to be used up.
    pub(crate) async fn ceremony<S: for<'de> Deserialize<'de>>(
        &self,
        ceremony: Ceremony,
        ticket: &str,
    ) -> Result<(TicketHash, S), Problem> {
        let void = || {
            let detail = "the ticket of the passkey's options is not valid (any more): ask for new options";
            Problem::new(ProblemType::InvalidOneTimeToken, detail)
        };
        let ticket = ticket.parse::<Ticket>().map_err(|_| void())?.hash();
        let one_time = self.accounts.ticket(&ticket, self.clock.now()).await?.ok_or_else(void)?;
        match one_time.purpose {
            Purpose::Ceremony { ceremony: name, state } if name == ceremony.as_str() => {
                Ok((ticket, serde_json::from_str(&state).map_err(Problem::internal)?))
            }
            _ => Err(void()),
        }
    }

    /// The options for a passkey of a user who is known.
    pub(crate) async fn begin_known_passkey(
        &self,
        user: &UserId,
        ceremony: Ceremony,
    ) -> Result<PasskeyOptions, Problem> {
        let mut passkeys = self.accounts.passkeys(user).await?;
        passkeys.retain(|passkey| passkey.cloned_at.is_none());
        let relying_party = self.relying_party()?;
        if passkeys.is_empty() {
            return Err(Problem::new(ProblemType::Conflict, "the user has no passkey"));
        }
        let (options, state) = relying_party.begin_authentication(&passkeys).map_err(Problem::internal)?;
        self.begin_ceremony(ceremony, options, &Authenticating { user_id: Some(*user), state }).await
    }

    /// Checks what an authenticator made: that it proves `user`, or with none the user whom it names.
    pub(crate) async fn prove_passkey(
        &self,
        ceremony: Ceremony,
        user: Option<&UserId>,
        proof: &PasskeyProof,
    ) -> Result<ProvedPasskey, NotProved> {
        let relying_party = self.relying_party()?;
        let (ticket, begun) = self.ceremony::<Authenticating>(ceremony, &proof.ticket).await?;
        let named = RelyingParty::user_named(&proof.credential);
        // The one it is expected to prove may be left unnamed; another may not be named (WebAuthn, section 7.2, step 6).
        let expected = if begun.user_id.as_ref() == user { begun.user_id.or(named) } else { None };
        let user_id = expected.filter(|expected| named.is_none_or(|named| named == *expected));
        let found = match &user_id {
            Some(user) => self.accounts.passkey(user, &credential_hash(proof.credential.get_credential_id())).await?,
            None => None,
        };
        let Some(before) = found else { return Err(NotProved::Wrong { passkey: None, reason: NotVerified::Unknown }) };
        let result = match relying_party.finish_authentication(&proof.credential, begun.state, &before) {
            Ok(result) => result,
            Err(reason) => return Err(NotProved::Wrong { passkey: Some(Box::new(before)), reason }),
        };
        let after = before.clone().used(&result, self.clock.now());
        let writes = vec![self.accounts.ticket_used(&ticket), self.accounts.passkey_used(&before, &after)?];
        let user_id = after.user_id;
        Ok(ProvedPasskey { user_id, methods: vec![after.method(), "user", MULTI_FACTOR], writes })
    }

    /// Blocks a passkey of which there may be a copy. It still counts as a factor of its user, so that nobody gets rid of
    /// a second factor by cloning it.
    pub(crate) async fn block_passkey(
        &self,
        passkey: &PasskeyRecord,
        told: Option<TenantId>,
        origin: &Origin,
    ) -> Result<(), Problem> {
        let now = self.clock.now();
        let label = passkey.name.as_ref().map(Name::to_string);
        let (mail, mail_write) =
            self.factor_notice(&passkey.user_id, FactorChange::Blocked, Factor::Passkey, label, origin)?;
        let mut writes = vec![self.accounts.passkey_blocked(passkey, now), mail_write];
        if let Some(tenant) = told {
            let record = origin.record(tenant, Action::PasskeyCloned, ANONYMOUS, now, &self.random);
            writes.push(self.accounts.audit_write(&record.on(passkey.id))?);
        }
        match self.accounts.transact(writes).await {
            Ok(()) => self.hurry(&mail).await,
            // Another request blocked it, or its user removed it.
            Err(WriteError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
