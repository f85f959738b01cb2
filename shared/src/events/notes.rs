//! What happens to notes. What they say is left out: whoever may see it asks for it.
//!
//! Each may come twice, with the same id, and those about one note in any order: of two, the one with the larger version
//! happened later.

use serde::{Deserialize, Serialize};

use super::EventData;
use crate::time::Timestamp;

/// What each change of a note tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteChange {
    /// The note.
    pub note_id: String,
    /// Whose it is after the change: the id of a user, or the tenant's for what its programs made.
    pub owner: String,
    /// The version that the change made; of a purged note, its last.
    pub version: i64,
}

macro_rules! changes {
    ($($(#[doc = $doc:literal])* $type:ident = $name:literal;)*) => {
        $($(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub NoteChange);
        impl EventData for $type {
            const TYPE: &'static str = $name;
            const SOURCE: &'static str = "notes";
        })*
    };
}

changes! {
    /// A note was made.
    NoteCreated = "note.created";
    /// A note was edited, or went over to the tenant with the version that it had, because its owner left.
    NoteUpdated = "note.updated";
    /// A note was put into the bin.
    NoteDeleted = "note.deleted";
    /// A note was taken out of the bin.
    NoteRestored = "note.restored";
    /// A note is gone for good: its time in the bin has ended, or its owner's account was deleted.
    NotePurged = "note.purged";
}

/// The time has come that a note was due at: it is neither done nor deleted. Told once for each note and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteDue {
    /// The note.
    pub note_id: String,
    /// Whose it is: the id of a user, or the tenant's for what its programs made.
    pub owner: String,
    /// Its version when that was told.
    pub version: i64,
    /// The time.
    pub due_at: Timestamp,
}

impl EventData for NoteDue {
    const TYPE: &'static str = "note.due";
    const SOURCE: &'static str = "notes";
}
