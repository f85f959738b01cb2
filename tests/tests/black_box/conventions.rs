//! What every route does the same way: problems for every failure, bodies, request ids, headers.

use std::collections::BTreeSet;

use http::{HeaderValue, Method};
use serde_json::{Value, json};
use shared::http::BODY_LIMIT;
use tests::{Ask as _, Tenant, anonymous};

use crate::link::{door_of, faults, link, made, path_of};
use crate::resources::Subscriber;

#[tokio::test]
async fn a_route_that_no_function_has_is_answered_by_the_gateway() {
    let answer = anonymous(Method::GET, "/nowhere").answer().await.expect(404);
    assert_eq!(answer.json(), json!({"message": "Not Found"}));
}

#[tokio::test]
async fn an_unknown_path_below_a_known_one_is_a_problem() {
    for path in ["/v1/links/a/b/c", "/v1/links/a/nothing", "/l/a/b"] {
        let problem = anonymous(Method::GET, path).answer().await.problem(404, "not-found");
        assert_eq!(problem["instance"], path);
    }
}

#[tokio::test]
async fn a_method_that_a_path_has_not_is_405_with_those_that_it_has() {
    let tenant = Tenant::new().await;
    for (method, path, allowed) in [
        (Method::PUT, "/v1/links", vec!["GET", "HEAD", "POST"]),
        (Method::POST, "/v1/links/link_x", vec!["DELETE", "GET", "HEAD", "PATCH"]),
        (Method::DELETE, "/v1/links/blocklist", vec!["GET", "HEAD", "PUT"]),
        (Method::PATCH, "/l/something", vec!["GET", "HEAD", "POST"]),
        (Method::OPTIONS, "/v1/links", vec!["GET", "HEAD", "POST"]),
    ] {
        let answer = tenant.request(method.clone(), path).answer().await;
        let mut named: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        named.sort_unstable();
        assert_eq!(named, allowed, "{method} {path}");
        answer.problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let tenant = Tenant::new().await;
    let body = |length: usize| format!("{{\"target\":\"{}\"}}", "x".repeat(length - 13));
    let send = async |body: String| {
        tenant.request(Method::POST, "/v1/links").header("content-type", "application/json").body(body).answer().await
    };
    assert_eq!(body(BODY_LIMIT).len(), BODY_LIMIT);
    send(body(BODY_LIMIT)).await.problem(422, "validation");
    send(body(BODY_LIMIT + 1)).await.problem(413, "payload-too-large");
    // What is over Lambda's own limit does not reach the function.
    let answer = send(body(7 * 1024 * 1024)).await.expect(413);
    assert_eq!(answer.json(), json!({"message": "Request Entity Too Large"}));
}

#[tokio::test]
async fn a_body_of_another_type_is_415() {
    let tenant = Tenant::new().await;
    let path = path_of(&link(&tenant, json!({})).await);
    let body = r#"{"target":"https://example.com/"}"#;
    for kind in [None, Some("text/plain"), Some("application/jsonp"), Some("application/x-www-form-urlencoded")] {
        for (method, path) in
            [(Method::POST, "/v1/links"), (Method::PATCH, &path), (Method::PUT, "/v1/links/blocklist")]
        {
            let request = tenant.request(method, path).body(body);
            let request = kind.map_or(request.try_clone().unwrap(), |kind| request.header("content-type", kind));
            request.answer().await.problem(415, "unsupported-media-type");
        }
    }
    let accepted = "Application/JSON; charset=utf-8";
    tenant.request(Method::POST, "/v1/links").header("content-type", accepted).body(body).answer().await.expect(201);
    let merge = tenant.request(Method::PATCH, &path).header("content-type", "application/merge-patch+json");
    merge.body(body).answer().await.expect(200);
}

#[tokio::test]
async fn malformed_json_is_400_with_line_and_column() {
    let tenant = Tenant::new().await;
    for (body, place) in [
        ("", "line 1 column 0"),
        ("{\n \"target\": }", "line 2 column 12"),
        ("{\"target\": \"https://example.com/\"} x", "line 1 column 36"),
        ("{\"target\": \"\u{1}\"}", "line 1 column 13"),
        ("{\"target\": \"https://example.com/\"", "line 1 column 33"),
    ] {
        let request = tenant.request(Method::POST, "/v1/links").header("content-type", "application/json");
        let problem = request.body(body).answer().await.problem(400, "malformed-json");
        assert!(problem["detail"].as_str().unwrap().contains(place), "{body:?}: {problem}");
    }
    for bytes in [b"{\"target\": \"\xff\"}".to_vec(), "[".repeat(100_000).into_bytes()] {
        let request = tenant.request(Method::POST, "/v1/links").header("content-type", "application/json");
        request.body(bytes).answer().await.problem(400, "malformed-json");
    }
}

/// A body in which every field is bad, and what is wrong with each.
fn all_bad() -> (Value, Vec<(&'static str, &'static str)>) {
    let body = json!({
        "target": "javascript:alert(1)",
        "redirect_status": 200,
        "title": "",
        "note": 7,
        "tags": ["a", "a"],
        "not_before": "yesterday",
        "expires_at": 5,
        "max_clicks": 0,
        "password": "abc",
        "colour/~": "red",
    });
    let faults = vec![
        ("/colour~1~0", "unknown_field"),
        ("/expires_at", "invalid_type"),
        ("/max_clicks", "out_of_range"),
        ("/not_before", "invalid"),
        ("/note", "invalid_type"),
        ("/password", "too_short"),
        ("/redirect_status", "unknown_value"),
        ("/tags", "duplicate"),
        ("/target", "bad_scheme"),
        ("/title", "empty"),
    ];
    (body, faults)
}

#[tokio::test]
async fn every_bad_field_is_listed_with_its_pointer() {
    let tenant = Tenant::new().await;
    let (body, expected) = all_bad();
    let problem = tenant.post("/v1/links", &body).await.problem(422, "validation");
    assert_eq!(faults(&problem), expected);
    assert_eq!(problem["detail"], "10 fields are invalid");
    let problem = tenant.post("/v1/links", &json!({})).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/target", "missing_field")]);
    assert_eq!(problem["detail"], "1 field is invalid");
    for body in [json!([]), json!("x"), json!(null), json!(1)] {
        tenant.post("/v1/links", &body).await.problem(422, "validation");
    }
}

#[tokio::test]
async fn every_bad_field_of_a_patch_is_listed_with_its_pointer() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({})).await;
    let (patch, expected) = all_bad();
    let problem = tenant.patch(&path_of(&link), &patch).await.problem(422, "validation");
    assert_eq!(faults(&problem), expected);
    tenant.patch(&path_of(&link), &json!([])).await.problem(422, "validation");
    assert_eq!(tenant.get(&path_of(&link)).await.json(), link);
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_refused() {
    let tenant = Tenant::new().await;
    let body = r#"{"target": "https://a.example/", "target": "https://b.example/"}"#;
    let request = tenant.request(Method::POST, "/v1/links").header("content-type", "application/json");
    let problem = request.body(body).answer().await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/target", "duplicate_field")]);
    let link = made(&tenant, json!({"title": "Old"})).await.json();
    let request = tenant.request(Method::PATCH, &path_of(&link)).header("content-type", "application/merge-patch+json");
    let problem = request.body(r#"{"title": "a", "title": "b"}"#).answer().await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/title", "duplicate_field")]);
    assert_eq!(tenant.get(&path_of(&link)).await.json(), link);
}

#[tokio::test]
async fn texts_are_kept_to_the_letter_or_refused() {
    let tenant = Tenant::new().await;
    for kept in ["👩‍👩‍👧 e\u{301}", "'; DROP TABLE links; --", "a\u{200b}b", "\u{10ffff}"] {
        let made = link(&tenant, json!({"title": kept, "note": kept, "tags": [kept]})).await;
        let read = tenant.get(&path_of(&made)).await.expect(200).json();
        assert_eq!((&read["title"], &read["note"], &read["tags"][0]), (&json!(kept), &json!(kept), &json!(kept)));
    }
    for (text, code) in [
        ("a\0b", "control_character"),
        ("a\u{85}b", "control_character"),
        // A title is shown to strangers, and is not to read as another.
        ("\u{202e}gpj.exe\u{202c}", "control_character"),
        (&"x".repeat(1_000_000), "too_long"),
    ] {
        let problem = tenant.post("/v1/links", &json!({"target": "https://example.com/", "title": text})).await;
        assert_eq!(faults(&problem.problem(422, "validation")), [("/title", code)]);
    }
    for target in ["https://example.com/a\0b", "https://exam\u{202e}ple.com/", "https://example.com/\nx"] {
        tenant.post("/v1/links", &json!({"target": target})).await.problem(422, "validation");
    }
}

#[tokio::test]
async fn a_line_that_is_none_is_refused_by_the_same_code_wherever_it_is_written() {
    let tenant = Tenant::new().await;
    let job = json!({"type": "a"});
    for (path, field, rest) in [
        ("/v2/links", "title", json!({"target": "https://example.com/"})),
        ("/v2/notes", "title", json!({})),
        ("/v2/schedules", "name", json!({"interval_seconds": 60, "job": job})),
        ("/v1/api-keys", "name", json!({"scopes": ["links:read"]})),
        ("/v1/oauth-clients", "name", json!({"scopes": ["links:read"]})),
        ("/v1/roles", "description", json!({"name": "reader", "permissions": ["links:read"]})),
        ("/v2/queues/default/lease", "worker", json!({})),
    ] {
        // A worker's name is one to the letter.
        let blank = (field != "worker").then_some((" ", "empty"));
        let wrong = [
            ("", "empty"),
            (&*"x".repeat(201), "too_long"),
            ("a\0b", "control_character"),
            ("a\nb", "control_character"),
        ];
        for (text, code) in wrong.into_iter().chain(blank) {
            let mut body = rest.clone();
            body[field] = json!(text);
            let problem = tenant.post(path, &body).await.problem(422, "validation");
            assert_eq!(faults(&problem), [(&*format!("/{field}"), code)], "{path} {text:?}");
        }
    }
    // Blanks at its ends are no part of it.
    for (path, rest) in [
        ("/v1/api-keys", json!({"scopes": ["links:read"]})),
        ("/v2/schedules", json!({"interval_seconds": 60, "job": job})),
    ] {
        let mut body = rest;
        body["name"] = json!(" Website ");
        assert_eq!(tenant.post(path, &body).await.expect(201).json()["name"], "Website", "{path}");
    }
}

#[tokio::test]
async fn a_post_without_a_body_says_nothing() {
    let tenant = Tenant::new().await;
    let bare = async |method: Method, path: &str| tenant.request(method, path).answer().await;
    for path in ["/v1/queues/default/lease", "/v2/queues/default/lease", "/v2/queues/default/redrive"] {
        bare(Method::POST, path).await.expect(200);
    }
    let schedule = json!({"name": "a", "interval_seconds": 3600, "job": {"type": "a"}});
    let made = tenant.post("/v2/schedules", &schedule).await.expect(201);
    let run = format!("{}/run", made.header("location"));
    bare(Method::POST, &run).await.expect(201);
    let again =
        async || tenant.request(Method::POST, &run).header("idempotency-key", "once").answer().await.expect(201);
    assert_eq!(again().await.json(), again().await.json());
    // What a body must have is told, and a PUT is not one of nothing.
    let problem = bare(Method::POST, "/v2/links").await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/target", "missing_field")]);
    bare(Method::PUT, "/v2/queues/default").await.problem(415, "unsupported-media-type");
    let typed = tenant.request(Method::POST, "/v2/queues/default/lease").header("content-type", "text/plain");
    typed.answer().await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_request_id_is_accepted_or_replaced_and_always_returned() {
    let ask = async |id: HeaderValue| {
        let answer = anonymous(Method::GET, "/v1/links").header("x-request-id", id).answer().await;
        let returned = answer.header("x-request-id").to_owned();
        answer.problem(401, "unauthenticated");
        returned
    };
    let longest = "x".repeat(128);
    for accepted in ["my-id 42", "~!@#$%^&*()", longest.as_str()] {
        assert_eq!(ask(HeaderValue::from_str(accepted).unwrap()).await, accepted);
    }
    let replaced = [b"x".repeat(129), b"".to_vec(), "\u{e4}".as_bytes().to_vec(), b"a\tb".to_vec()];
    for refused in replaced {
        let returned = ask(HeaderValue::from_bytes(&refused).unwrap()).await;
        assert!(returned.starts_with("req_") && returned.len() == 30, "{returned}");
    }
}

#[tokio::test]
async fn a_trace_is_continued_and_what_is_none_starts_another() {
    let tenant = Tenant::new().await;
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let mut started = BTreeSet::new();
    for (given, continued) in [
        (format!("00-{trace}-{parent}-01"), Some("01")),
        (format!("00-{trace}-{parent}-00"), Some("00")),
        (format!("cc-{trace}-{parent}-03-of-a-later-version"), Some("01")),
        (format!("ff-{trace}-{parent}-01"), None),
        (format!("00-{trace}-{parent}-01-too-long"), None),
        (format!("00-{}-{parent}-01", trace.to_uppercase()), None),
        (format!("00-{}-{parent}-01", "0".repeat(32)), None),
        ("garbage".to_owned(), None),
        (String::new(), None),
    ] {
        let request = tenant.request(Method::POST, "/v1/links").json(&json!({"target": "https://example.com/"}));
        let made = request.header("traceparent", &given).answer().await.expect(201).json();
        let event = subscriber.await_event("link.created", made["id"].as_str().unwrap()).await;
        let sent: Vec<_> = event["traceparent"].as_str().unwrap().split('-').collect();
        let [version, id, span, flags] = sent[..] else { panic!("{event}") };
        assert_eq!((version, id.len(), span.len()), ("00", 32, 16), "{event}");
        assert_ne!(span, parent, "the span is our own");
        match continued {
            Some(kept) => assert_eq!((id, flags), (trace, kept), "{given}"),
            None => assert!(!id.eq_ignore_ascii_case(trace) && started.insert(id.to_owned()), "{given}: {event}"),
        }
    }
    assert_eq!(started.len(), 6);
}

#[tokio::test]
async fn head_answers_what_get_answers_without_the_body() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({})).await;
    let unknown = "/v1/links/link_01k9z4n2y6e0qv3m8t5w7x9abc".to_owned();
    self::link(&tenant, json!({})).await;
    let pages = ["/v1/links?limit=1", "/v2/links?limit=1"].map(str::to_owned);
    let others = [path_of(&link), format!("{}/qr", path_of(&link)), unknown, door_of(&link)];
    for path in pages.into_iter().chain(others) {
        let get = tenant.get(&path).await;
        let head = tenant.request(Method::HEAD, &path).answer().await;
        assert_eq!((get.status, head.body.len()), (head.status, 0), "{path}");
        for name in ["etag", "content-type", "cache-control", "location", "link"] {
            assert_eq!(get.header(name), head.header(name), "{name} of {path}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers_and_what_is_personal_is_not_stored() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({})).await;
    let (path, etag) = (path_of(&made.json()), made.header("etag").to_owned());
    let door = door_of(&made.json());
    let mut answers = vec![
        made,
        tenant.get(&path).await.expect(200),
        tenant.request(Method::GET, &path).header("if-none-match", etag).answer().await.expect(304),
        tenant.get("/v1/links/nothing").await.expect(404),
        tenant.get(&format!("{path}/qr")).await.expect(200),
        tenant.get("/v1/links").await.expect(200),
        anonymous(Method::GET, "/v1/links").answer().await.expect(401),
        anonymous(Method::GET, "/l/nothing-here").header("accept", "text/html").answer().await.expect(404),
        anonymous(Method::GET, &format!("{door}+")).answer().await.expect(200),
        tenant.delete(&path).await.expect(204),
    ];
    for answer in &answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    }
    let followed = anonymous(Method::GET, &door_of(&link(&tenant, json!({})).await)).answer().await.expect(302);
    assert!(followed.header("cache-control").contains("no-cache"));
    answers.push(followed);
    for answer in answers {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{answer:?}");
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(answer.header("server"), "");
    }
}
