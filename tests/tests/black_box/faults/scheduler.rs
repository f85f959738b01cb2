//! The scheduler of what is sent later, with each of its calls failing.

use std::collections::BTreeSet;

use shared::dynamo::{AttributeValue, Dynamo};
use shared::queue::{Message, Sender};
use shared::time::{Clock, SignedDuration};
use tests::{Fault, FaultProxy, Instance};

use super::at_each_call;
use crate::resources::{Queue, aws, due_table, items};

/// Puts messages that are due now into a due index of the test's own.
async fn put_due(table: &str, queue: &Queue, ids: &[&str]) {
    let aws = aws();
    let dynamo = Dynamo::new(aws.dynamo);
    let sender = Sender::new(aws.sqs, dynamo.clone(), table.to_owned(), Clock::system());
    let now = Clock::system().now() - SignedDuration::from_secs(1);
    let writes = ids.iter().map(|id| {
        let message = Message::json(&queue.url, "tenant", *id, &serde_json::json!({ "id": id })).unwrap();
        sender.due_write(&message, now)
    });
    dynamo.transact(writes.collect()).await.unwrap();
}

async fn scheduler(table: &str, proxy: Option<&FaultProxy>) -> Instance {
    Instance::with(&platform::SERVICE, "platform.scheduler", Clock::system(), |environment| {
        let environment = environment.with("DUE_TABLE", table);
        match proxy {
            Some(proxy) => environment.with("AWS_ENDPOINT_URL", proxy.url()),
            None => environment,
        }
    })
    .await
}

fn bodies(messages: &[aws_sdk_sqs::types::Message]) -> BTreeSet<String> {
    messages.iter().map(|message| message.body().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_what_is_due_is_sent_by_the_next_tick_at_the_latest() {
    at_each_call(|outage| async move {
        let (table, queue, proxy) = (due_table().await, Queue::new().await, outage.proxy().await);
        // Ids of three different shards.
        put_due(&table, &queue, &["a", "b", "c"]).await;
        // It fails loudly or not at all; what it could send is sent.
        let first = scheduler(&table, Some(&proxy)).await.invoke(&serde_json::json!({})).await;
        assert!(first.is_ok() || outage.lasts, "{outage:?}: {first:?}");
        let healthy = scheduler(&table, None).await;
        healthy.invoke(&serde_json::json!({})).await.unwrap();
        assert_eq!(items(&table).await, Vec::new(), "{outage:?}");
        let sent = queue.drain().await;
        let expected = ["a", "b", "c"].map(|id| format!("{{\"id\":\"{id}\"}}"));
        assert_eq!(bodies(&sent), expected.into(), "{outage:?}");
        // Only a lost answer may bring a message twice.
        assert!(sent.len() == 3 || outage.fault == Fault::LostAnswer || outage.lasts, "{outage:?}: {}", sent.len());
        healthy.invoke(&serde_json::json!({})).await.unwrap();
        assert!(queue.take().await.is_empty(), "what was sent is not sent again");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_is_taken_in_part_the_rest_is_sent_later_or_set_aside() {
    let (table, queue) = (due_table().await, Queue::new().await);
    // One shard, so that it is one batch, in the order of the ids.
    let shard_of = |id: &str| shared::queue::due_key(id, Clock::system().now()).0;
    let ids: Vec<_> = (0..).map(|index| format!("{index:03}")).filter(|id| shard_of(id) == "due#0").take(3).collect();
    put_due(&table, &queue, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let answer = r#"{"Successful": [], "Failed": [
        {"Id": "0", "SenderFault": true, "Code": "InvalidMessageContents", "Message": "not allowed"},
        {"Id": "1", "SenderFault": false, "Code": "InternalError", "Message": "try again"},
        {"Id": "2", "SenderFault": true, "Code": "KMS.ThrottlingException", "Message": "slower"}]}"#;
    let proxy =
        FaultProxy::start(move |operation| (operation == "SendMessageBatch").then_some(Fault::Instead(answer))).await;
    scheduler(&table, Some(&proxy)).await.invoke(&serde_json::json!({})).await.unwrap();
    scheduler(&table, None).await.invoke(&serde_json::json!({})).await.unwrap();

    let expected = ids[1..].iter().map(|id| format!("{{\"id\":\"{id}\"}}")).collect();
    assert_eq!(bodies(&queue.drain().await), expected);
    let left = items(&table).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["pk"], AttributeValue::S("due#refused".to_owned()));
    assert_eq!(left[0]["id"], AttributeValue::S(ids[0].clone()));
    let reason = left[0]["reason"].as_s().unwrap();
    assert!(reason.contains("InvalidMessageContents"), "{reason}");
}
