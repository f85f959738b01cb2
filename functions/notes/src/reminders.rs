//! `notes.reminders`: tells that a note is due, as the event `note.due`.
//!
//! A message with the note and its due time arrives when that has come, by the due index and the platform's scheduler. It
//! tells nothing when the note is done, deleted, or due at another time since; a second message for the same time tells
//! nothing either. Inside a VPC it reaches no queue: see [`QueueSettings::out_of_reach`].

use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};

use crate::app::store;
use crate::hand_over::HandOver;
use crate::store::NoteStore;
use crate::telling::Reminder;

struct Reminders {
    /// None where the deployment has no Postgres.
    notes: Option<NoteStore>,
    clock: Clock,
}

impl Consumer for Reminders {
    type Message = Reminder;

    async fn consume(&self, message: Received<Reminder>) -> Result<(), ConsumeError> {
        let Some(notes) = &self.notes else { return Ok(()) };
        let (reminder, now) = (message.body, self.clock.now());
        if now < reminder.due_at {
            return Err(ConsumeError::Retry(format!("it came before its time, {}", reminder.due_at).into()));
        }
        Ok(notes.remind(&reminder, now).await?)
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let hand_over = HandOver::of_events(&runtime)?;
        let notes = store(&runtime)?.map(|notes| notes.with_hand_over(hand_over));
        let reminders = Reminders { notes, clock: runtime.clock.clone() };
        Ok(Function::queue(&runtime, QueueSettings::out_of_reach(), reminders))
    })
}
