//! An account of a provider and an account here: only who proves both has them linked.

use http::Method;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email, mail_to, post};
use tests::{Account, Ask, anonymous, stack};

use super::hostile::{Hostile, back, fresh_subject};
use super::{Begun, Social};
use crate::own_auth::Person;

async fn social() -> (Social, Hostile) {
    Social::with_hostile("any").await
}

/// Somebody at the provider.
fn at_provider(email: &str) -> Value {
    json!({"sub": fresh_subject(), "email": email, "email_verified": true})
}

/// A log-in by the provider, as far as its code.
async fn proved(social: &Social, provider: &Hostile, who: &Value) -> (Begun, String) {
    proved_with(social, provider, who, json!({})).await
}

async fn proved_with(social: &Social, provider: &Hostile, who: &Value, further: Value) -> (Begun, String) {
    provider.says(who.clone());
    let begun = social.begin_with("any", further).await;
    let code = social.code(&back("any", &begun)).await;
    (begun, code)
}

fn pair(begun: &Begun, code: &str) -> Value {
    json!({"code": code, "binding": begun.binding})
}

async fn sign_in(social: &Social, provider: &Hostile, who: &Value) -> tests::Answer {
    let (begun, code) = proved(social, provider, who).await;
    social.exchange(&code, &begun.binding).await
}

/// Links who is at the provider to who is signed in.
async fn link(social: &Social, provider: &Hostile, who: &Value, person: &Person<'_>) -> tests::Answer {
    let (begun, code) = proved_with(social, provider, who, json!({"link": true})).await;
    person.post("/v1/auth/identities", &pair(&begun, &code)).await
}

#[tokio::test]
async fn an_account_that_is_there_is_linked_after_it_has_proved_itself() {
    let (social, provider) = social().await;
    let ann = social.auth.person().await;
    let who = at_provider(&ann.email);
    let (begun, code) = proved(&social, &provider, &who).await;
    let problem = social.exchange(&code, &begun.binding).await.problem(409, "account-exists");
    assert!(!problem.to_string().contains(&ann.id), "nothing is told of the account: {problem}");

    // Signed in with the password, the same code links the two.
    let made = ann.post("/v1/auth/identities", &pair(&begun, &code)).await.expect(201);
    let identity = made.json();
    assert_eq!(made.header("location"), format!("/v1/auth/identities/{}", identity["id"].as_str().unwrap()));
    assert!(!made.header("etag").is_empty());
    let mail = mail_to(&ann.email, "How you sign in").await;
    assert!(mail.text.contains("Added: sign-in with any"), "{}", mail.text);
    ann.post("/v1/auth/identities", &pair(&begun, &code)).await.problem(400, "invalid-one-time-token");

    let by_provider = sign_in(&social, &provider, &who).await.expect(200).json();
    assert_eq!(by_provider["user"]["id"], json!(ann.id));
    // Who it is is the subject: the address at the provider may change, or lose its verification.
    for claims in
        [json!({"sub": who["sub"], "email": fresh_email(), "email_verified": true}), json!({"sub": who["sub"]})]
    {
        assert_eq!(sign_in(&social, &provider, &claims).await.expect(200).json()["user"]["id"], json!(ann.id));
    }
    // Somebody else who comes to have the address there is not she.
    sign_in(&social, &provider, &at_provider(&ann.email)).await.problem(409, "account-exists");
}

#[tokio::test]
async fn only_the_accounts_own_address_is_linked() {
    let (social, provider) = social().await;
    let ann = social.auth.person().await;
    link(&social, &provider, &at_provider(&fresh_email()), &ann).await.problem(409, "conflict");
    let unverified = json!({"sub": fresh_subject(), "email": ann.email, "email_verified": false});
    link(&social, &provider, &unverified, &ann).await.problem(403, "email-not-verified");
    link(&social, &provider, &json!({"sub": fresh_subject()}), &ann).await.problem(403, "email-not-verified");
    // As everywhere, the case of an address does not matter.
    link(&social, &provider, &at_provider(&ann.email.to_uppercase()), &ann).await.expect(201);
}

#[tokio::test]
async fn an_account_of_a_provider_is_one_users_alone() {
    let (social, provider) = social().await;
    let (ann, ben) = (social.auth.person().await, social.auth.person().await);
    let who = at_provider(&ann.email);
    link(&social, &provider, &who, &ann).await.expect(201);
    link(&social, &provider, &who, &ann).await.problem(409, "conflict");
    let with_his_address = json!({"sub": who["sub"], "email": ben.email, "email_verified": true});
    link(&social, &provider, &with_his_address, &ben).await.problem(409, "conflict");
    assert_eq!(sign_in(&social, &provider, &who).await.expect(200).json()["user"]["id"], json!(ann.id));
}

