//! A mail and its form on the wire: the headers of RFC 5322, text beside HTML (RFC 2046, section 5.1.4), and what is
//! not ASCII encoded as RFC 2047 and 2045 say.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::line::one_line;
use crate::id::{Id, Kind};
use crate::time::Timestamp;

/// The most characters of a subject or a recipient's name; what is longer is cut.
pub const LONGEST_SUBJECT: usize = 200;

/// One mail.
///
/// Every mail is marked as sent by a program (`Auto-Submitted: auto-generated`, RFC 3834), so that no absence notice
/// answers it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Which mail this is: the same one when a mail is sent again, so that a duplicate is recognised.
    pub message_id: MessageId,
    /// When it was written.
    pub date: Timestamp,
    /// Who gets it. They see one another.
    pub to: Vec<Recipient>,
    /// The address that an answer goes to, when it is not the sender's.
    pub reply_to: Option<String>,
    /// The subject.
    pub subject: String,
    /// The content as HTML.
    pub html: Option<String>,
    /// The same content as text.
    pub text: String,
}

/// Somebody who gets a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// What the recipient is called. Leave it out while the address is not verified: anybody may have chosen it.
    pub name: Option<String>,
}

/// Shows nothing: an address is personal.
impl fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Recipient").finish_non_exhaustive()
    }
}

/// Whether a text can be the address of a recipient.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

/// Shows no address and no content, which may hold a one-time link.
impl fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mail")
            .field("message_id", &self.message_id)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}

/// What is unique in a `Message-ID`: 1 to 128 ASCII letters, digits, `_` and `-`. It is safe in a header and as the name
/// of a file. The part after the `@` is the domain of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId(String);

impl MessageId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<K: Kind> From<Id<K>> for MessageId {
    fn from(id: Id<K>) -> Self {
        Self(id.to_string())
    }
}

/// A text cannot be the id of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to 128 ASCII letters, digits, underscores and hyphens")]
pub struct InvalidMessageId;

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(allowed);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidMessageId) }
    }
}

/// A mail cannot be written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum MimeError {
    /// The address of a recipient, or for answers, is none.
    #[error("the recipient's address is not valid")]
    Recipient(#[source] lettre::address::AddressError),
    /// The parts do not make a mail.
    #[error("the mail is not valid")]
    Mail(#[from] lettre::error::Error),
}

/// The mail with its headers and its envelope.
pub(super) fn message(mail: &Mail, from: &Mailbox) -> Result<Message, MimeError> {
    let address = |text: &str| text.parse().map_err(MimeError::Recipient);
    let message_id = format!("<{}@{}>", mail.message_id.as_str(), from.email.domain());
    let auto_submitted = HeaderName::new_from_ascii_str("Auto-Submitted");
    let mut message = Message::builder()
        .message_id(Some(message_id))
        // lettre panics at a date before 1970.
        .date(SystemTime::from(mail.date.max(Timestamp::UNIX_EPOCH)))
        .from(from.clone())
        .subject(header_text(&mail.subject))
        .raw_header(HeaderValue::new(auto_submitted, "auto-generated".to_owned()));
    for recipient in &mail.to {
        let name = recipient.name.as_deref().map(header_text).filter(|name| !name.is_empty());
        message = message.to(Mailbox::new(name, address(&recipient.address)?));
    }
    if let Some(reply_to) = &mail.reply_to {
        message = message.reply_to(Mailbox::new(None, address(reply_to)?));
    }
    let text = mail.text.clone();
    Ok(match &mail.html {
        Some(html) => message.multipart(MultiPart::alternative_plain_html(text, html.clone()))?,
        None => message.singlepart(SinglePart::plain(text))?,
    })
}

/// A text for a header: one line, and none of its words an encoded one (RFC 2047) that a mail program would decode to
/// what was taken out here.
fn header_text(text: &str) -> String {
    one_line(text, LONGEST_SUBJECT).replace("=?", "= ?")
}

#[cfg(test)]
#[path = "mime_tests.rs"]
pub(super) mod tests;
