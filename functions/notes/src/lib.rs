//! Notes: texts with tags, which are to-dos when they are due, with a history that everything can be restored from,
//! shared with users of the tenant. They are kept in Postgres.
//!
//! | module | what it is about |
//! |---|---|
//! | [`note`] | the record of a note, and who may do what with it |
//! | [`text`] | its texts; what exists is valid |
//! | [`diff`] | what changed between two revisions |
//! | [`batch`] | many changes at once |
//! | [`store`] | the tables |
//! | [`api`], [`view`] | `notes.api`: the endpoints under `/v2/notes`, and a note as they show it |
//! | [`users`] | `notes.users`: keeps the copy of identity's users, from a queue of events |
//! | [`purge`] | `notes.purge`: drops for good what was deleted thirty days ago |

pub mod api;
pub mod app;
pub mod batch;
pub mod diff;
pub mod note;
pub mod purge;
pub mod store;
pub mod text;
pub mod users;
pub mod view;

use shared::lambda::Service;

/// The functions of this service.
pub static SERVICE: Service = Service {
    name: "notes",
    functions: &[("notes.api", api::function), ("notes.users", users::function), ("notes.purge", purge::function)],
};
