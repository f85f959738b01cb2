//! A user's session at the endpoints of OAuth: renewed and revoked by its tokens.

use auth::SERVICE;
use serde_json::json;
use shared::config::Environment;
use tests::Instance;

use super::part;
use crate::own_oauth::{OwnOAuth, Registered, refusal};

#[tokio::test]
async fn a_session_is_revoked_by_any_of_its_tokens() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:read"]).await;
    for by_refresh_token in [true, false] {
        let member = own.tenant.member(&["viewer"]).await;
        let token = if by_refresh_token { &member.refresh_token } else { &member.access_token };
        assert_eq!(own.introspect(&client, &member.access_token).await["active"], true);
        let hint = ("token_type_hint", if by_refresh_token { "access_token" } else { "a new one" });
        let answer = own.form("/oauth/revoke", &[("token", token), hint]).await.expect(200);
        assert!(answer.body.is_empty());
        assert_eq!(own.introspect(&client, &member.access_token).await, json!({"active": false}));
        own.tenant.refresh(&member).await.problem(401, "invalid-refresh-token");
        own.tenant.wait(30);
        own.tenant.get(&member, "/v1/links").await.problem(401, "unauthenticated");
        // Once more is no failure (RFC 7009, section 2.2), and is not written down again.
        own.form("/oauth/revoke", &[("token", token)]).await.expect(200);
        let trail = own.tenant.audit().await;
        let session = part(&member.access_token, 1)["sid"].as_str().unwrap().to_owned();
        let ended = trail.iter().filter(|(action, on)| action == "session.signed_out" && *on == session);
        assert_eq!(ended.count(), 1);
    }
}

#[tokio::test]
async fn the_revocation_of_anything_else_ends_nothing() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:read"]).await;
    let member = own.tenant.member(&["viewer"]).await;
    let (api_key, _) = own.tenant.api_key(&["links:read"]).await;
    let mut forged = member.refresh_token.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for nonsense in ["nonsense", "\u{0}", "a.b.c", "tf_rt_", "tf_live_x", &forged, &"x".repeat(10_000)] {
        own.form("/oauth/revoke", &[("token", nonsense)]).await.expect(200);
        own.as_client(&client, "/oauth/revoke", &[("token", nonsense)]).await.expect(200);
    }
    // Good tokens that have no session: a client learns that they stay good.
    let machine = own.access_token(&client).await;
    for token in [&machine, &api_key] {
        refusal(own.form("/oauth/revoke", &[("token", token)]).await, 400, "unsupported_token_type");
        refusal(own.as_client(&client, "/oauth/revoke", &[("token", token)]).await, 400, "unsupported_token_type");
        assert_eq!(own.introspect(&client, token).await["active"], true);
    }
    // A client that proves itself revokes its own tokens, and a session's are not.
    for token in [&member.access_token, &member.refresh_token] {
        refusal(own.as_client(&client, "/oauth/revoke", &[("token", token)]).await, 400, "invalid_grant");
    }
    let impostor = Registered { secret: "wrong".to_owned(), ..client.clone() };
    refusal(own.as_client(&impostor, "/oauth/revoke", &[("token", "x")]).await, 401, "invalid_client");
    own.tenant.refresh(&member).await.expect(200);
}

#[tokio::test]
async fn a_session_goes_on_by_its_refresh_token_at_the_token_endpoint() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:read"]).await;
    let member = own.tenant.member(&["viewer"]).await;
    let refresh = ("grant_type", "refresh_token");
    let given = ("refresh_token", member.refresh_token.as_str());
    // None of these uses it up.
    refusal(own.form("/oauth/token", &[refresh]).await, 400, "invalid_request");
    refusal(own.form("/oauth/token", &[refresh, ("refresh_token", "nonsense")]).await, 400, "invalid_grant");
    refusal(own.form("/oauth/token", &[refresh, ("refresh_token", &member.access_token)]).await, 400, "invalid_grant");
    refusal(own.form("/oauth/token", &[refresh, given, ("scope", "links:read")]).await, 400, "invalid_scope");
    refusal(own.form("/oauth/token", &[refresh, given, ("client_id", &client.id)]).await, 401, "invalid_client");
    refusal(own.as_client(&client, "/oauth/token", &[refresh, given]).await, 400, "invalid_grant");
    let impostor = Registered { secret: "wrong".to_owned(), ..client.clone() };
    refusal(own.as_client(&impostor, "/oauth/token", &[refresh, given]).await, 401, "invalid_client");

    let answer = own.form("/oauth/token", &[refresh, given, ("client_id", "tenfold")]).await.expect(200).json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(600)));
    own.tenant.send("GET", "/v1/links", answer["access_token"].as_str().unwrap(), None).await.expect(200);
    let next = ("refresh_token", answer["refresh_token"].as_str().unwrap());
    assert_ne!(next.1, member.refresh_token);
    // What was used is over, and is taken for stolen when it comes again later.
    own.form("/oauth/token", &[refresh, next]).await.expect(200);
    own.tenant.wait(11);
    for token in [given, next] {
        refusal(own.form("/oauth/token", &[refresh, token]).await, 400, "invalid_grant");
    }

    let suspended = own.tenant.member(&["viewer"]).await;
    own.tenant.patch(&own.tenant.owner, &suspended.path(), &json!({"status": "suspended"})).await.expect(200);
    refusal(
        own.form("/oauth/token", &[refresh, ("refresh_token", &suspended.refresh_token)]).await,
        400,
        "invalid_grant",
    );
}

/// Such as that of a local stack which starts anew on another port.
#[tokio::test]
async fn a_session_outlives_a_change_of_the_issuer_and_its_access_tokens_do_not() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["viewer"]).await;
    let issuer = "http://127.0.0.1:1";
    let change = |environment: Environment| environment.with("TOKEN_ISSUER", issuer);
    let api = Instance::with(&SERVICE, "auth.api", own.tenant.clock.clone(), change).await;
    let me = async |token: &str| {
        let bearer = format!("Bearer {token}");
        api.http("GET", "/v1/me", &[("authorization", &bearer)], None).await
    };
    me(&member.access_token).await.problem(401, "unauthenticated");
    let body = json!({"refresh_token": member.refresh_token});
    let tokens = api.http("POST", "/v1/auth/refresh", &[], Some(&body)).await.expect(200).json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(part(access, 1)["iss"], issuer);
    me(access).await.expect(200);
}
