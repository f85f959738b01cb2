//! With a real provider: what works, and what it refuses by itself.

use http::Method;
use serde_json::json;
use tests::{Account, Ask, anonymous};

use super::oidc_provider::{NAME, OidcProvider};
use super::{APP, Social, parameter};
use crate::own_auth::{App, Person};

async fn social() -> Social {
    // The provider's own time goes on: the clock of the functions is set when it is there.
    let provider = OidcProvider::shared();
    Social::with(&json!([provider.configuration()])).await
}

#[tokio::test]
async fn somebody_new_signs_up_and_in_by_a_real_provider() {
    let (social, visitor) = (social().await, OidcProvider::shared().visitor().await);
    let begun = social.begin(NAME).await;
    let person = social.signed_in(&begun, &visitor.sign_in(&begun.url).await, &visitor.email).await;
    let me = person.get("/v1/me").await.expect(200).json();
    assert_eq!(
        (&me["email"], &me["email_verified"], &me["name"]),
        (&json!(visitor.email), &json!(true), &json!("Ann Visitor"))
    );
    assert_eq!(person.methods().await, json!(["ext"]));
    let identities = person.get("/v1/auth/identities").await.expect(200).json();
    let identity = &identities["data"][0];
    assert_eq!((&identity["provider"], &identity["email"]), (&json!(NAME), &json!(visitor.email)));
    let location = format!("/v1/auth/identities/{}", identity["id"].as_str().unwrap());
    assert_eq!(person.get(&location).await.expect(200).json(), *identity);

    // Again, by another browser: the same person.
    let begun = social.begin(NAME).await;
    let again = social.signed_in(&begun, &visitor.sign_in(&begun.url).await, &visitor.email).await;
    assert_eq!(again.id, person.id);
}

#[tokio::test]
async fn a_new_account_and_each_sign_in_are_in_the_audit_trail() {
    let (social, visitor) = (social().await, OidcProvider::shared().visitor().await);
    let begun = social.begin(NAME).await;
    let back = visitor.sign_in(&begun.url).await;
    let code = social.code(&back).await;
    let answer = social.exchange(&code, &begun.binding).await.expect(200).json();
    let account = Account::signed_in(&visitor.email, "", &answer);
    let trail = account.get("/v1/audit").await.expect(200).json();
    let actions: Vec<_> = trail["data"].as_array().unwrap().iter().map(|record| record["action"].clone()).collect();
    for action in ["user.signed_up", "identity.linked", "session.signed_in"] {
        assert!(actions.contains(&json!(action)), "{actions:?}");
    }
}

#[tokio::test]
async fn the_request_has_pkce_a_state_a_nonce_and_the_exact_callback() {
    let social = social().await;
    let (one, other) = (social.begin(NAME).await, social.begin(NAME).await);
    assert_eq!(
        (one.asked("response_type"), one.asked("code_challenge_method")),
        ("code".to_owned(), "S256".to_owned())
    );
    assert_eq!(one.asked("scope"), "openid email profile");
    assert_eq!(one.asked("redirect_uri"), format!("{}/v1/auth/social/{NAME}/callback", tests::stack().url()));
    for secret in ["state", "nonce", "code_challenge"] {
        assert!(one.asked(secret).len() >= 43 && one.asked(secret) != other.asked(secret), "{secret}");
    }
    assert!(parameter(&one.url, "client_secret").is_none() && !one.url.as_str().contains(&one.binding));
}

#[tokio::test]
async fn the_provider_holds_us_to_our_secret() {
    let mut configuration = OidcProvider::shared().configuration();
    configuration["client_secret"] = json!("another");
    let social = Social::with(&json!([configuration])).await;
    let visitor = OidcProvider::shared().visitor().await;
    let begun = social.begin(NAME).await;
    assert_eq!(social.error(&visitor.sign_in(&begun.url).await).await, "provider_error");
}

