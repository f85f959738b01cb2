//! `mail.send`: sends a mail in the name of the deployment's sender.
//!
//! It is not idempotent: when the mail server's answer is lost, or the attempt is cut off before its end is written, the mail
//! goes out again with the next one. It has the same `Message-ID` then, made of the job's id, by which mail programs and
//! servers know a mail again. It is one mail to all recipients: a server that refuses one of them refuses it for all.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::BoxError;
use shared::config::Secret;
use shared::dynamo::Dynamo;
use shared::http::FieldError;
use shared::identity::permission::{Permission as _, SendMail};
use shared::lambda::Runtime;
use shared::limits::{DynamoLimiter, Limit, Limiter as _, Policy};
use shared::mail::{LONGEST_SUBJECT, Mail, Recipient, Transport, is_address};
use shared::outbound::Outbound;
use shared::telemetry::chain;
use shared::text::line;
use shared::time::{Clock, rfc3339_millis};

use super::{Failed, Handler, Work};
use crate::attempt::Failure;

/// The most recipients of one mail.
const MOST_RECIPIENTS: usize = 10;

/// The most bytes of the text, and of the HTML.
const LARGEST_BODY: usize = 256 * 1024;

/// The time in which a tenant's quota comes back.
const DAY: Duration = Duration::from_hours(24);

/// How mails leave, and how many of each tenant's. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mails {
    /// None where no mail server is configured.
    transport: Option<Transport>,
    limiter: DynamoLimiter,
    quota: Policy,
}

impl Mails {
    /// Reads `MAIL_URL` (none: mail is off), `MAIL_FROM`, `TENANT_MAILS_PER_DAY` and `LIMITS_TABLE`.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let url: Option<Secret> = reader.optional("MAIL_URL");
        let from: String = reader.required("MAIL_FROM");
        let per_day: u32 = reader.required("TENANT_MAILS_PER_DAY");
        let table: String = reader.required("LIMITS_TABLE");
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        Ok(Self {
            transport: url.map(|url| Transport::from_url(&url, &from)).transpose()?,
            limiter: DynamoLimiter::new(dynamo, table, runtime.random.clone()),
            quota: Policy::new("mail", per_day, DAY, per_day)?,
        })
    }
}

pub(super) struct MailSend {
    mails: Mails,
    clock: Clock,
}

/// The mail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    /// The addresses that it goes to: 1 to 10.
    to: Vec<String>,
    /// The subject: 1 to 200 characters.
    subject: String,
    /// The content as text: up to 256 KB.
    text: String,
    /// The same as HTML.
    #[serde(default)]
    html: Option<String>,
    /// The address that an answer goes to.
    #[serde(default)]
    reply_to: Option<String>,
}

/// What was sent.
#[derive(Serialize)]
pub(super) struct Sent {
    /// The part of its `Message-ID` before the sender's domain.
    message_id: String,
    recipients: usize,
    at: String,
}

impl MailSend {
    pub(super) const fn new(mails: Mails, clock: Clock) -> Self {
        Self { mails, clock }
    }

    /// Takes the recipients of one attempt from the tenant's quota. Each attempt counts: the one before may have sent it.
    async fn charge(&self, recipients: usize, work: &Work) -> Result<(), Failed> {
        let Mails { limiter, quota, .. } = &self.mails;
        let cost = u32::try_from(recipients).unwrap_or(u32::MAX);
        let limit = Limit { policy: quota, key: "", cost };
        let tenant = work.tenant_id.to_string();
        let decision = limiter.check(&tenant, &[limit], self.clock.now()).await;
        let decision = decision.map_err(|error| Failed::Retry(Failure::new("storage", error.to_string()), None))?;
        match decision.retry_after() {
            _ if decision.allowed => Ok(()),
            Some(wait) => Err(Failed::Snoozed(wait)),
            None => {
                let message = format!("a tenant may write to {} recipients in a day", quota.quota());
                Err(Failed::poison("mail_quota", message))
            }
        }
    }
}

impl Handler for MailSend {
    const TYPE: &'static str = "mail.send";
    type Payload = Payload;
    type Result = Sent;
    const PERMISSION: Option<&'static str> = Some(SendMail::NAME);

    fn check(payload: &Payload, _outbound: &Outbound) -> Vec<FieldError> {
        payload.faults()
    }

