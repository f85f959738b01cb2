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
//! | [`telling`], [`hand_over`] | what is told of notes, and its way out of the VPC |
//! | [`outbox`] | `notes.outbox`: hands over what was left behind |
//! | [`reminders`] | `notes.reminders`: tells that a note is due |
//! | [`purge`] | `notes.purge`: drops for good what was deleted thirty days ago |
//! | [`export`] | `notes.export`: what the export of a tenant has of notes |

pub mod api;
pub mod app;
pub mod batch;
pub mod diff;
pub mod export;
pub mod hand_over;
pub mod note;
pub mod outbox;
pub mod purge;
pub mod reminders;
pub mod store;
pub mod telling;
pub mod text;
pub mod users;
pub mod view;

use shared::lambda::Service;

/// The functions of this service.
pub static SERVICE: Service = Service {
    name: "notes",
    functions: &[
        ("notes.api", api::function),
        ("notes.users", users::function),
        ("notes.export", export::function),
        ("notes.outbox", outbox::function),
        ("notes.purge", purge::function),
        ("notes.reminders", reminders::function),
    ],
};
