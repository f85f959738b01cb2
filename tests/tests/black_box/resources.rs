//! What a test makes for itself on the AWS endpoint, so that the stack's own functions do not touch it: a queue, a due
//! index, a subscription to the events of its tenant; and the events that Lambda makes of messages and records.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::id::TenantId;
use shared::random::Random;
use tests::{eventually, stack};

/// The stack's AWS.
pub(crate) fn aws() -> Aws {
    Aws::new(&stack().environment("links.api").unwrap()).unwrap()
}

/// A name that nothing else has.
pub(crate) fn name(kind: &str) -> String {
    format!("{kind}-{}", Random::system().text(b"abcdefghijklmnopqrstuvwxyz", 12))
}

/// A queue that only its test reads.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    aws: Aws,
    pub(crate) url: String,
}

impl Queue {
    pub(crate) async fn new() -> Self {
        Self::with_visibility(30).await
    }

    pub(crate) async fn with_visibility(seconds: u32) -> Self {
        let aws = aws();
        let made = aws
            .sqs
            .create_queue()
            .queue_name(name("test"))
            .attributes(QueueAttributeName::VisibilityTimeout, seconds.to_string())
            // Topics may send to it.
            .attributes(
                QueueAttributeName::Policy,
                json!({"Version": "2012-10-17", "Statement": {
                    "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*",
                }})
                .to_string(),
            )
            .send()
            .await
            .unwrap();
        Self { url: made.queue_url.unwrap(), aws }
    }

    pub(crate) async fn attribute(&self, name: QueueAttributeName) -> String {
        let asked = self.aws.sqs.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        asked.send().await.unwrap().attributes.unwrap().remove(&name).unwrap()
    }

    pub(crate) async fn send(&self, body: &str) {
        self.aws.sqs.send_message().queue_url(&self.url).message_body(body).send().await.unwrap();
    }

    pub(crate) async fn delete(&self) {
        self.aws.sqs.delete_queue().queue_url(&self.url).send().await.unwrap();
    }

    /// Receives what is there now, without deleting it.
    pub(crate) async fn receive(&self) -> Vec<Message> {
        let received = self
            .aws
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        received.messages.unwrap_or_default()
    }

    /// Receives what is there now, and deletes it.
    pub(crate) async fn take(&self) -> Vec<Message> {
        let messages = self.receive().await;
        for message in &messages {
            let handle = message.receipt_handle().unwrap();
            self.aws.sqs.delete_message().queue_url(&self.url).receipt_handle(handle).send().await.unwrap();
        }
        messages
    }

    /// Takes all that is visible now.
    pub(crate) async fn drain(&self) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let some = self.take().await;
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    /// Waits for so many messages, and takes them.
    pub(crate) async fn await_messages(&self, count: usize) -> Vec<Message> {
        let all = std::sync::Mutex::new(Vec::new());
        eventually("messages to arrive", || async {
            let some = self.take().await;
            let mut all = all.lock().unwrap();
            all.extend(some);
            (all.len() >= count).then_some(())
        })
        .await;
        all.into_inner().unwrap()
    }
}

/// The text of an attribute of a message.
pub(crate) fn attribute<'a>(message: &'a Message, name: &str) -> &'a str {
    message
        .message_attributes()
        .and_then(|all| all.get(name))
        .and_then(|value| value.string_value())
        .unwrap_or_default()
}

/// A due index that the stack's scheduler does not know: the table's name.
pub(crate) async fn due_table() -> String {
    table("due", &["pk", "sk"]).await
}

/// A new table whose keys are texts, the partition's first: its name.
pub(crate) async fn table(kind: &str, keys: &[&str]) -> String {
    let table = name(kind);
    let mut create = aws().dynamo.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*key).attribute_type(ScalarAttributeType::S);
        create = create
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(KeySchemaElement::builder().attribute_name(*key).key_type(kind).build().unwrap());
    }
    let created = create.send().await.unwrap().table_description.unwrap();
    assert_eq!(created.table_status(), Some(&TableStatus::Active));
    table
}

/// The items of a small table.
pub(crate) async fn items(table: &str) -> Vec<shared::dynamo::Item> {
    let mut all = Vec::new();
    let mut start = None;
    loop {
        let page = aws().dynamo.scan().table_name(table).consistent_read(true).set_exclusive_start_key(start).send();
        let page = page.await.unwrap();
        all.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() {
            return all;
        }
    }
}

/// A subscriber to the events of one tenant.
#[derive(Debug)]
pub(crate) struct Subscriber {
    queue: Queue,
    /// By id: an event may come twice.
    pub(crate) events: BTreeMap<String, Value>,
}

impl Subscriber {
    pub(crate) async fn of(tenant: &TenantId) -> Self {
        let queue = Queue::new().await;
        let arn = queue.attribute(QueueAttributeName::QueueArn).await;
        let topic = stack().environment("platform.relay").unwrap().get("EVENTS_TOPIC_ARN").unwrap().to_owned();
        aws()
            .sns
            .subscribe()
            .topic_arn(topic)
            .protocol("sqs")
            .endpoint(arn)
            .attributes("RawMessageDelivery", "true")
            .attributes("FilterPolicy", json!({"tenant": [tenant.to_string()]}).to_string())
            .return_subscription_arn(true)
            .send()
            .await
            .unwrap();
        Self { queue, events: BTreeMap::new() }
    }

    /// Takes in what has come.
    pub(crate) async fn look(&mut self) {
        for message in self.queue.drain().await {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let id = event["id"].as_str().unwrap().to_owned();
            if let Some(before) = self.events.insert(id, event.clone()) {
                assert_eq!(before, event, "an event that comes twice is the same");
            }
        }
    }

    /// The events of a type about a subject.
    pub(crate) fn about(&self, kind: &str, subject: &str) -> Vec<&Value> {
        let wanted = |event: &&Value| event["type"] == kind && event["subject"] == subject;
        self.events.values().filter(wanted).collect()
    }

    /// Waits for an event of a type about a subject.
    pub(crate) async fn await_event(&mut self, kind: &str, subject: &str) -> Value {
        let shared = tokio::sync::Mutex::new(self);
        eventually(&format!("{kind} of {subject}"), || async {
            let mut subscriber = shared.lock().await;
            subscriber.look().await;
            subscriber.about(kind, subject).first().map(|event| (*event).clone())
        })
        .await
    }
}

/// The event that Lambda makes of messages that were received; [`tests::queue_event`] makes one of any others.
pub(crate) fn received_event(messages: &[Message]) -> Value {
    let record = |message: &Message| {
        let attributes: BTreeMap<_, _> =
            message.attributes().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
        json!({
            "messageId": message.message_id(), "receiptHandle": message.receipt_handle(), "body": message.body(),
            "attributes": attributes, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:test", "awsRegion": "us-east-1",
        })
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

/// The ids that a function reports as failed.
pub(crate) fn failures(answer: &Value) -> Vec<String> {
    let mut ids: Vec<_> = answer["batchItemFailures"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer} reports no failures"))
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}
