//! `auth.mail`: writes mails, from a queue.
//!
//! It looks up who may be written to, draws the one-time secrets, keeps their hashes, and sends. A mail whose sending fails
//! for now is tried again by the queue, with new secrets; one that its recipient's server refuses for good is poison.

use shared::config::Secret;
use shared::dynamo::Dynamo;
use shared::id::TenantId;
use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::mail::{Mail, Recipient, Transport};
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};
use shared::{BoxError, BoxFuture};
use url::Url;

use super::task::{MailTask, Occasion};
use super::templates::{Message, Product};
use crate::email::EmailAddress;
use crate::one_time::{AddressChange, Code, OneTime, PasswordSeal, Purpose, Ticket, TicketHash};
use crate::store::{AccountStore, WriteError};
use crate::user::{Name, User};

/// What the code of a verification is stored under, with the address.
pub const VERIFY: &str = "verify";

struct Writer {
    accounts: AccountStore,
    /// None where no mail server is configured: mails wait in their queue, and end in its dead letters.
    sending: Option<(Transport, Product)>,
    clock: Clock,
    random: Random,
}

/// What is to be sent.
struct Letter {
    to: EmailAddress,
    /// Left out while the address is not proved: anybody may have chosen the name.
    name: Option<Name>,
    message: Message,
}

impl Consumer for Writer {
    type Message = MailTask;

    async fn consume(&self, message: Received<MailTask>) -> Result<(), ConsumeError> {
        let task = message.body;
        let (transport, product) = self.sending.as_ref().ok_or("no mail server is configured: set MailUrl")?;
        let Some(letter) = self.letter(product, task.occasion, task.asked_at).await? else { return Ok(()) };
        let name = letter.name.as_ref().map(Name::as_str);
        let rendered = letter.message.render(product, name)?;
        let mail = Mail {
            message_id: task.id.into(),
            date: task.asked_at,
            to: vec![Recipient { address: letter.to.to_string(), name: name.map(str::to_owned) }],
            reply_to: None,
            subject: rendered.subject,
            html: Some(rendered.html),
            text: rendered.text,
        };
        match transport.send(&mail).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Err(ConsumeError::Poison(shared::telemetry::chain(&error))),
        }
    }
}

impl Writer {
    /// The letter for an occasion; none when nobody is to be written to.
    async fn letter(
        &self,
        product: &Product,
        occasion: Occasion,
        asked_at: Timestamp,
    ) -> Result<Option<Letter>, BoxError> {
        match occasion {
            Occasion::VerifyEmail { email } => {
                let user = self.accounts.user_by_email(&email).await?;
                match user.filter(|user| !user.is_verified()) {
                    Some(user) => self.verification(product, &user, email, None).await.map(Some),
                    None => Ok(None),
                }
            }
            Occasion::ChangeEmail { user_id, email, change } => {
                // Who signed up with the address and never proved it gives way to whoever does.
                let owner = self.accounts.user_by_email(&email).await?.filter(User::is_verified);
                if let Some(owner) = owner {
                    return Ok((owner.id != user_id).then(|| to_user(owner, Message::AddressWanted)));
                }
                match self.accounts.user(&user_id).await? {
                    Some(user) => self.verification(product, &user, email, Some(change)).await.map(Some),
                    None => Ok(None),
                }
            }
            Occasion::AlreadyRegistered { email } => match self.accounts.user_by_email(&email).await? {
                Some(user) if user.is_verified() => Ok(Some(to_user(user, Message::AlreadyRegistered))),
                Some(user) => self.verification(product, &user, email, None).await.map(Some),
                None => Ok(None),
            },
            Occasion::ResetPassword { email } => match self.accounts.user_by_email(&email).await? {
                Some(user) => self.reset(product, user).await.map(Some),
                None => Ok(None),
            },
            Occasion::SignIn { email, ticket, tenant_id } => match self.accounts.user_by_email(&email).await? {
                Some(user) => self.sign_in(product, user, &ticket, tenant_id, asked_at).await,
                None => Ok(None),
            },
            Occasion::Notice { user_id, email, letter } => Ok(match (self.accounts.user(&user_id).await?, email) {
                (Some(user), None) => Some(to_user(user, *letter)),
                (Some(user), Some(to)) => Some(Letter { to, ..to_user(user, *letter) }),
                // The account is gone, and whoever had it is to know what happened.
                (None, Some(to)) => Some(Letter { to, name: None, message: *letter }),
                (None, None) => None,
            }),
        }
    }

