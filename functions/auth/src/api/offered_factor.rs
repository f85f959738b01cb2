//! Second factors as clients offer them, wherever one is asked for: to finish a log-in, and to prove oneself again.

use shared::http::{FieldError, Problem, ProblemType};
use shared::id::TenantId;

use super::passkey_ceremony::{NotProved, PasskeyProof};
use crate::app::App;
use crate::audit::{ANONYMOUS, Action, Origin};
use crate::factor::passkey::{Ceremony, NotVerified};
use crate::factor::{MULTI_FACTOR, ONE_TIME_PASSWORD, RECOVERY};
use crate::key_ring::vault::VaultError;
use crate::mail::task::MailTask;
use crate::mail::templates::{Factor, FactorChange};
use crate::password::on_a_core;
use crate::store::Write;
use crate::user::User;

/// A factor as a client offers it.
pub(crate) enum OfferedFactor {
    Totp(String),
    RecoveryCode(String),
    Passkey(Box<PasskeyProof>),
}

impl OfferedFactor {
    /// The one that was sent, if one was; 422 for several.
    pub(crate) fn one_of(
        totp: Option<String>,
        recovery_code: Option<String>,
        passkey: Option<PasskeyProof>,
    ) -> Result<Option<Self>, Problem> {
        match (totp, recovery_code, passkey) {
            (None, None, None) => Ok(None),
            (Some(code), None, None) => Ok(Some(Self::Totp(code))),
            (None, Some(code), None) => Ok(Some(Self::RecoveryCode(code))),
            (None, None, Some(proof)) => Ok(Some(Self::Passkey(Box::new(proof)))),
            _ => {
                let detail = "send one of totp, recovery_code and passkey";
                Err(Problem::validation(vec![FieldError::new("", "more_than_one", detail)]))
            }
        }
    }
}

/// Who is to prove a factor, and for what.
pub(crate) struct Claimant<'a> {
    pub(crate) user: &'a User,
    /// In whose audit trail it is told.
    pub(crate) told: Option<TenantId>,
    pub(crate) ceremony: Ceremony,
}

/// A factor that was proved. It is used up by `writes`, in the transaction of what it was proved for.
pub(crate) struct ProvedFactor {
    /// By which methods (RFC 8176), `mfa` among them.
    pub(crate) methods: Vec<&'static str>,
    pub(crate) writes: Vec<Write>,
    /// The mail that a write makes certain; to be hurried.
    pub(crate) notice: Option<MailTask>,
}

impl App {
    /// Checks a factor that was admitted by the throttle. A wrong one is recorded, and answered 401.
    pub(crate) async fn prove_factor(
        &self,
        who: &Claimant<'_>,
        offered: OfferedFactor,
        origin: &Origin,
    ) -> Result<ProvedFactor, Problem> {
        let (proved, kind) = match offered {
            OfferedFactor::Totp(code) => (self.prove_totp(who.user, &code).await?, "totp"),
            OfferedFactor::RecoveryCode(code) => (self.prove_recovery_code(who, code, origin).await?, "recovery_code"),
            OfferedFactor::Passkey(proof) => match self.prove_passkey(who.ceremony, Some(&who.user.id), &proof).await {
                Ok(passkey) => (Some(passkey.factor()), "passkey"),
                Err(NotProved::Wrong { passkey: Some(passkey), reason: NotVerified::Cloned }) => {
                    self.block_passkey(&passkey, who.told, origin).await?;
                    (None, "passkey")
                }
                Err(NotProved::Wrong { .. }) => (None, "passkey"),
                Err(NotProved::Problem(problem)) => return Err(problem),
            },
        };
        if let Some(proved) = proved {
            return Ok(proved);
        }
        if let Some(tenant) = who.told {
            let record = origin.record(tenant, Action::FactorFailed, ANONYMOUS, self.clock.now(), &self.random);
            self.audit_later(record.on(who.user.id).with(kind)).await;
        }
        Err(Problem::new(ProblemType::InvalidCredentials, "the second factor is not right"))
    }

    async fn prove_totp(&self, user: &User, code: &str) -> Result<Option<ProvedFactor>, Problem> {
        let Some(totp) = self.accounts.totp(&user.id).await? else { return Ok(None) };
        let secret = match self.signer.vault().open_totp(&user.id, &totp.secret).await {
            Ok(secret) => secret,
            Err(VaultError::Seal(error)) => {
                // `SigningSecret` was replaced, or somebody wrote to the table. No code is right any more, and the user has
                // recovery codes.
                tracing::error!(error = shared::telemetry::chain(&error), "an app's secret cannot be opened");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let step = secret.accept(code, self.clock.now(), Some(totp.last_used_step));
        Ok(step.map(|step| ProvedFactor {
            methods: vec![ONE_TIME_PASSWORD, MULTI_FACTOR],
            writes: vec![self.accounts.totp_used(&user.id, step)],
            notice: None,
        }))
    }

    async fn prove_recovery_code(
        &self,
        who: &Claimant<'_>,
        code: String,
        origin: &Origin,
    ) -> Result<Option<ProvedFactor>, Problem> {
        let Some(record) = self.accounts.recovery_codes(&who.user.id).await? else { return Ok(None) };
        let mut codes = record.codes;
        let tried = on_a_core(move || (codes.use_code(&code), codes.remaining())).await;
        let (Some(place), remaining) = tried.map_err(Problem::internal)? else { return Ok(None) };
        let (mail, mail_write) =
            self.factor_notice(&who.user.id, FactorChange::Used, Factor::RecoveryCodes, None, origin)?;
        let mut writes = vec![self.accounts.recovery_code_used(&who.user.id, record.created_at, place), mail_write];
        if let Some(tenant) = who.told {
            let (action, now) = (Action::RecoveryCodeUsed, self.clock.now());
            let used = origin.record(tenant, action, who.user.id, now, &self.random);
            writes.push(self.accounts.audit_write(&used.with(format!("{remaining} left")))?);
        }
        Ok(Some(ProvedFactor { methods: vec![RECOVERY, MULTI_FACTOR], writes, notice: Some(mail) }))
    }
}

/// A field that has to be there.
pub(crate) fn missing(pointer: &str, detail: &str) -> Problem {
    Problem::validation(vec![FieldError::new(pointer, "missing_field", detail)])
}
