//! The sandbox: HTTP by hand, with the manners of the rest.

use http::Method;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tests::{Answer, Ask as _, anonymous};

use crate::link::faults;

const ITEMS: &str = "/sandbox/items";

async fn ask(method: Method, path: &str) -> Answer {
    anonymous(method, path).answer().await
}

async fn send(method: Method, path: &str, body: &Value) -> Answer {
    anonymous(method, path).json(body).answer().await
}

#[tokio::test]
async fn an_item_is_made_read_replaced_and_removed() {
    let new = json!({"name": "L\u{e4}mp \"1\"", "data": {"watts": 60, "deep": [null, true, 1.5]}});
    let answer = send(Method::POST, ITEMS, &new).await.expect(201);
    let made = answer.json();
    let path = format!("{ITEMS}/{}", made["id"].as_str().unwrap());
    assert_eq!((answer.header("location"), answer.header("content-type")), (path.as_str(), "application/json"));
    assert_eq!((&made["name"], &made["data"]), (&new["name"], &new["data"]));
    assert_eq!(ask(Method::GET, &path).await.expect(200).json(), made);
    let list = ask(Method::GET, ITEMS).await.expect(200).json();
    assert!(list["data"].as_array().unwrap().contains(&made));
    assert!(list["lives"].as_str().unwrap().contains("instance"), "it says how long its items live");

    let replaced = send(Method::PUT, &path, &json!({"name": "Lamp"})).await.expect(200).json();
    assert_eq!(replaced, json!({"id": made["id"], "name": "Lamp", "data": null}));
    assert_eq!(ask(Method::GET, &path).await.json(), replaced);
    let removed = ask(Method::DELETE, &path).await.expect(204);
    assert!(removed.body.is_empty());
    for method in [Method::GET, Method::DELETE] {
        ask(method, &path).await.problem(404, "not-found");
    }
    send(Method::PUT, &path, &json!({"name": "Lamp"})).await.problem(404, "not-found");
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_as_everywhere() {
    ask(Method::GET, "/sandbox/items/item_999999999").await.problem(404, "not-found");
    for id in ["x", "item_", "item_01", "item_-1", "item_99999999999999999999", "%00"] {
        ask(Method::GET, &format!("{ITEMS}/{id}")).await.problem(404, "not-found");
    }
    let answer = ask(Method::PATCH, ITEMS).await;
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    answer.problem(405, "method-not-allowed");
    let answer = ask(Method::POST, &format!("{ITEMS}/item_1")).await;
    assert_eq!(answer.header("allow"), "GET,HEAD,PUT,DELETE");
    answer.problem(405, "method-not-allowed");
    anonymous(Method::POST, ITEMS).body("x").answer().await.problem(415, "unsupported-media-type");
    let raw =
        |body: String| anonymous(Method::POST, ITEMS).header("content-type", "application/json").body(body).answer();
    let problem = raw("{\n \"name\": }".to_owned()).await.problem(400, "malformed-json");
    assert!(problem["detail"].as_str().unwrap().contains("line 2 column"), "{problem}");
    raw(format!("{{\"name\":\"x\",\"data\":\"{}\"}}", "x".repeat(65_536))).await.problem(413, "payload-too-large");
    let problem =
        send(Method::POST, ITEMS, &json!({"name": 1, "nmae": "x", "a/b": 2})).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/a~1b", "unknown_field"), ("/name", "invalid_type"), ("/nmae", "unknown_field")]);
    let problem = send(Method::POST, ITEMS, &json!({"data": 1})).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/name", "missing_field")]);
    for name in [String::new(), "x".repeat(201)] {
        send(Method::POST, ITEMS, &json!({ "name": name })).await.problem(422, "validation");
    }
}

#[tokio::test]
async fn it_keeps_the_headers_of_the_others() {
    let answer = anonymous(Method::GET, ITEMS).header("x-request-id", "find-me").answer().await.expect(200);
    for (name, value) in
        [("x-request-id", "find-me"), ("x-content-type-options", "nosniff"), ("cache-control", "no-store")]
    {
        assert_eq!(answer.header(name), value);
    }
    assert!(!answer.header("strict-transport-security").is_empty());
    let head = ask(Method::HEAD, ITEMS).await.expect(200);
    assert_eq!((head.body.len(), head.header("content-type")), (0, "application/json"));
    let made = send(Method::POST, ITEMS, &json!({"name": "head"})).await.expect(201);
    let head = ask(Method::HEAD, made.header("location")).await.expect(200);
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn an_event_that_is_no_request_fails_the_invocation() {
    for event in [json!({}), json!(null), json!({"Records": []})] {
        assert!(::sandbox::handle(LambdaEvent::new(event.clone(), Context::default())).await.is_err(), "{event}");
    }
}
