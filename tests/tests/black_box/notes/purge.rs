//! What is dropped for good, and when.

use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::{Answer, Instance, Tenant};

use crate::postgres::migrated_database;

/// A deployment of notes with a database and a clock of its own, so that the purge drops nobody else's notes.
struct Deployment {
    api: Instance,
    purge: Instance,
    clock: Clock,
    authorization: String,
}

impl Deployment {
    async fn new() -> Self {
        let (url, clock) = (migrated_database().await, Clock::manual(Clock::system().now()));
        let with = async |handler| {
            Instance::with(&notes::SERVICE, handler, clock.clone(), |environment| {
                environment.with("DATABASE_URL", &url)
            })
            .await
        };
        let authorization = format!("Bearer {}", Tenant::new().await.api_key);
        Self { api: with("notes.api").await, purge: with("notes.purge").await, clock, authorization }
    }

    async fn send(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
        let mut headers = vec![("authorization", self.authorization.as_str())];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        self.api.http(method, path, &headers, body).await
    }

    async fn deleted_note(&self) -> String {
        let made = self.send("POST", "/v2/notes", "", Some(&json!({"title": "a"}))).await.expect(201);
        let path = made.header("location").to_owned();
        self.send("DELETE", &path, "", None).await.expect(204);
        path
    }

    async fn wait_and_purge(&self, span: SignedDuration) {
        self.clock.advance(span);
        self.purge.invoke(&json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_note_can_be_restored_for_thirty_days_and_no_longer() {
    let deployment = Deployment::new().await;
    let kept = deployment.send("POST", "/v2/notes", "", Some(&json!({"title": "kept"}))).await.expect(201);
    let first = deployment.deleted_note().await;
    deployment.clock.advance(SignedDuration::from_hours(1));
    let second = deployment.deleted_note().await;
    deployment.wait_and_purge(SignedDuration::from_hours(30 * 24) - SignedDuration::from_secs(3601)).await;
    let restored = deployment.send("POST", &format!("{first}/restore"), "", None).await.expect(200);
    assert_eq!(restored.json()["title"], "a");
    let again = deployment.send("POST", &format!("{first}/restore"), "", None).await.expect(200);
    assert_eq!((again.json(), again.header("etag")), (restored.json(), restored.header("etag")), "sent again");
    deployment.send("DELETE", &first, "", None).await.expect(204);

    deployment.wait_and_purge(SignedDuration::from_secs(3602)).await;
    deployment.send("POST", &format!("{second}/restore"), "", None).await.problem(404, "not-found");
    deployment.send("POST", &format!("{first}/restore"), "", None).await.expect(200);
    deployment.send("GET", kept.header("location"), "", None).await.expect(200);
    // A second time at once changes nothing.
    deployment.wait_and_purge(SignedDuration::ZERO).await;
}

#[tokio::test]
async fn a_hundred_and_twenty_deleted_notes_are_dropped_in_batches() {
    let deployment = Deployment::new().await;
    for _ in 0..2 {
        let create = json!({"op": "create", "note": {"title": "a"}});
        let operations: Vec<_> = (0..60).map(|_| create.clone()).collect();
        let made =
            deployment.send("POST", "/v2/notes/bulk", "", Some(&json!({"operations": operations}))).await.expect(200);
        let deletions: Vec<_> = made.json()["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| json!({"op": "delete", "id": result["id"]}))
            .collect();
        deployment.send("POST", "/v2/notes/bulk", "", Some(&json!({"operations": deletions}))).await.expect(200);
    }
    let left = async || {
        let page = deployment.send("GET", "/v2/notes?state=deleted&limit=200", "", None).await.expect(200).json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(left().await, 120);
    deployment.wait_and_purge(SignedDuration::from_hours(30 * 24 + 1)).await;
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_a_day() {
    let deployment = Deployment::new().await;
    let send = async |body: Value| deployment.send("POST", "/v2/notes", "k", Some(&body)).await;
    let first = send(json!({"title": "a"})).await.expect(201);
    deployment.wait_and_purge(SignedDuration::from_secs(24 * 3600 - 1)).await;
    assert_eq!(send(json!({"title": "a"})).await.expect(201).header("idempotency-replayed"), "true");
    // Whether the purge has been there or not.
    deployment.clock.advance(SignedDuration::from_secs(2));
    let second = send(json!({"title": "b"})).await.expect(201);
    assert_ne!(second.header("location"), first.header("location"));
    deployment.wait_and_purge(SignedDuration::from_secs(24 * 3600 + 1)).await;
    assert_eq!(send(json!({"title": "c"})).await.expect(201).header("idempotency-replayed"), "");
}
