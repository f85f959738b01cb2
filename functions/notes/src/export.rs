//! `notes.export`: what the export of a tenant has of notes. See [`shared::export`]. Inside a VPC it reaches no queue: see
//! [`QueueSettings::out_of_reach`]; and it writes to S3, which a gateway endpoint leads to.
//!
//! # Calls
//! A query for each 32 notes and each 32 revisions, and for each 200 shares.

use serde::Serialize;
use shared::events::export::{LeftOut, NOTES};
use shared::export::{Exporter, PartWriter, Source, Step};
use shared::id::TenantId;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::rfc3339_millis;
use shared::{BoxError, BoxFuture};

use crate::app::store;
use crate::note::Access;
use crate::store::NoteStore;
use crate::view::{NoteView, RevisionView, SettingsView, ShareView};

/// After what the next page of a step follows.
type Written = Result<Option<String>, BoxError>;

struct Notes {
    /// None where the deployment has no Postgres.
    notes: Option<NoteStore>,
}

/// A note as its owner sees it; one in the bin says since when.
#[derive(Serialize)]
struct NoteRecord {
    #[serde(flatten)]
    note: NoteView,
    deleted_at: Option<String>,
}

#[derive(Serialize)]
struct RevisionRecord<'a> {
    note_id: &'a str,
    #[serde(flatten)]
    revision: RevisionView,
}

#[derive(Serialize)]
struct ShareRecord<'a> {
    note_id: &'a str,
    #[serde(flatten)]
    share: ShareView,
}

/// One record, where the tenant has chosen something.
async fn settings(notes: &NoteStore, tenant: &TenantId, files: &mut PartWriter) -> Written {
    let settings = notes.settings_of(tenant).await?;
    if settings.version > 0 {
        files.write("note_settings", &SettingsView::from(settings)).await?;
    }
    Ok(None)
}

async fn notes(notes: &NoteStore, tenant: &TenantId, after: Option<String>, files: &mut PartWriter) -> Written {
    let page = notes.all_notes(tenant, &after.unwrap_or_default()).await?;
    let next = page.last().map(|last| last.id.to_string());
    for note in page {
        let deleted_at = note.deleted_at.map(rfc3339_millis);
        files.write("notes", &NoteRecord { note: NoteView::of(note, Access::Owner), deleted_at }).await?;
    }
    Ok(next)
}

async fn revisions(notes: &NoteStore, tenant: &TenantId, after: Option<String>, files: &mut PartWriter) -> Written {
    let after: (String, i64) = after.map_or_else(|| Ok(Default::default()), |after| serde_json::from_str(&after))?;
    let page = notes.all_revisions(tenant, (&after.0, after.1)).await?;
    let next =
        page.last().map(|(note_id, revision)| serde_json::to_string(&(note_id, revision.version))).transpose()?;
    for (note_id, revision) in page {
        files.write("note_revisions", &RevisionRecord { note_id: &note_id, revision: revision.into() }).await?;
    }
    Ok(next)
}

async fn shares(notes: &NoteStore, tenant: &TenantId, after: Option<String>, files: &mut PartWriter) -> Written {
    let after: (String, String) = after.map_or_else(|| Ok(Default::default()), |after| serde_json::from_str(&after))?;
    let page = notes.all_shares(tenant, (&after.0, &after.1)).await?;
    let next = page.last().map(|(note_id, share)| serde_json::to_string(&(note_id, &share.user))).transpose()?;
    for (note_id, share) in page {
        files.write("note_shares", &ShareRecord { note_id: &note_id, share: share.into() }).await?;
    }
    Ok(next)
}

impl Source for Notes {
    const PART: &'static str = NOTES;

    fn steps(&self) -> &'static [Step] {
        match self.notes {
            Some(_) => &[
                Step { name: "notes", files: &["notes"] },
                Step { name: "note_revisions", files: &["note_revisions"] },
                Step { name: "note_shares", files: &["note_shares"] },
                Step { name: "note_settings", files: &["note_settings"] },
            ],
            None => &[],
        }
    }

    async fn page(
        &self,
        tenant: &TenantId,
        step: &'static str,
        after: Option<String>,
        files: &mut PartWriter,
    ) -> Result<Option<String>, BoxError> {
        let Some(store) = &self.notes else { return Ok(None) };
        match step {
            "notes" => notes(store, tenant, after, files).await,
            "note_revisions" => revisions(store, tenant, after, files).await,
            "note_shares" => shares(store, tenant, after, files).await,
            _ => settings(store, tenant, files).await,
        }
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let why = "this deployment has no Postgres, so that there are none".to_owned();
        let none = LeftOut { what: "notes".to_owned(), why };
        if self.notes.is_none() { vec![none] } else { Vec::new() }
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let notes = Notes { notes: store(&runtime)? };
        let exporter = Exporter::new(&runtime, notes)?;
        Ok(Function::queue(&runtime, QueueSettings::out_of_reach(), exporter))
    })
}
