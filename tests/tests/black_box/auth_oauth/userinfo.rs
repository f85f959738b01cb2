//! What an application is told of its user, and who is told nothing.

use serde_json::{Value, json};
use tests::Answer;
use url::Url;

use super::application_ends::LetIn;
use super::applications::{answered, text};
use crate::own_oauth::{FORM, OwnOAuth, encoded};
use crate::own_tenant::Member;

const PATH: &str = "/oauth/userinfo";

impl OwnOAuth {
    /// What the holder of a token is told.
    async fn user_info(&self, method: &str, token: &str) -> Answer {
        self.send(method, PATH, &[("authorization", &format!("Bearer {token}"))], None).await
    }
}

/// Checks that the token is not accepted (RFC 6750, section 3.1).
#[track_caller]
fn invalid_token(answer: Answer) {
    assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#);
    answer.problem(401, "unauthenticated");
}

/// Checks that the token is good, and not for this.
#[track_caller]
fn insufficient_scope(answer: Answer) {
    assert_eq!(answer.header("www-authenticate"), r#"Bearer error="insufficient_scope", scope="openid""#);
    answer.problem(403, "forbidden");
}

#[tokio::test]
async fn an_application_is_told_of_its_user_what_its_scopes_say() {
    let own = OwnOAuth::new().await;
    let (unnamed, ann) = (own.tenant.member(&["member"]).await, own.tenant.member(&["viewer"]).await);
    own.tenant.wait(5);
    own.tenant.patch(&ann, "/v1/me", &json!({"name": "Ann"})).await.expect(200);
    let updated_at = async |member: &Member| {
        let me = own.tenant.get(member, "/v1/me").await.expect(200).json();
        text(&me, "updated_at").parse::<jiff::Timestamp>().unwrap().as_second()
    };
    let (created, renamed) = (updated_at(&unnamed).await, updated_at(&ann).await);
    assert_eq!(renamed, own.tenant.clock.now().as_second());
    let client = own.application(&["links:*"], false).await;
    for (member, scope, told) in [
        (&ann, "openid", json!({"sub": ann.id})),
        (&ann, "openid links:read", json!({"sub": ann.id})),
        (&ann, "openid email", json!({"sub": ann.id, "email": ann.email, "email_verified": true})),
        (&ann, "openid profile", json!({"sub": ann.id, "name": "Ann", "updated_at": renamed})),
        (&unnamed, "openid profile", json!({"sub": unnamed.id, "updated_at": created})),
        (
            &ann,
            "profile email openid",
            json!({
                "sub": ann.id, "email": ann.email, "email_verified": true, "name": "Ann", "updated_at": renamed,
            }),
        ),
    ] {
        let tokens = own.let_in(member, &client, scope).await;
        for method in ["GET", "POST"] {
            let answer = own.user_info(method, text(&tokens, "access_token")).await.expect(200);
            assert_eq!(
                (answer.header("content-type"), answer.header("cache-control")),
                ("application/json", "no-store")
            );
            assert_eq!(answer.json(), told, "{scope}");
        }
        // The id token has the same `sub`, and neither address nor name.
        let claims = super::part(text(&tokens, "id_token"), 1);
        assert_eq!(claims["sub"], told["sub"]);
        assert!(["email", "email_verified", "name"].iter().all(|claim| claims[claim].is_null()), "{claims}");
    }
}

#[tokio::test]
async fn it_is_told_what_the_account_has_at_that_moment() {
    let app = LetIn::with("openid profile").await;
    let access = text(&app.tokens, "access_token");
    for name in ["Ann", "Ann Example"] {
        app.own.tenant.patch(&app.member, "/v1/me", &json!({"name": name})).await.expect(200);
        assert_eq!(app.own.user_info("GET", access).await.expect(200).json()["name"], name);
    }
}

#[tokio::test]
async fn a_user_is_asked_in_words_and_may_keep_the_address_back() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["viewer"]).await;
    let client = own.application(&["links:*"], false).await;
    let asked = ("scope", "openid email profile");
    let path = own.request(&client, &[asked]).await;
    let shown = own.tenant.get(&member, &path).await.expect(200).json()["scopes"].clone();
    assert_eq!(
        shown,
        json!([
            {"name": "openid", "description": "Know who you are: your user id."},
            {"name": "email", "description": "Know your e-mail address, and whether it was confirmed."},
            {"name": "profile", "description": "Know your name, and when your account was last changed."},
        ])
    );
    let decision = json!({"decision": "allow", "scopes": ["openid", "profile"]});
    let decided = own.tenant.post(&member, &path, &decision).await.expect(200).json();
    let code = answered(&Url::parse(text(&decided, "redirect_to")).unwrap(), "code").unwrap();
    let tokens = own.exchange(&client, &code, &[]).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid profile");
    let told = own.user_info("GET", text(&tokens, "access_token")).await.expect(200).json();
    assert!(told["email"].is_null() && told["updated_at"].is_i64(), "{told}");
    // What the user agreed to is remembered, and the address is asked for again.
    let grants = own.tenant.get(&member, "/v1/auth/grants").await.expect(200).json();
    assert_eq!(grants["data"][0]["scopes"], json!(["openid", "profile"]));
    for (scope, consented) in [("openid profile", true), ("openid email", false)] {
        let path = own.request(&client, &[("scope", scope)]).await;
        assert_eq!(own.tenant.get(&member, &path).await.expect(200).json()["consented"], consented, "{scope}");
    }
    // A token with less is told less.
    let renewed =
        [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token")), ("scope", "openid")];
    let narrow = own.by(&client, "/oauth/token", &renewed).await.expect(200).json();
    let told = own.user_info("GET", text(&narrow, "access_token")).await.expect(200).json();
    assert_eq!(told, json!({"sub": member.id}));
}

