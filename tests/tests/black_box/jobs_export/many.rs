//! Exports of many records, and of large ones: pages and pieces that follow one another.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use serde_json::json;
use tests::{Tenant, eventually, stack};

use super::{Export, exported_by};
use crate::jobs::{batch, ids, job};
use crate::resources::aws;

/// More than a page of whatever is read a hundred at a time.
const MANY: usize = 103;

/// The values of a member of each record, each of which is there once.
fn all(export: &Export, file: &str, member: &str) -> BTreeSet<String> {
    let records = &export.files[file];
    let all: BTreeSet<_> = records.iter().map(|record| record[member].as_str().unwrap().to_owned()).collect();
    assert_eq!(all.len(), records.len(), "{file}: each once");
    all
}

#[tokio::test]
async fn many_records_are_exported_to_the_last_one() {
    let tenant = Tenant::new().await;
    let (mut links, mut jobs) = (Vec::new(), Vec::new());
    for start in (0..MANY).step_by(20) {
        let made = (start..MANY.min(start + 20)).map(|index| {
            let tenant = &tenant;
            async move {
                let link = json!({"target": format!("https://example.com/{index}"), "max_clicks": 7});
                tenant.post("/v1/links", &link).await.expect(201).json()
            }
        });
        links.extend(join_all(made).await);
    }
    // A queue for each job.
    let wanted: Vec<_> = (0..MANY).map(|index| json!({"type": "own", "queue": format!("queue-{index}")})).collect();
    for some in wanted.chunks(100) {
        jobs.extend(batch(&tenant, some.to_vec()).await);
    }
    let notes: Vec<_> =
        (0..70).map(|index| json!({"op": "create", "note": {"title": format!("Note {index}")}})).collect();
    tenant.post("/v2/notes/bulk", &json!({"operations": notes})).await.expect(200);

    let (exporting, export) = exported_by(&tenant).await;
    assert_eq!(all(&export, "links", "id"), ids(&links).into_iter().collect());
    jobs.push(exporting);
    assert_eq!(all(&export, "jobs", "id"), ids(&jobs).into_iter().collect());
    assert_eq!(all(&export, "queues", "name").len(), MANY + 1);
    assert_eq!(all(&export, "notes", "title"), (0..70).map(|index| format!("Note {index}")).collect());
    assert_eq!(all(&export, "note_revisions", "note_id"), all(&export, "notes", "id"));
}

/// The names of the objects that the bucket has of a tenant.
async fn kept(tenant: &Tenant) -> Vec<String> {
    let bucket = stack().environment("jobs.worker").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
    let found = aws().s3.list_objects_v2().bucket(bucket).prefix(tenant.id.to_string()).send().await.unwrap();
    found.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_file_of_several_pieces_is_whole_and_goes_with_its_job() {
    let tenant = Tenant::new().await;
    let mut large = Vec::new();
    for letter in ["a", "b", "c"] {
        large.push(job(&tenant, json!({"type": "own", "payload": letter.repeat(4_300_000)})).await);
    }
    let (exporting, export) = exported_by(&tenant).await;
    for (letter, made) in ["a", "b", "c"].into_iter().zip(&large) {
        let payload = export.record("jobs", &made["id"])["payload"].as_str().unwrap();
        assert!(payload.len() == 4_300_000 && payload.starts_with(letter));
    }

    let of_export = format!("/jobs/{}/", exporting["id"].as_str().unwrap());
    assert!(kept(&tenant).await.iter().any(|name| name.contains(&of_export)));
    // As DynamoDB does when the time to live is over. The job is in one of these partitions.
    let table = stack().environment("jobs.api").unwrap().get("JOBS_TABLE").unwrap().to_owned();
    for partition in 0..::jobs::store::PARTITIONS {
        let delete = aws().dynamo.delete_item().table_name(&table);
        let delete = delete.key("pk", AttributeValue::S(format!("{}#{partition}", tenant.id)));
        let sk = AttributeValue::S(format!("job#{}", exporting["id"].as_str().unwrap()));
        delete.key("sk", sk).send().await.unwrap();
    }
    let has_gone = async || (!kept(&tenant).await.iter().any(|name| name.contains(&of_export))).then_some(());
    eventually("the export to go", has_gone).await;
    let left = kept(&tenant).await;
    assert_eq!(left.len(), large.len(), "those of other jobs stay: {left:?}");
}
