//! Tokens for machines, revocation and introspection, as an OAuth client uses them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::join_all;
use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl, Scope,
    TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};
use serde_json::{Value, json};
use shared::identity::token::ACCESS_TOKEN_LIFETIME;
use tests::{Account, Fault, FaultProxy, Tenant, client, stack};

use crate::own_oauth::{ClientKey, FORM, JWT_BEARER, OwnOAuth, Registered, encoded, refusal};

const MACHINE: (&str, &str) = ("grant_type", "client_credentials");

/// A part of a token, by its place.
fn part(token: &str, place: usize) -> Value {
    let text = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

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
    for wrong in ["*", "users:manage", "links:read users:manage", "links:fly", "openid", " ", "\u{0}", "é\"\\\u{202e}"]
    {
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
    for grant in
        ["password", "authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer", "CLIENT_CREDENTIALS", "\u{0}"]
    {
        let answer = own.as_client(&client, "/oauth/token", &[("grant_type", grant)]).await;
        refusal(answer, 400, "unsupported_grant_type");
    }
    own.send("POST", "/oauth/authorize", &[("content-type", FORM)], Some("")).await.problem(404, "not-found");
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
        ("aud", json!(["tenfold", "https://another.example"])),
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
    for (member, value) in [("exp", json!(now + 360)), ("exp", json!(now - 59)), ("aud", json!(["tenfold"]))] {
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
            "token_type": "Bearer", "iss": "tenfold", "aud": part(&machine, 1)["aud"], "iat": now, "exp": now + 600,
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
    refusal(own.form("/oauth/token", &[refresh, given, ("client_id", &client.id)]).await, 400, "invalid_grant");
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

/// The transport that the standard client library is given.
async fn transport(request: HttpRequest) -> Result<HttpResponse, oauth2::HttpClientError<reqwest::Error>> {
    let boxed = |error: reqwest::Error| oauth2::HttpClientError::<reqwest::Error>::Other(error.to_string());
    let response = client().execute(request.try_into().map_err(boxed)?).await.map_err(boxed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await.map_err(boxed)?.to_vec());
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}

#[tokio::test]
async fn a_standard_client_library_understands_the_answers() {
    let tenant = Tenant::new().await;
    let made =
        tenant.post("/v1/oauth-clients", &json!({"name": "test", "scopes": ["links:*"]})).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let url = |path: &str| format!("{}{path}", stack().url());
    let machine = BasicClient::new(ClientId::new(text("id")))
        .set_client_secret(ClientSecret::new(text("client_secret")))
        .set_token_uri(TokenUrl::new(url("/oauth/token")).unwrap())
        .set_introspection_url(IntrospectionUrl::new(url("/oauth/introspect")).unwrap());
    let scope = Scope::new("links:read".to_owned());
    let token = machine.exchange_client_credentials().add_scope(scope.clone()).request_async(&transport).await.unwrap();
    assert_eq!((token.scopes(), token.expires_in().unwrap().as_secs()), (Some(&vec![scope]), 600));
    client()
        .get(url("/v1/links"))
        .bearer_auth(token.access_token().secret())
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();

    let told = machine.introspect(token.access_token()).request_async(&transport).await.unwrap();
    assert!(told.active() && told.client_id().unwrap().as_str() == text("id") && told.exp().is_some());
    let told = machine.introspect(&AccessToken::new("nonsense".to_owned())).request_async(&transport).await.unwrap();
    assert!(!told.active());
    let wrong = machine.exchange_client_credentials().add_scope(Scope::new("users:manage".to_owned()));
    let refused = wrong.request_async(&transport).await.unwrap_err();
    assert!(matches!(
        &refused,
        oauth2::RequestTokenError::ServerResponse(answer)
            if *answer.error() == oauth2::basic::BasicErrorResponseType::InvalidScope
    ));

    // A user's session, by a public client.
    let account = Account::new().await;
    let public = BasicClient::new(ClientId::new("tenfold".to_owned()))
        .set_token_uri(TokenUrl::new(url("/oauth/token")).unwrap());
    let refresh = oauth2::RefreshToken::new(account.refresh_token.clone());
    let tokens = public.exchange_refresh_token(&refresh).request_async(&transport).await.unwrap();
    let next = tokens.refresh_token().unwrap().clone();
    // The library sends a revocation over https alone: this is what it would send.
    let form = [("token", next.secret().as_str()), ("token_type_hint", "refresh_token")];
    let answer = client().post(url("/oauth/revoke")).header("content-type", FORM).body(encoded(&form)).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let over = public.exchange_refresh_token(&next).request_async(&transport).await.unwrap_err();
    assert!(matches!(
        &over,
        oauth2::RequestTokenError::ServerResponse(answer)
            if *answer.error() == oauth2::basic::BasicErrorResponseType::InvalidGrant
    ));
}