#[tokio::test]
async fn what_an_application_may_know_opens_no_route() {
    let app = LetIn::with("openid email profile").await;
    let access = text(&app.tokens, "access_token");
    assert_eq!(app.tokens["scope"], "openid email profile");
    for path in ["/v1/links", "/v1/me", "/v1/users", "/v1/auth/sessions", "/v1/tenant"] {
        app.own.tenant.send("GET", path, access, None).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn whoever_is_no_application_with_the_scope_is_told_nothing() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let client = own.application(&["links:*"], false).await;
    let (key, _) = own.tenant.api_key(&["*"]).await;
    let machine = own.client(&["*"]).await;
    let machine = own.access_token(&machine).await;
    let tokens = own.let_in(&member, &client, "openid email").await;
    let without = own.let_in(&member, &client, "links:read email profile").await;
    for method in ["GET", "POST"] {
        // The user's own session, a machine with all scopes, an application without this one.
        for token in [&member.access_token, &machine, text(&without, "access_token")] {
            insufficient_scope(own.user_info(method, token).await);
        }
        for token in ["x", "a.b.c", &key, text(&tokens, "id_token"), text(&tokens, "refresh_token")] {
            invalid_token(own.user_info(method, token).await);
        }
        for headers in [&[][..], &[("authorization", client.basic())]] {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = own.send(method, PATH, &headers, None).await;
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            answer.problem(401, "unauthenticated");
        }
    }
    // A token is in the header, and nowhere else (RFC 6750, sections 2.2 and 2.3).
    let access = text(&tokens, "access_token");
    let form = encoded(&[("access_token", access)]);
    own.send("POST", PATH, &[("content-type", FORM)], Some(&form)).await.problem(401, "unauthenticated");
    own.send("GET", &format!("{PATH}?{form}"), &[], None).await.problem(401, "unauthenticated");
    let both = [("authorization", &*format!("Bearer {access}")), ("x-api-key", &key)];
    own.send("GET", PATH, &both, None).await.problem(400, "ambiguous-credentials");
    own.send("DELETE", PATH, &both[..1], None).await.problem(405, "method-not-allowed");
    own.user_info("GET", access).await.expect(200);
}

#[tokio::test]
async fn what_ends_an_applications_access_ends_this_at_once() {
    for how in ["grant", "token", "session", "everywhere", "suspended", "removed", "deleted", "client"] {
        let app = LetIn::with("openid email").await;
        let LetIn { own, member, client, tokens } = &app;
        let access = text(tokens, "access_token");
        own.user_info("GET", access).await.expect(200);
        let owner = &own.tenant.owner;
        let status = match how {
            "grant" => own.tenant.delete(member, &format!("/v1/auth/grants/{}", client.id)).await.status,
            "token" => own.by(client, "/oauth/revoke", &[("token", access)]).await.status,
            "session" => {
                let session = super::part(access, 1)["sid"].as_str().unwrap().to_owned();
                own.tenant.delete(member, &format!("/v1/auth/sessions/{session}")).await.status
            }
            "everywhere" => own.tenant.post(member, "/v1/auth/logout-all", &Value::Null).await.status,
            "suspended" => own.tenant.patch(owner, &member.path(), &json!({"status": "suspended"})).await.status,
            "removed" => own.tenant.delete(owner, &member.path()).await.status,
            "deleted" => own.tenant.delete(member, "/v1/me").await.status,
            _ => own.tenant.delete(owner, &client.path()).await.status,
        };
        assert!(status.is_success(), "{how}: {status}");
        invalid_token(own.user_info("GET", access).await);
    }
}
