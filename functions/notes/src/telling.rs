//! What is told of notes: events, and reminders that come later, collected in a transaction and kept in its outbox.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::events::notes::NoteChange;
use shared::events::{Event, EventData};
use shared::id::TenantId;
use shared::random::Random;
use shared::time::Timestamp;

use crate::note::{Note, NoteId};

/// That a note is due, sent so that it arrives when it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// Whose note.
    pub tenant_id: TenantId,
    /// Which note.
    pub note_id: NoteId,
    /// When it was due as this was sent.
    pub due_at: Timestamp,
}

/// An entry of the outbox: what one transaction tells of a tenant's notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose notes.
    pub tenant: TenantId,
    /// The id of its first event.
    pub id: String,
    /// A JSON array of CloudEvents.
    pub events: String,
    /// The reminders that are to come.
    pub reminders: Vec<Reminder>,
    /// When it was written, to the millisecond.
    pub written_at: Timestamp,
}

/// What a transaction has to tell so far.
#[derive(Debug)]
pub struct Telling {
    tenant: TenantId,
    random: Random,
    /// Its first event's id and time.
    first: Option<(String, Timestamp)>,
    events: Vec<Value>,
    reminders: Vec<Reminder>,
}

impl Telling {
    /// Nothing yet, of the notes of `tenant`.
    pub const fn new(tenant: TenantId, random: Random) -> Self {
        Self { tenant, random, first: None, events: Vec::new(), reminders: Vec::new() }
    }

    /// Adds what happened to a note at `at`.
    pub fn add<D: EventData>(
        &mut self,
        kind: impl FnOnce(NoteChange) -> D,
        change: NoteChange,
        at: Timestamp,
    ) -> serde_json::Result<()> {
        let event = Event::new(self.tenant, change.note_id.clone(), kind(change), at, &self.random);
        self.first.get_or_insert_with(|| (event.id.to_string(), at));
        self.events.push(serde_json::to_value(event)?);
        Ok(())
    }

    /// Adds the reminder of a note that has just changed, if one is to come.
    pub fn remind(&mut self, note: &Note) {
        let reminder = |due_at| Reminder { tenant_id: self.tenant, note_id: note.id, due_at };
        self.reminders.extend(note.reminder().map(reminder));
    }

    /// All of it; none when there is nothing to tell.
    pub fn into_entry(self) -> serde_json::Result<Option<Entry>> {
        let Some((id, written_at)) = self.first else { return Ok(None) };
        let events = serde_json::to_string(&self.events)?;
        Ok(Some(Entry { tenant: self.tenant, id, events, reminders: self.reminders, written_at }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use shared::events::notes::{NoteCreated, NoteDeleted};

    #[test]
    fn an_entry_has_the_id_of_its_first_event_and_all_of_them() {
        let random = Random::seeded(1);
        let tenant = TenantId::new(Timestamp::UNIX_EPOCH, &random);
        let mut telling = Telling::new(tenant, random);
        let change = |id: &str| NoteChange { note_id: id.to_owned(), owner: "user_1".to_owned(), version: 1 };
        telling.add(NoteCreated, change("note_1"), Timestamp::UNIX_EPOCH).unwrap();
        telling.add(NoteDeleted, change("note_2"), Timestamp::UNIX_EPOCH).unwrap();
        let entry = telling.into_entry().unwrap().unwrap();
        let events: Vec<Event> = serde_json::from_str(&entry.events).unwrap();
        assert_eq!(entry.id, events[0].id.to_string());
        assert_eq!((events[0].kind.as_str(), events[1].kind.as_str()), ("note.created", "note.deleted"));
        assert_eq!(events[1].data, serde_json::json!({"note_id": "note_2", "owner": "user_1", "version": 1}));
        assert_eq!(events[1].source, "/tenfold/notes");
    }

    #[test]
    fn who_has_nothing_to_tell_writes_nothing() {
        let random = Random::seeded(1);
        let tenant = TenantId::new(Timestamp::UNIX_EPOCH, &random);
        assert_eq!(Telling::new(tenant, random).into_entry().unwrap(), None);
    }
}