#[tokio::test]
async fn linking_needs_a_recent_sign_in_the_second_factor_and_the_binding() {
    let (social, provider) = social().await;
    let ann = social.auth.person().await;
    let who = at_provider(&ann.email);
    let (begun, code) = proved_with(&social, &provider, &who, json!({"link": true})).await;
    let (other, _) = proved(&social, &provider, &who).await;
    let nobody = social.auth.post("/v1/auth/identities", &pair(&begun, &code)).await;
    nobody.problem(401, "unauthenticated");
    // Somebody else's browser is made to send the attacker's code: it lacks the binding.
    ann.post("/v1/auth/identities", &pair(&other, &code)).await.problem(400, "invalid-one-time-token");
    let mut careful = social.auth.person().await;
    let setting_up = social.auth.log_in(&careful.email).await.expect(200).json();
    let (app, _) = Person::of(&social.auth, &careful.email, &setting_up).with_app().await;
    let hers = at_provider(&careful.email);
    link(&social, &provider, &hers, &careful).await.problem(401, "step-up-required");
    let totp = app.next_code();
    careful.step_up(&json!({"password": PASSWORD, "totp": totp})).await;
    link(&social, &provider, &hers, &careful).await.expect(201);

    social.auth.wait(SignedDuration::from_mins(9));
    ann.post("/v1/auth/identities", &pair(&begun, &code)).await.expect(201);
    let mut late = social.auth.person().await;
    social.auth.wait(SignedDuration::from_mins(16));
    late.refresh().await;
    link(&social, &provider, &at_provider(&late.email), &late).await.problem(401, "step-up-required");
}

#[tokio::test]
async fn an_unlinked_account_signs_in_no_more() {
    let (social, provider) = social().await;
    let (ann, ben) = (social.auth.person().await, social.auth.person().await);
    let who = at_provider(&ann.email);
    let identity = link(&social, &provider, &who, &ann).await.expect(201).json();
    let path = format!("/v1/auth/identities/{}", identity["id"].as_str().unwrap());
    ben.get(&path).await.problem(404, "not-found");
    ben.delete(&path).await.problem(404, "not-found");
    ann.delete_if(&path, "\"another\"").await.problem(412, "precondition-failed");
    ann.delete_if(&path, ann.get(&path).await.header("etag")).await.expect(204);
    let mail = mail_to(&ann.email, "How you sign in").await;
    assert!(mail.text.contains("sign-in with any"), "{}", mail.text);
    ann.delete(&path).await.problem(404, "not-found");
    assert_eq!(ann.get("/v1/auth/identities").await.expect(200).json()["data"], json!([]));
    sign_in(&social, &provider, &who).await.problem(409, "account-exists");
    // It is free again.
    link(&social, &provider, &who, &ann).await.expect(201);
}

#[tokio::test]
async fn the_last_way_to_sign_in_stays() {
    let (social, provider) = social().await;
    let email = fresh_email();
    let who = at_provider(&email);
    let answer = sign_in(&social, &provider, &who).await.expect(200).json();
    let new = Person::of(&social.auth, &email, &answer);
    let list = new.get("/v1/auth/identities").await.expect(200).json();
    let path = format!("/v1/auth/identities/{}", list["data"][0]["id"].as_str().unwrap());
    new.delete(&path).await.problem(409, "conflict");
    // With another account of a provider, it may go.
    link(&social, &provider, &at_provider(&email), &new).await.expect(201);
    new.delete(&path).await.expect(204);
    sign_in(&social, &provider, &who).await.problem(409, "account-exists");
}

#[tokio::test]
async fn a_user_has_ten_accounts_of_providers_at_most() {
    let (social, provider) = social().await;
    let ann = social.auth.person().await;
    for _ in 0..10 {
        link(&social, &provider, &at_provider(&ann.email), &ann).await.expect(201);
    }
    link(&social, &provider, &at_provider(&ann.email), &ann).await.problem(409, "conflict");
}

#[tokio::test]
async fn an_account_whose_address_was_never_proved_gives_way_to_who_proves_it() {
    let (social, provider) = social().await;
    let (email, stranger) = (fresh_email(), Account::new().await);
    // A stranger has signed up with the address, into a tenant of theirs, and waits.
    stranger.patch("/v1/tenant", &json!({"settings": {"sign_up": "open"}})).await.expect(200);
    let trap = json!({"email": email, "password": PASSWORD, "name": "Trap", "tenant_id": stranger.tenant_id});
    post("/v1/auth/signup", &trap).await.expect(202);
    let stale = mail_to(&email, "Confirm").await;

    let who = at_provider(&email);
    let answer = sign_in(&social, &provider, &who).await.expect(200).json();
    assert_ne!(answer["tenant_id"], json!(stranger.tenant_id));
    assert_eq!(answer["user"]["name"], Value::Null);
    let members = stranger.get("/v1/users").await.expect(200).json();
    assert_eq!(members["data"].as_array().map(Vec::len), Some(1), "{members}");
    post("/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await.problem(401, "invalid-credentials");
    post("/v1/auth/email/verify", &json!({"token": stale.token()})).await.problem(400, "invalid-one-time-token");
    assert_eq!(sign_in(&social, &provider, &who).await.expect(200).json()["user"]["id"], answer["user"]["id"]);
}

#[tokio::test]
async fn a_deleted_account_frees_what_was_linked_to_it() {
    let (social, provider) = social().await;
    let who = at_provider(&fresh_email());
    let first = sign_in(&social, &provider, &who).await.expect(200).json();
    let token = first["access_token"].as_str().unwrap();
    let gone = anonymous(Method::DELETE, "/v1/me").bearer_auth(token).answer().await;
    gone.expect(204);
    // The sweeper erases what is left; until then nobody is made of it by half.
    let swept = tests::eventually("the sweeper", || async {
        stack().tick("auth.sweeper").await.unwrap();
        let answer = sign_in(&social, &provider, &who).await;
        if answer.status == 409 {
            answer.problem(409, "conflict");
            social.auth.wait(SignedDuration::from_secs(1));
            return None;
        }
        Some(answer)
    })
    .await;
    let second = swept.expect(200).json();
    assert_ne!(second["user"]["id"], first["user"]["id"]);
}
