//! Jobs that no attempt can do: they are dead at once, with the reason.

use serde_json::json;
use shared::dynamo::{AttributeValue, s};

use super::own_jobs::OwnJobs;
use super::{sent_to, story_of};
use crate::jobs::{Receiver, status};
use crate::resources::aws;

fn inline(text: &str) -> AttributeValue {
    AttributeValue::M([("inline".to_owned(), s(text))].into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_read_any_more_is_dead_at_once_with_its_reason() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let sleep = json!({"type": "sleep", "payload": {"milliseconds": 0}});
    for (new, altered, reason) in [
        (&sleep, r#"{"milliseconds": "long"}"#, "expected u64"),
        (&sleep, r#"{"milliseconds": 1, "dreams": true}"#, "dreams"),
        (&sleep, "{\"milliseconds\": 1", "EOF"),
        (&sleep, "", "EOF"),
        (&sent_to(&receiver), "{", "EOF"),
    ] {
        let job = own.job(new).await;
        own.alter(&job, "payload", inline(altered)).await;
        own.deliver(&own.worker).await;
        let record = own.record(&job).await;
        assert_eq!(record["phase"], s("dead"), "{altered}: {record:?}");
        own.alter(&job, "payload", inline("null")).await;
        let job = own.read(&job).await;
        assert_eq!((&job["state"], story_of(&job)), (&json!("dead"), vec!["payload".to_owned()]), "{altered}");
        let message = job["attempts"][0]["failure"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{altered}: {message}");
    }
    assert_eq!(receiver.deliveries().len(), 0);
    own.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_gone_from_the_bucket_is_dead_at_once_with_its_reason() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let mut new = sent_to(&receiver);
    new["payload"] = json!("large ".repeat(2_000));
    let job = own.job(&new).await;
    let bucket = tests::stack().environment("jobs.api").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
    let objects = aws().s3.list_objects_v2().bucket(&bucket).prefix(own.tenant.id.to_string()).send().await.unwrap();
    assert_eq!(objects.contents().len(), 1);
    aws().s3.delete_object().bucket(&bucket).key(objects.contents()[0].key().unwrap()).send().await.unwrap();
    own.deliver(&own.worker).await;
    let record = own.record(&job).await;
    assert_eq!(record["phase"], s("dead"), "{record:?}");
    let listed = own.all().await.remove(0);
    assert_eq!(story_of(&listed), ["payload"]);
    assert_eq!(receiver.deliveries().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_type_that_there_is_not_any_more_is_dead_at_once_with_its_reason() {
    let own = OwnJobs::new().await;
    let job = own.job(&json!({"type": "noop"})).await;
    own.alter(&job, "type", s("no.more")).await;
    own.deliver(&own.worker).await;
    let job = own.until_it_has_ended().await;
    assert_eq!((&job["state"], story_of(&job)), (&json!("dead"), vec!["unknown_type".to_owned()]));
    assert_eq!(job["attempts"][0]["failure"]["message"], "there is no handler for no.more");
}
