//! The export of all that a tenant has: that it is all there, as the API shows it, that no secret is in it, and for whom it is.

mod everything;
mod many;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use shared::identity::Role;
use tests::{Account, Answer, Ask as _, Instance, Tenant, client, eventually, stack};

use crate::jobs::path_of;

/// What an export has written.
pub(crate) struct Export {
    pub(crate) manifest: Value,
    /// The records of each file.
    pub(crate) files: BTreeMap<String, Vec<Value>>,
    /// All of it as text.
    pub(crate) text: String,
}

impl Export {
    /// Reads the files of a job that has succeeded, and checks that they are what its result and the manifest say.
    pub(crate) async fn of(job: &Value, file: impl AsyncFn(&str) -> Answer) -> Self {
        assert_eq!(job["state"], "succeeded", "{job}");
        let result = &job["result"];
        assert!(result.to_string().len() <= 16 * 1024);
        let (mut contents, mut text) = (BTreeMap::new(), String::new());
        for entry in result["files"].as_array().unwrap() {
            let name = entry["file"].as_str().unwrap();
            let content = read(&file(name).await.expect(303), entry["content_type"].as_str().unwrap()).await;
            is_as_told(entry, &content);
            text.push_str(&String::from_utf8(content.clone()).unwrap());
            assert!(contents.insert(name.to_owned(), content).is_none(), "{name} is there twice");
        }
        let manifest = contents.remove(result["manifest"].as_str().unwrap()).expect("the result names the manifest");
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let mut files = BTreeMap::new();
        for entry in manifest["files"].as_array().unwrap() {
            let name = entry["file"].as_str().unwrap();
            let content = contents.remove(name).unwrap_or_else(|| panic!("{name} is not there"));
            is_as_told(entry, &content);
            let lines = std::str::from_utf8(&content).unwrap().lines();
            let records: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(entry["records"], records.len(), "{name}");
            assert!(records.iter().all(Value::is_object), "{name}");
            files.insert(name.trim_end_matches(".ndjson").to_owned(), records);
        }
        assert!(contents.is_empty(), "the manifest does not name {:?}", contents.keys());
        Self { manifest, files, text }
    }

    /// The record with this id.
    pub(crate) fn record(&self, file: &str, id: &Value) -> &Value {
        let found = self.files[file].iter().find(|record| &record["id"] == id);
        found.unwrap_or_else(|| panic!("{id} is not in {file}: {:#?}", self.files[file]))
    }
}

async fn read(place: &Answer, content_type: &str) -> Vec<u8> {
    let answer = client().get(place.header("location")).answer().await.expect(200);
    assert_eq!(answer.header("content-type"), content_type);
    answer.body.to_vec()
}

fn is_as_told(entry: &Value, content: &[u8]) {
    assert_eq!(entry["bytes"], content.len(), "{entry}");
    assert_eq!(entry["sha256"], HEXLOWER.encode(digest(&SHA256, content).as_ref()), "{entry}");
}

/// What a job that exports says.
pub(crate) fn wanted() -> Value {
    json!({"type": "tenant.export", "queue": "exports"})
}

/// Has a user export their tenant.
async fn exported(account: &Account) -> (Value, Export) {
    let made = account.post("/v1/jobs", &wanted()).await.expect(201).json();
    let job = eventually("the end of an export", || async {
        let job = account.get(&format!("{}?wait=20", path_of(&made))).await.expect(200).json();
        job["finished_at"].is_string().then_some(job)
    })
    .await;
    let export = Export::of(&job, async |name| account.get(&format!("{}/files/{name}", path_of(&job))).await).await;
    (job, export)
}

/// Has a program export its tenant.
async fn exported_by(tenant: &Tenant) -> (Value, Export) {
    let job = crate::jobs::ended(tenant, &crate::jobs::job(tenant, wanted()).await).await;
    let export = Export::of(&job, async |name| tenant.get(&format!("{}/files/{name}", path_of(&job))).await).await;
    (job, export)
}

/// Another member of the account's tenant: the address, and the id.
async fn member_of(account: &Account) -> (String, String) {
    let admin = Instance::of(&auth::SERVICE, "auth.admin").await;
    let email = tests::account::fresh_email();
    let event = json!({"email": email, "password": tests::account::PASSWORD, "tenant_id": account.tenant_id});
    let made = admin.invoke(&event).await.unwrap();
    (email, made["user_id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_tenant_with_nothing_has_an_export_that_says_so() {
    let tenant = Tenant::new().await;
    let (job, export) = exported_by(&tenant).await;
    assert_eq!((&export.manifest["tenant_id"], &export.manifest["job_id"]), (&json!(tenant.id), &job["id"]));
    let names: Vec<_> = export.files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "api_keys",
            "audit",
            "jobs",
            "link_blocklist",
            "link_days",
            "links",
            "members",
            "note_revisions",
            "note_settings",
            "note_shares",
            "notes",
            "oauth_clients",
            "queues",
            "roles",
            "schedule_runs",
            "schedules",
            "tenant",
        ]
    );
    // It runs in a queue, which came to be with it, and is in the audit trail.
    for (name, records) in &export.files {
        let expected = usize::from(["audit", "jobs", "queues"].contains(&name.as_str()));
        assert_eq!(records.len(), expected, "{name}: {records:?}");
    }
    assert_eq!(export.record("jobs", &job["id"])["type"], "tenant.export");
    let audit = &export.files["audit"][0];
    assert_eq!((&audit["action"], &audit["target"]), (&json!("tenant.export_requested"), &job["id"]));
    assert_eq!(audit["actor"], job["created_by"]);
    let left_out = export.manifest["left_out"].as_array().unwrap();
    assert!(left_out.iter().any(|one| one["what"] == "secrets" && one["why"].is_string()), "{left_out:?}");
    // Waiting takes no attempts.
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1, "{job}");
}

