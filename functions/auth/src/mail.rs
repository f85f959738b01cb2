//! Mail: what is asked for ([`task`]), who writes it ([`worker`]: `auth.mail`) and what is written ([`templates`]).
//!
//! A [`Message`](templates::Message) is rendered to a subject, HTML and text; with a recipient and an id this makes a
//! [`Mail`](shared::mail::Mail), which a [`Transport`](shared::mail::Transport) sends.

mod sanitize;
pub mod task;
pub mod templates;
pub mod worker;
