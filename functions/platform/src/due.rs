//! The due index: messages that wait for their time.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `due#<shard>` | `<time>#<id>` | a message, as [`shared::queue::Sender::due_write`] writes it |
//! | `due#refused` | `<time>#<id>` | a message that its queue refused for good, with `reason` and `refused_at` |
//!
//! A refused message stays until an operator removes it, or puts it back under the `pk` that its `refused_from` names.

use shared::dynamo::{AttributeValue, Delete, Dynamo, DynamoError, Item, Key, Lost, Put, Query, TransactWrite, s};
use shared::queue::SHARDS;
use shared::telemetry::{TRACEPARENT, TraceContext};
use shared::time::{Timestamp, rfc3339_millis};

/// The partition of messages that were refused for good.
pub const REFUSED: &str = "due#refused";

/// The most entries of one page. A page is also at most a megabyte.
const PAGE: usize = 250;

/// A message of the index.
#[derive(Clone, Debug, PartialEq)]
pub struct DueMessage {
    /// Its queue.
    pub queue_url: String,
    /// Its body.
    pub body: String,
    /// Its fairness group.
    pub group: String,
    /// When it is to arrive.
    pub due_at: Timestamp,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// The whole entry.
    pub entry: Item,
}

/// A page of what is due in a shard.
#[derive(Debug, Default)]
pub struct DuePage {
    /// The messages, earliest first.
    pub messages: Vec<DueMessage>,
    /// Entries that are no messages, each with what is wrong with it.
    pub malformed: Vec<(Item, String)>,
    /// Where the next page starts; none after the last.
    pub next: Option<Item>,
}

/// The index.
#[derive(Clone, Debug)]
pub struct DueIndex {
    dynamo: Dynamo,
    table: String,
}

impl DueIndex {
    /// The index in `table`.
    pub const fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// The shards: the first parts of the keys.
    pub fn shards() -> impl Iterator<Item = String> {
        (0..SHARDS).map(|shard| format!("due#{shard}"))
    }

    /// Reads a page of what is due in `shard` up to `until`, after the entry with the key `after`. The read is
    /// eventually consistent: what was written a moment ago is seen by the next one, in time.
    pub async fn due(&self, shard: &str, until: Timestamp, after: Option<Item>) -> Result<DuePage, DynamoError> {
        let query = Query::new(&self.table, "pk = :shard AND sk < :until")
            .value(":shard", s(shard))
            // `$` comes after `#`, so entries of that very millisecond are within.
            .value(":until", s(format!("{}$", rfc3339_millis(until))))
            .after(after)
            .limit(PAGE);
        let page = self.dynamo.query(query).await?;
        let mut due = DuePage { next: page.next, ..DuePage::default() };
        for item in page.items {
            match message(&item) {
                Ok(message) => due.messages.push(message),
                Err(fault) => due.malformed.push((item, fault)),
            }
        }
        Ok(due)
    }

