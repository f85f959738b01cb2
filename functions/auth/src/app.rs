//! What the functions of this service are built from.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use ring::hmac;
use shared::BoxError;
use shared::dynamo::Dynamo;
use shared::http::idempotency::Idempotency;
use shared::http::{ClientAddress, Cursors, Problem, ProblemType, RequestContext};
use shared::id::TenantId;
use shared::identity::{Authenticator, Principal};
use shared::lambda::{Deferred, Runtime};
use shared::limits::DynamoLimiter;
use shared::queue::Sender;
use shared::random::Random;
use shared::time::Clock;
use tokio::sync::OnceCell;
use url::Url;

use crate::audit::{ANONYMOUS, Action, AuditRecord, Origin};
use crate::factor::passkey::RelyingParty;
use crate::mail::task::{MailTask, Occasion};
use crate::mail::templates::Product;
use crate::signer::Signer;
use crate::store::{Accounts, Write, WriteError};
use crate::throttle::Throttle;
use crate::user::{User, UserId};

/// The state of handlers that manage and do not issue tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) authenticator: Authenticator,
    pub(crate) accounts: Accounts,
    /// Of the functions whose POSTs create things: `auth.users`.
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) cursors: Cursors,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) deferred: Deferred,
    /// What previews of mails name.
    pub(crate) product: Option<Product>,
}

/// The state of handlers that prove who somebody is, issue tokens and write to users. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) core: Core,
    pub(crate) signer: Signer,
    pub(crate) throttle: Throttle,
    /// None where passkeys are not set up.
    pub(crate) relying_party: Option<RelyingParty>,
    /// What authenticators call the installation.
    pub(crate) product_name: Arc<str>,
    device_key: Arc<OnceCell<hmac::Key>>,
    sender: Sender,
    mail_queue_url: String,
    /// `PUBLIC_URL`: where clients reach the deployment.
    pub(crate) public_url: Option<Url>,
    /// `CONSENT_URL`: a page of the owner's that asks users about applications.
    pub(crate) consent_url: Option<Url>,
}

impl std::ops::Deref for App {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Core {
    /// Reads `ACCOUNTS_TABLE`, where they are set `IDEMPOTENCY_TABLE` and what [`Product::read`] reads, and what
    /// [`Authenticator::new`] reads.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let accounts_table: String = reader.required("ACCOUNTS_TABLE");
        let idempotency_table: Option<String> = reader.optional("IDEMPOTENCY_TABLE");
        let product = Product::read(&mut reader).or_else(Product::example);
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let authenticator = Authenticator::new(runtime)?;
        Ok(Self {
            cursors: Cursors::new(authenticator.store().clone()),
            accounts: Accounts::new(dynamo.clone(), accounts_table, authenticator.store().clone()),
            authenticator,
            idempotency: idempotency_table.map(|table| Idempotency::new(dynamo, table, runtime.clock.clone())),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
            deferred: runtime.deferred.clone(),
            product,
        })
    }

    /// Writes an audit record after the answer has gone out: of what changed nothing, and whose time must tell nothing.
    pub(crate) async fn audit_later(&self, record: AuditRecord) {
        let accounts = self.accounts.clone();
        let work = async move {
            if let Err(error) = accounts.audit(&record).await {
                let error = shared::telemetry::chain(&error);
                tracing::error!(error, action = record.action.as_str(), "an audit record was lost");
            }
        };
        self.deferred.defer(Box::pin(work)).await;
    }

    /// The tenant that is told what becomes of a user's account.
    pub(crate) async fn seat(&self, user: &User) -> Result<Option<TenantId>, WriteError> {
        Ok(user.seat(&self.accounts.memberships(&user.id).await?))
    }

    /// The same about whoever `found` finds, if anybody, and who is in a tenant: both are looked for after the answer, too,
    /// whose time must not tell whether there is somebody.
    pub(crate) async fn audit_whom_later(
        &self,
        found: impl Future<Output = Result<Option<User>, WriteError>> + Send + 'static,
        action: Action,
        detail: Option<&'static str>,
        origin: Origin,
    ) {
        let (core, now) = (self.clone(), self.clock.now());
        let work = async move {
            let written = async {
                let Some(user) = found.await? else { return Ok(()) };
                let Some(tenant) = core.seat(&user).await? else { return Ok(()) };
                let record = origin.record(tenant, action, ANONYMOUS, now, &core.random).on(user.id);
                core.accounts.audit(&detail.into_iter().fold(record, AuditRecord::with)).await
            };
            if let Err(error) = written.await {
                tracing::error!(error = shared::telemetry::chain(&error), "an audit record was lost");
            }
        };
        self.deferred.defer(Box::pin(work)).await;
    }
}

