//! How whoever runs a deployment comes to an API key.

use serde_json::json;
use tests::{Ask as _, Instance, anonymous};

async fn keys() -> Instance {
    Instance::of(&platform::SERVICE, "platform.keys").await
}

#[tokio::test]
async fn the_first_key_of_a_new_tenant_works_at_once() {
    let made = keys().await.invoke(&json!({"name": "first key"})).await.unwrap();
    let key = made["api_key"].as_str().unwrap();
    assert!(key.starts_with("tf_live_"), "{made}");
    let links = anonymous(http::Method::GET, "/v1/links").bearer_auth(key).answer().await.expect(200).json();
    assert_eq!(links["data"], json!([]));
}

#[tokio::test]
async fn a_further_key_of_a_tenant_has_the_scopes_that_were_asked_for() {
    let keys = keys().await;
    let first = keys.invoke(&json!({"name": "first"})).await.unwrap();
    let wanted = json!({"name": "second", "tenant_id": first["tenant_id"], "scopes": "links:read", "test": true});
    let second = keys.invoke(&wanted).await.unwrap();
    assert_eq!(second["tenant_id"], first["tenant_id"]);
    let key = second["api_key"].as_str().unwrap();
    assert!(key.starts_with("tf_test_"), "{second}");
    anonymous(http::Method::GET, "/v1/links").bearer_auth(key).answer().await.expect(200);
    let refused =
        anonymous(http::Method::POST, "/v1/links").bearer_auth(key).json(&json!({"target": "https://example.com"}));
    refused.answer().await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_makes_no_key() {
    for event in [
        json!(null),
        json!({}),
        json!({"name": ""}),
        json!({"name": " "}),
        json!({"name": "x".repeat(101)}),
        json!({"name": "two\nlines"}),
        json!({"name": "turned \u{202e}round"}),
        json!({"name": "x", "scope": "y"}),
        json!({"name": "x", "tenant_id": "user_1"}),
    ] {
        keys().await.invoke(&event).await.unwrap_err();
    }
}
