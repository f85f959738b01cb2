//! Slows down whoever guesses: passwords, codes, second factors.
//!
//! Two things are counted. Tries of a *network* (an IPv4 address, 64 bits of IPv6) are limited by an exact rate, whatever
//! account they are for. Failed tries for a *subject* (an account, or an account from one known device) wait longer each
//! time: the first [`FREE_FAILURES`] not at all, then one second, two, four, up to [`LONGEST_DELAY`]. A try is written down
//! as failed before it is looked at, and taken back when it succeeds, so that tries at once gain nothing.
//!
//! A stranger who fails on purpose must not lock the owner out. So a device that signed in before has a count of its own
//! ([`KnownDevice`]): for passwords, and where it proved a second factor for these; and a link by mail needs no password. Mails
//! are counted by what they are for ([`MailKind`]): whoever uses up those of a kind has sent the owner as many of it.
//!
//! It fails closed: what it protects is a secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::dynamo::{Delete, DynamoError, Put, TransactWrite, n};
use shared::http::{ClientNetwork, Problem, ProblemType};
use shared::limits::{Decision, DynamoLimiter, InvalidPolicy, Limit, LimitState, Limiter as _, Policy};
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};

use crate::one_time::PasswordSeal;
use crate::store::{AccountStore, Write, WriteError, item, key, read, removed_at};
use crate::user::User;

/// Failures in a row that cost no waiting.
pub const FREE_FAILURES: u32 = 5;
/// The longest wait between two tries.
pub const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(15);
/// Failures are forgotten when there was none for so long.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How often a try that meets others of the same subject is written down again.
const RACES: u32 = 6;
/// Tries of one network in a minute.
const TRIES_OF_A_NETWORK: u32 = 60;
/// Visits of one network in a minute: requests that a page of others can have a browser make.
const VISITS_OF_A_NETWORK: u32 = 60;
/// Mails of one kind to one address in an hour.
const MAILS_TO_AN_ADDRESS: u32 = 6;
/// Mails that one network may cause in an hour.
const MAILS_OF_A_NETWORK: u32 = 60;

/// What a mail is for, as far as the number of mails to an address goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// A sign-up with the address.
    SignUp,
    /// Another mail that proves the address.
    VerifyEmail,
    /// A change to the address.
    ChangeEmail,
    /// A new password.
    ResetPassword,
    /// A sign-in by mail.
    SignIn,
}

impl MailKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::VerifyEmail => "verify-email",
            Self::ChangeEmail => "change-email",
            Self::ResetPassword => "reset-password",
            Self::SignIn => "sign-in",
        }
    }
}

/// Counts tries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Throttle {
    accounts: AccountStore,
    limiter: DynamoLimiter,
    tries: Policy,
    visits: Policy,
    mails_to: Policy,
    mails_of: Policy,
    /// What is said of failures, which are counted here and not by the limiter.
    failures: Policy,
    clock: Clock,
    random: Random,
}

/// Failed tries for a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Failures {
    count: u32,
    /// Milliseconds since the Unix epoch; before, no try is looked at.
    next_try_at: i64,
    /// When the last one was.
    last_at: i64,
    /// Rises with each change; conditions name it.
    revision: u64,
}

/// A try that was admitted, and written down as failed until [`Throttle::succeeded`] takes it back.
#[derive(Debug)]
#[must_use = "a try that succeeded is taken back"]
pub struct Try {
    subject: String,
}

impl Failures {
    /// The record after one more failure.
    fn more(self, now: Timestamp) -> Self {
        let idle = now.as_millisecond().saturating_sub(self.last_at);
        let before = if i128::from(idle) > FORGOTTEN_AFTER.as_millis() { 0 } else { self.count };
        let count = before.saturating_add(1);
        let wait = i64::try_from(delay(count).as_millis()).unwrap_or(i64::MAX);
        Self {
            count,
            next_try_at: now.as_millisecond().saturating_add(wait),
            last_at: now.as_millisecond(),
            revision: self.revision + 1,
        }
    }
}

