//! `links.expiries`: tells that a link's time ran out, as the event `link.expired`.
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
use shared::time::{Clock, Timestamp};

use crate::link::{Link, LinkId};
use crate::store::LinkStore;

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
    type Message = Expiry;

    async fn consume(&self, message: Received<Expiry>) -> Result<(), ConsumeError> {
        let Expiry { tenant_id, link_id, expires_at } = message.body;
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