    /// The letter by which `user` signs in, by a link or by a code that goes with the client's ticket. None when the
    /// ticket's time is over, as whoever asked waits no more, and when it was used.
    async fn sign_in(
        &self,
        product: &Product,
        user: User,
        ticket: &TicketHash,
        tenant_id: Option<TenantId>,
        asked_at: Timestamp,
    ) -> Result<Option<Letter>, BoxError> {
        let purpose = |asked_by| Purpose::PasswordlessSignIn {
            user_id: Some(user.id),
            asked_by,
            address: user.email.hash(),
            tenant_id,
        };
        let by_code = OneTime::new(purpose(None), asked_at);
        let left = by_code.expires_at.duration_since(self.clock.now());
        if !left.is_positive() {
            return Ok(None);
        }
        let valid_for = SignedDuration::from_mins((left.as_secs() + 59) / 60);
        let (code, link) = (Code::draw(&self.random), Ticket::draw(&self.random));
        let by_link = OneTime { purpose: purpose(Some(ticket.clone())), ..by_code.clone() };
        let by_link = self.accounts.ticket_write(&link.hash(), &by_link)?;
        let by_code = self.accounts.ticket_changed(ticket, &by_code.with_code(ticket, &code))?;
        match self.accounts.transact(vec![by_code, by_link]).await {
            Ok(()) => {}
            Err(WriteError::Stale) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let link = link_to(product, "sign-in", &link)?;
        let message = Message::SignInLink { link, code: code.expose().to_owned(), valid_for };
        Ok(Some(to_user(user, message)))
    }

    /// The letter that proves `email` for `user`, by a link or by a code that is typed with the address.
    async fn verification(
        &self,
        product: &Product,
        user: &User,
        email: EmailAddress,
        change: Option<AddressChange>,
    ) -> Result<Letter, BoxError> {
        let purpose = Purpose::VerifyEmail { user_id: user.id, email: email.clone(), change };
        let (now, code, link) = (self.clock.now(), Code::draw(&self.random), Ticket::draw(&self.random));
        let valid_for = purpose.lifetime();
        let by_address = TicketHash::of_address(VERIFY, &email);
        let by_code = OneTime::new(purpose.clone(), now).with_code(&by_address, &code);
        let by_link = self.accounts.ticket_write(&link.hash(), &OneTime::new(purpose, now))?;
        self.accounts.transact(vec![self.accounts.ticket_write(&by_address, &by_code)?, by_link]).await?;
        let link = link_to(product, "verify-email", &link)?;
        let message = Message::VerifyEmail { link, code: code.expose().to_owned(), valid_for };
        Ok(Letter { to: email, name: None, message })
    }

    async fn reset(&self, product: &Product, user: User) -> Result<Letter, BoxError> {
        let before = PasswordSeal::of(user.password.as_ref());
        let purpose = Purpose::ResetPassword { user_id: user.id, email: user.email.clone(), before };
        let (valid_for, ticket) = (purpose.lifetime(), Ticket::draw(&self.random));
        self.accounts.put_ticket(&ticket.hash(), &OneTime::new(purpose, self.clock.now())).await?;
        let link = link_to(product, "reset-password", &ticket)?;
        Ok(to_user(user, Message::ResetPassword { link, valid_for }))
    }
}

/// A link to a page of the application. The token is in the fragment, which no server and no log sees.
fn link_to(product: &Product, page: &str, ticket: &Ticket) -> Result<Url, BoxError> {
    let mut link = product.app_url.clone();
    link.path_segments_mut().map_err(|()| "the application's URL has no path")?.pop_if_empty().push(page);
    link.set_fragment(Some(&format!("token={}", ticket.expose())));
    Ok(link)
}

fn to_user(user: User, message: Message) -> Letter {
    let name = if user.is_verified() { user.name } else { None };
    Letter { to: user.email, name, message }
}

/// Builds the function. It reads `ACCOUNTS_TABLE`, `MAIL_URL`, `MAIL_FROM`, `PRODUCT_NAME`, `APP_URL` or
/// else `PUBLIC_URL`, and what [`QueueSettings::read`] reads for `MAIL`.
pub fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let accounts: String = reader.required("ACCOUNTS_TABLE");
        let mail_url: Option<Secret> = reader.optional("MAIL_URL");
        let from: String = reader.required("MAIL_FROM");
        let product = Product::read(&mut reader);
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "MAIL")?;
        let transport = mail_url.map(|url| Transport::from_url(&url, &from)).transpose()?;
        if transport.is_some() && product.is_none() {
            return Err("mails need links: set AppUrl or PublicUrl".into());
        }
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let writer = Writer {
            accounts: AccountStore::new(dynamo, accounts),
            sending: transport.zip(product),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        };
        Ok(Function::queue(&runtime, settings, writer))
    })
}
