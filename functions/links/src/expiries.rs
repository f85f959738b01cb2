//! `links.expiries`: what falls due of links. It tells that a link's time ran out, as the event `link.expired`, and forgets
//! the statistics of links that were deleted.
//!
//! A message with the link and its end arrives when the end has come. It tells nothing when the link is gone or its end
//! was moved since; a second message for the same end tells nothing either.

use serde::{Deserialize, Serialize};
use shared::BoxError;
use shared::BoxFuture;
use shared::dynamo::{Dynamo, TransactWrite};
use shared::events::Event;
use shared::events::links::LinkExpired;
use shared::id::TenantId;
use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::queue::{Message, Sender};
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};

use crate::link::{Link, LinkId};
use crate::store::LinkStore;

/// How long after a link was deleted its statistics go: no click of it is on its way any more, as a queue keeps a message for
/// 14 days at most.
const COUNTS_KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);

/// A message.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Due {
    Expiry(Expiry),
    Deletion(Deletion),
}

/// A link that was deleted, sent so that it arrives when its statistics are to go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deletion {
    /// Whose link it was.
    pub tenant_id: TenantId,
    /// Which link.
    pub link_id: LinkId,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

/// The end of a link, sent so that it arrives when it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expiry {
    /// Whose link.
    pub tenant_id: TenantId,
    /// Which link.
    pub link_id: LinkId,
    /// The end that it had when this was sent.
    pub expires_at: Timestamp,
}

/// The entry in the due index that makes the statistics of a link go which is deleted `now`.
pub(crate) fn deletion_write(
    sender: &Sender,
    queue_url: &str,
    link: &Link,
    now: Timestamp,
) -> Result<TransactWrite, BoxError> {
    let deletion = Deletion { tenant_id: link.tenant_id, link_id: link.id, deleted_at: now };
    let message = Message::json(queue_url, link.tenant_id, format!("deletion#{}", link.id), &deletion)?;
    Ok(sender.due_write(&message, now.checked_add(COUNTS_KEPT)?))
}

/// The message for a link that has an end.
pub(crate) fn expiry_message(queue_url: &str, link: &Link) -> Result<Option<Message>, serde_json::Error> {
    let Some(expires_at) = link.expires_at else { return Ok(None) };
    let expiry = Expiry { tenant_id: link.tenant_id, link_id: link.id, expires_at };
    Message::json(queue_url, link.tenant_id, format!("expiry#{}", link.id), &expiry).map(Some)
}

/// The entry in the due index that makes a link's expiry arrive.
pub(crate) fn due_write(sender: &Sender, expiry: Option<&Message>, link: &Link) -> Option<TransactWrite> {
    Some(sender.due_write(expiry?, link.expires_at?))
}

/// Sends an expiry that comes too soon for the scheduler. The entry in the due index is there, so a failure only makes
/// the expiry late.
pub(crate) async fn nudge(sender: &Sender, expiry: Option<&Message>, link: &Link) {
    let (Some(expiry), Some(at)) = (expiry, link.expires_at) else { return };
    if let Err(error) = sender.nudge(expiry, at).await {
        tracing::warn!(error = shared::telemetry::chain(&error), "an expiry was left to the scheduler");
    }
}

struct Expiries {
    links: LinkStore,
    clock: Clock,
    random: Random,
}

impl Consumer for Expiries {
    type Message = Due;

    async fn consume(&self, message: Received<Due>) -> Result<(), ConsumeError> {
        match message.body {
            Due::Expiry(expiry) => self.tell(expiry).await,
            Due::Deletion(deletion) => self.forget(&deletion).await,
        }
    }
}

impl Expiries {
    async fn tell(&self, expiry: Expiry) -> Result<(), ConsumeError> {
        let Expiry { tenant_id, link_id, expires_at } = expiry;
        let now = self.clock.now();
        if now < expires_at {
            return Err(ConsumeError::Retry(format!("it came before its time, {expires_at}").into()));
        }
        let Some(link) = self.links.get(&tenant_id, &link_id).await? else { return Ok(()) };
        if link.expires_at != Some(expires_at) {
            return Ok(());
        }
        let data = LinkExpired { link_id: link_id.to_string(), slug: link.slug.to_string(), expired_at: expires_at };
        let event = Event::new(tenant_id, link_id, data, now, &self.random);
        self.links.tell_expiry(&link, event.outbox()?).await?;
        Ok(())
    }

    /// A link's id is never given again, so there is nothing to look at first.
    async fn forget(&self, deletion: &Deletion) -> Result<(), ConsumeError> {
        if self.clock.now() < deletion.deleted_at.checked_add(COUNTS_KEPT)? {
            return Err(ConsumeError::Retry("it came before its time".into()));
        }
        Ok(self.links.forget_counts(&deletion.tenant_id, &deletion.link_id).await?)
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("LINKS_TABLE");
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "EXPIRIES")?;
        let consumer = Expiries {
            links: LinkStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        };
        Ok(Function::queue(&runtime, settings, consumer))
    })
}
