//! CORS: pages of the origins that the owner names may call the API, and no others.

use serde_json::json;
use shared::time::Clock;
use tests::{Instance, Tenant};

use crate::link::{link, path_of};

const ALLOWED: &str = "https://app.example";

async fn instance() -> Instance {
    let origins = format!("{ALLOWED}, https://other.example:8443");
    Instance::with(&links::SERVICE, "links.api", Clock::system(), |environment| {
        environment.with("CORS_ORIGINS", &origins)
    })
    .await
}

#[tokio::test]
async fn a_preflight_from_an_allowed_origin_is_granted() {
    let headers = [
        ("origin", ALLOWED),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,content-type,if-match"),
    ];
    let answer = instance().await.http("OPTIONS", "/v1/links/link_x", &headers, None).await.expect(204);
    assert_eq!(answer.header("access-control-allow-origin"), ALLOWED);
    assert_eq!(answer.header("access-control-allow-methods"), "PATCH");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type,if-match");
    assert!(!answer.header("access-control-max-age").is_empty());
    assert!(answer.header("vary").contains("Origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn a_preflight_from_any_other_origin_is_not() {
    let instance = instance().await;
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil.example",
        "https://app.example:444",
        "null",
        "",
    ] {
        let headers = [("origin", origin), ("access-control-request-method", "GET")];
        let answer = instance.http("OPTIONS", "/v1/links", &headers, None).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(answer.header("access-control-allow-methods"), "", "{origin}");
        answer.problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn an_answer_names_the_origin_that_may_read_it() {
    let (instance, tenant) = (instance().await, Tenant::new().await);
    for (origin, expected) in
        [(ALLOWED, ALLOWED), ("https://other.example:8443", "https://other.example:8443"), ("https://evil.example", "")]
    {
        let headers = [("origin", origin), ("x-api-key", &tenant.api_key)];
        for (headers, status) in [(&headers[..], 200), (&headers[..1], 401)] {
            let answer = instance.http("GET", "/v1/links", headers, None).await.expect(status);
            assert_eq!(answer.header("access-control-allow-origin"), expected);
            assert!(answer.header("vary").contains("Origin"), "{answer:?}");
        }
    }
    let answer = instance.http("GET", "/v1/links", &[("origin", ALLOWED), ("x-api-key", &tenant.api_key)], None).await;
    for name in ["ETag", "Link", "Location", "X-Request-Id", "Retry-After", "Idempotency-Replayed"] {
        assert!(answer.header("access-control-expose-headers").contains(name), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_varies_by_accept_too_names_both() {
    let (instance, tenant) = (instance().await, Tenant::new().await);
    let path = format!("{}/qr", path_of(&link(&tenant, json!({})).await));
    let answer = instance.http("GET", &path, &[("origin", ALLOWED), ("x-api-key", &tenant.api_key)], None).await;
    let vary = answer.expect(200).header("vary").to_owned();
    assert!(vary.contains("Origin") && vary.contains("Accept"), "{vary}");
}

#[tokio::test]
async fn without_a_list_of_origins_there_is_no_cors() {
    let instance = Instance::of(&links::SERVICE, "links.api").await;
    let headers = [("origin", ALLOWED), ("access-control-request-method", "GET")];
    let answer = instance.http("OPTIONS", "/v1/links", &headers, None).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("", ""));
    answer.problem(405, "method-not-allowed");
}
