//! The versions of the API: what a client of version 1 sees of what version 2 does, and how it is told that version 1 ends.

use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, Timestamp};
use tests::{Answer, Ask as _, Instance, Tenant, anonymous, eventually};

use crate::jobs::{Receiver, ended, job, status};

/// A note made by version 1, as it was answered.
async fn older_note(tenant: &Tenant, body: Value) -> Answer {
    tenant.post("/v1/notes", &body).await.expect(201)
}

fn pointers(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap();
    errors.iter().map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_body_of_version_1_is_one_however_its_content_type_is_written() {
    let tenant = Tenant::new().await;
    for kind in ["application/json", "Application/JSON", "APPLICATION/json ; charset=utf-8"] {
        let body = json!({"title": "a", "body": "- milk"}).to_string();
        let made = tenant.request(Method::POST, "/v1/notes").header("content-type", kind).body(body).answer().await;
        assert_eq!(made.expect(201).json()["body"], "- milk", "{kind}");
    }
    let body = json!({"title": "a", "content": "- milk"}).to_string();
    let newer = tenant.request(Method::POST, "/v1/notes").header("content-type", "Application/Json").body(body);
    assert_eq!(pointers(&newer.answer().await.problem(422, "validation")), [("/content", "other_version")]);
}

/// The path of the same in version 2.
fn newer(path: &str) -> String {
    path.replacen("/v1/", "/v2/", 1)
}

#[tokio::test]
async fn a_note_is_one_thing_in_two_forms() {
    let tenant = Tenant::new().await;
    let sent = json!({"title": "Groceries", "body": "- milk", "tags": "work,home", "due_at": 4_102_444_800_i64});
    let made = older_note(&tenant, sent).await;
    let (path, etag, older) = (made.header("location").to_owned(), made.header("etag").to_owned(), made.json());
    assert!(path.starts_with("/v1/notes/note_"), "{path}");
    assert_eq!(
        (&older["body"], &older["tags"], &older["due_at"]),
        (&json!("- milk"), &json!("home,work"), &json!(4_102_444_800_i64))
    );
    assert!(older["created_at"].is_u64() && older["done_at"].is_null() && older.get("content").is_none());

    let read = tenant.get(&newer(&path)).await.expect(200);
    assert_eq!(read.header("etag"), etag, "a version of the note has one tag");
    let note = read.json();
    assert_eq!((&note["content"], &note["tags"]), (&json!("- milk"), &json!(["home", "work"])));
    assert_eq!(note["due_at"], "2100-01-01T00:00:00.000Z");
    assert_eq!(tenant.get(&path).await.expect(200).json(), older);

    // Two writers at once, one of each version: one is late.
    tenant.patch(&newer(&path), &json!({"content": "- bread"})).await.expect(200);
    let late = tenant.request(Method::PATCH, &path).header("if-match", &etag).json(&json!({"body": "- salt"}));
    late.answer().await.problem(412, "precondition-failed");
    let edited = tenant.patch(&path, &json!({"body": "- cake", "due_at": null})).await.expect(200).json();
    assert_eq!((&edited["body"], &edited["due_at"], &edited["version"]), (&json!("- cake"), &Value::Null, &json!(3)));
    let known = tenant.request(Method::GET, &path).header("if-none-match", tenant.get(&path).await.header("etag"));
    assert!(known.answer().await.expect(304).body.is_empty());

    tenant.put(&path, &json!({"title": "New", "body": "all of it", "format": "md"})).await.expect(200);
    let note = tenant.get(&newer(&path)).await.expect(200).json();
    assert_eq!(
        (&note["title"], &note["content"], &note["format"]),
        (&json!("New"), &json!("all of it"), &json!("markdown"))
    );
    tenant.delete(&path).await.expect(204);
    tenant.get(&newer(&path)).await.problem(404, "not-found");
    let back = tenant.post(&format!("{path}/restore"), &json!({})).await.expect(200).json();
    assert_eq!(back["body"], "all of it");
}

#[tokio::test]
async fn version_1_pages_by_number_and_tells_the_total() {
    let tenant = Tenant::new().await;
    for number in 0..5 {
        older_note(
            &tenant,
            json!({"title": format!("{number}"), "tags": if number % 2 == 0 { "even" } else { "odd" }}),
        )
        .await;
    }
    let titles = |page: &Value| -> Vec<String> {
        page["notes"].as_array().unwrap().iter().map(|note| note["title"].as_str().unwrap().to_owned()).collect()
    };
    let mut seen = Vec::new();
    for number in 1..=3 {
        let answer = tenant.get(&format!("/v1/notes?sort=title&per_page=2&page={number}")).await.expect(200);
        assert!(!answer.header("link").contains("rel=\"next\""));
        let page = answer.json();
        assert_eq!((&page["page"], &page["per_page"], &page["total"]), (&json!(number), &json!(2), &json!(5)));
        let members: Vec<_> = page.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["notes", "page", "per_page", "total"]);
        seen.extend(titles(&page));
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    let behind = tenant.get("/v1/notes?page=9").await.expect(200).json();
    assert_eq!((&behind["notes"], &behind["total"]), (&json!([]), &json!(5)));
    let odd = tenant.get("/v1/notes?tag=odd&sort=-title").await.expect(200).json();
    assert_eq!((titles(&odd), &odd["total"]), (vec!["3".to_owned(), "1".to_owned()], &json!(2)));
    let found = tenant.get("/v1/notes?q=4").await.expect(200).json();
    assert_eq!(titles(&found), ["4"]);
}

#[tokio::test]
async fn a_client_of_version_1_is_told_what_is_of_version_2() {
    let tenant = Tenant::new().await;
    let problem = tenant
        .post("/v1/notes", &json!({"title": "a", "content": "x", "tags": ["a"]}))
        .await
        .problem(422, "validation");
    assert_eq!(pointers(&problem), [("/content", "other_version"), ("/tags", "other_version")]);
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("v2"), "{problem}");
    assert_eq!(problem["instance"], "/v1/notes");
    let problem = tenant.get("/v1/notes?page=2&cursor=abc").await.problem(422, "validation");
    assert_eq!(pointers(&problem), [("?cursor", "other_version")]);
    let problem = tenant.get("/v2/notes?page=2&cursor=abc").await.problem(422, "validation");
    assert_eq!(pointers(&problem), [("?page", "unknown_field")]);
    for path in ["/v1/notes/bulk", "/v1/notes/note_01k9z4n2y6e0qv3m8t5w7x9abc/revisions", "/v1/notes/settings"] {
        let problem = tenant.get(path).await.problem(404, "not-found");
        assert!(problem["detail"].as_str().unwrap().contains("v2"), "{path}: {problem}");
    }

    // What is wrong is pointed at where version 1 has it.
    let long = "x".repeat(256 * 1024 + 1);
    let bad = json!({"title": "", "body": long, "tags": "ok,\u{7}", "due_at": 1.5});
    let problem = tenant.post("/v1/notes", &bad).await.problem(422, "validation");
    assert_eq!(pointers(&problem), [("/due_at", "invalid_type")]);
    let bad = json!({"title": "", "body": "\u{0}", "tags": "ok,\u{7}", "due_at": -1});
    let problem = tenant.post("/v1/notes", &bad).await.problem(422, "validation");
    let mut found: Vec<_> = pointers(&problem).into_iter().map(|(pointer, _)| pointer).collect();
    found.sort_unstable();
    assert_eq!(found, ["/body", "/tags", "/title"]);
    let again = json!({"title": "a", "due_at": -1});
    assert_eq!(
        pointers(&tenant.post("/v1/notes", &again).await.problem(422, "validation")),
        [("/due_at", "out_of_range")]
    );

    let twice = tenant.request(Method::POST, "/v1/notes").header("content-type", "application/json");
    let problem = twice.body(r#"{"title":"a","body":"x","body":"y"}"#).answer().await.problem(422, "validation");
    assert_eq!(pointers(&problem).len(), 1, "what is there twice is refused: {problem}");
    let broken = tenant.request(Method::POST, "/v1/notes").header("content-type", "application/json").body("{");
    broken.answer().await.problem(400, "malformed-json");
    let other = tenant.request(Method::POST, "/v1/notes").header("content-type", "text/plain").body("{}");
    other.answer().await.problem(415, "unsupported-media-type");
    anonymous(Method::GET, "/v1/notes").answer().await.problem(401, "unauthenticated");
    tenant.request(Method::DELETE, "/v1/notes").answer().await.problem(405, "method-not-allowed");
    tenant.get("/v3/notes").await.expect(404);
}

#[tokio::test]
async fn a_cursor_is_of_one_version() {
    let tenant = Tenant::new().await;
    for _ in 0..2 {
        tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201);
    }
    let mut cursors = Vec::new();
    for version in ["v1", "v2"] {
        let answer = tenant.get(&format!("/{version}/links?limit=1&archived=false")).await.expect(200);
        let cursor = answer.json()["next_cursor"].as_str().unwrap().to_owned();
        let next = format!("/{version}/links?limit=1&archived=false&cursor={cursor}");
        assert!(answer.header("link").starts_with(&format!("<{next}>; rel=\"next\"")), "{}", answer.header("link"));
        let page = tenant.get(&next).await.expect(200).json();
        assert_eq!((page["data"].as_array().unwrap().len(), &page["next_cursor"]), (1, &Value::Null));
        cursors.push(cursor);
    }
    for (version, cursor) in [("v2", &cursors[0]), ("v1", &cursors[1])] {
        let foreign = format!("/{version}/links?limit=1&archived=false&cursor={cursor}");
        tenant.get(&foreign).await.problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_in_another_version_is_done_once() {
    let tenant = Tenant::new().await;
    let send = |path: &'static str, body: Value| {
        tenant.request(Method::POST, path).header("idempotency-key", "k").json(&body).answer()
    };
    let first = send("/v1/notes", json!({"title": "a", "body": "x"})).await.expect(201);
    let again = send("/v1/notes", json!({"title": "a", "body": "x"})).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first.json()));
    assert_eq!(again.header("location"), first.header("location"));
    let newer = send("/v2/notes", json!({"title": "a", "content": "x"})).await.expect(201);
    assert_eq!((newer.header("idempotency-replayed"), &newer.json()["content"]), ("true", &json!("x")));
    assert!(newer.header("location").starts_with("/v2/"));
    send("/v1/notes", json!({"title": "a", "body": "y"})).await.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn links_and_their_statistics_have_two_forms() {
    let tenant = Tenant::new().await;
    let link = json!({"target": "https://example.com/", "not_before": "2999-01-01T00:00:00Z"});
    let made = tenant.post("/v1/links", &link).await.expect(201);
    assert!(made.header("deprecation").starts_with('@') && made.header("sunset").is_empty());
    let path = made.header("location").to_owned();
    let read = tenant.get(&newer(&path)).await.expect(200);
    assert_eq!(
        (read.json()["starts_at"].as_str(), read.json().get("not_before")),
        (Some("2999-01-01T00:00:00.000Z"), None)
    );
    assert!(read.header("deprecation").is_empty());
    let edit = json!({"expires_at": "2998-01-01T00:00:00Z"});
    assert_eq!(
        pointers(&tenant.patch(&path, &edit).await.problem(422, "validation")),
        [("/expires_at", "before_start")]
    );
    let problem = tenant.patch(&path, &json!({"not_before": "soon"})).await.problem(422, "validation");
    assert_eq!(pointers(&problem), [("/not_before", "invalid")]);
    let problem = tenant.patch(&newer(&path), &json!({"not_before": null})).await.problem(422, "validation");
    assert_eq!(pointers(&problem), [("/not_before", "unknown_field")]);

    let stats = tenant.get(&format!("{path}/stats")).await.expect(200);
    assert_eq!(stats.json()["referrers"], json!({}));
    assert!(stats.header("link").contains("</changelog#links-stats-v1>; rel=\"deprecation\""));
    let stats = tenant.get(&format!("{}/stats", newer(&path))).await.expect(200);
    assert_eq!(stats.json()["referrers"], json!({"hosts": [], "direct": 0, "other": 0}));
    assert!(stats.header("deprecation").is_empty() && stats.header("link").is_empty());
    // What is no JSON goes through as it is.
    assert!(tenant.get(&format!("{path}/qr")).await.expect(200).header("content-type").starts_with("image/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_told_of_in_the_version_that_it_was_made_in() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(204)).await;
    for version in ["v1", "v2"] {
        let new = json!({"type": "noop", "on_done": {"url": receiver.url(&format!("/{version}"))}});
        let made = tenant.post(&format!("/{version}/jobs"), &new).await.expect(201);
        assert!(made.header("location").starts_with(&format!("/{version}/jobs/")));
        ended(&tenant, &made.json()).await;
    }
    let told = receiver.await_deliveries(2).await;
    for delivery in told {
        let body = delivery.json();
        let (own, other) =
            if delivery.path == "/v1" { ("attempts", "attempts_begun") } else { ("attempts_begun", "attempts") };
        assert_eq!((&body["data"][own], body["data"].get(other)), (&json!(1), None), "{}: {body}", delivery.path);
    }

    let long = job(&tenant, json!({"type": "noop", "payload": "x".repeat(5000), "delay_seconds": 86400})).await;
    let row = async |version: &str| {
        let list = tenant.get(&format!("/{version}/jobs?state=scheduled")).await.expect(200).json();
        list["data"].as_array().unwrap().iter().find(|row| row["id"] == long["id"]).unwrap().clone()
    };
    let (older, newer) = (row("v1").await, row("v2").await);
    assert_eq!(
        (older.get("payload"), older.get("payload_omitted"), &older["attempt"]),
        (Some(&Value::Null), None, &json!(0))
    );
    assert_eq!(
        (newer.get("payload"), &newer["payload_omitted"], &newer["attempts_begun"]),
        (None, &json!(true), &json!(0))
    );
    // A payload that is null is told apart from one that is left out.
    let nothing = job(&tenant, json!({"type": "noop", "payload": null})).await;
    let read = tenant.get(&format!("/v2/jobs/{}", nothing["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((read.get("payload"), &read["payload_omitted"]), (Some(&Value::Null), &json!(false)));
}

/// `notes.api` at some time.
async fn notes_at(at: &str) -> Instance {
    let at: Timestamp = at.parse().unwrap();
    Instance::with(&notes::SERVICE, "notes.api", Clock::manual(at), |environment| environment).await
}

#[tokio::test]
async fn what_is_deprecated_says_so_is_switched_off_at_times_and_ends() {
    let tenant = Tenant::new().await;
    let bearer = format!("Bearer {}", tenant.api_key);
    let ask =
        async |at: &str, path: &str| notes_at(at).await.http("GET", path, &[("authorization", &bearer)], None).await;

    let works = ask("2027-11-02T13:59:59Z", "/v1/notes").await.expect(200);
    assert_eq!(works.header("deprecation"), "@1793491200");
    assert_eq!(works.header("sunset"), "Wed, 01 Dec 2027 00:00:00 GMT");
    assert_eq!(works.header("link"), "</changelog#notes-v1>; rel=\"deprecation\"; type=\"text/html\"");
    let off = ask("2027-11-02T15:00:00Z", "/v1/notes").await;
    assert_eq!(off.header("retry-after"), "3600");
    assert!(off.problem(410, "version-sunset")["detail"].as_str().unwrap().contains("/v2/notes"));
    ask("2027-11-02T16:00:00Z", "/v1/notes").await.expect(200);
    let ended = ask("2027-12-01T00:00:00Z", "/v1/notes").await;
    assert!(ended.header("link").contains("</changelog#notes-v1>; rel=\"sunset\""), "{}", ended.header("link"));
    assert_eq!(ended.header("retry-after"), "");
    ended.problem(410, "version-sunset");
    let newest = ask("2027-12-01T00:00:00Z", "/v2/notes").await.expect(200);
    assert!(newest.header("deprecation").is_empty() && newest.header("sunset").is_empty());

    // A value ends as well, and with a name.
    let body = json!({"title": "a", "format": "md"});
    let ended = notes_at("2027-06-01T00:00:00Z")
        .await
        .http("POST", "/v1/notes", &[("authorization", &bearer)], Some(&body))
        .await;
    assert_eq!(pointers(&ended.problem(422, "validation")), [("/format", "ended")]);
}

#[tokio::test]
async fn who_uses_what_is_deprecated_is_counted() {
    let tenant = Tenant::new().await;
    let other = Tenant::new().await;
    let second = tenant.key_with("notes:read notes:write").await;
    for _ in 0..3 {
        tenant.get("/v1/notes").await.expect(200);
    }
    let ask = anonymous(Method::POST, "/v1/notes").bearer_auth(&second).json(&json!({"title": "a", "format": "md"}));
    ask.answer().await.expect(201);
    tenant.get("/v2/notes").await.expect(200);
    anonymous(Method::GET, "/v1/notes").answer().await.expect(401);

    let usage = eventually("all uses to be counted", || async {
        let usage = tenant.get("/v1/versions/usage").await.expect(200).json();
        let requests = |index: usize| usage["clients"][index]["requests"].as_u64().unwrap_or_default();
        (requests(0) + requests(1) == 5).then_some(usage)
    })
    .await;
    let clients = usage["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 2, "{usage}");
    assert_eq!((&clients[0]["requests"], &clients[0]["kind"]), (&json!(3), &json!("api_key")));
    let uses: Vec<_> = clients[1]["uses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|all| (all["deprecation"].clone(), all["requests"].clone()))
        .collect();
    assert_eq!(uses, [(json!("notes-format-md"), json!(1)), (json!("notes-v1"), json!(1))]);
    assert!(clients.iter().all(|client| client["client"].as_str().unwrap().starts_with("key_")));
    assert_eq!(other.get("/v1/versions/usage").await.expect(200).json()["clients"], json!([]));

    for (query, pointer) in [
        ("from=2026-02-01&to=2026-01-01", "?from"),
        ("from=2026-01-01&to=2026-12-31", "?from"),
        ("from=x", "?from"),
        ("days=3", "?days"),
    ] {
        let problem = tenant.get(&format!("/v1/versions/usage?{query}")).await.problem(422, "validation");
        assert_eq!(pointers(&problem)[0].0, pointer, "{query}");
    }
    let reader = tenant.key_with("notes:read").await;
    anonymous(Method::GET, "/v1/versions/usage").bearer_auth(&reader).answer().await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_request_is_shown_in_both_versions() {
    let asked = json!({
        "method": "POST", "path": "/v1/notes", "body": {"title": "Groceries", "body": "- milk", "tags": "home"},
        "answer": {"id": "note_1", "content": "- milk", "tags": ["home"], "created_at": "2026-05-04T09:30:00.000Z"},
    });
    let preview = |body: &Value| anonymous(Method::POST, "/v1/versions/preview").json(body).answer();
    let shown = preview(&asked).await.expect(200).json();
    let newer = json!({"title": "Groceries", "content": "- milk", "tags": ["home"]});
    assert_eq!(shown["request"]["v2"], json!({"method": "POST", "path": "/v2/notes", "body": newer}));
    assert_eq!(shown["request"]["v1"]["body"], asked["body"]);
    assert_eq!(
        shown["answer"]["v1"],
        json!({"id": "note_1", "body": "- milk", "tags": "home", "created_at": 1_777_887_000})
    );
    assert_eq!(shown["deprecations"][0]["name"], "notes-v1");

    // The differences are a JSON Patch that somebody else's implementation can apply.
    let mut patched = shown["request"]["v1"].clone();
    let patch: json_patch::Patch = serde_json::from_value(shown["request"]["differences"].clone()).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched, shown["request"]["v2"]);

    for (body, pointer) in [
        (json!({"method": "POST", "path": "/v1/notes", "body": {"content": "x"}}), "/content"),
        (json!({"method": "POST", "path": "/v2/notes"}), "/path"),
        (json!({"method": "GET", "path": "/v1/me"}), "/path"),
        (json!({"method": "GET", "path": "not a path"}), "/path"),
        (json!({"method": "G T", "path": "/v1/notes"}), "/method"),
        (json!({"method": "BREW", "path": "/v1/notes"}), "/method"),
        (json!({"method": "GET", "path": "/v1/notes", "query": "a"}), "/query"),
    ] {
        assert_eq!(pointers(&preview(&body).await.problem(422, "validation"))[0].0, pointer, "{body}");
    }
    let list = anonymous(Method::GET, "/v1/versions").answer().await.expect(200).json();
    assert_eq!((&list["newest"], &list["served"]), (&json!("v2"), &json!(["v1", "v2"])));
    let page = anonymous(Method::GET, "/changelog").answer().await.expect(200);
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let named = [&list["changes"], &list["deprecations"]].into_iter().flat_map(|all| all.as_array().unwrap());
    for name in named.map(|entry| entry["name"].as_str().unwrap()) {
        assert!(page.contains(&format!("id=\"{name}\"")), "/changelog has no {name}");
    }
}
