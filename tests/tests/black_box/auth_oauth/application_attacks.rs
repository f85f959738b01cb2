//! What must not work: codes in wrong hands, requests that were made up, and applications that want more.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tests::Answer;
use tests::token::issuer;
use url::Url;

use super::applications::{CALLBACK, VERIFIER, answered, text};
use super::part;
use crate::own_oauth::{OwnOAuth, Registered, refusal};
use crate::own_tenant::{Member, OwnTenant};

#[tokio::test]
async fn an_application_does_not_touch_its_users_account_whatever_its_scopes() {
    let own = OwnOAuth::new().await;
    let owner = &own.tenant.owner;
    let client = own.application(&["*"], false).await;
    // Nobody can ask for what is not to be delegated, and nobody gets it by asking for all.
    for scope in ["*", "account:read", "account:write", "api_keys:write", "users:manage", "tenant:own", "audit:view"] {
        let back = returned_to(own.authorize(&client, &[("scope", scope)]).await);
        assert_eq!(answered(&back, "error").as_deref(), Some("invalid_scope"), "{scope}");
    }
    let tokens = own.let_in(owner, &client, "").await;
    let access = text(&tokens, "access_token");
    own.tenant.send("GET", "/v1/links", access, None).await.expect(200);
    let waiting = own.request(&client, &[]).await;
    let new_password = json!({"current_password": "x", "new_password": "walnut-harbour-seventeen"});
    for (method, path, body) in [
        ("GET", "/v1/me", Value::Null),
        ("PATCH", "/v1/me", json!({"name": "Mallory"})),
        ("DELETE", "/v1/me", json!({})),
        ("POST", "/v1/auth/password/change", new_password),
        ("POST", "/v1/auth/email/change", json!({"email": "mallory@example.com"})),
        ("POST", "/v1/auth/factors/totp", json!({})),
        ("DELETE", "/v1/auth/factors/totp", json!({})),
        ("POST", "/v1/auth/step-up", json!({"password": "x"})),
        ("GET", "/v1/auth/sessions", Value::Null),
        ("POST", "/v1/auth/logout", Value::Null),
        ("POST", "/v1/auth/logout-all", Value::Null),
        ("GET", "/v1/auth/grants", Value::Null),
        ("DELETE", &format!("/v1/auth/grants/{}", client.id), Value::Null),
        ("GET", &waiting, Value::Null),
        ("POST", &waiting, json!({"decision": "allow"})),
        ("GET", "/v1/api-keys", Value::Null),
        ("POST", "/v1/api-keys", json!({"name": "x", "scopes": ["links:read"]})),
        ("POST", "/v1/oauth-clients", json!({"name": "x", "scopes": ["links:read"]})),
        ("GET", "/v1/users", Value::Null),
        ("GET", "/v1/tenant", Value::Null),
        ("GET", "/v1/audit", Value::Null),
    ] {
        let body = if body.is_null() { None } else { Some(&body) };
        let answer = own.tenant.send(method, path, access, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {answer:?}");
        assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{method} {path}");
    }
    // Nor are there ways around: its refresh token is none of the service's own log-in.
    let body = json!({"refresh_token": tokens["refresh_token"]});
    own.tenant.send("POST", "/v1/auth/refresh", "", Some(&body)).await.problem(401, "invalid-refresh-token");
    own.renew(&client, text(&tokens, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn a_program_decides_nothing_and_a_stranger_decides_nothing() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], false).await;
    let path = own.request(&client, &[]).await;
    let allow = json!({"decision": "allow"});
    let (key, _) = own.tenant.api_key(&["*"]).await;
    own.tenant.send("POST", &path, &key, Some(&allow)).await.problem(403, "forbidden");
    own.tenant.send("POST", &path, "", Some(&allow)).await.problem(401, "unauthenticated");
    let machine = own.client(&["*"]).await;
    let machine = own.access_token(&machine).await;
    own.tenant.send("POST", &path, &machine, Some(&allow)).await.problem(403, "forbidden");
    // A member of another tenant has nothing to give here.
    let stranger = OwnTenant::new().await;
    for answer in [stranger.get(&stranger.owner, &path).await, stranger.post(&stranger.owner, &path, &allow).await] {
        let problem = answer.problem(403, "forbidden");
        assert!(!problem.to_string().contains("Report Maker"), "{problem}");
    }
    for nonsense in ["x", "tf_ot_x", "%00", "tf_ot_Vx2mHq0r7tXcYpWnB3kLs9dFgJ5aZ1eU6iO8vQ4wCyN"] {
        let path = format!("/v1/auth/authorizations/{nonsense}");
        own.tenant.post(&own.tenant.owner, &path, &allow).await.problem(404, "not-found");
    }
    // A user whose session has ended since.
    let gone = own.tenant.member(&["member"]).await;
    own.tenant.post(&gone, "/v1/auth/logout", &Value::Null).await.expect(204);
    own.tenant.post(&gone, &path, &allow).await.problem(401, "unauthenticated");
    // It waits for ten minutes.
    own.tenant.post(&own.tenant.owner, &path, &allow).await.expect(200);
    let late = own.request(&client, &[]).await;
    own.tenant.wait(601);
    let owner = own.tenant.refreshed(&own.tenant.owner).await;
    own.tenant.post(&owner, &late, &allow).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_request_of_an_unknown_client_or_address_is_sent_nowhere() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], true).await;
    let machine = own.client(&["links:*"]).await;
    let gone = own.application(&["links:*"], true).await;
    own.tenant.delete(&own.tenant.owner, &gone.path()).await.expect(204);
    let named = |id: &str| Registered { id: id.to_owned(), secret: String::new() };
    let mut answers = Vec::new();
    for unknown in [&machine, &gone, &named("client_01k9z4n2y6e0qv3m8t5w7x9abc"), &named("<script>"), &named("")] {
        answers.push(own.authorize(unknown, &[]).await);
    }
    for wrong in [
        "",
        "https://reports.example/callback/",
        "https://reports.example/callback?x=1",
        "https://reports.example/Callback",
        "https://reports.example:443/callback",
        "https://reports.example.evil.example/callback",
        "http://reports.example/callback",
        "https://evil.example/callback",
        "javascript:alert(1)",
    ] {
        answers.push(own.authorize(&client, &[("redirect_uri", wrong)]).await);
    }
    let twice = format!("client_id={}&redirect_uri={CALLBACK}&redirect_uri=https://evil.example/", client.id);
    answers.push(own.send("GET", &format!("/oauth/authorize?{twice}"), &[], None).await);
    for answer in answers {
        let answer = answer.expect(400);
        assert!(answer.header("content-type").starts_with("text/html") && answer.header("location").is_empty());
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!String::from_utf8_lossy(&answer.body).contains("evil"));
    }
}

