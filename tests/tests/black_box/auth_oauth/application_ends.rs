//! What ends an application's access.

use serde_json::{Value, json};

use super::applications::{answered, text};
use crate::own_oauth::{OwnOAuth, Registered, refusal};
use crate::own_tenant::Member;

/// An application that a member let in.
pub(super) struct LetIn {
    pub(super) own: OwnOAuth,
    pub(super) member: Member,
    pub(super) client: Registered,
    pub(super) tokens: Value,
}

impl LetIn {
    async fn new() -> Self {
        let app = Self::with("links:read").await;
        app.own.tenant.send("GET", "/v1/links", text(&app.tokens, "access_token"), None).await.expect(200);
        app
    }

    /// The same with other scopes.
    pub(super) async fn with(scope: &str) -> Self {
        let own = OwnOAuth::new().await;
        let member = own.tenant.member(&["member"]).await;
        let client = own.application(&["links:*"], false).await;
        let tokens = own.let_in(&member, &client, scope).await;
        // What ends it happens after what it rests on.
        own.tenant.wait(1);
        Self { own, member, client, tokens }
    }

    /// Checks that neither of its tokens is good any more.
    async fn is_over(&self) {
        refusal(self.own.renew(&self.client, text(&self.tokens, "refresh_token")).await, 400, "invalid_grant");
        self.access_is_over().await;
    }

    async fn access_is_over(&self) {
        self.own.tenant.wait(30);
        let access = text(&self.tokens, "access_token");
        self.own.tenant.send("GET", "/v1/links", access, None).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_user_ends_an_applications_access() {
    let app = LetIn::new().await;
    let tenant = &app.own.tenant;
    let reader = app.own.client(&["links:read"]).await;
    let access = text(&app.tokens, "access_token");
    let told = app.own.introspect(&reader, access).await;
    assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!(app.client.id)));
    assert_eq!((&told["scope"], &told["sub"]), (&json!("links:read"), &json!(app.member.id)));
    let waiting = app.own.code(&app.member, &app.client, "links:read").await;
    let path = format!("/v1/auth/grants/{}", app.client.id);
    tenant.delete(&app.member, &path).await.expect(204);
    tenant.delete(&app.member, &path).await.problem(404, "not-found");
    assert_eq!(app.own.introspect(&reader, access).await, json!({"active": false}));
    refusal(app.own.exchange(&app.client, &waiting, &[]).await, 400, "invalid_grant");
    app.is_over().await;
    // The user's own session goes on, and the user is asked again.
    let member = tenant.refreshed(&app.member).await;
    let path = app.own.request(&app.client, &[("scope", "links:read")]).await;
    assert_eq!(tenant.get(&member, &path).await.expect(200).json()["consented"], false);
}

#[tokio::test]
async fn whatever_ends_a_users_sessions_ends_those_of_applications() {
    let app = LetIn::new().await;
    let waiting = app.own.code(&app.member, &app.client, "links:read").await;
    app.own.tenant.post(&app.member, "/v1/auth/logout-all", &Value::Null).await.expect(204);
    refusal(app.own.exchange(&app.client, &waiting, &[]).await, 400, "invalid_grant");
    app.is_over().await;

    // Signing out of one's own session ends that one alone.
    let app = LetIn::new().await;
    app.own.tenant.post(&app.member, "/v1/auth/logout", &Value::Null).await.expect(204);
    app.own.renew(&app.client, text(&app.tokens, "refresh_token")).await.expect(200);

    let app = LetIn::new().await;
    let path = format!("{}/sessions", app.member.path());
    app.own.tenant.delete(&app.own.tenant.owner, &path).await.expect(204);
    app.access_is_over().await;
}

#[tokio::test]
async fn a_member_who_is_suspended_or_removed_takes_the_application_along() {
    let app = LetIn::new().await;
    let tenant = &app.own.tenant;
    tenant.patch(&tenant.owner, &app.member.path(), &json!({"status": "suspended"})).await.expect(200);
    app.is_over().await;
    let app = LetIn::new().await;
    let waiting = app.own.code(&app.member, &app.client, "links:read").await;
    app.own.tenant.delete(&app.own.tenant.owner, &app.member.path()).await.expect(204);
    refusal(app.own.exchange(&app.client, &waiting, &[]).await, 400, "invalid_grant");
    app.is_over().await;
}

#[tokio::test]
async fn an_application_whose_client_is_deleted_is_over() {
    let app = LetIn::new().await;
    app.own.tenant.delete(&app.own.tenant.owner, &app.client.path()).await.expect(204);
    refusal(app.own.renew(&app.client, text(&app.tokens, "refresh_token")).await, 401, "invalid_client");
    app.access_is_over().await;
}

#[tokio::test]
async fn a_refresh_token_of_an_application_that_comes_again_later_ends_its_session() {
    let app = LetIn::new().await;
    let first = text(&app.tokens, "refresh_token");
    let next = app.own.renew(&app.client, first).await.expect(200).json();
    // An answer that was lost is answered again.
    let again = app.own.renew(&app.client, first).await.expect(200).json();
    assert_eq!(again["refresh_token"], next["refresh_token"]);
    app.own.tenant.wait(11);
    app.is_over().await;
    refusal(app.own.renew(&app.client, text(&next, "refresh_token")).await, 400, "invalid_grant");
    let trail = app.own.tenant.audit().await;
    assert!(trail.iter().any(|(action, _)| action == "session.refresh_token_reused"));
}

#[tokio::test]
async fn an_application_gives_its_tokens_up_and_no_other_client_does() {
    let app = LetIn::new().await;
    let other = app.own.application(&["links:*"], true).await;
    for name in ["refresh_token", "access_token"] {
        let token = ("token", text(&app.tokens, name));
        refusal(app.own.by(&other, "/oauth/revoke", &[token]).await, 400, "invalid_grant");
        refusal(app.own.form("/oauth/revoke", &[token]).await, 400, "invalid_grant");
    }
    app.own.renew(&app.client, text(&app.tokens, "refresh_token")).await.expect(200);
    let token = ("token", text(&app.tokens, "access_token"));
    app.own.by(&app.client, "/oauth/revoke", &[token]).await.expect(200);
    app.is_over().await;
    // A public client names itself.
    let back = app.own.allowed(&app.member, &other, &[]).await;
    let tokens = app.own.exchange(&other, &answered(&back, "code").unwrap(), &[]).await.expect(200).json();
    app.own.by(&other, "/oauth/revoke", &[("token", text(&tokens, "refresh_token"))]).await.expect(200);
    refusal(app.own.renew(&other, text(&tokens, "refresh_token")).await, 400, "invalid_grant");
}
