//! Tokens of a client that proves itself by what it signs.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::token::issuer;

use super::MACHINE;
use crate::own_oauth::{ClientKey, JWT_BEARER, OwnOAuth, refusal};

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

#[tokio::test]
async fn a_client_with_keys_proves_itself_by_what_it_signs() {
    let own = OwnOAuth::new().await;
    let keys = [ClientKey::ed25519("ed"), ClientKey::p256("ec"), ClientKey::rsa("rsa")];
    let client = own.client_with_keys(&["links:read"], &keys.iter().collect::<Vec<_>>()).await;
    for key in &keys {
        let assertion = key.assertion(&own.claims(&client));
        let answer = own.token_by(&assertion).await.expect(200).json();
        own.tenant.send("GET", "/v1/links", answer["access_token"].as_str().unwrap(), None).await.expect(200);
        // Once.
        refusal(own.token_by(&assertion).await, 401, "invalid_client");
        // Its id may be said besides, and nobody else's.
        let assertion = key.assertion(&own.claims(&client));
        let proof = [MACHINE, ("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)];
        let other = own.client(&["links:read"]).await;
        let named = |id| [&proof[..], &[("client_id", id)]].concat();
        refusal(own.form("/oauth/token", &named(other.id.as_str())).await, 400, "invalid_request");
        own.form("/oauth/token", &named(client.id.as_str())).await.expect(200);
        let wrong_type = [MACHINE, ("client_assertion_type", "saml"), ("client_assertion", &assertion)];
        refusal(own.form("/oauth/token", &wrong_type).await, 401, "invalid_client");
    }
    // The same assertion at once is taken once.
    let assertion = keys[0].assertion(&own.claims(&client));
    let answers = join_all((0..8).map(|_| own.token_by(&assertion))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test]
async fn an_assertion_that_is_not_for_here_and_now_is_refused() {
    let own = OwnOAuth::new().await;
    let key = ClientKey::ed25519("k");
    let client = own.client_with_keys(&["links:read"], &[&key]).await;
    let (other, with_secret) =
        (own.client_with_keys(&["links:read"], &[&ClientKey::p256("k")]).await, own.client(&["links:read"]).await);
    let now = own.tenant.clock.now().as_second();
    let claims = || own.claims(&client);
    for (member, value) in [
        ("iss", json!(other.id)),
        ("iss", json!(with_secret.id)),
        ("iss", json!("client_01k9z4n2y6e0qv3m8t5w7x9abc")),
        ("iss", json!("\u{0}")),
        ("iss", json!([client.id])),
        ("sub", json!(other.id)),
        ("sub", json!(own.tenant.owner.id)),
        ("sub", Value::Null),
        ("aud", json!("https://another.example")),
        ("aud", json!("tenfold-api")),
        ("aud", json!([issuer(), "https://another.example"])),
        ("aud", Value::Null),
        ("exp", json!(now - 60)),
        ("exp", json!(now + 361)),
        ("exp", json!(i64::MAX)),
        ("exp", Value::Null),
        ("nbf", json!(now + 61)),
        ("iat", json!(now + 61)),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", Value::Null),
    ] {
        let claims = with(claims(), member, value);
        refusal(own.token_by(&key.assertion(&claims)).await, 401, "invalid_client");
    }
    // Somebody else's key, by the same name; and things that are no assertion.
    let foreign = ClientKey::ed25519("k").assertion(&claims());
    let good = key.assertion(&claims());
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    let own_token = own.access_token(&with_secret).await;
    for wrong in
        [foreign, unsigned, own_token, "a.b.c".to_owned(), "\u{0}".to_owned(), format!("{good}{}", "x".repeat(9000))]
    {
        refusal(own.token_by(&wrong).await, 401, "invalid_client");
    }
    // The clocks may differ by a minute, and the audience may be in a list.
    for (member, value) in [("exp", json!(now + 360)), ("exp", json!(now - 59)), ("aud", json!([issuer()]))] {
        own.token_by(&key.assertion(&with(claims(), member, value))).await.expect(200);
    }
}

#[tokio::test]
async fn an_assertion_may_name_the_token_endpoint_where_its_address_is_known() {
    let own = OwnOAuth::with(|environment| environment.with("PUBLIC_URL", "https://api.example.com")).await;
    let key = ClientKey::ed25519("k");
    let client = own.client_with_keys(&["links:read"], &[&key]).await;
    let asked =
        async |audience: &str| own.token_by(&key.assertion(&with(own.claims(&client), "aud", json!(audience)))).await;
    asked("https://api.example.com/oauth/token").await.expect(200);
    refusal(asked("https://api.example.com/oauth/revoke").await, 401, "invalid_client");
    refusal(asked("https://api.example.com.evil.example/oauth/token").await, 401, "invalid_client");
}
