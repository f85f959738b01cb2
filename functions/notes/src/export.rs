//! `notes.export`: what the export of a tenant has of notes. See [`shared::export`]. Inside a VPC it reaches no queue: see
//! [`QueueSettings::out_of_reach`]; and it writes to S3, which a gateway endpoint leads to.
//!
//! # Calls
//! A query for each 32 notes and each 32 revisions, and for each 200 shares.

use serde::Serialize;
use shared::events::export::NOTES;
use shared::export::{Exporter, PartWriter, Source};
use shared::id::TenantId;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::rfc3339_millis;
use shared::{BoxError, BoxFuture};

use crate::app::store;
use crate::note::Access;
use crate::store::NoteStore;
use crate::view::{NoteView, RevisionView, SettingsView, ShareView};

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
async fn write_settings(notes: &NoteStore, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
    let (mut file, settings) = (part.file("note_settings"), notes.settings_of(tenant).await?);
    if settings.version > 0 {
        file.write(&SettingsView::from(settings)).await?;
    }
    Ok(part.keep(file).await?)
}

async fn write_notes(notes: &NoteStore, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
    let (mut file, mut after) = (part.file("notes"), String::new());
    loop {
        let page = notes.all_notes(tenant, &after).await?;
        let Some(last) = page.last() else { break };
        after = last.id.to_string();
        for note in page {
            let deleted_at = note.deleted_at.map(rfc3339_millis);
            file.write(&NoteRecord { note: NoteView::of(note, Access::Owner), deleted_at }).await?;
        }
    }
    Ok(part.keep(file).await?)
}

async fn write_revisions(notes: &NoteStore, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
    let (mut file, mut after) = (part.file("note_revisions"), (String::new(), 0));
    loop {
        let page = notes.all_revisions(tenant, (&after.0, after.1)).await?;
        let Some((note_id, revision)) = page.last() else { break };
        after = (note_id.clone(), revision.version);
        for (note_id, revision) in page {
            file.write(&RevisionRecord { note_id: &note_id, revision: revision.into() }).await?;
        }
    }
    Ok(part.keep(file).await?)
}

async fn write_shares(notes: &NoteStore, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
    let (mut file, mut after) = (part.file("note_shares"), (String::new(), String::new()));
    loop {
        let page = notes.all_shares(tenant, (&after.0, &after.1)).await?;
        let Some((note_id, share)) = page.last() else { break };
        after = (note_id.clone(), share.user.clone());
        for (note_id, share) in page {
            file.write(&ShareRecord { note_id: &note_id, share: share.into() }).await?;
        }
    }
    Ok(part.keep(file).await?)
}

impl Source for Notes {
    const PART: &'static str = NOTES;

    async fn write(&self, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
        let Some(notes) = &self.notes else {
            part.leave_out("notes", "this deployment has no Postgres, so that there are none");
            return Ok(());
        };
        write_notes(notes, tenant, part).await?;
        write_revisions(notes, tenant, part).await?;
        write_shares(notes, tenant, part).await?;
        write_settings(notes, tenant, part).await
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let notes = Notes { notes: store(&runtime)? };
        let exporter = Exporter::new(&runtime, notes)?;
        Ok(Function::queue(&runtime, QueueSettings::out_of_reach(), exporter))
    })
}
