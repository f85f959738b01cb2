//! What a forged or misdirected answer of a provider does: nothing.

use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::fresh_email;

use super::hostile::{Hostile, Signature, back, code, fresh_subject};
use super::{APP, Social, callback};

async fn hostile() -> (Social, Hostile) {
    Social::with_hostile("hostile").await
}

/// Somebody new whom a right provider would prove.
fn somebody() -> Value {
    json!({"sub": fresh_subject(), "email": fresh_email(), "email_verified": true, "name": "Some Body"})
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

#[tokio::test]
async fn the_servers_of_these_tests_prove_somebody_when_they_are_right() {
    let (social, provider) = hostile().await;
    provider.says(somebody());
    let begun = social.begin("hostile").await;
    assert!(begun.url.as_str().contains("?tenant=1&response_type=code"), "its own query stays: {}", begun.url);
    let code = social.code(&back("hostile", &begun)).await;
    social.exchange(&code, &begun.binding).await.expect(200);
}

#[tokio::test]
async fn an_id_token_that_must_not_be_believed_proves_nobody() {
    let (social, provider) = hostile().await;
    let now = social.auth.clock.now().as_second();
    let claims: Vec<(&str, Value)> = vec![
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!(["the-client", "another-client"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("azp", json!("another-client")),
        ("iss", json!("https://accounts.google.com")),
        ("iss", json!(format!("{}/", provider.issuer))),
        ("iss", Value::Null),
        ("exp", json!(now - 61)),
        ("exp", Value::Null),
        ("iat", json!(now + 3600)),
        ("nbf", json!(now + 3600)),
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
        ("sub", Value::Null),
        ("sub", json!(7)),
    ];
    for (name, value) in claims {
        provider.says(with(somebody(), name, value.clone()));
        let begun = social.begin("hostile").await;
        let error = social.error(&back("hostile", &begun)).await;
        assert_eq!(error, "invalid_response", "{name}: {value}");
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_providers_proves_nobody() {
    let (social, provider) = hostile().await;
    provider.says(somebody());
    for signature in
        [Signature::AnotherKey, Signature::UnknownKey, Signature::Missing, Signature::HmacOfTheKey, Signature::OfOthers]
    {
        provider.signs(signature);
        let begun = social.begin("hostile").await;
        assert_eq!(social.error(&back("hostile", &begun)).await, "invalid_response");
    }
    provider.signs(Signature::Right);
    let begun = social.begin("hostile").await;
    social.code(&back("hostile", &begun)).await;
}

#[tokio::test]
async fn a_new_key_is_found_by_asking_once_more() {
    let (social, provider) = hostile().await;
    provider.says(somebody());
    let round = async || {
        let begun = social.begin("hostile").await;
        social.returned(&back("hostile", &begun)).await
    };
    assert!(round().await.contains_key("code"));
    assert!(round().await.contains_key("code"));
    assert_eq!((provider.asked("/keys"), provider.asked("/.well-known/openid-configuration")), (1, 1));
    provider.rotates_its_key();
    assert!(round().await.contains_key("code"));
    assert!(round().await.contains_key("code"));
    assert_eq!(provider.asked("/keys"), 2);
    // A key that is nowhere is looked for once in each log-in.
    provider.signs(Signature::UnknownKey);
    assert_eq!(round().await["error"], "invalid_response");
    assert_eq!(provider.asked("/keys"), 3);
}

#[tokio::test]
async fn the_answer_of_one_provider_is_not_given_to_another() {
    let (good, evil) = (Hostile::start().await, Hostile::start().await);
    good.publishes(json!({"authorization_response_iss_parameter_supported": true}));
    let social = Social::with(&json!([good.configuration("good"), evil.configuration("evil")])).await;
    let with_issuer = |provider: &str, begun, issuer: &str| {
        let mut url = back(provider, begun);
        url.query_pairs_mut().append_pair("iss", issuer);
        url
    };
    for provider in [&good, &evil] {
        provider.says(somebody());
    }

    // A log-in that was begun with the evil one comes back to the good one's callback, and the reverse.
    let begun = social.begin("evil").await;
    assert_eq!(social.error(&with_issuer("good", &begun, &good.issuer)).await, "invalid_response");
    let begun = social.begin("good").await;
    assert_eq!(social.error(&back("evil", &begun)).await, "invalid_response");
    // The evil one names itself, or nobody does although the good one always does (RFC 9207, section 2.4).
    let begun = social.begin("good").await;
    assert_eq!(social.error(&with_issuer("good", &begun, &evil.issuer)).await, "invalid_response");
    let begun = social.begin("good").await;
    assert_eq!(social.error(&back("good", &begun)).await, "invalid_response");
    // A refusal that another provider sends is not believed either.
    let begun = social.begin("good").await;
    let refusal = [("error", "access_denied"), ("state", &begun.asked("state")), ("iss", &evil.issuer)];
    assert_eq!(social.error(&callback("good", &refusal)).await, "invalid_response");
    assert_eq!((good.asked("/token"), evil.asked("/token")), (0, 0), "no code was sent anywhere");

    let begun = social.begin("good").await;
    social.code(&with_issuer("good", &begun, &good.issuer)).await;
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_taken() {
    let (social, provider) = hostile().await;
    for metadata in [
        json!({"issuer": "https://accounts.google.com"}),
        json!({"issuer": format!("{}/", provider.issuer)}),
        json!({"token_endpoint": "http://192.0.2.1/token"}),
        json!({"jwks_uri": "https://169.254.169.254/latest/meta-data"}),
        json!({"userinfo_endpoint": "file:///etc/passwd"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"token_endpoint": null}),
    ] {
        provider.publishes(metadata.clone());
        let refused = social.start("hostile", &json!({"redirect_uri": APP})).await;
        assert_eq!(refused.status, 503, "{metadata}");
        refused.problem(503, "provider-unavailable");
    }
}

#[tokio::test]
async fn a_callback_is_good_once_and_for_its_own_state() {
    let (social, provider) = hostile().await;
    provider.says(somebody());
    let begun = social.begin("hostile").await;
    let back = back("hostile", &begun);
    social.code(&back).await;
    social.come_back(&back).await.problem(400, "invalid-one-time-token");

    // An attacker brings a code of their own to the victim's browser: with no state, or one that was never given.
    let code = code(&social.begin("hostile").await);
    for query in [
        vec![("code", code.as_str())],
        vec![("code", &code), ("state", "")],
        vec![("code", &code), ("state", "tf_ot_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        vec![("code", &code), ("state", &begun.binding)],
    ] {
        social.come_back(&callback("hostile", &query)).await.problem(400, "invalid-one-time-token");
    }
    let twice = callback("hostile", &[("state", "a"), ("state", "b")]);
    social.come_back(&twice).await.problem(422, "validation");
    social.come_back(&callback("nobody", &[("state", "a")])).await.problem(404, "not-found");
    // With the attacker's state the code of another log-in does not go: PKCE.
    let begun = social.begin("hostile").await;
    let mixed = callback("hostile", &[("code", &code), ("state", &begun.asked("state"))]);
    assert_eq!(social.error(&mixed).await, "provider_error");
    // And without a code there is nothing.
    let begun = social.begin("hostile").await;
    let bare = callback("hostile", &[("state", &begun.asked("state"))]);
    assert_eq!(social.error(&bare).await, "invalid_response");
}

#[tokio::test]
async fn a_browser_that_comes_back_late_is_too_late() {
    let (social, provider) = hostile().await;
    provider.says(somebody());
    let (in_time, late) = (social.begin("hostile").await, social.begin("hostile").await);
    social.auth.wait(SignedDuration::from_secs(9 * 60 + 59));
    social.code(&back("hostile", &in_time)).await;
    social.auth.wait(SignedDuration::from_secs(1));
    social.come_back(&back("hostile", &late)).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn the_browser_is_sent_to_listed_addresses_alone() {
    let (social, _provider) = hostile().await;
    for uri in ["", "https://evil.example/", &format!("{APP}/"), &format!("{APP}?x"), &APP.to_uppercase()] {
        let problem = social.start("hostile", &json!({"redirect_uri": uri})).await.problem(422, "validation");
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!("/redirect_uri"), &json!("not_listed"))
        );
    }
    let unknown = json!({"redirect_uri": APP, "state": "mine"});
    social.start("hostile", &unknown).await.problem(422, "validation");
}

#[tokio::test]
async fn what_the_userinfo_endpoint_tells_counts_for_the_same_subject_alone() {
    let (social, provider) = hostile().await;
    // The id token has no address: the endpoint is asked, and tells of the same person.
    let (subject, email) = (fresh_subject(), fresh_email());
    let told = |subject: &str| json!({"sub": subject, "email": email, "email_verified": true}).to_string();
    provider.says(json!({"sub": subject}));
    let answer = |body: String| super::hostile::Fault::answer(200, "application/json", body);
    provider.fails("/userinfo", answer(told("another")));
    let begun = social.begin("hostile").await;
    assert_eq!(social.error(&back("hostile", &begun)).await, "invalid_response");
    provider.fails("/userinfo", answer(told(&subject)));
    let begun = social.begin("hostile").await;
    let person = social.signed_in(&begun, &back("hostile", &begun), &email).await;
    assert_eq!(person.get("/v1/me").await.expect(200).json()["email"], json!(email));
}
