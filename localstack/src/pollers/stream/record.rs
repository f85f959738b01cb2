//! A stream's record as Lambda writes it into an event.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::primitives::Blob;
use aws_sdk_dynamodbstreams::types::{AttributeValue, OperationType, Record, StreamViewType};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// The record as JSON.
pub(super) fn json(record: &Record, stream: &str) -> Value {
    let mut change = Map::new();
    if let Some(inner) = record.dynamodb() {
        let created =
            inner.approximate_creation_date_time().map(aws_sdk_dynamodbstreams::primitives::DateTime::as_secs_f64);
        change.insert("ApproximateCreationDateTime".to_owned(), json!(created.unwrap_or_default()));
        for (name, image) in [("Keys", inner.keys()), ("NewImage", inner.new_image()), ("OldImage", inner.old_image())]
        {
            if let Some(image) = image.filter(|image| !image.is_empty()) {
                change.insert(name.to_owned(), item(image));
            }
        }
        change.insert("SequenceNumber".to_owned(), json!(inner.sequence_number()));
        change.insert("SizeBytes".to_owned(), json!(inner.size_bytes().unwrap_or_default()));
        change.insert("StreamViewType".to_owned(), json!(inner.stream_view_type().map(StreamViewType::as_str)));
    }
    let mut json = json!({
        "eventID": record.event_id().unwrap_or_default(),
        "eventName": record.event_name().map_or("", OperationType::as_str),
        "eventVersion": record.event_version().unwrap_or("1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": crate::template::REGION,
        "dynamodb": change,
        "eventSourceARN": stream,
    });
    // Set when the table's time to live removed the item.
    if let (Some(identity), Some(fields)) = (record.user_identity(), json.as_object_mut()) {
        let identity = json!({"type": identity.r#type(), "principalId": identity.principal_id()});
        fields.insert("userIdentity".to_owned(), identity);
    }
    json
}

fn item(image: &HashMap<String, AttributeValue>) -> Value {
    Value::Object(image.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn attribute(value: &AttributeValue) -> Value {
    let encode = |blob: &Blob| BASE64_STANDARD.encode(blob);
    match value {
        AttributeValue::B(blob) => json!({"B": encode(blob)}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::Bs(blobs) => json!({"BS": blobs.iter().map(encode).collect::<Vec<_>>()}),
        AttributeValue::L(items) => json!({"L": items.iter().map(attribute).collect::<Vec<_>>()}),
        AttributeValue::M(map) => json!({"M": item(map)}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Ns(numbers) => json!({"NS": numbers}),
        AttributeValue::Null(flag) => json!({"NULL": flag}),
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        // A type that DynamoDB has got since this SDK was made.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_lambda_events::event::dynamodb::EventRecord;
    use aws_sdk_dynamodbstreams::primitives::DateTime;
    use aws_sdk_dynamodbstreams::types::StreamRecord;

    use super::*;

    #[test]
    fn a_record_is_like_the_one_lambda_sends() {
        let change = StreamRecord::builder()
            .approximate_creation_date_time(DateTime::from_secs(1_479_499_740))
            .keys("pk", AttributeValue::S("a".to_owned()))
            .new_image("pk", AttributeValue::S("a".to_owned()))
            .new_image("n", AttributeValue::N("1".to_owned()))
            .new_image("b", AttributeValue::B(Blob::new([255_u8])))
            .new_image("l", AttributeValue::L(vec![AttributeValue::Bool(true), AttributeValue::Null(true)]))
            .sequence_number("111")
            .size_bytes(26)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build();
        let record = Record::builder().event_id("e").event_name(OperationType::Insert).dynamodb(change).build();
        let json = json(&record, "arn:stream");
        let expected = json!({
            "eventID": "e",
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_479_499_740.0,
                "Keys": {"pk": {"S": "a"}},
                "NewImage": {"pk": {"S": "a"}, "n": {"N": "1"}, "b": {"B": "/w=="}, "l": {"L": [{"BOOL": true}, {"NULL": true}]}},
                "SequenceNumber": "111",
                "SizeBytes": 26,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:stream",
        });
        assert_eq!(json, expected);
        let typed: EventRecord = serde_json::from_value(json).unwrap();
        assert_eq!(typed.change.sequence_number.as_deref(), Some("111"));
    }
}
