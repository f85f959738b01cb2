//! A tenant with one of everything, and its export beside what the API answers.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::account::PASSWORD;
use tests::{Account, Ask as _, anonymous, eventually, stack};

use super::{Export, exported, member_of};
use crate::resources::aws;

/// Longer than what is kept in a job's own item.
const LARGE: usize = 6000;

/// Makes one of everything; answers all that is secret.
async fn furnish(owner: &Account, member: &str) -> Vec<String> {
    let role = json!({"name": "support", "description": "Answers", "permissions": ["links:read"]});
    owner.post("/v1/roles", &role).await.expect(201);
    let key = owner.post("/v1/api-keys", &json!({"name": "Shop", "scopes": ["links:read"]})).await.expect(201).json();
    let machine = json!({"name": "Nightly", "scopes": ["links:read"]});
    let machine = owner.post("/v1/oauth-clients", &machine).await.expect(201).json();
    let factor = owner.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();

    let link = json!({
        "target": "https://example.com/spring", "title": "Spring", "tags": ["a"], "password": "tulip-window-seven", "max_clicks": 5,
    });
    owner.post("/v1/links", &link).await.expect(201);
    let open = owner.post("/v1/links", &json!({"target": "https://example.com/open"})).await.expect(201).json();
    owner.put("/v1/links/blocklist", &json!({"domains": ["evil.example", "zip"]})).await.expect(200);
    let visit = anonymous(http::Method::GET, &format!("/l/{}", open["slug"].as_str().unwrap()));
    visit.header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0").answer().await;
    let stats = format!("/v2/links/{}/stats", open["id"].as_str().unwrap());
    eventually("the click to be counted", || async {
        let stats = owner.get(&stats).await.expect(200).json();
        (stats["total"]["clicks"] == 1).then_some(())
    })
    .await;

    owner.put("/v1/queues/own", &json!({"concurrency": 3})).await.expect(201);
    let large = json!({"type": "own", "queue": "own", "payload": {"text": "x".repeat(LARGE)}, "tags": ["big"]});
    owner.post("/v1/jobs", &large).await.expect(201);
    let schedule =
        json!({"name": "Nightly", "cron": "30 2 * * *", "job": {"type": "own", "queue": "own"}, "paused": true});
    let schedule = owner.post("/v1/schedules", &schedule).await.expect(201).json();
    let run = format!("/v1/schedules/{}/run", schedule["id"].as_str().unwrap());
    owner.post(&run, &json!({})).await.expect(201);
    let signing = owner.get("/v1/jobs/signing-secret").await.expect(200).json();

    let note = owner.post("/v2/notes", &json!({"title": "First", "content": "one", "tags": ["a"]})).await.expect(201);
    let note = note.header("location").to_owned();
    owner.patch(&note, &json!({"content": "two"})).await.expect(200);
    eventually("notes to know the member", || async {
        let shared = owner.put(&format!("{note}/shares/{member}"), &json!({"access": "read"})).await;
        shared.status.is_success().then_some(())
    })
    .await;
    let binned = owner.post("/v2/notes", &json!({"title": "In the bin"})).await.expect(201);
    owner.delete(binned.header("location")).await.expect(204);
    owner.put("/v2/notes/settings", &json!({"require_if_match": true})).await.expect(200);

    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut secrets = vec![text(&key["api_key"]), text(&machine["client_secret"]), PASSWORD.to_owned()];
    let seed = text(&factor["otpauth_uri"]);
    secrets.push(seed.split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned());
    secrets.push("tulip-window-seven".to_owned());
    secrets.extend(texts_of(&signing["secrets"]).into_iter().chain(texts_of(&signing["secret"])));
    secrets.push(owner.refresh_token.clone());
    secrets.extend(hashes(&text(&key["id"]), &text(&machine["id"])).await);
    secrets
}

