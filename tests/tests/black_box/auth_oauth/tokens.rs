//! Tokens of a client that proves itself by its secret.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::identity::token::ACCESS_TOKEN_LIFETIME;
use shared::time::{Clock, SignedDuration};
use tests::{Fault, FaultProxy};

use super::{MACHINE, part};
use crate::own_oauth::{ClientKey, FORM, JWT_BEARER, OwnOAuth, Registered, encoded, refusal};

#[tokio::test]
async fn a_client_gets_tokens_by_its_secret_and_uses_them_within_its_scopes() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:read"]).await;
    let by_basic = own.token(&client).await;
    let by_form =
        own.form("/oauth/token", &[MACHINE, ("client_id", &client.id), ("client_secret", &client.secret)]).await;
    for answer in [by_basic, by_form] {
        let answer = answer.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let answer = answer.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert_eq!((&answer["scope"], &answer["refresh_token"]), (&json!("links:read"), &Value::Null));
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!((&part(token, 0)["typ"], &part(token, 0)["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
        let claims = part(token, 1);
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(client.id), &json!(client.id)));
        assert_eq!((&claims["tid"], &claims["sid"]), (&json!(own.tenant.id), &Value::Null));

        own.tenant.send("GET", "/v1/links", token, None).await.expect(200);
        let link = json!({"target": "https://example.com/"});
        let refused = own.tenant.send("POST", "/v1/links", token, Some(&link)).await;
        assert!(refused.header("www-authenticate").contains("insufficient_scope"));
        refused.problem(403, "forbidden");
    }
    // It ends by itself, and is no user.
    let token = own.access_token(&client).await;
    own.tenant.send("GET", "/v1/me", &token, None).await.problem(403, "forbidden");
    own.tenant.wait(ACCESS_TOKEN_LIFETIME.as_secs());
    own.tenant.send("GET", "/v1/links", &token, None).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_client_asks_for_some_of_its_scopes_and_for_no_more() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:*", "audit:view"]).await;
    for (asked, given) in [
        ("links:read", "links:read"),
        ("links:write links:read links:write", "links:read links:write"),
        ("links:*", "links:*"),
        ("", "audit:view links:*"),
    ] {
        let answer = own.as_client(&client, "/oauth/token", &[MACHINE, ("scope", asked)]).await.expect(200).json();
        assert_eq!(answer["scope"], given, "{asked}");
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(part(token, 1)["scope"], given);
    }
    let long = "links:read ".repeat(1000);
    let answer = own.as_client(&client, "/oauth/token", &[MACHINE, ("scope", &long)]).await.expect(200).json();
    assert_eq!(answer["scope"], "links:read");
    for wrong in [
        "*",
        "users:manage",
        "links:read users:manage",
        "links:fly",
        "openid",
        "links:read email",
        "profile",
        " ",
        "\u{0}",
        "é\"\\\u{202e}",
    ] {
        refusal(own.as_client(&client, "/oauth/token", &[MACHINE, ("scope", wrong)]).await, 400, "invalid_scope");
    }
}