/// The wait after so many failures in a row.
pub fn delay(failures: u32) -> SignedDuration {
    match failures.checked_sub(FREE_FAILURES + 1) {
        None => SignedDuration::ZERO,
        Some(doublings) => SignedDuration::from_secs(1 << doublings.min(20)).min(LONGEST_DELAY),
    }
}

impl Throttle {
    /// A throttle that keeps failures in the accounts table and rates with `limiter`.
    pub fn new(
        accounts: AccountStore,
        limiter: DynamoLimiter,
        clock: Clock,
        random: Random,
    ) -> Result<Self, InvalidPolicy> {
        let (hour, day) = (Duration::from_hours(1), FORGOTTEN_AFTER.unsigned_abs());
        Ok(Self {
            accounts,
            limiter,
            tries: Policy::new("auth-tries", TRIES_OF_A_NETWORK, Duration::from_mins(1), TRIES_OF_A_NETWORK)?,
            visits: Policy::new("auth-visits", VISITS_OF_A_NETWORK, Duration::from_mins(1), VISITS_OF_A_NETWORK)?,
            mails_to: Policy::new("auth-mails-to", MAILS_TO_AN_ADDRESS, hour, MAILS_TO_AN_ADDRESS)?,
            mails_of: Policy::new("auth-mails-of", MAILS_OF_A_NETWORK, hour, MAILS_OF_A_NETWORK)?,
            failures: Policy::new("auth-failures", FREE_FAILURES, day, FREE_FAILURES)?,
            clock,
            random,
        })
    }

    /// Admits one try for `subject` (a kind and an id or hash, such as `password#…`), or refuses with 429.
    pub async fn admit(&self, subject: &str, network: ClientNetwork) -> Result<Try, Problem> {
        self.admit_network(network).await?;
        self.admit_subject(subject).await
    }

    /// Takes one try from the network's rate, or refuses with 429.
    pub async fn admit_network(&self, network: ClientNetwork) -> Result<(), Problem> {
        let network = hashed(&network.to_string());
        self.limit(&[Limit { policy: &self.tries, key: &network, cost: 1 }], "too many tries from this network").await
    }

    /// Takes one visit from the network's rate, or refuses with 429. Of what a page of others can have a browser send, so
    /// that no page uses up the tries of those who sign in.
    pub async fn admit_visit(&self, network: ClientNetwork) -> Result<(), Problem> {
        let network = hashed(&network.to_string());
        self.limit(&[Limit { policy: &self.visits, key: &network, cost: 1 }], "too many requests from this network")
            .await
    }

    /// Admits one mail to `address` (a hash), or refuses with 429. The answer is the same for every address.
    pub async fn admit_mail(&self, kind: MailKind, address: &str, network: ClientNetwork) -> Result<(), Problem> {
        let network = hashed(&network.to_string());
        let to = format!("{}#{address}", kind.as_str());
        let limits = [
            Limit { policy: &self.mails_to, key: &to, cost: 1 },
            Limit { policy: &self.mails_of, key: &network, cost: 1 },
        ];
        self.limit(&limits, "too many mails were asked for").await
    }