/// Where the page of a wrong request leads, once its visitor follows the link.
pub(super) fn returned_to(answer: Answer) -> Url {
    let answer = answer.expect(400);
    assert!(answer.header("content-type").starts_with("text/html") && answer.header("location").is_empty());
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), ("no-store", "no-referrer"));
    let html = String::from_utf8_lossy(&answer.body);
    // It goes nowhere by itself.
    assert!(!html.contains("http-equiv") && html.contains("<script></script>"), "{html}");
    let (_, link) = html.split_once("href=\"").unwrap();
    assert!(html.contains(">Return to reports.example<"), "{html}");
    let link = link.split('"').next().unwrap().replace("&#x2f;", "/").replace("&amp;", "&");
    Url::parse(&link).unwrap()
}

/// What the page shows, without where its link leads.
pub(super) fn seen(answer: &Answer) -> String {
    let html = String::from_utf8_lossy(&answer.body).into_owned();
    let (before, link) = html.split_once("href=\"").unwrap();
    format!("{before}{}", link.split_once('"').unwrap().1)
}

#[tokio::test]
async fn a_request_that_is_wrong_otherwise_is_told_to_its_client_when_its_user_says_so() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], true).await;
    let long = "x".repeat(4097);
    for (changed, error) in [
        (&[("response_type", "")][..], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("response_mode", "form_post")], "invalid_request"),
        (&[("registration", "{}")], "registration_not_supported"),
        (&[("scope", "email phone")], "invalid_scope"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge", "too short")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge", VERIFIER), ("code_challenge_method", "plain")], "invalid_request"),
        (&[("scope", "notes:read")], "invalid_scope"),
        (&[("scope", " ")], "invalid_scope"),
        (&[("scope", "links:read \u{0}\"é")], "invalid_scope"),
        (&[("scope", "call-us-at-evil")], "invalid_scope"),
        (&[("max_age", "-1")], "invalid_request"),
        (&[("nonce", &long)], "invalid_request"),
        (&[("request", "x.y.z")], "request_not_supported"),
        (&[("request_uri", "https://evil.example/")], "request_uri_not_supported"),
    ] {
        let answer = own.authorize(&client, changed).await;
        // Nothing that the request says is on the page.
        let page = seen(&answer);
        assert!(!page.contains("evil") && !page.contains("state"), "{changed:?}: {page}");
        assert!(page.contains(error), "{changed:?}: {page}");
        told(&returned_to(answer), error);
    }
    let twice = format!("client_id={}&redirect_uri={CALLBACK}&scope=openid&scope=email", client.id);
    let answer = own.send("GET", &format!("/oauth/authorize?{twice}"), &[], None).await;
    assert_eq!(answered(&returned_to(answer), "error").as_deref(), Some("invalid_request"));
}

