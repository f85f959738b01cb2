//! What a client may rely on, told in API Gateway's events.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use lambda_runtime::Context;
use serde_json::json;

use super::*;

/// An answer with its body read.
struct Answer {
    status: u64,
    headers: Value,
    text: String,
    json: Value,
}

fn send(store: &Store, event: Value) -> Answer {
    let mut context = Context::default();
    context.request_id = "invocation-1".to_owned();
    let answer = respond(store, LambdaEvent::new(event, context)).unwrap();
    let text = answer["body"].as_str().unwrap().to_owned();
    assert_eq!(answer["isBase64Encoded"], false);
    Answer {
        status: answer["statusCode"].as_u64().unwrap(),
        headers: answer["headers"].clone(),
        json: serde_json::from_str(&text).unwrap_or_default(),
        text,
    }
}

fn event(method: &str, path: &str, body: Option<&str>) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "ANY /sandbox/items/{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "example.com"},
        "requestContext": {"requestId": "gateway-1", "http": {"method": method, "path": path}},
        "isBase64Encoded": false,
    });
    if let Some(body) = body {
        event["body"] = body.into();
        event["headers"]["content-type"] = "application/json; charset=utf-8".into();
    }
    event
}

fn call(store: &Store, method: &str, path: &str, body: Option<&str>) -> Answer {
    send(store, event(method, path, body))
}

