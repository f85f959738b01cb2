//! Links made for a test.

use serde_json::{Value, json};
use tests::{Answer, Tenant};

/// A link of `tenant` with `fields`; it leads to `https://example.com/` when they do not say otherwise.
pub(crate) async fn link(tenant: &Tenant, fields: Value) -> Value {
    made(tenant, fields).await.json()
}

/// The whole answer to the request that makes it.
pub(crate) async fn made(tenant: &Tenant, mut fields: Value) -> Answer {
    fields.as_object_mut().unwrap().entry("target").or_insert(json!("https://example.com/"));
    tenant.post("/v1/links", &fields).await.expect(201)
}

/// The path of a link in the API.
pub(crate) fn path_of(link: &Value) -> String {
    format!("/v1/links/{}", link["id"].as_str().unwrap())
}

/// The path of a link at the public address.
pub(crate) fn door_of(link: &Value) -> String {
    format!("/l/{}", link["slug"].as_str().unwrap())
}

/// The pointers and codes of a problem's bad fields, in alphabetical order.
pub(crate) fn faults(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap();
    let mut faults: Vec<_> = errors
        .iter()
        .map(|error| {
            assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
            (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
        })
        .collect();
    faults.sort_unstable();
    faults
}

/// The problem that a link of `tenant` with this body is refused with.
pub(crate) async fn refusal_of(tenant: &Tenant, body: Value) -> Value {
    tenant.post("/v1/links", &body).await.problem(422, "validation")
}