    async fn limit(&self, limits: &[Limit<'_>], detail: &'static str) -> Result<(), Problem> {
        self.limiter.check("auth", limits, self.clock.now()).await?.admitted(detail).map(drop)
    }

    /// Admits one try for `subject`, whose network was admitted.
    pub async fn admit_subject(&self, subject: &str) -> Result<Try, Problem> {
        let subject = format!("throttle#{}", hashed(subject));
        // Most subjects have no failures, so that the first try is written without a look; a refused one shows them.
        let mut failures = Failures::default();
        for attempt in 1..=RACES {
            let now = self.clock.now();
            let wait = failures.next_try_at.saturating_sub(now.as_millisecond());
            if wait > 0 {
                return Err(self.too_soon(wait));
            }
            match self.accounts.dynamo().put(self.record(&subject, failures, now)?).await {
                Ok(()) => return Ok(Try { subject }),
                Err(DynamoError::ConditionFailed { current }) => failures = read(current)?,
                Err(DynamoError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if attempt > 1 {
                tokio::time::sleep(self.random.pause(Duration::from_millis(5), attempt)).await;
            }
        }
        Err(self.too_soon(1000))
    }

    /// The refusal of a try that comes too soon. It says what is the same for every subject, and the wait: not how many tries
    /// failed, which may be the owner's.
    fn too_soon(&self, milliseconds: i64) -> Problem {
        let wait = Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
        let limit = LimitState {
            policy: self.failures.clone(),
            refused: true,
            remaining: 0,
            retry_after: Some(wait),
            next_unit_after: Some(wait),
            reset_after: wait,
        };
        let detail = "too many tries failed; wait before the next";
        let problem = Problem::new(ProblemType::RateLimited, detail);
        let fields = Decision { allowed: false, limits: vec![limit] }.headers();
        fields.into_iter().fold(problem, |problem, (name, value)| problem.header(name, value))
    }

    /// The write of one more failure over those `before`.
    fn record(&self, subject: &str, before: Failures, now: Timestamp) -> Result<Put, WriteError> {
        let after = before.more(now);
        let until = now.checked_add(FORGOTTEN_AFTER).unwrap_or(Timestamp::MAX);
        Ok(Put::new(self.accounts.table(), removed_at(item(subject, "throttle", &after)?, until))
            .only_if("attribute_not_exists(pk) OR revision = :before")
            .value(":before", n(before.revision)))
    }

    /// Takes a try back that succeeded: the subject's failures are forgotten.
    pub async fn succeeded(&self, admitted: Try) -> Result<(), WriteError> {
        Ok(self.accounts.dynamo().delete(self.forgotten(admitted)).await?)
    }

    /// The write that does the same in a transaction with what the try was for.
    pub fn success(&self, admitted: Try) -> Write {
        Write::sure(TransactWrite::Delete(self.forgotten(admitted)))
    }

    fn forgotten(&self, admitted: Try) -> Delete {
        Delete::new(self.accounts.table(), key(admitted.subject, "throttle"))
    }
}

/// What is counted by is not stored as it is.
fn hashed(text: &str) -> String {
    sha256_base64url(text)
}

/// Proves that a device has signed in to an account before, so that its tries are counted apart from strangers'
/// (a device cookie: <https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies>).
/// It opens nothing by itself, and is one for as long as the user's password stays: who knew an earlier one has no count of
/// their own any more. Its text says whether both factors were proved: whoever knows the password of an account without a
/// second factor gets as many tokens as they sign in, which must not be as many counts for one that is set up later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KnownDevice(String);

const DEVICE_PREFIX: &str = "tf_dv_";
/// What the signed part begins with where both factors were proved; no base64 does.
const BOTH_FACTORS: &str = "mfa:";

impl KnownDevice {
    /// A token for a device that has just signed in, by both factors or by one.
    pub fn issue(key: &hmac::Key, user: &User, has_both_factors: bool, random: &Random) -> Self {
        let mark = if has_both_factors { BOTH_FACTORS } else { "" };
        let nonce = format!("{mark}{}", URL_SAFE_NO_PAD.encode(random.bytes::<16>()));
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(key, Self::signed(user, &nonce).as_bytes()));
        Self(format!("{DEVICE_PREFIX}{nonce}.{tag}"))
    }

    fn signed(user: &User, nonce: &str) -> String {
        let password = PasswordSeal::of(user.password.as_ref());
        format!("device {} {nonce} {}", user.id, password.as_str())
    }

    /// The text, for the client.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The device that `text` proves, if it is a token of this user's.
    pub fn find(key: &hmac::Key, user: Option<&User>, text: Option<&str>) -> Option<Self> {
        let (nonce, tag) = text?.strip_prefix(DEVICE_PREFIX)?.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(key, Self::signed(user?, nonce).as_bytes(), &tag).ok()?;
        text.map(|text| Self(text.to_owned()))
    }

    /// Whether both factors were proved on it.
    pub fn has_both_factors(&self) -> bool {
        self.0.strip_prefix(DEVICE_PREFIX).is_some_and(|signed| signed.starts_with(BOTH_FACTORS))
    }

    /// What a try of `what` is counted under: the device when it is known, else the account.
    pub fn subject(device: Option<&Self>, what: &str, account: &str) -> String {
        match device {
            Some(device) => format!("{what}-by-device#{account}#{}", device.0),
            None => format!("{what}#{account}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::id::TenantId;

    use super::*;
    use crate::password::PasswordHash;
    use crate::user::{SecondFactors, UserId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_delay_grows_up_to_its_bound() {
        let seconds: Vec<_> = (0..20).map(|failures| delay(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn failures_are_forgotten_after_a_day() {
        let mut failures = Failures::default();
        for second in 0..7 {
            failures = failures.more(at(second));
        }
        assert_eq!((failures.count, failures.next_try_at), (7, 8000));
        assert_eq!(failures.more(at(6 + 24 * 3600)).count, 8);
        assert_eq!(failures.more(at(7 + 24 * 3600)).count, 1);
    }

    fn user(second: i64, password: &str) -> User {
        let random = Random::seeded(second.unsigned_abs());
        User {
            id: UserId::new(at(second), &random),
            email: "ann@example.com".to_owned().try_into().unwrap(),
            email_verified_at: Some(at(second)),
            name: None,
            password: Some(PasswordHash::of(password.as_bytes(), &random).unwrap()),
            second_factors: SecondFactors::default(),
            home_tenant_id: TenantId::new(at(second), &random),
            first_tenant: None,
            created_at: at(second),
            updated_at: at(second),
            revision: 1,
        }
    }

    #[test]
    fn a_device_is_known_to_its_own_account_alone_and_until_the_password_changes() {
        let random = Random::seeded(1);
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"installation");
        let (ann, ben) = (user(1, "one"), user(2, "one"));
        let device = KnownDevice::issue(&key, &ann, false, &random);
        let of = |user: Option<&User>, text: Option<&str>| {
            KnownDevice::subject(KnownDevice::find(&key, user, text).as_ref(), "password", "hash")
        };
        assert!(of(Some(&ann), Some(device.expose())).starts_with("password-by-device#hash#"));
        let changed = User { password: user(3, "two").password, ..ann.clone() };
        let without = User { password: None, ..ann.clone() };
        let device = Some(device.expose());
        for (user, text) in [
            (Some(&ben), device),
            (Some(&changed), device),
            (Some(&without), device),
            (None, device),
            (Some(&ann), None),
        ] {
            assert_eq!(of(user, text), "password#hash");
        }
        assert_eq!(of(Some(&ann), Some("tf_dv_x.y")), "password#hash");
    }

    #[test]
    fn a_device_says_whether_it_proved_both_factors_and_nobody_else_says_so() {
        let (random, ann) = (Random::seeded(1), user(1, "one"));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"installation");
        let find = |text: &str| KnownDevice::find(&key, Some(&ann), Some(text));
        for has_both_factors in [false, true] {
            let device = KnownDevice::issue(&key, &ann, has_both_factors, &random);
            assert_eq!(find(device.expose()).map(|device| device.has_both_factors()), Some(has_both_factors));
        }
        let one = KnownDevice::issue(&key, &ann, false, &random);
        assert_eq!(find(&one.expose().replace(DEVICE_PREFIX, "tf_dv_mfa:")), None);
        let both = KnownDevice::issue(&key, &ann, true, &random);
        assert_eq!(find(&both.expose().replace(BOTH_FACTORS, "")), None);
    }
}
