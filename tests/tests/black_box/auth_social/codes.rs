//! What the application gets back: a code that is good once, for whoever began.

use auth::SERVICE;
use futures::future::join_all;
use http::StatusCode;
use lambda_runtime::Context;
use serde_json::json;
use shared::time::SignedDuration;
use tests::account::fresh_email;
use tests::{Fault, FaultProxy, Instance, stack};

use super::hostile::{Hostile, back, fresh_subject};
use super::{APP, Begun, Social};
use crate::own_auth::count;

/// Somebody new has been proved: the log-in, and its code.
async fn proved(social: &Social, provider: &Hostile) -> (Begun, String) {
    provider.says(json!({"sub": fresh_subject(), "email": fresh_email(), "email_verified": true}));
    let begun = social.begin("any").await;
    let code = social.code(&back("any", &begun)).await;
    (begun, code)
}

async fn social() -> (Social, Hostile) {
    Social::with_hostile("any").await
}

#[tokio::test]
async fn a_code_is_good_with_the_binding_of_its_own_log_in_alone() {
    let (social, provider) = social().await;
    let (begun, code) = proved(&social, &provider).await;
    let (other, _) = proved(&social, &provider).await;
    for wrong in ["", "x", &other.binding, &code, &begun.asked("state")] {
        social.exchange(&code, wrong).await.problem(400, "invalid-one-time-token");
    }
    for wrong in ["", "x", &begun.binding, &begun.asked("state")] {
        social.exchange(wrong, &begun.binding).await.problem(400, "invalid-one-time-token");
    }
    // Whoever stole the code alone has not used it up.
    social.exchange(&code, &begun.binding).await.expect(200);
    social.exchange(&code, &begun.binding).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn the_function_that_asks_providers_touches_its_own_one_time_secrets_alone() {
    let (mut social, provider) = social().await;
    let proxy = FaultProxy::watching().await;
    let providers = json!([provider.configuration("any")]).to_string();
    social.function = Instance::with(&SERVICE, "auth.social", social.auth.clock.clone(), |environment| {
        let environment = environment.with("SOCIAL_PROVIDERS", &providers).with("APP_REDIRECT_URIS", APP);
        environment.with("AWS_ENDPOINT_URL", proxy.url())
    })
    .await;
    let (begun, code) = proved(&social, &provider).await;
    social.exchange(&code, &begun.binding).await.expect(200);

    let accounts = stack().environment("auth.social").unwrap().get("ACCOUNTS_TABLE").unwrap().to_owned();
    let mut keys = Vec::new();
    for request in ["GetItem", "PutItem", "DeleteItem", "UpdateItem", "Query"].map(|name| proxy.requests(name)).concat()
    {
        keys.push((request["TableName"].clone(), request["Key"]["pk"]["S"].clone()));
    }
    for request in proxy.requests("TransactWriteItems") {
        for write in request["TransactItems"].as_array().unwrap().iter().flat_map(|write| write.as_object().unwrap()) {
            let at = if write.0 == "Put" { &write.1["Item"] } else { &write.1["Key"] };
            keys.push((write.1["TableName"].clone(), at["pk"]["S"].clone()));
        }
    }
    keys.retain(|(table, _)| *table == accounts);
    assert!(keys.len() >= 3, "{keys:?}");
    for (_, key) in &keys {
        assert!(key.as_str().is_some_and(|key| key.starts_with("ticket#social#")), "{keys:?}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes() {
    let (social, provider) = social().await;
    let ((early, in_time), (late, too_late)) = (proved(&social, &provider).await, proved(&social, &provider).await);
    social.auth.wait(SignedDuration::from_secs(9 * 60 + 59));
    social.exchange(&in_time, &early.binding).await.expect(200);
    social.auth.wait(SignedDuration::from_secs(1));
    social.exchange(&too_late, &late.binding).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn of_many_exchanges_of_a_code_at_once_one_signs_in() {
    let (social, provider) = social().await;
    let (begun, code) = proved(&social, &provider).await;
    let answers = join_all((0..10).map(|_| social.exchange(&code, &begun.binding))).await;
    assert_eq!(count(&answers, StatusCode::OK), 1, "{answers:?}");
    assert_eq!(count(&answers, StatusCode::BAD_REQUEST), 9, "{answers:?}");
}

#[tokio::test]
async fn somebody_new_who_signs_in_twice_at_once_gets_one_account() {
    let (social, provider) = social().await;
    provider.says(json!({"sub": fresh_subject(), "email": fresh_email(), "email_verified": true}));
    let mut codes = Vec::new();
    for _ in 0..4 {
        let begun = social.begin("any").await;
        let code = social.code(&back("any", &begun)).await;
        codes.push((begun.binding, code));
    }
    let answers = join_all(codes.iter().map(|(binding, code)| social.exchange(code, binding))).await;
    let users: std::collections::BTreeSet<_> =
        answers.into_iter().map(|answer| answer.expect(200).json()["user"]["id"].to_string()).collect();
    assert_eq!(users.len(), 1, "{users:?}");
}

#[tokio::test]
async fn a_code_for_linking_signs_nobody_in() {
    let (social, provider) = social().await;
    provider.says(json!({"sub": fresh_subject(), "email": fresh_email(), "email_verified": true}));
    let begun = social.begin_with("any", json!({"link": true})).await;
    let code = social.code(&back("any", &begun)).await;
    social.exchange(&code, &begun.binding).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn a_store_that_is_down_leaves_no_half_made_account() {
    let (social, provider) = social().await;
    let (begun, code) = proved(&social, &provider).await;
    for fault in [Fault::LostRequest, Fault::ServerError] {
        let proxy = FaultProxy::start(move |operation| (operation == "TransactWriteItems").then_some(fault)).await;
        let api = Instance::with(&SERVICE, "auth.api", social.auth.clock.clone(), |environment| {
            environment.with("AWS_ENDPOINT_URL", proxy.url())
        })
        .await;
        let body = json!({"code": code, "binding": begun.binding});
        let event = social.event("POST", "/v1/auth/exchange", Some(&body));
        api.http_in(&event, Context::default()).await.problem(503, "unavailable");
    }
    social.exchange(&code, &begun.binding).await.expect(200);
}

#[tokio::test]
async fn a_body_that_is_not_one_is_told_field_by_field() {
    let (social, _provider) = social().await;
    let problem = social.auth.post("/v1/auth/exchange", &json!({"code": 1, "secret": "x"})).await;
    assert_eq!(problem.problem(422, "validation")["errors"].as_array().map(Vec::len), Some(3));
    let huge = json!({"code": "x".repeat(100_000), "binding": "\u{0}\u{202e}"});
    social.auth.post("/v1/auth/exchange", &huge).await.problem(400, "invalid-one-time-token");
}