/// Checks what a client is told of its request.
fn told(back: &Url, error: &str) {
    assert!(back.as_str().starts_with(&format!("{CALLBACK}?")), "{back}");
    assert_eq!(answered(back, "error").as_deref(), Some(error), "{back}");
    assert_eq!(answered(back, "state").as_deref(), Some("a state & more"));
    assert_eq!(answered(back, "iss"), Some(issuer()));
    let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(answered(back, "error_description").unwrap().bytes().all(allowed));
}

#[tokio::test]
async fn a_request_that_must_show_nothing_is_told_to_its_client_at_once() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], true).await;
    let none = ("prompt", "none");
    for (changed, error) in [
        (&[none][..], "login_required"),
        (&[("prompt", "none consent")], "invalid_request"),
        (&[none, ("scope", "notes:read")], "invalid_scope"),
        (&[none, ("response_type", "token")], "unsupported_response_type"),
    ] {
        let answer = own.authorize(&client, changed).await.expect(303);
        told(&Url::parse(answer.header("location")).unwrap(), error);
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    // A value that only looks like it.
    returned_to(own.authorize(&client, &[("prompt", "nonesuch"), ("scope", "notes:read")]).await);
}

#[tokio::test]
async fn a_code_is_good_for_its_own_client_with_its_verifier_and_its_address() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let (client, other) = (own.application(&["links:*"], false).await, own.application(&["links:*"], true).await);
    let code = own.code(&member, &client, "links:read").await;
    for changed in [
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"),
        ("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_verifier", "x"),
        ("redirect_uri", "https://reports.example/callback/"),
        ("redirect_uri", "https://evil.example/"),
        ("code", "tf_ot_Vx2mHq0r7tXcYpWnB3kLs9dFgJ5aZ1eU6iO8vQ4wCyN"),
        ("code", "\u{0}"),
    ] {
        refusal(own.exchange(&client, &code, &[changed]).await, 400, "invalid_grant");
    }
    for missing in ["code", "code_verifier", "redirect_uri"] {
        refusal(own.exchange(&client, &code, &[(missing, "")]).await, 400, "invalid_request");
    }
    // In the hands of another client, of the client without its secret, of one that may not use codes.
    refusal(own.exchange(&other, &code, &[]).await, 400, "invalid_grant");
    let bare = Registered { secret: String::new(), ..client.clone() };
    refusal(own.exchange(&bare, &code, &[]).await, 401, "invalid_client");
    let posing = Registered { secret: "wrong".to_owned(), ..other.clone() };
    refusal(own.exchange(&posing, &code, &[]).await, 401, "invalid_client");
    let machine = own.client(&["links:*"]).await;
    refusal(own.exchange(&machine, &code, &[]).await, 400, "unauthorized_client");
    let own_tokens = [("grant_type", "client_credentials")];
    refusal(own.as_client(&client, "/oauth/token", &own_tokens).await, 400, "unauthorized_client");
    refusal(own.by(&other, "/oauth/token", &own_tokens).await, 401, "invalid_client");
    // None of these used it up.
    let tokens = own.exchange(&client, &code, &[]).await.expect(200).json();
    // What it got is no other client's, either.
    refusal(own.renew(&other, text(&tokens, "refresh_token")).await, 400, "invalid_grant");
    refusal(own.renew(&bare, text(&tokens, "refresh_token")).await, 401, "invalid_client");
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    refusal(own.form("/oauth/token", &form).await, 400, "invalid_grant");
    own.renew(&client, text(&tokens, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let client = own.application(&["links:*"], false).await;
    let (early, late) = (own.code(&member, &client, "").await, own.code(&member, &client, "").await);
    own.tenant.wait(59);
    own.exchange(&client, &early, &[]).await.expect(200);
    own.tenant.wait(1);
    refusal(own.exchange(&client, &late, &[]).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_was_issued_for_it() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let (client, other) = (own.application(&["links:*"], false).await, own.application(&["links:*"], false).await);
    let code = own.code(&member, &client, "links:read").await;
    let tokens = own.exchange(&client, &code, &[]).await.expect(200).json();
    let access = text(&tokens, "access_token");
    // Another client cannot end it.
    refusal(own.exchange(&other, &code, &[]).await, 400, "invalid_grant");
    own.tenant.send("GET", "/v1/links", access, None).await.expect(200);
    own.tenant.wait(120);
    refusal(own.exchange(&client, &code, &[]).await, 400, "invalid_grant");
    own.tenant.wait(30);
    own.tenant.send("GET", "/v1/links", access, None).await.problem(401, "unauthenticated");
    refusal(own.renew(&client, text(&tokens, "refresh_token")).await, 400, "invalid_grant");
    refusal(own.exchange(&client, &code, &[]).await, 400, "invalid_grant");
    let reused =
        own.tenant.audit().await.into_iter().filter(|(action, _)| action == "session.authorization_code_reused");
    assert_eq!(reused.count(), 1);
    // The user's own session goes on.
    own.tenant.refresh(&member).await.expect(200);
}

#[tokio::test]
async fn of_many_exchanges_of_a_code_at_once_one_wins() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let client = own.application(&["links:*"], false).await;
    let code = own.code(&member, &client, "links:read").await;
    let answers = join_all((0..8).map(|_| own.exchange(&client, &code, &[]))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(won.len(), 1);
    for answer in lost {
        refusal(answer, 400, "invalid_grant");
    }
    // Somebody had a copy.
    refusal(own.renew(&client, text(&won[0].json(), "refresh_token")).await, 400, "invalid_grant");

    // Of many decisions one is taken.
    let path = own.request(&client, &[]).await;
    let decide = || async { own.tenant.post(&member, &path, &json!({"decision": "allow"})).await };
    let answers = join_all((0..4).map(|_| decide())).await;
    let taken = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let late = answers.iter().filter(|answer| answer.status == StatusCode::NOT_FOUND).count();
    assert_eq!((taken, late), (1, 3));
}

#[tokio::test]
async fn what_a_request_says_besides_is_not_looked_at() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], true).await;
    for besides in [
        ("response_mode", "query"),
        ("prompt", "select_account"),
        ("login_hint", "ann@example.com"),
        ("display", "popup"),
        ("ui_locales", "de en"),
        ("acr_values", "urn:example:other"),
        ("claims", r#"{"userinfo": {"email": {"essential": true}}}"#),
        ("something_else", "x"),
    ] {
        let answer = own.authorize(&client, &[besides]).await.expect(303);
        assert!(answer.header("location").starts_with("/auth/authorize?request="), "{besides:?}");
    }
}

