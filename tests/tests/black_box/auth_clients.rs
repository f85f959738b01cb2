//! OAuth clients as a tenant's administrators manage them: what each change does to the tokens that are there.

use auth::store::Counted;
use http::Method;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::{Ask as _, anonymous};

use crate::own_oauth::{ClientKey, OwnOAuth, Registered, key_set, refusal};
use crate::own_tenant::{OwnTenant, accounts, column};

const PATH: &str = "/v1/oauth-clients";

fn new_client(scopes: &[&str]) -> Value {
    json!({"name": "Nightly export", "scopes": scopes})
}

async fn patch_if(tenant: &OwnTenant, path: &str, tag: &str, body: &Value) -> tests::Answer {
    tenant.send_with("PATCH", path, &tenant.owner.access_token, &[("if-match", tag)], Some(body)).await
}

#[tokio::test]
async fn a_client_is_registered_read_changed_and_deleted() {
    let tenant = OwnTenant::new().await;
    let made =
        tenant.post(&tenant.owner, PATH, &new_client(&["links:write", "links:read", "links:read"])).await.expect(201);
    let (body, etag) = (made.json(), made.header("etag").to_owned());
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("{PATH}/{}", body["id"].as_str().unwrap()));
    let secret = body["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("tf_cs_") && secret.len() == 49, "{secret}");
    assert_eq!(
        (&body["scopes"], &body["created_by"]),
        (&json!(["links:read", "links:write"]), &json!(tenant.owner.id))
    );
    assert_eq!((&body["token_endpoint_auth_method"], &body["jwks"]), (&json!("client_secret_basic"), &Value::Null));

    // The secret is not shown again.
    let read = tenant.get(&tenant.owner, &path).await.expect(200);
    assert!(!String::from_utf8_lossy(&read.body).contains("secret\":\""));
    assert_eq!((read.header("etag"), read.json()["client_secret"].is_null()), (etag.as_str(), true));
    let conditional = [("if-none-match", etag.as_str())];
    tenant.send_with("GET", &path, &tenant.owner.access_token, &conditional, None).await.expect(304);

    // Audit records of one moment have no order.
    tenant.wait(1);
    let same = patch_if(&tenant, &path, &etag, &json!({"name": "Nightly export"})).await.expect(200);
    assert_eq!(same.header("etag"), etag);
    let changed = patch_if(&tenant, &path, &etag, &json!({"name": "Daily export"})).await.expect(200);
    assert_eq!((&changed.json()["name"], &changed.json()["scopes"]), (&json!("Daily export"), &body["scopes"]));
    patch_if(&tenant, &path, &etag, &json!({"name": "Late"})).await.problem(412, "precondition-failed");
    let stale = [("if-match", etag.as_str())];
    let delete = tenant.send_with("DELETE", &path, &tenant.owner.access_token, &stale, None);
    delete.await.problem(412, "precondition-failed");

    tenant.wait(1);
    tenant.delete(&tenant.owner, &path).await.expect(204);
    tenant.delete(&tenant.owner, &path).await.problem(404, "not-found");
    tenant.get(&tenant.owner, &path).await.problem(404, "not-found");
    let trail = tenant.audit().await;
    let on_it = trail.iter().filter(|(_, target)| path.ends_with(target.as_str()) && !target.is_empty());
    let actions: Vec<_> = on_it.map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["client.deleted", "client.updated", "client.created"]);
}

