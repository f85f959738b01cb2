//! Mail: what is asked for ([`task`]), who writes it ([`worker`]: `auth.mail`), what is written ([`templates`]), how it
//! stands on the wire ([`mime`]) and how it leaves ([`transport`]).
//!
//! A [`Message`](templates::Message) is rendered to a subject, HTML and text; with a recipient and an id this makes a
//! [`Mail`], which a [`Transport`] sends by SMTP or writes into a folder.

pub mod mime;
mod sanitize;
pub mod task;
pub mod templates;
pub mod transport;
pub mod worker;

pub use mime::{Mail, MessageId};
pub use transport::{SendError, Transport};