impl App {
    /// Reads `LIMITS_TABLE`, `DUE_TABLE`, `MAIL_QUEUE_URL`, `PUBLIC_URL`, `CONSENT_URL`, `PRODUCT_NAME` (`Tenfold` without it) and what
    /// [`Core::new`], [`Signer::new`] and [`RelyingParty::new`] read.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let limits_table: String = reader.required("LIMITS_TABLE");
        let due_table: String = reader.required("DUE_TABLE");
        let mail_queue_url: String = reader.required("MAIL_QUEUE_URL");
        let public_url: Option<Url> = reader.optional("PUBLIC_URL");
        let consent_url: Option<Url> = reader.optional("CONSENT_URL");
        let product_name: Option<String> = reader.optional("PRODUCT_NAME");
        reader.finish()?;
        let product_name: Arc<str> = product_name.as_deref().unwrap_or("Tenfold").into();
        let core = Core::new(runtime)?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let limiter = DynamoLimiter::new(dynamo.clone(), limits_table, runtime.random.clone());
        Ok(Self {
            throttle: Throttle::new((*core.accounts).clone(), limiter, core.clock.clone(), core.random.clone())?,
            signer: Signer::new(runtime)?,
            relying_party: RelyingParty::new(&runtime.environment, &product_name)?,
            product_name,
            core,
            device_key: Arc::default(),
            sender: Sender::new(runtime.aws.sqs.clone(), dynamo, due_table, runtime.clock.clone()),
            mail_queue_url,
            public_url,
            consent_url,
        })
    }

    /// A mail, and the write that makes it certain: part of the transaction that causes it. Follow it with
    /// [`Self::hurry`].
    pub(crate) fn mail(&self, occasion: Occasion) -> Result<(MailTask, Write), Problem> {
        let task = MailTask::new(occasion, self.clock.now(), &self.random);
        let message = task.message(&self.mail_queue_url).map_err(Problem::internal)?;
        let write = Write::sure(self.sender.due_write(&message, task.asked_at));
        Ok((task, write))
    }

    /// Sends a mail's message at once. Its entry in the due index is there, so a failure only makes the mail late.
    pub(crate) async fn hurry(&self, task: &MailTask) {
        let sent = match task.message(&self.mail_queue_url) {
            Ok(message) => self.sender.nudge(&message, task.asked_at).await.map_err(BoxError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = sent {
            tracing::warn!(error = shared::telemetry::chain(&*error), "a mail was left to the scheduler");
        }
    }

    /// Asks for a mail that no other write causes.
    pub(crate) async fn ask_for_mail(&self, occasion: Occasion) -> Result<(), Problem> {
        let (task, write) = self.mail(occasion)?;
        self.accounts.transact(vec![write]).await?;
        self.hurry(&task).await;
        Ok(())
    }

    /// The address of `/oauth/token`, where it is known.
    pub(crate) fn token_endpoint(&self) -> Option<String> {
        self.public_url.as_ref()?.join("/oauth/token").ok().map(String::from)
    }

    /// The key of device tokens: derived from the installation's secret, and read once for each instance.
    pub(crate) async fn device_key(&self) -> Result<&hmac::Key, WriteError> {
        self.device_key
            .get_or_try_init(|| async {
                let secret = self.accounts.identity().installation_secret().await?;
                let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), b"known devices");
                Ok(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
            })
            .await
    }
}

impl FromRef<App> for Core {
    fn from_ref(app: &App) -> Self {
        app.core.clone()
    }
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.core.authenticator.clone()
    }
}

impl FromRef<Core> for Authenticator {
    fn from_ref(core: &Core) -> Self {
        core.authenticator.clone()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(address) = ClientAddress::from_request_parts(parts, state).await;
        let user_agent = parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        let context = parts.extensions.get::<RequestContext>();
        let context = context.ok_or_else(|| Problem::internal("a request has no context"))?;
        Ok(Self::of(context, address, user_agent))
    }
}

/// The user that a caller is: an API key or a machine has no account of its own.
pub(crate) fn person(caller: &Principal) -> Result<UserId, Problem> {
    caller
        .subject
        .parse()
        .map_err(|_| Problem::new(ProblemType::Forbidden, "this is for a signed-in user, not for a key"))
}
