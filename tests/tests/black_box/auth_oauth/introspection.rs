//! What a token in hand is good for.

use serde_json::{Value, json};
use shared::identity::token::ACCESS_TOKEN_LIFETIME;
use tests::token::issuer;

use super::part;
use crate::own_oauth::{FORM, OwnOAuth, refusal};

#[tokio::test]
async fn a_client_is_told_what_the_tokens_of_its_tenant_are_good_for() {
    let (own, another) = (OwnOAuth::new().await, OwnOAuth::new().await);
    let (client, stranger) = (own.client(&["links:read"]).await, another.client(&["*"]).await);
    let member = own.tenant.member(&["viewer"]).await;
    let (api_key, key_id) = own.tenant.api_key(&["links:read"]).await;
    let machine = own.access_token(&client).await;
    let told = own.introspect(&client, &machine).await;
    let now = own.tenant.clock.now().as_second();
    assert_eq!(
        told,
        json!({
            "active": true, "scope": "links:read", "client_id": client.id, "sub": client.id, "tid": own.tenant.id,
            "token_type": "Bearer", "iss": issuer(), "aud": part(&machine, 1)["aud"], "iat": now, "exp": now + 600,
            "jti": part(&machine, 1)["jti"],
        })
    );
    let told = own.introspect(&client, &member.access_token).await;
    assert_eq!((&told["sub"], &told["roles"]), (&json!(member.id), &json!(["viewer"])));
    assert_eq!(told["sid"], part(&member.access_token, 1)["sid"]);
    assert!(told["auth_time"].is_i64());
    let told = own.introspect(&client, &api_key).await;
    assert_eq!((&told["active"], &told["sub"], &told["exp"]), (&json!(true), &json!(key_id), &Value::Null));

    let inactive = json!({"active": false});
    let mut altered = machine.clone();
    altered.pop();
    for (asking, token) in [
        (&client, "nonsense"),
        (&client, "\u{0}"),
        (&client, altered.as_str()),
        (&client, "tf_live_nonsense"),
        (&client, member.refresh_token.as_str()),
    ] {
        assert_eq!(own.introspect(asking, token).await, inactive, "{token}");
    }
    // What is another tenant's is not told of.
    for token in [&machine, &member.access_token, &api_key] {
        assert_eq!(another.introspect(&stranger, token).await, inactive);
    }
    own.tenant.wait(ACCESS_TOKEN_LIFETIME.as_secs());
    assert_eq!(own.introspect(&client, &machine).await, inactive);
    // Nobody is told anything without proof; a token is none here.
    refusal(own.form("/oauth/introspect", &[("token", &machine)]).await, 401, "invalid_client");
    let headers = [("content-type", FORM), ("authorization", &format!("Bearer {machine}"))];
    refusal(own.send("POST", "/oauth/introspect", &headers, Some("token=x")).await, 401, "invalid_client");
}