#[tokio::test]
async fn whoever_does_not_prove_to_be_the_client_is_refused_alike() {
    let own = OwnOAuth::new().await;
    let (client, other) = (own.client(&["links:read"]).await, own.client(&["links:read"]).await);
    let keyed = own.client_with_keys(&["links:read"], &[&ClientKey::ed25519("k")]).await;
    let gone = own.client(&["links:read"]).await;
    own.tenant.delete(&own.tenant.owner, &gone.path()).await.expect(204);
    let claim = |id: &str, secret: &str| Registered { id: id.to_owned(), secret: secret.to_owned() };
    let mut answers = vec![own.form("/oauth/token", &[MACHINE]).await];
    for impostor in [
        claim(&client.id, &other.secret),
        claim(&client.id, &client.secret[1..]),
        claim(&client.id, &client.secret.to_lowercase()),
        claim(&client.id, ""),
        claim(&keyed.id, ""),
        claim(&keyed.id, "undefined"),
        claim("client_01k9z4n2y6e0qv3m8t5w7x9abc", &client.secret),
        claim(&own.tenant.owner.id, &client.secret),
        claim("", &client.secret),
        claim("\u{0}%00", "é"),
        gone,
    ] {
        answers.push(own.token(&impostor).await);
    }
    let bodies: Vec<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    for answer in answers {
        refusal(answer, 401, "invalid_client");
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    // The tenant sees who was claimed to be.
    let trail = own.tenant.audit().await;
    let count = |id: &str| trail.iter().filter(|(action, on)| action == "client.refused" && on == id).count();
    assert_eq!((count(&client.id), count(&keyed.id), count(&other.id)), (4, 2, 0));
}

#[tokio::test]
async fn a_client_proves_itself_in_one_way() {
    let own = OwnOAuth::new().await;
    let (client, other) = (own.client(&["links:read"]).await, own.client(&["links:read"]).await);
    let secret = ("client_secret", client.secret.as_str());
    let id = ("client_id", client.id.as_str());
    let assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", "a.b.c")];
    own.as_client(&client, "/oauth/token", &[MACHINE, id]).await.expect(200);
    for parameters in
        [&[MACHINE, id, secret][..], &[MACHINE, ("client_id", &other.id)], &[MACHINE, assertion[0], assertion[1]]]
    {
        refusal(own.as_client(&client, "/oauth/token", parameters).await, 400, "invalid_request");
    }
    for parameters in [&[MACHINE, id, secret, assertion[0], assertion[1]][..], &[MACHINE, secret]] {
        refusal(own.form("/oauth/token", parameters).await, 400, "invalid_request");
    }
    let nobody = STANDARD.encode("no colon");
    let text = STANDARD.encode([0xff, 0xfe, b':']);
    for authorization in
        ["Basic", "Basic ", "Basic !", &format!("Basic {nobody}"), &format!("Basic {text}"), "Bearer x", "x"]
    {
        let headers = [("content-type", FORM), ("authorization", authorization)];
        let body = encoded(&[MACHINE, id, secret]);
        refusal(own.send("POST", "/oauth/token", &headers, Some(&body)).await, 401, "invalid_client");
    }
}

#[tokio::test]
async fn bad_requests_are_refused_as_oauth_has_it() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:read"]).await;
    let basic = client.basic();
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect"] {
        let send = async |content_type: &str, body: &str| {
            own.send("POST", path, &[("content-type", content_type), ("authorization", &basic)], Some(body)).await
        };
        let token = "grant_type=client_credentials&token=x";
        for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            refusal(send(content_type, token).await, 400, "invalid_request");
        }
        let large = format!("{token}&x={}", "x".repeat(1024 * 1024));
        let twice = format!("{token}&token=x&grant_type=client_credentials");
        for body in
            ["", "&", "=", "%00=%ff", "{\"grant_type\":\"client_credentials\",\"token\":\"x\"}", "x", &large, &twice]
        {
            refusal(send(FORM, body).await, 400, "invalid_request");
        }
        // With parameters, in capitals.
        send("Application/X-WWW-Form-Urlencoded; charset=UTF-8", token).await.expect(200);
        // What is in the URL is not read (RFC 6749, section 2.3.1).
        let in_url = format!("{path}?{token}");
        let headers = [("content-type", FORM), ("authorization", &basic)];
        refusal(own.send("POST", &in_url, &headers, Some("")).await, 400, "invalid_request");
        for method in ["GET", "PUT", "DELETE"] {
            own.send(method, path, &[], None).await.problem(405, "method-not-allowed");
        }
    }
    for grant in ["password", "urn:ietf:params:oauth:grant-type:jwt-bearer", "CLIENT_CREDENTIALS", "\u{0}"] {
        let answer = own.as_client(&client, "/oauth/token", &[("grant_type", grant)]).await;
        refusal(answer, 400, "unsupported_grant_type");
    }
    own.send("PUT", "/oauth/authorize", &[("content-type", FORM)], Some("")).await.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn a_network_that_guesses_is_slowed_down_and_clients_that_know_are_not() {
    let own = OwnOAuth::new().await;
    let client = own.client(&["links:read"]).await;
    let impostor = Registered { secret: "wrong".to_owned(), ..client.clone() };
    for _ in 0..60 {
        refusal(own.token(&impostor).await, 401, "invalid_client");
    }
    let slowed = own.token(&impostor).await;
    assert!(slowed.header("retry-after").parse::<u32>().unwrap() > 0);
    slowed.problem(429, "rate-limited");
    own.token(&client).await.expect(200);
}

#[tokio::test]
async fn an_outage_of_the_store_is_said_to_be_one() {
    let proxy = FaultProxy::start(|_| Some(Fault::ServerError)).await;
    let own = OwnOAuth::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let client = own.client(&["links:read"]).await;
    own.token(&client).await.problem(503, "unavailable");
    own.as_client(&client, "/oauth/introspect", &[("token", "x")]).await.problem(503, "unavailable");
}

/// Each call takes a moment: what is read first is older than what the clock says later.
async fn moving(clock: Arc<OnceLock<Clock>>) -> FaultProxy {
    FaultProxy::start(move |operation| {
        let clock = clock.get().filter(|_| operation == "GetItem" || operation == "BatchGetItem");
        clock.inspect(|clock| clock.advance(SignedDuration::from_millis(10)));
        None
    })
    .await
}

#[tokio::test]
async fn a_token_holds_as_of_before_its_client_was_read() {
    let slot = Arc::new(OnceLock::new());
    let proxy = moving(slot.clone()).await;
    let own = OwnOAuth::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let machine = own.client(&["links:read"]).await;
    let application = own.application(&["links:*"], false).await;
    let member = own.tenant.member(&["member"]).await;
    let code = own.code(&member, &application, "links:read").await;
    // Their last changes are long ago.
    own.tenant.wait(10);
    slot.set(own.tenant.clock.clone()).unwrap();
    let as_of = |answer: &Value| part(answer["access_token"].as_str().unwrap(), 1)["as_of"].as_i64().unwrap();
    let now = || own.tenant.clock.now().as_millisecond();

    let begun = now();
    assert_eq!(as_of(&own.token(&machine).await.expect(200).json()), begun);
    assert!(now() > begun, "the time goes on while the client is read");
    let begun = now();
    let tokens = own.exchange(&application, &code, &[]).await.expect(200).json();
    assert_eq!(as_of(&tokens), begun);
    let begun = now();
    let renewed = own.renew(&application, tokens["refresh_token"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(as_of(&renewed), begun);
}