/// The texts in a value that are long enough for a secret.
fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.len() > 30 => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts_of).collect(),
        Value::Object(all) => all.values().flat_map(texts_of).collect(),
        _ => Vec::new(),
    }
}

/// What is stored of the secrets of a key and of a client.
async fn hashes(key: &str, machine: &str) -> Vec<String> {
    let table = |name: &str| stack().environment("auth.users").unwrap().get(name).unwrap().to_owned();
    let mut found = Vec::new();
    for (table, pk, sk) in [
        (table("IDENTITY_TABLE"), format!("key#{key}"), "key"),
        (table("ACCOUNTS_TABLE"), format!("client#{machine}"), "client"),
    ] {
        let get = aws().dynamo.get_item().table_name(table);
        let get = get.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk.to_owned()));
        let item = get.send().await.unwrap().item.expect("there is such a record");
        let before = found.len();
        for (name, value) in &item {
            hashes_in(name, value, &mut found);
        }
        assert!(found.len() > before, "there is a hash in it");
    }
    found
}

fn hashes_in(name: &str, value: &AttributeValue, found: &mut Vec<String>) {
    match value {
        AttributeValue::S(text) if name.contains("hash") => found.push(text.clone()),
        AttributeValue::B(bytes) if name.contains("hash") => {
            found.push(data_encoding::HEXLOWER.encode(bytes.as_ref()));
            found.push(data_encoding::BASE64.encode(bytes.as_ref()));
        }
        AttributeValue::M(all) => all.iter().for_each(|(name, value)| hashes_in(name, value, found)),
        AttributeValue::L(all) => all.iter().for_each(|value| hashes_in(name, value, found)),
        _ => {}
    }
}

/// All rows of a list.
async fn listed(owner: &Account, path: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), format!("{path}?limit=200"));
    loop {
        let page = owner.get(&next).await.expect(200).json();
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return all };
        next = format!("{path}?limit=200&cursor={cursor}");
    }
}

fn without(record: &Value, names: &[&str]) -> Value {
    let mut record = record.clone();
    for name in names {
        record.as_object_mut().unwrap().shift_remove(*name);
    }
    record
}

/// In an order of their own.
fn sorted(records: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut records: Vec<_> = records.collect();
    records.sort_by_key(ToString::to_string);
    records
}

/// Checks that a file has the rows of a list, apart from members that one of them has alone.
async fn has_list(export: &Export, owner: &Account, file: &str, path: &str, apart: &[&str]) {
    let (records, rows) = (export.files[file].clone(), listed(owner, path).await);
    let records = sorted(records.iter().map(|record| without(record, apart)));
    let rows = sorted(rows.iter().map(|row| without(row, apart)));
    assert_eq!(records, rows, "{file}");
}

async fn has_identity(export: &Export, owner: &Account) {
    let tenant = owner.get("/v1/tenant").await.expect(200).json();
    assert_eq!(export.files["tenant"], [tenant]);
    has_list(export, owner, "members", "/v1/users", &[]).await;
    has_list(export, owner, "api_keys", "/v1/api-keys", &[]).await;
    has_list(export, owner, "oauth_clients", "/v1/oauth-clients", &[]).await;
    has_list(export, owner, "audit", "/v1/audit", &[]).await;
    let roles: Vec<_> = owner.get("/v1/roles").await.expect(200).json()["data"].as_array().unwrap().clone();
    let own: Vec<_> = roles.into_iter().filter(|role| role["built_in"] == false).collect();
    assert_eq!(export.files["roles"], own);
    assert_eq!((export.files["members"].len(), own.len()), (2, 1));
    assert!(export.files["audit"].len() >= 3);
}