#[tokio::test]
async fn the_provider_holds_us_to_pkce() {
    let (social, visitor) = (social().await, OidcProvider::shared().visitor().await);
    // A code that was got for another challenge: an attacker's own.
    let begun = social.begin(NAME).await;
    let challenge = begun.asked("code_challenge");
    let other = begun.url.as_str().replace(&challenge, &social.begin(NAME).await.asked("code_challenge"));
    let back = visitor.sign_in(&other.parse().unwrap()).await;
    assert_eq!(social.error(&back).await, "provider_error");
}

#[tokio::test]
async fn the_provider_sends_nobody_to_another_callback() {
    let (social, visitor) = (social().await, OidcProvider::shared().visitor().await);
    let begun = social.begin(NAME).await;
    let elsewhere = begun.url.as_str().replace("%2Fcallback", "%2Fcallback%2F");
    assert_ne!(elsewhere, begun.url.as_str());
    assert!(visitor.refused(&elsewhere.parse().unwrap()).await.is_client_error());
}

#[tokio::test]
async fn who_does_not_consent_comes_back_with_access_denied() {
    let (social, visitor) = (social().await, OidcProvider::shared().visitor().await);
    let begun = social.begin(NAME).await;
    assert_eq!(social.error(&visitor.refuse(&begun.url).await).await, "access_denied");
}

#[tokio::test]
async fn an_address_that_the_provider_has_not_verified_makes_no_account() {
    let social = social().await;
    let visitor = OidcProvider::shared().visitor_with(&tests::account::fresh_email(), false).await;
    let begun = social.begin(NAME).await;
    let code = social.code(&visitor.sign_in(&begun.url).await).await;
    social.exchange(&code, &begun.binding).await.problem(403, "email-not-verified");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_as_with_a_password() {
    let (social, visitor) = (social().await, OidcProvider::shared().visitor().await);
    let begun = social.begin(NAME).await;
    let person = social.signed_in(&begun, &visitor.sign_in(&begun.url).await, &visitor.email).await;
    let (app, _) = person.with_app().await;

    let begun = social.begin(NAME).await;
    let code = social.code(&visitor.sign_in(&begun.url).await).await;
    let asked = social.exchange(&code, &begun.binding).await.expect(200).json();
    assert_eq!(asked["status"], "second_factor_required", "{asked}");
    let proved = person.prove(asked["ticket"].as_str().unwrap(), "totp", &App::next_code(&app)).await.expect(200);
    let signed_in = Person::of(&social.auth, &visitor.email, &proved.json());
    assert_eq!(signed_in.methods().await, json!(["ext", "otp", "mfa"]));
}

#[tokio::test]
async fn somebody_new_joins_a_tenant_that_admits_them_and_no_other() {
    let (social, owner) = (social().await, Account::new().await);
    let visitor = OidcProvider::shared().visitor().await;
    let try_it = async || {
        let begun = social.begin_with(NAME, json!({"tenant_id": owner.tenant_id})).await;
        let code = social.code(&visitor.sign_in(&begun.url).await).await;
        social.exchange(&code, &begun.binding).await
    };
    try_it().await.problem(403, "forbidden");
    owner.patch("/v1/tenant", &json!({"settings": {"sign_up": "open"}})).await.expect(200);
    assert_eq!(try_it().await.expect(200).json()["tenant_id"], json!(owner.tenant_id));
}

#[tokio::test]
async fn the_list_names_the_providers_and_nothing_of_their_configuration() {
    let social = social().await;
    let list = social.send("GET", "/v1/auth/social", None).await.expect(200);
    assert_eq!(list.json()["data"], json!([{"name": NAME, "kind": "oidc"}]));
    // Deployed without any, as the local stack is.
    let none = anonymous(Method::GET, "/v1/auth/social").answer().await.expect(200).json();
    assert_eq!(none["data"], json!([]));
    let start = json!({"redirect_uri": APP});
    anonymous(Method::POST, "/v1/auth/social/google/start").json(&start).answer().await.problem(404, "not-found");
}