#[tokio::test]
async fn clients_are_listed_in_pages_to_those_who_manage_them() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let made = tenant.post(&tenant.owner, PATH, &new_client(&["links:read"])).await.expect(201).json();
        ids.push(made["id"].as_str().unwrap().to_owned());
        tenant.wait(1);
    }
    let (mut path, mut seen) = (format!("{PATH}?limit=2"), Vec::new());
    loop {
        let page = tenant.get(&tenant.owner, &path).await.expect(200);
        assert!(!String::from_utf8_lossy(&page.body).contains("tf_cs_"));
        seen.extend(column(&page, "id"));
        let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        path = format!("{PATH}?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);
    for bad in ["limit=0", "limit=201", "unknown=1"] {
        tenant.get(&tenant.owner, &format!("{PATH}?{bad}")).await.problem(422, "validation");
    }
    assert!(column(&other.get(&other.owner, PATH).await.expect(200), "id").is_empty());

    // Another tenant's, or no id of a client.
    let path = format!("{PATH}/{}", ids[0]);
    for path in [path.as_str(), "/v1/oauth-clients/key_01k9z4n2y6e0qv3m8t5w7x9abc", "/v1/oauth-clients/%00"] {
        other.get(&other.owner, path).await.problem(404, "not-found");
        other.delete(&other.owner, path).await.problem(404, "not-found");
        other.patch(&other.owner, path, &json!({"name": "mine"})).await.problem(404, "not-found");
        let rotate = format!("{path}/rotate-secret");
        other.post(&other.owner, &rotate, &json!({"overlap_seconds": 0})).await.problem(404, "not-found");
    }
    let viewer = tenant.member(&["viewer"]).await;
    for (method, path) in [("GET", PATH), ("GET", path.as_str()), ("DELETE", path.as_str())] {
        tenant.send(method, path, &viewer.access_token, None).await.problem(403, "forbidden");
    }
    anonymous(Method::GET, PATH).answer().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn bad_registrations_and_changes_are_refused_with_a_pointer() {
    let tenant = OwnTenant::new().await;
    let key = ClientKey::ed25519("k");
    let registered = |scopes: Value, jwks: Value| json!({"name": "x", "scopes": scopes, "jwks": jwks});
    let fifty_one: Vec<_> = (0..51).map(|number| format!("links:{number}")).collect();
    let mut private = key.public();
    private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    for (body, pointer) in [
        (json!({"name": "x"}), "/scopes"),
        (json!({"scopes": ["links:read"]}), "/name"),
        (json!({"name": "", "scopes": ["links:read"]}), "/name"),
        (json!({"name": "x".repeat(1_000_000), "scopes": ["links:read"]}), "/name"),
        (json!({"name": "\u{0}\u{202e}", "scopes": ["links:read"]}), "/name"),
        (json!({"name": "x", "scopes": ["links:read"], "secret": "mine"}), "/secret"),
        (registered(json!([]), Value::Null), "/scopes"),
        (registered(json!(["links:fly"]), Value::Null), "/scopes"),
        (registered(json!(fifty_one), Value::Null), "/scopes"),
        (registered(json!("links:read"), Value::Null), "/scopes"),
        (registered(json!([7]), Value::Null), "/scopes/0"),
        (registered(json!(["links:read"]), json!({})), "/jwks"),
        (registered(json!(["links:read"]), json!({"keys": []})), "/jwks"),
        (registered(json!(["links:read"]), json!({"keys": [private]})), "/jwks"),
        (registered(json!(["links:read"]), json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})), "/jwks"),
        (registered(json!(["links:read"]), key_set(&[&key, &key])), "/jwks"),
    ] {
        let problem = tenant.post(&tenant.owner, PATH, &body).await.problem(422, "validation");
        let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
        assert_eq!(pointers, [pointer], "{problem}");
    }
    let made = tenant.post(&tenant.owner, PATH, &new_client(&["links:read"])).await.expect(201);
    let path = made.header("location").to_owned();
    for (body, pointer) in [
        (json!({"name": null}), "/name"),
        (json!({"scopes": []}), "/scopes"),
        (json!({"scopes": ["links:fly"]}), "/scopes"),
        (json!({"id": "client_x"}), "/id"),
        (json!({"client_secret": "mine"}), "/client_secret"),
        (json!({"jwks": key_set(&[&key])}), "/jwks"),
    ] {
        let problem = tenant.patch(&tenant.owner, &path, &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for body in [json!({"overlap_seconds": 604_801}), json!({"overlap_seconds": -1}), json!({}), json!({"overlap": 1})]
    {
        tenant.post(&tenant.owner, &format!("{path}/rotate-secret"), &body).await.problem(422, "validation");
    }
}

#[tokio::test]
async fn nobody_registers_or_takes_over_a_client_that_may_do_more_than_they() {
    let own = OwnOAuth::new().await;
    let tenant = &own.tenant;
    let (limited, _) = tenant.api_key(&["clients:manage", "links:read"]).await;
    let by_key = async |method: &str, path: &str, body: Value| tenant.send(method, path, &limited, Some(&body)).await;
    by_key("POST", PATH, new_client(&["links:read"])).await.expect(201);
    for wider in [&["links:write"][..], &["links:*"], &["*"], &["links:read", "users:manage"]] {
        by_key("POST", PATH, new_client(wider)).await.problem(403, "forbidden");
    }
    let (key, thief) = (ClientKey::ed25519("k"), ClientKey::ed25519("k"));
    let strong = own.client(&["links:*"]).await;
    let keyed = own.client_with_keys(&["links:*"], &[&key]).await;
    by_key("POST", &format!("{}/rotate-secret", strong.path()), json!({"overlap_seconds": 0}))
        .await
        .problem(403, "forbidden");
    by_key("PATCH", &keyed.path(), json!({"jwks": key_set(&[&thief])})).await.problem(403, "forbidden");
    by_key("PATCH", &strong.path(), json!({"scopes": ["links:write"]})).await.problem(403, "forbidden");
    by_key("PATCH", &strong.path(), json!({"name": "renamed"})).await.expect(200);
    own.token(&strong).await.expect(200);
    own.token_by(&key.assertion(&own.claims(&keyed))).await.expect(200);

    // Nor does a key whose limits a client would not have.
    let end = shared::time::rfc3339_millis(tenant.clock.now() + SignedDuration::from_hours(1));
    let ending = json!({"name": "x", "scopes": ["clients:manage", "links:*"], "expires_at": end});
    let ending = tenant.post(&tenant.owner, "/v1/api-keys", &ending).await.expect(201).json();
    let by_ending = async |method: &str, path: &str, body: Value| {
        tenant.send(method, path, ending["api_key"].as_str().unwrap(), Some(&body)).await
    };
    by_ending("POST", PATH, new_client(&["links:read"])).await.problem(403, "forbidden");
    by_ending("POST", &format!("{}/rotate-secret", strong.path()), json!({"overlap_seconds": 0}))
        .await
        .problem(403, "forbidden");
    by_ending("PATCH", &keyed.path(), json!({"jwks": key_set(&[&thief])})).await.problem(403, "forbidden");
    by_ending("PATCH", &strong.path(), json!({"name": "again"})).await.expect(200);

    // A machine manages clients within its scopes, too; and a user proves themselves again after a while.
    let manager = own.client(&["clients:manage", "links:read"]).await;
    let token = own.access_token(&manager).await;
    tenant.send("POST", PATH, &token, Some(&new_client(&["links:read"]))).await.expect(201);
    tenant.send("POST", PATH, &token, Some(&new_client(&["links:*"]))).await.problem(403, "forbidden");
    tenant.clock.advance(SignedDuration::from_mins(9));
    let later = tenant.refreshed(&tenant.owner).await;
    tenant.post(&later, PATH, &new_client(&["links:read"])).await.expect(201);
    tenant.clock.advance(SignedDuration::from_mins(6));
    let later = tenant.refreshed(&later).await;
    tenant.post(&later, PATH, &new_client(&["links:read"])).await.problem(401, "step-up-required");
    tenant.delete(&later, &strong.path()).await.problem(401, "step-up-required");
    tenant.get(&later, PATH).await.expect(200);
}

#[tokio::test]
async fn a_repeated_registration_is_answered_again_without_the_secret() {
    let tenant = OwnTenant::new().await;
    let post = async |path: &str, body: &Value| {
        let headers = [("idempotency-key", "once")];
        tenant.send_with("POST", path, &tenant.owner.access_token, &headers, Some(body)).await
    };
    let first = post(PATH, &new_client(&["links:read"])).await.expect(201);
    let again = post(PATH, &new_client(&["links:read"])).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!((&again.json()["id"], &again.json()["client_secret"]), (&first.json()["id"], &Value::Null));
    assert_eq!(column(&tenant.get(&tenant.owner, PATH).await, "id").len(), 1);
    post(PATH, &new_client(&["links:*"])).await.problem(422, "idempotency-key-reused");

    let rotate = format!("{}/rotate-secret", first.header("location"));
    let rotated = post(&rotate, &json!({"overlap_seconds": 60})).await.expect(201);
    let again = post(&rotate, &json!({"overlap_seconds": 60})).await.expect(201);
    assert!(rotated.json()["client_secret"].is_string() && again.json()["client_secret"].is_null());
    assert_eq!(rotated.header("etag"), again.header("etag"));
}

#[tokio::test]
async fn a_tenant_has_a_hundred_clients_at_most() {
    let tenant = OwnTenant::new().await;
    let id = tenant.id.parse().unwrap();
    accounts().transact(vec![accounts().counted_more(&id, Counted::Clients, 99)]).await.unwrap();
    let last = tenant.post(&tenant.owner, PATH, &new_client(&["links:read"])).await.expect(201);
    tenant.post(&tenant.owner, PATH, &new_client(&["links:read"])).await.problem(409, "conflict");
    tenant.delete(&tenant.owner, last.header("location")).await.expect(204);
    tenant.post(&tenant.owner, PATH, &new_client(&["links:read"])).await.expect(201);
}

#[tokio::test]
async fn an_old_secret_is_good_for_the_overlap_and_an_older_one_for_nothing() {
    let own = OwnOAuth::new().await;
    let first = own.client(&["links:read"]).await;
    let rotate = async |seconds: u32| {
        let path = format!("{}/rotate-secret", first.path());
        let made =
            own.tenant.post(&own.tenant.owner, &path, &json!({"overlap_seconds": seconds})).await.expect(201).json();
        (Registered { secret: made["client_secret"].as_str().unwrap().to_owned(), ..first.clone() }, made)
    };
    let issued = own.access_token(&first).await;
    let (second, made) = rotate(60).await;
    assert!(made["previous_secret_expires_at"].is_string());
    for client in [&first, &second] {
        own.token(client).await.expect(200);
    }
    // Tokens are not what was rotated.
    assert_eq!(own.introspect(&second, &issued).await["active"], true);
    let (third, _) = rotate(60).await;
    refusal(own.token(&first).await, 401, "invalid_client");
    own.tenant.wait(59);
    own.token(&second).await.expect(200);
    own.tenant.wait(1);
    refusal(own.token(&second).await, 401, "invalid_client");
    own.token(&third).await.expect(200);
    let (fourth, _) = rotate(0).await;
    refusal(own.token(&third).await, 401, "invalid_client");
    own.token(&fourth).await.expect(200);
}

#[tokio::test]
async fn the_keys_of_a_client_are_replaced_and_its_way_to_prove_itself_is_not() {
    let own = OwnOAuth::new().await;
    let (old, new) = (ClientKey::ed25519("old"), ClientKey::p256("new"));
    let client = own.client_with_keys(&["links:read"], &[&old]).await;
    let owner = &own.tenant.owner;
    let shown = own.tenant.get(owner, &client.path()).await.expect(200).json();
    assert_eq!((&shown["token_endpoint_auth_method"], &shown["jwks"]), (&json!("private_key_jwt"), &key_set(&[&old])));
    let patch = async |body: Value| own.tenant.patch(owner, &client.path(), &body).await;
    let by = async |key: &ClientKey| own.token_by(&key.assertion(&own.claims(&client))).await;

    refusal(by(&new).await, 401, "invalid_client");
    patch(json!({"jwks": key_set(&[&old, &new])})).await.expect(200);
    by(&old).await.expect(200);
    let answer = by(&new).await.expect(200).json();
    assert_eq!(patch(json!({"jwks": key_set(&[&new])})).await.expect(200).json()["jwks"], key_set(&[&new]));
    refusal(by(&old).await, 401, "invalid_client");
    by(&new).await.expect(200);
    own.tenant.wait(30);
    own.tenant.send("GET", "/v1/links", answer["access_token"].as_str().unwrap(), None).await.expect(200);

    for wrong in [json!({"jwks": null}), json!({"jwks": {"keys": []}}), json!({"jwks": {"keys": null}})] {
        assert_eq!(patch(wrong).await.problem(422, "validation")["errors"][0]["pointer"], "/jwks");
    }
    let rotate = format!("{}/rotate-secret", client.path());
    own.tenant.post(owner, &rotate, &json!({"overlap_seconds": 0})).await.problem(409, "conflict");
}

#[tokio::test]
async fn tokens_end_when_their_client_loses_scopes_or_is_deleted() {
    let own = OwnOAuth::new().await;
    let (client, witness) = (own.client(&["links:read", "links:write"]).await, own.client(&["links:read"]).await);
    let owner = &own.tenant.owner;
    let link = json!({"target": "https://example.com/"});
    let write = async |token: &str| own.tenant.send("POST", "/v1/links", token, Some(&link)).await;
    let patch = async |body: Value| own.tenant.patch(owner, &client.path(), &body).await.expect(200);
    let inactive = json!({"active": false});

    // More scopes, or another name, end nothing.
    let token = own.access_token(&client).await;
    write(&token).await.expect(201);
    patch(json!({"name": "renamed", "scopes": ["links:read", "links:write", "audit:view"]})).await;
    assert_eq!(own.introspect(&witness, &token).await["active"], true);
    own.tenant.wait(30);
    write(&token).await.expect(201);

    // Fewer do: at once for whoever asks, within 30 seconds everywhere.
    patch(json!({"scopes": ["links:read"]})).await;
    assert_eq!(own.introspect(&witness, &token).await, inactive);
    own.tenant.wait(30);
    write(&token).await.problem(401, "unauthenticated");
    let narrow = own.access_token(&client).await;
    own.tenant.send("GET", "/v1/links", &narrow, None).await.expect(200);
    write(&narrow).await.problem(403, "forbidden");

    own.tenant.delete(owner, &client.path()).await.expect(204);
    assert_eq!(own.introspect(&witness, &narrow).await, inactive);
    refusal(own.token(&client).await, 401, "invalid_client");
    refusal(own.as_client(&client, "/oauth/introspect", &[("token", &narrow)]).await, 401, "invalid_client");
    own.tenant.wait(30);
    own.tenant.send("GET", "/v1/links", &narrow, None).await.problem(401, "unauthenticated");
    let other = own.access_token(&witness).await;
    own.tenant.send("GET", "/v1/links", &other, None).await.expect(200);
}

#[tokio::test]
async fn an_application_is_registered_with_nothing_that_no_user_can_give_it() {
    let tenant = OwnTenant::new().await;
    let application = |scopes: Value, grant_types: Value| {
        json!({
            "name": "Report Maker", "scopes": scopes, "redirect_uris": ["https://reports.example/callback"],
            "grant_types": grant_types,
        })
    };
    let for_users = json!(["authorization_code", "refresh_token"]);
    for scopes in [json!(["users:manage"]), json!(["links:read", "account:read"]), json!(["tenant:*", "links:*"])] {
        let body = application(scopes, for_users.clone());
        let problem = tenant.post(&tenant.owner, PATH, &body).await.problem(422, "validation");
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!("/scopes"), &json!("not_delegated")), "{problem}");
    }
    // What stands for what it may have is taken, and so is what it does for itself.
    let both = json!(["authorization_code", "client_credentials"]);
    for (scopes, grant_types) in [
        (json!(["*"]), &for_users),
        (json!(["links:*", "notes:read", "jobs:write"]), &for_users),
        (json!([]), &for_users),
        (json!(["links:read", "users:manage"]), &both),
    ] {
        tenant.post(&tenant.owner, PATH, &application(scopes, grant_types.clone())).await.expect(201);
    }
    let made = tenant.post(&tenant.owner, PATH, &application(json!(["links:*"]), for_users)).await.expect(201);
    let path = made.header("location");
    let problem = tenant.patch(&tenant.owner, path, &json!({"scopes": ["audit:view"]})).await;
    assert_eq!(problem.problem(422, "validation")["errors"][0]["code"], "not_delegated");
    tenant.patch(&tenant.owner, path, &json!({"scopes": ["notes:*"]})).await.expect(200);
}

#[tokio::test]
async fn what_a_client_got_between_two_changes_in_one_moment_is_ended_by_the_second() {
    let own = OwnOAuth::new().await;
    let (narrowed, deleted) = (own.client(&["links:*", "notes:*"]).await, own.client(&["links:*", "notes:*"]).await);
    own.tenant.wait(10);
    // From here on the clock stands.
    let mut between = Vec::new();
    for client in [&narrowed, &deleted] {
        own.tenant.patch(&own.tenant.owner, &client.path(), &json!({"scopes": ["links:*"]})).await.expect(200);
        between.push(own.access_token(client).await);
    }
    own.tenant.patch(&own.tenant.owner, &narrowed.path(), &json!({"scopes": ["links:read"]})).await.expect(200);
    own.tenant.delete(&own.tenant.owner, &deleted.path()).await.expect(204);
    let after = own.access_token(&narrowed).await;
    own.tenant.wait(30);
    for token in &between {
        own.tenant.send("GET", "/v1/links", token, None).await.problem(401, "unauthenticated");
    }
    own.tenant.send("GET", "/v1/links", &after, None).await.expect(200);
}