async fn has_links(export: &Export, owner: &Account) {
    has_list(export, owner, "links", "/v2/links", &["counts"]).await;
    for link in &export.files["links"] {
        let stats = format!("/v2/links/{}/stats", link["id"].as_str().unwrap());
        assert_eq!(link["counts"], owner.get(&stats).await.expect(200).json()["total"]);
    }
    let day = &export.files["link_days"][0];
    assert_eq!((&day["clicks"], export.files["link_days"].len()), (&json!(1), 1), "{day}");
    assert!(export.files["links"].iter().any(|link| link["id"] == day["link_id"]));
    assert_eq!(export.files["link_blocklist"], [json!({"domain": "evil.example"}), json!({"domain": "zip"})]);
}

async fn has_jobs(export: &Export, owner: &Account, exporting: &Value) {
    let jobs = &export.files["jobs"];
    assert_eq!(jobs.len(), 3, "{jobs:?}");
    for job in jobs.iter().filter(|job| &job["id"] != exporting) {
        let shown = owner.get(&format!("/v2/jobs/{}", job["id"].as_str().unwrap())).await.expect(200).json();
        assert_eq!(job, &shown);
    }
    assert!(jobs.iter().any(|job| job["payload"]["text"].as_str().is_some_and(|text| text.len() == LARGE)));
    has_list(export, owner, "queues", "/v2/queues", &["statistics"]).await;
    has_list(export, owner, "schedules", "/v2/schedules", &[]).await;
    let schedule = export.files["schedules"][0]["id"].clone();
    let history = format!("/v2/schedules/{}/history", schedule.as_str().unwrap());
    has_list(export, owner, "schedule_runs", &history, &["schedule_id"]).await;
    assert!(export.files["schedule_runs"].iter().all(|run| run["schedule_id"] == schedule));
}

async fn has_notes(export: &Export, owner: &Account) {
    assert_eq!(export.files["notes"].len(), 2);
    let note = export.files["notes"].iter().find(|note| note["deleted_at"].is_null()).unwrap();
    let path = format!("/v2/notes/{}", note["id"].as_str().unwrap());
    assert_eq!(without(note, &["deleted_at"]), owner.get(&path).await.expect(200).json());
    let of_note = |file: &str| {
        let all = export.files[file].iter().filter(|record| record["note_id"] == note["id"]);
        all.map(|record| without(record, &["note_id"])).collect::<Vec<_>>()
    };
    let revisions = of_note("note_revisions");
    assert_eq!(revisions.len(), 2);
    for revision in revisions {
        let path = format!("{path}/revisions/{}", revision["version"]);
        assert_eq!(revision, owner.get(&path).await.expect(200).json());
    }
    let shares = owner.get(&format!("{path}/shares")).await.expect(200).json()["data"].clone();
    assert_eq!(json!(of_note("note_shares")), shares);
    assert_eq!(export.files["note_shares"].len(), 1);
    assert_eq!(export.files["note_settings"], [owner.get("/v2/notes/settings").await.expect(200).json()]);
}

#[tokio::test]
async fn an_export_has_all_that_the_tenant_has_as_the_api_shows_it_and_no_secret() {
    let (owner, neighbour) = (Account::new().await, Account::new().await);
    let (_, member) = member_of(&owner).await;
    let secrets = furnish(&owner, &member).await;
    neighbour.post("/v1/links", &json!({"target": "https://neighbour.example/"})).await.expect(201);
    neighbour.post("/v2/notes", &json!({"title": "Of the neighbour"})).await.expect(201);

    let (job, export) = exported(&owner).await;
    has_identity(&export, &owner).await;
    has_links(&export, &owner).await;
    has_jobs(&export, &owner, &job["id"]).await;
    has_notes(&export, &owner).await;

    assert!(secrets.len() > 7, "{}", secrets.len());
    for secret in &secrets {
        assert!(secret.len() > 8 && !export.text.contains(secret.as_str()), "a secret is in the export");
    }
    assert!(!export.text.contains("argon2") && !export.text.contains("tf_cs_") && !export.text.contains("whsec_"));
    for foreign in [&neighbour.tenant_id, &neighbour.user_id, &neighbour.email, "neighbour"] {
        assert!(!export.text.contains(foreign), "{foreign} is another tenant's");
    }
}