#[tokio::test]
async fn an_export_and_its_files_are_for_those_who_may_export() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (with, without) =
        (tenant.key_with("jobs:write jobs:read tenant:export").await, tenant.key_with("jobs:write jobs:read").await);
    let send = async |key: &str, path: &str, body: &Value| -> Answer {
        client().post(format!("{}{path}", stack().url())).bearer_auth(key).json(body).answer().await
    };
    let get = async |key: &str, path: &str| -> Answer {
        client().get(format!("{}{path}", stack().url())).bearer_auth(key).answer().await
    };
    let refused = |answer: Answer| {
        let challenge = answer.header("www-authenticate").to_owned();
        assert!(challenge.contains("insufficient_scope") && challenge.contains("tenant:export"), "{challenge}");
        answer.problem(403, "forbidden");
    };
    let scheduled = json!({"name": "Backup", "cron": "0 3 * * *", "job": {"type": "tenant.export"}});
    refused(send(&without, "/v1/jobs", &wanted()).await);
    refused(send(&without, "/v1/jobs", &json!({"type": "own", "on_done": {"job": {"type": "tenant.export"}}})).await);
    refused(send(&tenant.key_with("jobs:manage jobs:write").await, "/v1/schedules", &scheduled).await);

    let made = send(&with, "/v1/jobs", &wanted()).await.expect(201).json();
    let job = crate::jobs::ended(&tenant, &made).await;
    let file = format!("{}/files/manifest.json", path_of(&job));
    get(&with, &file).await.expect(303);
    // Whoever may read jobs sees that there is one, and no more.
    get(&without, &path_of(&job)).await.expect(200);
    refused(get(&without, &file).await);
    refused(send(&without, &format!("{}/retry", path_of(&job)), &json!({})).await);
    other.get(&file).await.problem(404, "not-found");
    for name in ["request.json", "identity.json", "..%2Frequest.json", "payload.json"] {
        get(&with, &format!("{}/files/{name}", path_of(&job))).await.problem(404, "not-found");
    }
    let granted: Vec<_> = Role::ALL.into_iter().filter(|role| role.grants("tenant:export")).collect();
    assert_eq!(granted, [Role::Owner, Role::Admin]);
}

#[tokio::test]
async fn two_exports_at_once_do_not_touch_one_another_and_a_retry_is_a_new_one() {
    let account = Account::new().await;
    let link =
        async |slug: &str| account.post("/v1/links", &json!({"target": slug})).await.expect(201).json()["id"].clone();
    let first = link("https://example.com/first").await;
    let ((one, at_once), (two, beside)) = tokio::join!(exported(&account), exported(&account));
    assert_ne!(one["id"], two["id"]);
    assert_eq!(at_once.record("links", &first), beside.record("links", &first));

    let second = link("https://example.com/second").await;
    account.post(&format!("{}/retry", path_of(&one)), &json!({})).await.expect(200);
    let again = eventually("the end of the export", || async {
        let job = account.get(&format!("{}?wait=20", path_of(&one))).await.expect(200).json();
        job["finished_at"].is_string().then_some(job)
    })
    .await;
    let file = async |name: &str| account.get(&format!("{}/files/{name}", path_of(&again))).await;
    let again = Export::of(&again, file).await;
    again.record("links", &second);
    assert_eq!(again.files["links"].len(), 2);
}

#[tokio::test]
async fn each_export_is_in_the_audit_trail_once() {
    let account = Account::new().await;
    let (job, _) = exported(&account).await;
    let trail = async || {
        let trail = account.get("/v1/audit?action=tenant.export_requested").await.expect(200).json();
        trail["data"].as_array().unwrap().clone()
    };
    let first = trail().await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((&first[0]["actor"], &first[0]["target"]), (&job["created_by"], &job["id"]));
    account.post(&format!("{}/retry", path_of(&job)), &json!({})).await.expect(200);
    let both =
        eventually("the record of the second", || async { Some(trail().await).filter(|all| all.len() == 2) }).await;
    assert_eq!(both[1], first[0]);
}

#[tokio::test]
async fn what_it_is_asked_is_nothing() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "tenant.export", "payload": {"parts": ["notes"]}});
    let problem = tenant.post("/v1/jobs", &body).await.problem(422, "validation");
    assert_eq!(crate::link::faults(&problem), [("/payload/parts", "unknown_field")]);
}

#[tokio::test]
async fn a_user_who_was_erased_is_in_no_export_from_then_on() {
    let owner = Account::new().await;
    let (email, id) = member_of(&owner).await;
    let member = Account::log_in(&email, tests::account::PASSWORD).await;
    let (_, before) = exported(&owner).await;
    assert_eq!(before.record("members", &json!(id))["email"], email);
    member.delete("/v1/me").await.expect(204);
    let (_, after) = exported(&owner).await;
    assert!(!after.text.contains(&email));
    assert_eq!(after.files["members"].len(), 1);
}
