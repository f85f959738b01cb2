//! What is refused, and how it is told.

use http::Method;
use serde_json::{Value, json};
use tests::{Answer, Ask as _};

use super::{House, Member, code};

const ABSENT: &str = "/v2/notes/note_01k9z4n2y6e0qv3m8t5w7x9abc";

#[tokio::test]
async fn every_bad_field_is_pointed_at_and_nothing_is_made() {
    let ada = House::new().member().await;
    let path = ada.note(json!({"title": "Good"})).await;
    let kib = 1024;
    for (body, pointer, wrong) in [
        (json!({"title": ""}), "/title", "empty"),
        (json!({"title": null}), "/title", "invalid_type"),
        (json!({"title": 7}), "/title", "invalid_type"),
        (json!({"title": "a\nb"}), "/title", "control_character"),
        (json!({"title": "a\u{0}b"}), "/title", "control_character"),
        (json!({"title": "a\u{202e}b"}), "/title", "control_character"),
        (json!({"title": "ü".repeat(201)}), "/title", "too_long"),
        (json!({"title": "a", "content": "a\u{0}"}), "/content", "control_character"),
        (json!({"title": "a", "content": "x".repeat(256 * kib + 1)}), "/content", "too_long"),
        (json!({"title": "a", "content": ["x"]}), "/content", "invalid_type"),
        (json!({"title": "a", "format": "html"}), "/format", "unknown_value"),
        (json!({"title": "a", "tags": "a,b"}), "/tags", "invalid_type"),
        (json!({"title": "a", "tags": ["a,b"]}), "/tags/0", "comma"),
        (json!({"title": "a", "tags": [""]}), "/tags/0", "empty"),
        (json!({"title": "a", "tags": ["\u{2066}x"]}), "/tags/0", "control_character"),
        (json!({"title": "a", "tags": (0..21).map(|n| n.to_string()).collect::<Vec<_>>()}), "/tags", "too_many"),
        (json!({"title": "a", "pinned": "yes"}), "/pinned", "invalid_type"),
        (json!({"title": "a", "due_at": "tomorrow"}), "/due_at", "invalid"),
        (json!({"title": "a", "due_at": "-000009-01-01T00:00:00Z"}), "/due_at", "out_of_range"),
        (json!({"title": "a", "done_at": "2999-01-01T00:00:00Z"}), "/done_at", "in_the_future"),
        (json!({"title": "a", "colour": "red"}), "/colour", "unknown_field"),
        (json!({"title": "a", "version": 1}), "/version", "unknown_field"),
        (json!({"content": "x"}), "/title", "missing_field"),
        (json!([]), "", "invalid_type"),
    ] {
        let problem = ada.post("/v2/notes", &body).await.problem(422, "validation");
        assert_eq!(code(&problem), (pointer, wrong), "{problem}");
        let problem = ada.put(&path, &body).await.problem(422, "validation");
        assert_eq!(code(&problem), (pointer, wrong), "{problem}");
        // A patch needs no title, and its null takes away.
        if wrong != "missing_field" && !body["title"].is_null() {
            let problem = ada.patch(&path, &body).await.problem(422, "validation");
            assert_eq!(code(&problem), (pointer, wrong), "{problem}");
        }
    }
    assert_eq!(ada.titles("").await, ["Good"]);
    ada.put(&path, &json!({"title": "a", "content": "ü".repeat(128 * kib)})).await.expect(200);
    let all_wrong = json!({"title": "", "format": "html", "pinned": 1});
    let problem = ada.post("/v2/notes", &all_wrong).await.problem(422, "validation");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 3, "{problem}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_its_kind() {
    let ada = House::new().member().await;
    let send = async |kind: &str, body: String| -> Answer {
        ada.request(Method::POST, "/v2/notes").header("content-type", kind).body(body).answer().await
    };
    send("text/plain", "{}".to_owned()).await.problem(415, "unsupported-media-type");
    send("application/json", "{\"title\": }".to_owned()).await.problem(400, "malformed-json");
    send("application/json", format!("{{\"title\": \"{}\"}}", "x".repeat(1024 * 1024)))
        .await
        .problem(413, "payload-too-large");
    ada.request(Method::DELETE, "/v2/notes").answer().await.problem(405, "method-not-allowed");
    let keyed = ada.request(Method::POST, "/v2/notes").header("idempotency-key", "").json(&json!({"title": "a"}));
    keyed.answer().await.problem(400, "bad-request");
}

