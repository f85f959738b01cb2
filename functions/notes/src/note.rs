//! The note: the record that everything else here is about, and who may do what with it.

use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind, TenantId};
use shared::identity::{Principal, PrincipalKind};
use shared::random::Random;
use shared::refusal::{Fault, Refusal};
use shared::time::{Timestamp, to_millisecond};
use utoipa::ToSchema;

use crate::text::{Content, Tags, Title};

/// The kind of a note's id.
#[derive(Debug)]
pub enum NoteKind {}
impl Kind for NoteKind {
    const PREFIX: &'static str = "note";
}
/// The id of a note.
pub type NoteId = Id<NoteKind>;

/// The kind of a user's id.
#[derive(Debug)]
pub enum UserKind {}
impl Kind for UserKind {
    const PREFIX: &'static str = "user";
}
/// The id of a user.
pub type UserId = Id<UserKind>;

/// Who acts on notes: a user for themselves; a program for its tenant, so that its notes outlive its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Whose data.
    pub tenant: TenantId,
    /// Whose notes: the id of a user, or the tenant's.
    pub id: String,
    /// The caller: the id of a user, an API key or a machine client.
    pub subject: String,
}

impl Actor {
    /// For whom `principal` acts.
    pub fn of(principal: &Principal) -> Self {
        let id = match principal.kind {
            PrincipalKind::User => principal.subject.clone(),
            PrincipalKind::ApiKey | PrincipalKind::Client => principal.tenant.to_string(),
        };
        Self { tenant: principal.tenant, id, subject: principal.subject.clone() }
    }
}

/// What somebody may do with a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NoteAccess)]
pub enum Access {
    /// See it, and what it was before.
    Read,
    /// And change it.
    Write,
    /// And delete and share it: it is theirs.
    Owner,
}

/// How a note's content is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NoteFormat)]
pub enum Format {
    /// Markdown.
    #[default]
    Markdown,
    /// Plain text.
    Text,
}

/// What a client sets of a note: all of it when it is made or replaced; a merge patch is applied to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNote)]
pub struct Draft {
    /// What it is called.
    pub title: Title,
    /// What it says.
    #[serde(default)]
    pub content: Content,
    /// How that is written.
    #[serde(default)]
    pub format: Format,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Tags,
    /// Whether it is kept in sight.
    #[serde(default)]
    pub pinned: bool,
    /// Whether it is put away.
    #[serde(default)]
    pub archived: bool,
    /// When it is to be done, which makes it a to-do.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// When it was done; not in the future.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub done_at: Option<Timestamp>,
}

impl Draft {
    /// The same with its times cut to the millisecond, which is what is stored and shown.
    ///
    /// # Errors
    /// One fault for each time that is not acceptable at `now`.
    pub fn checked(self, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        for (at, pointer) in [(self.due_at, "/due_at"), (self.done_at, "/done_at")] {
            if at.is_some_and(|at| at < Timestamp::UNIX_EPOCH) {
                faults.push(Refusal::new("out_of_range", "must not be before 1970").at(pointer));
            } else if pointer == "/done_at" && at.is_some_and(|at| at > now) {
                faults.push(Refusal::new("in_the_future", "must not be in the future").at(pointer));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { due_at: self.due_at.map(to_millisecond), done_at: self.done_at.map(to_millisecond), ..self })
    }

    /// Whether `other` says something else: title, content, format or tags.
    pub fn differs_in_text(&self, other: &Self) -> bool {
        (&self.title, &self.content, self.format, &self.tags)
            != (&other.title, &other.content, other.format, &other.tags)
    }
}

/// A note as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which one.
    pub id: NoteId,
    /// Whose: the id of a user, or the tenant's.
    pub owner: String,
    /// What its owner and writers set.
    pub draft: Draft,
    /// 1 when made, one more with each change.
    pub version: i64,
    /// When it was made, to the millisecond.
    pub created_at: Timestamp,
    /// By whom: the subject of the principal.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// When it was put into the bin.
    pub deleted_at: Option<Timestamp>,
}

impl Note {
    /// A new note of `actor`'s. The draft was checked.
    pub fn new(draft: Draft, actor: &Actor, now: Timestamp, random: &Random) -> Self {
        let at = to_millisecond(now);
        Self {
            id: NoteId::new(now, random),
            owner: actor.id.clone(),
            draft,
            version: 1,
            created_at: at,
            created_by: actor.subject.clone(),
            updated_at: at,
            updated_by: actor.subject.clone(),
            deleted_at: None,
        }
    }

