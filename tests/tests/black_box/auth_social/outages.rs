//! A provider that is down, slow, or talks nonsense: said clearly, in time, and nothing is half done.

use bytes::Bytes;
use serde_json::json;
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email, mail_to, post};

use super::hostile::{Fault, Hostile, back, fresh_subject};
use super::{APP, Social};

async fn social() -> (Social, Hostile) {
    let (social, provider) = Social::with_hostile("any").await;
    provider.says(json!({"sub": fresh_subject(), "email": fresh_email(), "email_verified": true}));
    (social, provider)
}

/// What is no answer.
fn nonsense() -> Vec<Fault> {
    let large = Bytes::from(vec![b' '; 1024 * 1024]);
    let deep = "[".repeat(100_000);
    vec![
        Fault::answer(500, "application/json", "{}"),
        Fault::answer(503, "text/html", "<h1>Maintenance</h1>"),
        Fault::answer(404, "application/json", "{}"),
        Fault::answer(429, "application/json", r#"{"error": "slow_down"}"#),
        Fault::answer(302, "application/json", "{}"),
        Fault::answer(307, "application/json", "{}"),
        Fault::answer(200, "text/html", r#"{"keys": []}"#),
        Fault::answer(200, "application/json", ""),
        Fault::answer(200, "application/json", "<h1>Welcome</h1>"),
        Fault::answer(200, "application/json", "null"),
        Fault::answer(200, "application/json", r#"{"keys": 1, "issuer": 1, "id_token": 1, "sub": 1}"#),
        Fault::answer(200, "application/json", deep),
        Fault::answer(200, "application/json", large),
    ]
}

#[tokio::test]
async fn nonsense_at_the_start_is_an_unavailable_provider() {
    for fault in nonsense() {
        let (social, provider) = social().await;
        provider.fails("/.well-known/openid-configuration", fault);
        let answer = social.start("any", &json!({"redirect_uri": APP})).await;
        assert!(!answer.header("retry-after").is_empty());
        answer.problem(503, "provider-unavailable");
        provider.recovers();
        social.begin("any").await;
        assert_eq!(provider.asked("/elsewhere"), 0, "no redirect was followed");
    }
}

#[tokio::test]
async fn nonsense_at_the_end_comes_back_as_an_unavailable_provider() {
    for fault in nonsense() {
        let (social, provider) = social().await;
        // Without an address in the id token the userinfo endpoint is asked too.
        provider.says(json!({"sub": fresh_subject()}));
        for path in ["/token", "/keys", "/userinfo"] {
            let begun = social.begin("any").await;
            provider.fails(path, fault.clone());
            assert_eq!(social.error(&back("any", &begun)).await, "provider_unavailable", "{path}");
            provider.recovers();
        }
        assert_eq!(provider.asked("/elsewhere"), 0, "no redirect was followed");
    }
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_waited_for_four_seconds() {
    let (social, provider) = social().await;
    let begun = social.begin("any").await;
    provider.fails("/token", Fault::Silence);
    assert_eq!(social.error(&back("any", &begun)).await, "provider_unavailable");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_told_at_once() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = json!({"name": "closed", "issuer": format!("http://{gone}"), "client_id": "c"});
    let social = Social::with(&json!([closed])).await;
    social.start("closed", &json!({"redirect_uri": APP})).await.problem(503, "provider-unavailable");
}

#[tokio::test]
async fn what_a_provider_says_of_its_own_state_is_passed_on() {
    let (social, provider) = social().await;
    for (said, told) in [
        ("access_denied", "access_denied"),
        ("temporarily_unavailable", "provider_unavailable"),
        ("server_error", "provider_unavailable"),
        ("invalid_scope", "provider_error"),
        ("<script>alert(1)</script>", "provider_error"),
    ] {
        let begun = social.begin("any").await;
        let back = super::callback("any", &[("error", said), ("state", &begun.asked("state"))]);
        assert_eq!(social.error(&back).await, told, "{said}");
    }
    assert_eq!(provider.asked("/token"), 0);
}

#[tokio::test]
async fn metadata_and_keys_outlive_an_outage_of_a_day() {
    let (social, provider) = social().await;
    let round = async || {
        let begun = social.begin("any").await;
        social.code(&back("any", &begun)).await
    };
    round().await;
    for path in ["/.well-known/openid-configuration", "/keys"] {
        provider.fails(path, Fault::answer(500, "text/plain", ""));
    }
    social.auth.wait(SignedDuration::from_mins(9));
    round().await;
    assert_eq!(provider.asked("/keys"), 1, "they are fresh for ten minutes");
    social.auth.wait(SignedDuration::from_hours(23));
    round().await;
    assert!(provider.asked("/keys") > 1);
    social.auth.wait(SignedDuration::from_hours(1));
    social.start("any", &json!({"redirect_uri": APP})).await.problem(503, "provider-unavailable");
    provider.recovers();
    round().await;
}

#[tokio::test]
async fn an_outage_leaves_no_account_behind() {
    let (social, provider) = social().await;
    let email = fresh_email();
    provider.says(json!({"sub": fresh_subject(), "email": email, "email_verified": true}));
    let begun = social.begin("any").await;
    provider.fails("/keys", Fault::answer(500, "text/plain", ""));
    social.error(&back("any", &begun)).await;
    // The address is free.
    let body = json!({"email": email, "password": PASSWORD});
    post("/v1/auth/signup", &body).await.expect(202);
    mail_to(&email, "Confirm").await;
}