#[test]
fn an_item_is_made_read_replaced_listed_and_removed() {
    let store = Store::new();
    let made = call(&store, "POST", "/sandbox/items", Some(r#"{"name": "a \"b\" ü", "data": {"n": [1, 2.5]}}"#));
    assert_eq!(made.status, 201);
    let path = made.headers["location"].as_str().unwrap();
    assert_eq!(path, "/sandbox/items/item_1");
    assert_eq!(made.json, json!({"id": "item_1", "name": "a \"b\" ü", "data": {"n": [1, 2.5]}}));

    assert_eq!(call(&store, "GET", path, None).json, made.json);
    let replaced = call(&store, "PUT", path, Some(r#"{"name": "c"}"#));
    assert_eq!((replaced.status, &replaced.json), (200, &json!({"id": "item_1", "name": "c", "data": null})));
    call(&store, "POST", "/sandbox/items", Some(r#"{"name": "d"}"#));
    let list = call(&store, "GET", "/sandbox/items", None);
    assert_eq!(list.json["data"].as_array().unwrap().len(), 2);
    assert_eq!(list.json["data"][0], replaced.json);
    assert_eq!(list.json["lives"], "as long as this instance");

    let removed = call(&store, "DELETE", path, None);
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    for method in ["GET", "DELETE"] {
        assert_eq!(call(&store, method, path, None).status, 404);
    }
    assert_eq!(call(&store, "PUT", path, Some(r#"{"name": "e"}"#)).status, 404);
}

#[test]
fn every_answer_has_the_headers_of_all_answers() {
    for answer in [
        call(&Store::new(), "GET", "/sandbox/items", None),
        call(&Store::new(), "DELETE", "/sandbox/items/item_9", None),
    ] {
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["x-request-id"], "gateway-1");
    }
}

#[test]
fn the_clients_request_id_is_returned_when_it_is_printable() {
    let id_for = |sent: &str| {
        let mut event = event("GET", "/nowhere", None);
        event["headers"]["x-request-id"] = sent.into();
        let answer = send(&Store::new(), event);
        assert_eq!(answer.headers["x-request-id"], answer.json["request_id"]);
        answer.json["request_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id_for("mine 1"), "mine 1");
    for bad in ["", "a\nb", "ü", &"x".repeat(129)] {
        assert_eq!(id_for(bad), "gateway-1");
    }
    let mut bare = event("GET", "/nowhere", None);
    bare["requestContext"].as_object_mut().unwrap().remove("requestId");
    assert_eq!(send(&Store::new(), bare).json["request_id"], "invocation-1");
}

#[test]
fn a_failure_is_a_problem_document() {
    let answer = call(&Store::new(), "GET", "/sandbox/items/item_7", None);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        answer.json,
        json!({
            "type": "https://tenfold.dev/problems/not-found",
            "title": "There is nothing here",
            "status": 404,
            "detail": "there is no such item in this instance",
            "instance": "/sandbox/items/item_7",
            "request_id": "gateway-1",
        })
    );
}

#[test]
fn an_unknown_path_is_404_and_an_unknown_method_405_with_allow() {
    let store = Store::new();
    for path in [
        "/",
        "/sandbox",
        "/sandbox/items/",
        "/sandbox/itemsx",
        "/sandbox/items/item_01",
        "/sandbox/items/1",
        "/sandbox/items/item_1/x",
    ] {
        assert_eq!(call(&store, "GET", path, None).status, 404, "{path}");
    }
    for (path, allow) in [("/sandbox/items", "GET,HEAD,POST"), ("/sandbox/items/item_1", "GET,HEAD,PUT,DELETE")] {
        let answer = call(&store, "PATCH", path, None);
        assert_eq!((answer.status, &answer.headers["allow"]), (405, &json!(allow)));
        assert!(answer.json["type"].as_str().unwrap().ends_with("/method-not-allowed"));
    }
}

#[test]
fn a_head_is_a_get_without_its_body() {
    let store = Store::new();
    call(&store, "POST", "/sandbox/items", Some(r#"{"name": "a"}"#));
    for (path, status) in [("/sandbox/items/item_1", 200), ("/sandbox/items/item_2", 404)] {
        let answer = call(&store, "HEAD", path, None);
        assert_eq!((answer.status, answer.text.as_str()), (status, ""));
        assert!(answer.headers["content-type"].is_string());
    }
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    let store = Store::new();
    let mut plain = event("POST", "/sandbox/items", Some("{}"));
    plain["headers"]["content-type"] = "text/plain".into();
    assert_eq!(send(&store, plain).status, 415);
    assert_eq!(call(&store, "POST", "/sandbox/items", None).status, 415);
    let malformed = call(&store, "POST", "/sandbox/items", Some("{\n\"name\": }"));
    assert_eq!(malformed.status, 400);
    assert_eq!(malformed.json["detail"], "the body is not valid JSON at line 2 column 9");
    for body in ["", "{} {}", "{\"name\": \"\u{1}\"}"] {
        assert_eq!(call(&store, "POST", "/sandbox/items", Some(body)).status, 400, "{body}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(call(&store, "POST", "/sandbox/items", Some(&deep)).status, 400);
}

#[test]
fn every_bad_field_has_its_entry() {
    let answer = call(&Store::new(), "POST", "/sandbox/items", Some(r#"{"name": 1, "naem": "x", "a/b~c": 1}"#));
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json["detail"], "3 fields are invalid");
    let mut found: Vec<_> = answer.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("/a~1b~0c", "unknown_field"), ("/naem", "unknown_field"), ("/name", "invalid_type")]);
    for body in ["[]", "{}", r#"{"name": ""}"#, &format!(r#"{{"name": "{}"}}"#, "x".repeat(201))] {
        assert_eq!(call(&Store::new(), "POST", "/sandbox/items", Some(body)).status, 422, "{body}");
    }
}

#[test]
fn a_body_in_base64_is_decoded() {
    let mut encoded = event("POST", "/sandbox/items", Some("eyJuYW1lIjoiYSJ9"));
    encoded["isBase64Encoded"] = true.into();
    assert_eq!(send(&Store::new(), encoded.clone()).json["name"], "a");
    encoded["body"] = "?".into();
    assert_eq!(send(&Store::new(), encoded).status, 400);
}

#[test]
fn a_body_may_have_64_kib_and_not_a_byte_more() {
    let body = |bytes: usize| {
        let frame = r#"{"name":"a","data":""}"#.len();
        format!(r#"{{"name":"a","data":"{}"}}"#, "x".repeat(bytes - frame))
    };
    let store = Store::new();
    assert_eq!(call(&store, "POST", "/sandbox/items", Some(&body(65_536))).status, 201);
    assert_eq!(call(&store, "POST", "/sandbox/items", Some(&body(65_537))).status, 413);
}

#[test]
fn a_full_sandbox_says_so_until_there_is_room() {
    let store = Store::new();
    for _ in 0..1_000 {
        assert_eq!(call(&store, "POST", "/sandbox/items", Some(r#"{"name": "a"}"#)).status, 201);
    }
    let refused = call(&store, "POST", "/sandbox/items", Some(r#"{"name": "a"}"#));
    assert_eq!((refused.status, refused.json["type"].as_str()), (409, Some("https://tenfold.dev/problems/conflict")));
    assert_eq!(call(&store, "DELETE", "/sandbox/items/item_500", None).status, 204);
    let made = call(&store, "POST", "/sandbox/items", Some(r#"{"name": "a"}"#));
    assert_eq!(made.json["id"], "item_1001");
}

#[test]
fn the_largest_list_fits_into_lambdas_answer() {
    let store = Store::new();
    // Quotes and backslashes are escaped once in the item and once more in the event.
    let body = json!({"name": "a", "data": "\"".repeat(32_000)}).to_string();
    while call(&store, "POST", "/sandbox/items", Some(&body)).status == 201 {}
    let list = event("GET", "/sandbox/items", None);
    let answer = respond(&store, LambdaEvent::new(list, Context::default())).unwrap();
    assert!(answer.to_string().len() < 6_000_000);
}

#[test]
fn what_is_no_event_of_an_http_api_fails() {
    for event in [json!({}), json!(null), json!({"rawPath": "/sandbox/items"}), json!({"Records": []})] {
        assert!(respond(&Store::new(), LambdaEvent::new(event, Context::default())).is_err());
    }
}

#[tokio::test]
async fn an_instance_keeps_its_items_from_one_event_to_the_next() {
    let made =
        handle(LambdaEvent::new(event("POST", "/sandbox/items", Some(r#"{"name": "kept"}"#)), Context::default()));
    let path = made.await.unwrap()["headers"]["location"].as_str().unwrap().to_owned();
    let read = handle(LambdaEvent::new(event("GET", &path, None), Context::default())).await.unwrap();
    assert_eq!(read["statusCode"], 200);
}
