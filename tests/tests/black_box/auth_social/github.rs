//! GitHub: OAuth 2, with its API emulated as its documentation describes it.

use serde_json::{Value, json};
use shared::random::Random;
use tests::account::fresh_email;

use super::hostile::{Fault, Hostile, back, code};
use super::{Social, callback, parameter};

async fn github() -> (Social, Hostile) {
    let provider = Hostile::start().await;
    (Social::with(&json!([provider.github()])).await, provider)
}

/// An account that no other test knows.
fn account() -> Value {
    let number = Random::system().text(b"123456789", 12);
    json!({"id": number.parse::<u64>().expect("a number"), "name": "The Octocat"})
}

fn address(email: &str, primary: bool, verified: bool) -> Value {
    json!({"email": email, "primary": primary, "verified": verified, "visibility": null})
}

#[tokio::test]
async fn an_account_of_github_signs_in_by_its_verified_primary_address() {
    let (social, provider) = github().await;
    let email = fresh_email();
    provider.says(account());
    provider.github_emails(json!([address(&fresh_email(), false, true), address(&email, true, true)]));
    let begun = social.begin("github").await;
    assert!(begun.url.as_str().starts_with(&format!("{}/login/oauth/authorize?", provider.issuer)));
    assert_eq!((begun.asked("scope"), parameter(&begun.url, "nonce")), ("user:email".to_owned(), None));
    let person = social.signed_in(&begun, &back("github", &begun), &email).await;
    let me = person.get("/v1/me").await.expect(200).json();
    assert_eq!((&me["email"], &me["name"]), (&json!(email), &json!("The Octocat")));

    // Renamed, and with another address: still the same account.
    provider.github_emails(json!([address(&fresh_email(), true, true)]));
    let begun = social.begin("github").await;
    let again = social.signed_in(&begun, &back("github", &begun), &email).await;
    assert_eq!(again.id, person.id);
}

#[tokio::test]
async fn an_address_that_is_not_primary_or_not_verified_makes_no_account() {
    let (social, provider) = github().await;
    for emails in [
        json!([]),
        json!([address(&fresh_email(), true, false)]),
        json!([address(&fresh_email(), false, true)]),
        json!([address(&fresh_email(), true, false), address(&fresh_email(), false, true)]),
    ] {
        provider.says(account());
        provider.github_emails(emails);
        let begun = social.begin("github").await;
        let code = social.code(&back("github", &begun)).await;
        social.exchange(&code, &begun.binding).await.problem(403, "email-not-verified");
    }
}

#[tokio::test]
async fn githubs_refusals_come_with_the_status_of_success() {
    let (social, provider) = github().await;
    provider.says(account());
    let (begun, other) = (social.begin("github").await, social.begin("github").await);
    // The code of another log-in: PKCE.
    let mixed = callback("github", &[("code", &code(&other)), ("state", &begun.asked("state"))]);
    assert_eq!(social.error(&mixed).await, "provider_error");
    let mut configuration = provider.github();
    configuration["client_secret"] = json!("another");
    let social = Social::with(&json!([configuration])).await;
    let begun = social.begin("github").await;
    assert_eq!(social.error(&back("github", &begun)).await, "provider_error");
}

#[tokio::test]
async fn an_api_that_is_down_or_talks_nonsense_is_an_unavailable_provider() {
    let (social, provider) = github().await;
    provider.says(account());
    for path in ["/login/oauth/access_token", "/api/v3/user", "/api/v3/user/emails"] {
        for fault in [
            Fault::answer(502, "text/html", "<h1>Unicorn</h1>"),
            Fault::answer(200, "application/json", r#"{"id": "7"}"#),
            Fault::answer(401, "application/json", r#"{"message": "Bad credentials"}"#),
        ] {
            let begun = social.begin("github").await;
            provider.fails(path, fault);
            assert_eq!(social.error(&back("github", &begun)).await, "provider_unavailable", "{path}");
            provider.recovers();
        }
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_githubs_is_not_believed() {
    let (social, provider) = github().await;
    provider.says(account());
    provider.github_emails(json!([address(&fresh_email(), true, true)]));
    let named = |begun: &super::Begun, issuer: &str| {
        let mut url = back("github", begun);
        url.query_pairs_mut().append_pair("iss", issuer);
        url
    };
    let begun = social.begin("github").await;
    assert_eq!(social.error(&named(&begun, "https://accounts.google.com")).await, "invalid_response");
    assert_eq!(provider.asked("/login/oauth/access_token"), 0);
    let begun = social.begin("github").await;
    social.code(&named(&begun, &format!("{}/login/oauth", provider.issuer))).await;
}