    /// Removes a message that was sent. One that has been replaced since it was read stays, and so does one that
    /// another scheduler has removed.
    pub async fn remove(&self, message: &DueMessage) -> Result<(), DynamoError> {
        let delete = Delete::new(&self.table, key(&message.entry))
            .only_if("body = :body AND queue_url = :queue")
            .value(":body", s(&message.body))
            .value(":queue", s(&message.queue_url));
        match self.dynamo.delete(delete).await {
            Err(DynamoError::ConditionFailed { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    /// Moves an entry that can never be sent to [`REFUSED`].
    pub async fn set_aside(&self, entry: &Item, reason: &str, now: Timestamp) -> Result<(), Lost<()>> {
        let mut refused = entry.clone();
        let from = refused.insert("pk".to_owned(), s(REFUSED)).unwrap_or_else(|| s(""));
        refused.insert("refused_from".to_owned(), from);
        refused.insert("refused_at".to_owned(), s(rfc3339_millis(now)));
        refused.insert("reason".to_owned(), s(reason));
        let removal = Delete::new(&self.table, key(entry)).only_if("attribute_exists(pk)");
        let writes =
            vec![(TransactWrite::Put(Put::new(&self.table, refused)), ()), (TransactWrite::Delete(removal), ())];
        match self.dynamo.transact_or(writes).await {
            // Another scheduler was faster: the removal alone has a condition.
            Err(Lost::Condition((), _)) => Ok(()),
            outcome => outcome,
        }
    }
}

fn key(entry: &Item) -> Key {
    let part = |name| entry.get(name).cloned().unwrap_or_else(|| s(""));
    [("pk", part("pk")), ("sk", part("sk"))].into()
}

/// Reads an entry; the error says what is wrong with it.
fn message(entry: &Item) -> Result<DueMessage, String> {
    let text = |name: &str| match entry.get(name) {
        Some(AttributeValue::S(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(format!("{name} is not a text")),
    };
    let due_at = match entry.get("due_at") {
        Some(AttributeValue::N(number)) => number.parse().ok().and_then(|at| Timestamp::from_millisecond(at).ok()),
        _ => None,
    };
    Ok(DueMessage {
        queue_url: text("queue_url")?,
        body: text("body")?,
        group: text("group")?,
        due_at: due_at.ok_or("due_at is not a time in milliseconds")?,
        // No trace is no reason to keep a message back.
        trace: text(TRACEPARENT).ok().and_then(|trace| trace.parse().ok()),
        entry: entry.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use shared::aws::Aws;
    use shared::config::Environment;
    use shared::dynamo::n;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn entry() -> Item {
        [
            ("pk", s("due#3")),
            ("sk", s("1970-01-01T00:00:01.500Z#one")),
            ("due_at", n(1500)),
            ("queue_url", s("http://queue")),
            ("body", s("{}")),
            ("group", s("tenant_1")),
            ("id", s("one")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    #[test]
    fn an_entry_is_read_as_the_sender_wrote_it() {
        let message = message(&entry()).unwrap();
        assert_eq!(message.due_at.as_millisecond(), 1500);
        assert_eq!((message.queue_url.as_str(), message.group.as_str()), ("http://queue", "tenant_1"));
    }

    #[test]
    fn a_message_keeps_its_trace_and_goes_without_one() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (stored, read) in [(None, None), (Some(trace), trace.parse().ok()), (Some("garbage"), None)] {
            let mut entry = entry();
            entry.extend(stored.map(|stored| (TRACEPARENT.to_owned(), s(stored))));
            assert_eq!(message(&entry).unwrap().trace, read);
        }
    }

    #[test]
    fn a_malformed_entry_says_what_is_wrong() {
        for (name, bad) in [("due_at", s("soon")), ("due_at", n("9e99")), ("body", n(1)), ("queue_url", s(""))] {
            let mut entry = entry();
            entry.insert(name.to_owned(), bad);
            assert!(message(&entry).unwrap_err().starts_with(name));
            entry.remove(name);
            assert!(message(&entry).unwrap_err().starts_with(name));
        }
    }

    /// Answers the next call with a refusal of this body.
    async fn refuse(listener: &TcpListener, body: &str) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        loop {
            stream.read_buf(&mut read).await.unwrap();
            let text = String::from_utf8_lossy(&read).to_lowercase();
            let Some((head, sent)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if sent.len() >= length.parse().unwrap() {
                break;
            }
        }
        let head = format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {}", body.len());
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn only_what_another_scheduler_has_moved_is_as_good_as_set_aside() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &url),
        ];
        let environment: Environment =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let due = DueIndex::new(Dynamo::new(Aws::new(&environment).unwrap().dynamo), "due".to_owned());
        for (put, removal, is_done) in [
            ("None", "ConditionalCheckFailed", true),
            ("ValidationError", "None", false),
            ("ItemCollectionSizeLimitExceeded", "None", false),
        ] {
            let reasons = [put, removal].map(|code| json!({ "Code": code }));
            let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "cancelled", "CancellationReasons": reasons})
            .to_string();
            let entry = entry();
            let moved = due.set_aside(&entry, "it is refused", Timestamp::UNIX_EPOCH);
            let (moved, ()) = tokio::join!(moved, refuse(&listener, &body));
            assert_eq!(moved.is_ok(), is_done, "{put}, {removal}: {moved:?}");
            if let Err(error) = moved {
                assert!(matches!(error, Lost::Dynamo(DynamoError::Cancelled { .. })), "{error:?}");
            }
        }
    }
}
