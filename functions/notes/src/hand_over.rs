//! The way out of the VPC: the events of an entry of the outbox become an item of a DynamoDB table, whose stream the
//! platform's relay reads and publishes, and its reminders become entries of the due index, which the platform's scheduler
//! sends when they are due. SQS and SNS are out of reach.
//!
//! An entry is handed over once the request is answered; what was left behind, as by an instance that was killed, is found
//! by `notes.outbox`. It may be handed over twice: it is the same item with the same events then, of which the relay
//! publishes none that was in it before.

use shared::BoxError;
use shared::config::ConfigError;
use shared::dynamo::{Dynamo, Item, Put, n, s};
use shared::events::OUTBOX;
use shared::lambda::{Deferred, Runtime};
use shared::queue::{Message, Sender};
use shared::telemetry::chain;
use shared::time::{Clock, SignedDuration};

use crate::store::NoteStore;
use crate::telling::{Entry, Reminder};

/// How long an item stays. The stream has it from the first moment on; until then, to hand it over again tells nothing.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The most writes of a DynamoDB transaction.
const WRITES_AT_ONCE: usize = 100;

/// Hands entries over. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HandOver {
    dynamo: Dynamo,
    table: String,
    /// None where nothing that is handed over has reminders.
    due: Option<Due>,
    clock: Clock,
    deferred: Deferred,
}

/// Where reminders wait.
#[derive(Clone, Debug)]
struct Due {
    sender: Sender,
    /// The queue to which the scheduler sends them.
    queue_url: String,
}

impl Due {
    fn message(&self, reminder: &Reminder) -> serde_json::Result<Message> {
        Message::json(&self.queue_url, reminder.tenant_id, format!("reminder#{}", reminder.note_id), reminder)
    }
}

impl HandOver {
    /// Reads `OUTBOX_TABLE`, `DUE_TABLE` and `REMINDERS_DUE_QUEUE_URL`.
    pub fn new(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let due_table: String = reader.required("DUE_TABLE");
        let queue_url = reader.required("REMINDERS_DUE_QUEUE_URL");
        let events = Self::of_events(runtime);
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let sender = Sender::new(runtime.aws.sqs.clone(), dynamo, due_table, runtime.clock.clone());
        Ok(Self { due: Some(Due { sender, queue_url }), ..events? })
    }

    /// Reads `OUTBOX_TABLE`: for entries without reminders.
    pub fn of_events(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let table = reader.required("OUTBOX_TABLE");
        reader.finish()?;
        Ok(Self {
            dynamo: Dynamo::new(runtime.aws.dynamo.clone()),
            table,
            due: None,
            clock: runtime.clock.clone(),
            deferred: runtime.deferred.clone(),
        })
    }

    /// Hands an entry over. To do it again does no harm.
    pub async fn send(&self, entry: &Entry) -> Result<(), BoxError> {
        if let Some(due) = &self.due {
            // In the due index even when they are due too soon for the scheduler to be in time: they are late then.
            for reminders in entry.reminders.chunks(WRITES_AT_ONCE) {
                let writes = reminders
                    .iter()
                    .map(|reminder| Ok(due.sender.due_write(&due.message(reminder)?, reminder.due_at)))
                    .collect::<serde_json::Result<Vec<_>>>()?;
                self.dynamo.transact(writes).await?;
            }
        }
        let item: Item = [
            ("pk".to_owned(), s(format!("{}#{}", entry.tenant, entry.id))),
            (OUTBOX.to_owned(), s(&entry.events)),
            ("expires_at".to_owned(), n((self.clock.now() + KEPT).as_second())),
        ]
        .into();
        Ok(self.dynamo.put(Put::new(&self.table, item)).await?)
    }

    /// Hands an entry over and removes it, after the answer. A failure leaves it to the sweep.
    pub async fn defer(&self, notes: NoteStore, entry: Entry) {
        let hand_over = self.clone();
        let work = async move {
            let done = async {
                hand_over.send(&entry).await?;
                notes.remove_entry(&entry).await?;
                Ok::<_, BoxError>(())
            };
            if let Err(error) = done.await {
                tracing::warn!(error = chain(&*error), "an entry of the outbox was left to the sweep");
            }
        };
        self.deferred.defer(Box::pin(work)).await;
    }
}
