//! The operations of a bulk request, done in memory on notes that are locked, so that they are written in as many
//! statements as one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::http::{FieldError, MergePatch, Problem, ProblemType};
use shared::random::Random;
use shared::refusal::{Fault, Refusal};
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::note::{Access, Actor, Draft, Note, NoteId};
use crate::store::Held;
use crate::text::Tags;

/// The most bytes of contents that one request writes: each has its text prepared for searches, within the time of one
/// request.
const MOST_WRITTEN_BYTES: usize = 4 * 1024 * 1024;

/// One thing to do. Which members it has depends on `op`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoteOperation)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// The note of all but `create`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub id: Option<NoteId>,
    /// The version that the note must have, of all but `create`. It is needed where the tenant's settings demand that
    /// each change names its version.
    #[serde(default)]
    pub if_version: Option<i64>,
    /// The note of `create`.
    #[serde(default)]
    pub note: Option<Draft>,
    /// The merge patch of `update`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub patch: Option<MergePatch>,
    /// The tags that `tag` adds.
    #[serde(default)]
    pub add: Option<Tags>,
    /// The tags that `tag` takes away.
    #[serde(default)]
    pub remove: Option<Tags>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NoteOperationKind)]
pub enum Op {
    /// Makes a note.
    Create,
    /// Edits one.
    Update,
    /// Deletes one.
    Delete,
    /// Adds tags to one and takes others away.
    Tag,
}

/// What one operation did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteOperationResult)]
pub struct BulkResult {
    /// What was done.
    pub op: Op,
    /// To which note.
    #[schema(value_type = String)]
    pub id: NoteId,
    /// The version that it has since.
    pub version: i64,
}

/// Operations under way.
#[derive(Debug)]
pub struct Batch<'a> {
    actor: &'a Actor,
    now: Timestamp,
    random: &'a Random,
    /// Those that were found, and whether they were changed.
    held: BTreeMap<NoteId, (Held, bool)>,
    /// The notes that are made.
    pub made: Vec<Note>,
    /// What is to be written down among the revisions.
    pub revisions: Vec<Note>,
    /// The bytes of contents that are to be written.
    written: usize,
}

impl<'a> Batch<'a> {
    /// A batch of `actor`'s on `held`, the notes that its operations name, as far as there are any.
    pub fn new(actor: &'a Actor, now: Timestamp, random: &'a Random, held: Vec<Held>) -> Self {
        let held = held.into_iter().map(|held| (held.note.id, (held, false))).collect();
        Self { actor, now, random, held, made: Vec::new(), revisions: Vec::new(), written: 0 }
    }

    /// The notes that were changed, as they are at the end.
    pub fn changed(&self) -> Vec<Note> {
        self.held.values().filter(|(_, changed)| *changed).map(|(held, _)| held.note.clone()).collect()
    }

    /// Does all operations.
    ///
    /// # Errors
    /// 422 with an entry for each that cannot be done.
    pub fn run(&mut self, operations: &[Operation]) -> Result<Vec<BulkResult>, Problem> {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for (index, operation) in operations.iter().enumerate() {
            match self.one(operation) {
                Ok(note) => results.push(BulkResult { op: operation.op, id: note.id, version: note.version }),
                Err(problem) if problem.kind() == ProblemType::Validation => {
                    errors.extend_from_slice(problem.below(&format!("/operations/{index}")).errors());
                }
                Err(problem) => return Err(problem),
            }
        }
        if errors.is_empty() { Ok(results) } else { Err(Problem::validation(errors)) }
    }

