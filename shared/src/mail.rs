//! Mail: what is sent ([`Mail`]), how it stands on the wire, and how it leaves ([`Transport`]): by SMTP (Amazon SES speaks
//! it, as every provider does), or into a folder as an `.eml` file, which any mail program opens. The local stack writes
//! into a folder.
//!
//! Whatever is in a mail, none of it becomes a header or a recipient that its fields do not name.

mod line;
mod mime;
mod transport;

pub use line::one_line;
pub use mime::{InvalidMessageId, LONGEST_SUBJECT, Mail, MessageId, Recipient, is_address};
pub use transport::{InvalidTransport, SendError, Transport};
