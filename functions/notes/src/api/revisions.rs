//! `/v2/notes/{id}/revisions`: what a note was before. A hundred revisions are kept.

pub mod diff;
pub mod get;
pub mod list;
pub mod restore;
