//! `/v2/notes/{id}/shares`: with whom a note is shared. Its owner shares it; each user may give up their own share.

pub mod delete;
pub mod get;
pub mod list;
pub mod put;