    async fn run(&self, payload: Payload, work: &Work) -> Result<Sent, Failed> {
        let Some(transport) = &self.mails.transport else {
            return Err(Failed::poison("mail_is_off", "this deployment has no mail server"));
        };
        let recipients = payload.to.len();
        self.charge(recipients, work).await?;
        let now = self.clock.now();
        let mail = Mail {
            message_id: work.job_id.into(),
            date: now,
            to: payload.to.into_iter().map(|address| Recipient { address, name: None }).collect(),
            reply_to: payload.reply_to,
            subject: payload.subject.trim().to_owned(),
            html: payload.html,
            text: payload.text,
        };
        // Once begun it is not left, though the job be called off: it could not be said whether the mail went out.
        match transport.send(&mail).await {
            Ok(()) => {
                let message_id = mail.message_id.as_str().to_owned();
                Ok(Sent { message_id, recipients, at: rfc3339_millis(now) })
            }
            Err(error) if error.is_transient() => {
                Err(Failed::Retry(Failure::new("mail_not_sent", chain(&error)), None))
            }
            Err(error) => Err(Failed::poison("mail_refused", chain(&error))),
        }
    }
}

impl Payload {
    fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut wrong = |pointer: String, code, detail: &str| faults.push(FieldError::new(pointer, code, detail));
        if !(1..=MOST_RECIPIENTS).contains(&self.to.len()) {
            wrong("/to".to_owned(), "out_of_range", "there must be 1 to 10 addresses");
        }
        for (index, address) in self.to.iter().enumerate().take(MOST_RECIPIENTS) {
            let pointer = format!("/to/{index}");
            if !is_address(address) {
                wrong(pointer, "invalid", "is no address");
            } else if self.to.iter().take(index).any(|before| before.eq_ignore_ascii_case(address)) {
                wrong(pointer, "duplicate", "is there already");
            }
        }
        if self.reply_to.as_deref().is_some_and(|address| !is_address(address)) {
            wrong("/reply_to".to_owned(), "invalid", "is no address");
        }
        if let Err(refusal) = line(&self.subject, LONGEST_SUBJECT) {
            wrong("/subject".to_owned(), refusal.code, &refusal.detail);
        }
        for (pointer, body) in [("/text", Some(&self.text)), ("/html", self.html.as_ref())] {
            if body.is_some_and(|body| body.len() > LARGEST_BODY) {
                wrong(pointer.to_owned(), "too_large", "may have at most 256 KB");
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn faults(change: &Value) -> Vec<(String, String)> {
        let mut payload = json!({"to": ["ada@example.org"], "subject": "Hello", "text": "Hello."});
        for (name, value) in change.as_object().unwrap() {
            payload.as_object_mut().unwrap().insert(name.clone(), value.clone());
        }
        let payload: Payload = serde_json::from_value(payload).unwrap();
        payload.faults().into_iter().map(|fault| (fault.pointer, fault.code.into_owned())).collect()
    }

    #[test]
    fn what_cannot_be_a_mail_is_refused_at_its_field() {
        let many: Vec<_> = (0..11).map(|index| format!("a{index}@example.org")).collect();
        for (change, pointer, code) in [
            (json!({"to": []}), "/to", "out_of_range"),
            (json!({"to": many}), "/to", "out_of_range"),
            (json!({"to": ["a@example.org", "A@example.org"]}), "/to/1", "duplicate"),
            (json!({"to": ["Ada <ada@example.org>"]}), "/to/0", "invalid"),
            (json!({"to": ["ada@example.org\r\nBcc: eve@example.org"]}), "/to/0", "invalid"),
            (json!({"to": ["ada@example.org, eve@example.org"]}), "/to/0", "invalid"),
            (json!({"reply_to": "nobody"}), "/reply_to", "invalid"),
            (json!({"subject": "a\r\nBcc: eve@example.org"}), "/subject", "control_character"),
            (json!({"subject": " "}), "/subject", "empty"),
            (json!({"subject": "a".repeat(201)}), "/subject", "too_long"),
            (json!({"text": "a".repeat(LARGEST_BODY + 1)}), "/text", "too_large"),
            (json!({"html": "a".repeat(LARGEST_BODY + 1)}), "/html", "too_large"),
        ] {
            assert_eq!(faults(&change), [(pointer.to_owned(), code.to_owned())], "{pointer}");
        }
        assert_eq!(faults(&json!({"subject": "ä".repeat(200), "html": "<p>", "reply_to": "b@example.org"})), []);
    }
}