    /// The next version, with another draft, which was checked.
    pub fn changed(&self, draft: Draft, actor: &Actor, now: Timestamp) -> Self {
        Self {
            draft,
            version: self.version + 1,
            // A clock that runs behind another instance's must not turn the order of changes round.
            updated_at: to_millisecond(now).max(self.updated_at),
            updated_by: actor.subject.clone(),
            ..self.clone()
        }
    }

    /// The time at which to remind of it: when it is due, if that was to come as it was last changed, and it is neither done
    /// nor in the bin.
    pub fn reminder(&self) -> Option<Timestamp> {
        let is_open = self.draft.done_at.is_none() && self.deleted_at.is_none();
        self.draft.due_at.filter(|due_at| is_open && *due_at > self.updated_at)
    }

    /// The next version, in the bin since `now`.
    pub fn deleted(&self, actor: &Actor, now: Timestamp) -> Self {
        Self { deleted_at: Some(to_millisecond(now)), ..self.changed(self.draft.clone(), actor, now) }
    }

    /// The next version, out of the bin again.
    pub fn restored(&self, actor: &Actor, now: Timestamp) -> Self {
        Self { deleted_at: None, ..self.changed(self.draft.clone(), actor, now) }
    }
}

/// What a note said in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The version that the change made.
    pub version: i64,
    /// What it was called.
    pub title: Title,
    /// What it said.
    pub content: Content,
    /// How that was written.
    pub format: Format,
    /// Its tags.
    pub tags: Tags,
    /// When it was changed to this.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn draft(json: &str) -> Draft {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn times_are_in_their_range_and_nothing_is_done_in_the_future() {
        let now: Timestamp = "2026-05-04T09:30:00Z".parse().unwrap();
        let codes = |json: &str| match draft(json).checked(now) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| (fault.pointer, fault.refusal.code)).collect(),
        };
        assert!(
            codes(r#"{"title": "a", "due_at": "9999-12-30T00:00:00Z", "done_at": "2026-05-04T09:30:00Z"}"#).is_empty()
        );
        assert_eq!(
            codes(r#"{"title": "a", "due_at": "-000001-01-01T00:00:00Z", "done_at": "2026-05-04T09:30:01Z"}"#),
            [("/due_at", "out_of_range"), ("/done_at", "in_the_future")]
        );
        let checked = draft(r#"{"title": "a", "due_at": "2026-05-04T09:30:00.123456Z"}"#).checked(now).unwrap();
        assert_eq!(checked.due_at.unwrap().to_string(), "2026-05-04T09:30:00.123Z");
    }

    #[test]
    fn a_revision_is_for_what_the_note_says() {
        let before = draft(r#"{"title": "a"}"#);
        assert!(!before.differs_in_text(&draft(r#"{"title": "a", "pinned": true, "archived": true}"#)));
        for after in [r#"{"title": "b"}"#, r#"{"title": "a", "format": "text"}"#, r#"{"title": "a", "tags": ["x"]}"#] {
            assert!(before.differs_in_text(&draft(after)), "{after}");
        }
    }

    #[test]
    fn a_reminder_comes_of_what_is_to_be_done_later() {
        let random = Random::seeded(1);
        let now: Timestamp = "2026-05-04T09:30:00Z".parse().unwrap();
        let tenant = TenantId::new(now, &random);
        let actor = Actor { tenant, id: tenant.to_string(), subject: "key_1".to_owned() };
        let note = |json: &str| Note::new(draft(json), &actor, now, &random);
        let open = note(r#"{"title": "a", "due_at": "2026-05-04T09:30:00.001Z"}"#);
        assert_eq!(open.reminder(), open.draft.due_at);
        assert_eq!(open.deleted(&actor, now).reminder(), None);
        for none in [
            r#"{"title": "a"}"#,
            r#"{"title": "a", "due_at": "2026-05-04T09:30:00Z"}"#,
            r#"{"title": "a", "due_at": "2026-06-01T00:00:00Z", "done_at": "2026-05-04T00:00:00Z"}"#,
        ] {
            assert_eq!(note(none).reminder(), None, "{none}");
        }
    }

    #[test]
    fn a_clock_that_runs_behind_does_not_turn_the_order_of_changes_round() {
        let random = Random::seeded(1);
        let now: Timestamp = "2026-05-04T09:30:00Z".parse().unwrap();
        let tenant = TenantId::new(now, &random);
        let actor = Actor { tenant, id: tenant.to_string(), subject: "key_1".to_owned() };
        let note = Note::new(draft(r#"{"title": "a"}"#), &actor, now, &random);
        let deleted = note.deleted(&actor, Timestamp::UNIX_EPOCH);
        assert_eq!((deleted.version, deleted.updated_at), (2, now));
        assert_eq!(deleted.restored(&actor, now).deleted_at, None);
    }
}