#[tokio::test]
async fn an_application_may_ask_for_a_newer_sign_in() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let client = own.application(&["links:*"], false).await;
    let signed_in = part(&member.access_token, 1)["auth_time"].as_i64().unwrap();
    own.tenant.wait(120);
    let allow = json!({"decision": "allow"});
    for newer in [("prompt", "login"), ("max_age", "60")] {
        let path = own.request(&client, &[newer, ("scope", "openid")]).await;
        own.tenant.post(&member, &path, &allow).await.problem(401, "step-up-required");
        let now = own.tenant.clock.now().as_second();
        let again = own.tenant.log_in(&member.email).await;
        assert_eq!(auth_time(&own, &again, &client, &path).await, now);
    }
    let path = own.request(&client, &[("max_age", "3600"), ("scope", "openid")]).await;
    assert_eq!(auth_time(&own, &member, &client, &path).await, signed_in);
}

/// When the user signed in who allows a request, as its application is told.
async fn auth_time(own: &OwnOAuth, member: &Member, client: &Registered, path: &str) -> i64 {
    let decided = own.tenant.post(member, path, &json!({"decision": "allow"})).await.expect(200).json();
    let code = answered(&Url::parse(text(&decided, "redirect_to")).unwrap(), "code").unwrap();
    let tokens = own.exchange(client, &code, &[]).await.expect(200).json();
    part(text(&tokens, "id_token"), 1)["auth_time"].as_i64().unwrap()
}

#[tokio::test]
async fn a_token_that_was_stolen_lets_no_application_in_that_needs_nothing_else() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let [secretive, public] = [own.application(&["links:*"], false).await, own.application(&["links:*"], true).await];
    let allow = json!({"decision": "allow"});
    let aged = async |member: &Member| {
        own.tenant.wait(901);
        own.tenant.refreshed(member).await
    };
    let old = aged(&member).await;
    for client in [&secretive, &public] {
        let path = own.request(client, &[]).await;
        let answer = own.tenant.post(&old, &path, &allow).await;
        assert!(answer.header("www-authenticate").contains("insufficient_user_authentication"), "{answer:?}");
        answer.problem(401, "step-up-required");
        // Who refuses gives nothing away.
        own.tenant.post(&old, &path, &json!({"decision": "deny"})).await.expect(200);
        let recent = own.tenant.log_in(&member.email).await;
        own.let_in(&recent, client, "").await;
    }
    // What was agreed to holds for a client that has to prove itself before it gets anything for the code.
    let old = aged(&old).await;
    own.let_in(&old, &secretive, "").await;
    let path = own.request(&public, &[]).await;
    own.tenant.post(&old, &path, &allow).await.problem(401, "step-up-required");
}
