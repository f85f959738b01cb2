//! How a mail leaves: by SMTP, or into a folder.

mod folder;
mod smtp;

use std::sync::Arc;

use lettre::message::Mailbox;
use url::Url;

use self::folder::Folder;
use self::smtp::Smtp;
use super::mime::{self, Mail};
use crate::config::Secret;
use crate::{BoxError, BoxFuture};

/// What sends mails from one sender. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Transport {
    from: Mailbox,
    route: Arc<Route>,
}

#[derive(Debug)]
enum Route {
    Smtp(Box<Smtp>),
    Folder(Folder),
}

/// The settings make no transport. The message shows none of their values, as they hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransport {
    /// The URL.
    #[error(
        "the mail URL {0}; it is smtps://user:password@host:465, smtp://user:password@host:587 or \
        file:///absolute/folder with reserved characters percent-encoded"
    )]
    Url(&'static str),
    /// The sender.
    #[error("the sender of mail is neither an address nor a name and an address: Name <name@example.com>")]
    From,
}

/// A mail was not sent.
///
/// Neither the message nor its causes repeat the recipient's address.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It would fail again: the server answered 5xx to it, for one recipient at least, who keeps it from
    /// the others; or an address is none.
    #[error("the mail cannot be delivered")]
    Permanent(#[source] BoxError),
    /// It may succeed later: no connection, no answer in time, an answer of 4xx, a refusal of our credentials.
    #[error("the mail could not be sent now")]
    Transient(#[source] BoxError),
}

impl SendError {
    /// Whether sending the same mail again can succeed.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

impl Transport {
    /// Builds the transport that `url` names; nothing is connected or created yet. `from` is the sender of every mail:
    /// `Tenfold <no-reply@example.com>`.
    ///
    /// | URL | sends |
    /// |---|---|
    /// | `smtps://user:password@host:465` | by SMTP over TLS: the better choice (RFC 8314, section 3) |
    /// | `smtp://user:password@host:587` | by SMTP after STARTTLS, without which nothing is sent; in clear to a loopback host |
    /// | `file:///absolute/folder` | into the folder, one `.eml` file for each mail |
    ///
    /// The ports are the defaults. User and password may be left out together.
    pub fn from_url(url: &Secret, from: &str) -> Result<Self, InvalidTransport> {
        let from: Mailbox = from.parse().map_err(|_| InvalidTransport::From)?;
        let parsed = Url::parse(url.expose()).map_err(|_| InvalidTransport::Url("is no URL"))?;
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(InvalidTransport::Url("has a query or a fragment"));
        }
        let route = match parsed.scheme() {
            "smtp" | "smtps" => Route::Smtp(Box::new(Smtp::from_url(&parsed, from.email.domain())?)),
            // `file:folder` would be read as a folder of the root.
            "file" if url.expose().starts_with("file:///") => Route::Folder(Folder::from_url(&parsed)?),
            _ => return Err(InvalidTransport::Url("has another scheme")),
        };
        Ok(Self { from, route: Arc::new(route) })
    }

    /// Sends a mail within 15 seconds. A mail whose answer was lost may have been sent: the repeated one has the same
    /// `Message-ID`.
    pub fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let message = mime::message(mail, &self.from).map_err(|error| SendError::Permanent(error.into()))?;
            match &*self.route {
                Route::Smtp(smtp) => smtp.send(message.envelope(), &message.formatted()).await,
                Route::Folder(folder) => folder.write(mail, message.formatted()).await,
            }
        })
    }
}

#[cfg(test)]
#[path = "transport/tests.rs"]
mod tests;