    fn one(&mut self, operation: &Operation) -> Result<Note, Problem> {
        check_members(operation)?;
        match operation.op {
            Op::Create => {
                let draft = operation.note.clone().ok_or_else(|| missing("/note"))?;
                let draft = draft.checked(self.now).map_err(|faults| Problem::from(faults).below("/note"))?;
                let note = Note::new(draft, self.actor, self.now, self.random);
                self.count(&note)?;
                self.made.push(note.clone());
                self.revisions.push(note.clone());
                Ok(note)
            }
            Op::Update => {
                let patch = operation.patch.as_ref().ok_or_else(|| missing("/patch"))?;
                let now = self.now;
                self.edit(operation, |draft| {
                    let edited: Draft = patch.apply(draft).map_err(|problem| problem.below("/patch"))?;
                    edited.checked(now).map_err(|faults| Problem::from(faults).below("/patch"))
                })
            }
            Op::Tag => {
                let (none, add, remove) = (Tags::default(), operation.add.as_ref(), operation.remove.as_ref());
                if add.or(remove).is_none() {
                    return Err(missing("/add"));
                }
                self.edit(operation, |draft| {
                    let tags = draft.tags.edited(add.unwrap_or(&none), remove.unwrap_or(&none));
                    Ok(Draft { tags: tags.map_err(|refusal| refusal.at("/add"))?, ..draft.clone() })
                })
            }
            Op::Delete => {
                let (actor, now) = (self.actor, self.now);
                let (held, changed) = self.find(operation, Access::Owner)?;
                held.note = held.note.deleted(actor, now);
                *changed = true;
                let note = held.note.clone();
                self.count(&note)?;
                Ok(note)
            }
        }
    }

    fn edit(
        &mut self,
        operation: &Operation,
        edit: impl FnOnce(&Draft) -> Result<Draft, Problem>,
    ) -> Result<Note, Problem> {
        let (actor, now) = (self.actor, self.now);
        let (held, changed) = self.find(operation, Access::Write)?;
        let draft = edit(&held.note.draft)?;
        if draft == held.note.draft {
            return Ok(held.note.clone());
        }
        let note = held.note.changed(draft, actor, now);
        let is_revision = note.draft.differs_in_text(&held.note.draft);
        held.note = note.clone();
        *changed = true;
        if is_revision {
            self.revisions.push(note.clone());
        }
        self.count(&note)?;
        Ok(note)
    }

    /// Counts what is written of a note that was changed.
    fn count(&mut self, note: &Note) -> Result<(), Problem> {
        self.written += note.draft.content.as_str().len();
        if self.written > MOST_WRITTEN_BYTES {
            let detail =
                "the notes that one request changes may have 4 MiB of content: do this and the rest in another";
            return Err(refusal("", "too_large", detail));
        }
        Ok(())
    }

    /// The note that an operation is about, when so much may be done with it and it has the version that is asked for.
    fn find(&mut self, operation: &Operation, needed: Access) -> Result<&mut (Held, bool), Problem> {
        let id = operation.id.ok_or_else(|| missing("/id"))?;
        let entry = self.held.get_mut(&id).filter(|(held, _)| held.note.deleted_at.is_none());
        let entry = entry.ok_or_else(|| refusal("/id", "not_found", "there is no such note"))?;
        if entry.0.check(needed).is_err() {
            return Err(refusal("/id", "forbidden", "the caller may not do this with the note"));
        }
        match operation.if_version {
            Some(version) if version != entry.0.note.version => {
                let detail = format!("the present version is {}", entry.0.note.version);
                Err(refusal("/if_version", "version_mismatch", detail))
            }
            None if entry.0.version_required => {
                Err(refusal("/if_version", "precondition_required", "the tenant wants the version of what is changed"))
            }
            _ => Ok(entry),
        }
    }
}

/// Refuses members that the operation does not have.
fn check_members(operation: &Operation) -> Result<(), Problem> {
    let is_create = operation.op == Op::Create;
    let faults: Vec<_> = [
        ("/id", operation.id.is_some(), !is_create),
        ("/if_version", operation.if_version.is_some(), !is_create),
        ("/note", operation.note.is_some(), is_create),
        ("/patch", operation.patch.is_some(), operation.op == Op::Update),
        ("/add", operation.add.is_some(), operation.op == Op::Tag),
        ("/remove", operation.remove.is_some(), operation.op == Op::Tag),
    ]
    .into_iter()
    .filter(|(_, given, fitting)| *given && !fitting)
    .map(|(pointer, ..)| fault(pointer, "not_for_this_op", "does not go with this op"))
    .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.into()) }
}

fn fault(pointer: &'static str, code: &'static str, detail: &'static str) -> Fault {
    Refusal::new(code, detail).at(pointer)
}

fn missing(pointer: &'static str) -> Problem {
    fault(pointer, "missing_field", "is required").into()
}

fn refusal(pointer: &'static str, code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::validation(vec![FieldError::new(pointer, code, detail)])
}