#[tokio::test]
async fn what_is_not_there_is_404_whatever_is_asked_of_it() {
    let ada = House::new().member().await;
    let path = ada.note(json!({"title": "a"})).await;
    let requests: [(Method, String, Option<Value>); 14] = [
        (Method::GET, ABSENT.to_owned(), None),
        (Method::PUT, ABSENT.to_owned(), Some(json!({"title": "a"}))),
        (Method::PATCH, ABSENT.to_owned(), Some(json!({}))),
        (Method::DELETE, ABSENT.to_owned(), None),
        (Method::POST, format!("{ABSENT}/restore"), None),
        (Method::GET, format!("{ABSENT}/revisions"), None),
        (Method::GET, format!("{path}/revisions/9"), None),
        (Method::GET, format!("{path}/revisions/first"), None),
        (Method::GET, format!("{path}/revisions/1/diff?from=9"), None),
        (Method::POST, format!("{path}/revisions/9/restore"), None),
        (Method::GET, format!("{ABSENT}/shares"), None),
        (Method::PUT, format!("{path}/shares/user_01k9z4n2y6e0qv3m8t5w7x9abc"), Some(json!({"access": "read"}))),
        (Method::DELETE, format!("{path}/shares/user_01k9z4n2y6e0qv3m8t5w7x9abc"), None),
        (Method::GET, "/v2/notes/link_01k9z4n2y6e0qv3m8t5w7x9abc".to_owned(), None),
    ];
    for (method, path, body) in requests {
        let request = ada.request(method, &path);
        let request = if let Some(body) = &body { request.json(body) } else { request };
        request.answer().await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_bad_share_is_refused() {
    let house = House::new();
    let (ada, bob): (Member, Member) = (house.member().await, house.member().await);
    let path = ada.note(json!({"title": "a"})).await;
    for (body, pointer, wrong) in [
        (json!({"access": "owner"}), "/access", "unknown_value"),
        (json!({}), "/access", "missing_field"),
        (json!({"access": "read", "until": 1}), "/until", "unknown_field"),
    ] {
        let problem = ada.put(&format!("{path}/shares/{}", bob.id), &body).await.problem(422, "validation");
        assert_eq!(code(&problem), (pointer, wrong));
    }
    let own = ada.put(&format!("{path}/shares/{}", ada.id), &json!({"access": "read"})).await;
    own.problem(409, "conflict");
}

#[tokio::test]
async fn a_list_is_asked_for_in_its_own_words() {
    let ada = House::new().member().await;
    for (query, pointer) in [
        ("?sort=owner", "?sort"),
        ("?sort=", "?sort"),
        ("?sort=--title", "?sort"),
        ("?limit=0", "?limit"),
        ("?limit=201", "?limit"),
        ("?state=open", "?state"),
        ("?owner=bob", "?owner"),
        ("?pinned=maybe", "?pinned"),
        ("?tags_any=a,,b", "?tags_any"),
        ("?text=", "?text"),
        ("?text=%00", "?text"),
        ("?text=a%20b%20c%20d%20e%20f%20g%20h%20i%20j%20k", "?text"),
        ("?created_from=today", "?created_from"),
        ("?page=2", "?page"),
    ] {
        let problem = ada.get(&format!("/v2/notes{query}")).await.problem(422, "validation");
        assert_eq!(code(&problem).0, pointer, "{problem}");
    }
}
