//! Access tokens: what a JWT must be to be let in, and what its roles and scopes allow.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};
use shared::config::Environment;
use shared::identity::token::{Claims, KeySet, sign};
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};
use tests::{Answer, Instance, Tenant, eventually, identity, token};
use tokio::sync::{Mutex, OnceCell};

pub(crate) const KID: &str = "test-tokens";

/// A key pair whose public half is in the stack's key set.
pub(crate) struct Signer {
    pub(crate) pkcs8: Vec<u8>,
    pair: Ed25519KeyPair,
}

pub(crate) async fn signer() -> &'static Signer {
    static SIGNER: OnceCell<Signer> = OnceCell::const_new();
    SIGNER
        .get_or_init(|| async {
            let signer = Signer::new();
            publish(KID, &signer).await;
            signer
        })
        .await
}

/// Adds a key to the stack's key set, beside those of other tests.
async fn publish(kid: &str, signer: &Signer) {
    static KEY_SET: Mutex<()> = Mutex::const_new(());
    let _alone = KEY_SET.lock().await;
    // The stack's own first ring would publish its keys in place of these: it is made before.
    let rotation = Instance::of(&auth::SERVICE, "auth.keys").await;
    rotation.invoke(&json!({"source": "aws.scheduler"})).await.expect("there is a ring");
    let mut keys = identity().key_set().await.unwrap();
    keys.keys.extend(KeySet::of_pair(kid, signer.pair.public_key().as_ref()).keys);
    identity().put_key_set(&keys).await.unwrap();
}

impl Signer {
    pub(crate) fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap().as_ref().to_vec();
        Self { pair: Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap(), pkcs8 }
    }

    /// A token made without the library that verifies it.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = signing_input(header, claims);
        format!("{signed}.{}", encode(self.pair.sign(signed.as_bytes()).as_ref()))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

pub(crate) fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KID})
}

/// An instance whose clock stands still, with the claims of a good token at its time.
pub(crate) struct Door {
    pub(crate) instance: Instance,
    pub(crate) clock: Clock,
    pub(crate) tenant: Tenant,
}

impl Door {
    pub(crate) async fn new() -> Self {
        Self::at(Clock::system().now(), |environment| environment).await
    }

    /// Another time, and a changed environment.
    pub(crate) async fn at(now: Timestamp, change: impl FnOnce(Environment) -> Environment) -> Self {
        signer().await;
        let clock = Clock::manual(now);
        let instance = Instance::with(&links::SERVICE, "links.api", clock.clone(), change).await;
        Self { instance, clock, tenant: Tenant::new().await }
    }

    pub(crate) fn claims(&self) -> Claims {
        let id = |kind: &str| self.tenant.id.to_string().replace("tenant_", kind);
        Claims {
            client_id: id("app_"),
            roles: vec!["admin".to_owned()],
            // The same each time it is asked for, and of this test alone, as a revocation would meet others.
            sub: id("user_"),
            sid: Some(id("session_")),
            ..token::claims(self.tenant.id, self.clock.now(), &Random::system())
        }
    }

    /// The good claims with some replaced; `null` removes one.
    pub(crate) fn claims_with(&self, changes: Value) -> Value {
        let mut claims = serde_json::to_value(self.claims()).unwrap();
        let Value::Object(changes) = changes else { panic!("{changes} names no claims") };
        let members = claims.as_object_mut().unwrap();
        members.extend(changes);
        members.retain(|_, value| !value.is_null());
        claims
    }

    /// A well-signed token with some of the good claims replaced.
    pub(crate) async fn token_with(&self, changes: Value) -> String {
        signer().await.token(&header(), &self.claims_with(changes))
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.instance.http(method, path, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    pub(crate) async fn knock(&self, token: &str) -> Answer {
        self.ask("GET", "/v1/links", token, None).await
    }
}

#[tokio::test]
async fn a_token_lets_its_user_in_to_its_tenant() {
    let door = Door::new().await;
    let token = sign(&door.claims(), KID, &signer().await.pkcs8).unwrap();
    let new = json!({"target": "https://example.com/"});
    let made = door.ask("POST", "/v1/links", &token, Some(&new)).await.expect(201).json();
    assert_eq!(made["created_by"], door.claims().sub);
    let listed = door.tenant.get("/v1/links").await.expect(200).json();
    assert_eq!(listed["data"][0]["id"], made["id"]);
}

#[tokio::test]
async fn the_running_stack_takes_a_key_that_was_just_published() {
    let (door, fresh) = (Door::new().await, Signer::new());
    let kid = format!("fresh-{}", door.tenant.id);
    publish(&kid, &fresh).await;
    let token = sign(&door.claims(), &kid, &fresh.pkcs8).unwrap();
    eventually("the key to be known", || async {
        let request = tests::anonymous(http::Method::GET, "/v1/links").bearer_auth(&token);
        (tests::Ask::answer(request).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn signer_and_verifier_follow_the_standard() {
    let door = Door::new().await;
    let ours = sign(&door.claims(), KID, &signer().await.pkcs8).unwrap();
    let (signed, signature) = ours.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&ED25519, signer().await.pair.public_key().as_ref());
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let head: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(head, header());
    // And what another implementation signs is accepted, in every spelling of its type (RFC 9068, section 2.1).
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let mut head = header();
        head["typ"] = json!(typ);
        door.knock(&signer().await.token(&head, &door.claims_with(json!({})))).await.expect(200);
    }
}

#[tokio::test]
async fn a_token_holds_from_its_start_to_its_end() {
    let door = Door::new().await;
    let token = sign(&door.claims(), KID, &signer().await.pkcs8).unwrap();
    door.clock.advance(SignedDuration::from_secs(598));
    door.knock(&token).await.expect(200);
    door.clock.advance(SignedDuration::from_secs(2));
    refused(&door.knock(&token).await, "expired");
}

#[tokio::test]
async fn a_token_from_the_future_is_refused_beyond_half_a_minute() {
    let door = Door::new().await;
    let now = door.clock.now().as_second();
    let from = async |iat: i64| door.knock(&door.token_with(json!({"iat": iat, "exp": now + 900})).await).await;
    from(now + 29).await.expect(200);
    refused(&from(now + 32).await, "from the future");
}

#[tokio::test]
async fn a_token_that_lives_longer_than_an_hour_is_refused() {
    let door = Door::new().await;
    let now = door.clock.now().as_second();
    let living = async |seconds: i64| door.knock(&door.token_with(json!({"exp": now + seconds})).await).await;
    living(3600).await.expect(200);
    refused(&living(3601).await, "an hour and a second");
}

/// A credential that is not accepted is answered as RFC 6750, section 3.1 says.
#[track_caller]
fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}");
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{what}");
    answer.clone().problem(401, "unauthenticated");
}

/// Whatever is wrong with it: each of these claims makes a token that is refused.
async fn refuse_claims(changes: impl IntoIterator<Item = Value>) {
    let door = Door::new().await;
    for change in changes {
        refused(&door.knock(&door.token_with(change.clone()).await).await, &change.to_string());
    }
    door.knock(&door.token_with(json!({})).await).await.expect(200);
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    let both = json!([token::issuer(), "evil"]);
    refuse_claims([json!({"iss": "tenfold"}), json!({"iss": both}), json!({"iss": null})]).await;
}

#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    refuse_claims([json!({"aud": "other-api"}), json!({"aud": []}), json!({"aud": null})]).await;
}

#[tokio::test]
async fn a_token_with_a_missing_or_odd_claim_is_refused() {
    let mut changes = vec![
        json!({"tid": "tenant_x"}),
        json!({"tid": "user_01k9z4n2y6e0qv3m8t5w7x9abc"}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(129)}),
        json!({"client_id": ""}),
        json!({"sid": ""}),
        json!({"sid": "x".repeat(129)}),
        json!({"sub": "client_1", "client_id": "client_2"}),
        json!({"auth_time": "now"}),
        json!({"auth_time": i64::MAX}),
        json!({"roles": "owner"}),
        json!({"permissions": ["links:manage"]}),
        json!({"exp": "soon"}),
        json!({"exp": i64::MAX}),
        json!({"exp": -1}),
        json!({"iat": i64::MAX}),
        json!({"exp": 1e300}),
    ];
    let required = ["sub", "tid", "client_id", "exp", "iat", "jti", "scope"];
    changes.extend(required.map(|name| json!({ name: null })));
    refuse_claims(changes).await;
}

#[tokio::test]
async fn an_oversized_token_is_refused() {
    refuse_claims([json!({"jti": "x".repeat(8_000)}), json!({"acr": "x".repeat(100_000)})]).await;
}

/// A good header with some members replaced; `null` stays, as no member of a header is it.
fn header_with(changes: &Value) -> Value {
    let mut head = header();
    head.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    head
}

/// Signed by the right key, each of these headers makes a token that is refused.
async fn refuse_headers(changes: impl IntoIterator<Item = Value>) {
    let door = Door::new().await;
    for change in changes {
        let token = signer().await.token(&header_with(&change), &door.claims_with(json!({})));
        refused(&door.knock(&token).await, &change.to_string());
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let door = Door::new().await;
    let claims = door.claims_with(json!({}));
    for alg in ["none", "None", "NONE", "EdDSA"] {
        let signed = signing_input(&header_with(&json!({"alg": alg})), &claims);
        for token in [signed.clone(), format!("{signed}."), format!("{signed}.AAAA")] {
            refused(&door.knock(&token).await, alg);
        }
    }
}

#[tokio::test]
async fn a_token_whose_symmetric_key_is_the_public_key_is_refused() {
    let door = Door::new().await;
    let public = signer().await.pair.public_key().as_ref();
    let signed = signing_input(&header_with(&json!({"alg": "HS256"})), &door.claims_with(json!({})));
    for secret in [public, encode(public).as_bytes(), KeySet::of_pair(KID, public).keys[0].x.as_bytes()] {
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), signed.as_bytes());
        refused(&door.knock(&format!("{signed}.{}", encode(tag.as_ref()))).await, "HS256");
    }
}

#[tokio::test]
async fn a_token_with_another_algorithm_is_refused() {
    refuse_headers(["ES256", "RS256", "PS256", "HS512", "eddsa", ""].map(|alg| json!({"alg": alg}))).await;
}

#[tokio::test]
async fn a_token_of_an_unknown_key_is_refused() {
    let kids = [json!("unknown"), json!(null), json!(""), json!("../../dev/null"), json!(1)];
    refuse_headers(kids.map(|kid| json!({ "kid": kid }))).await;
    let door = Door::new().await;
    let evil = Signer::new();
    let claims = door.claims_with(json!({}));
    for head in [header(), header_with(&json!({"kid": "unknown"}))] {
        refused(&door.knock(&evil.token(&head, &claims)).await, "signed by another key");
    }
}

#[tokio::test]
async fn a_token_that_brings_its_own_key_is_refused() {
    let evil = Signer::new();
    let jwk = serde_json::to_value(&KeySet::of_pair("evil", evil.pair.public_key().as_ref()).keys[0]).unwrap();
    let embedded = [
        json!({"jwk": jwk}),
        json!({"jku": "https://evil.example/jwks.json"}),
        json!({"x5u": "https://evil.example/cert.pem"}),
        json!({"x5c": ["AAAA"]}),
    ];
    // Whether that key signed it or the right one.
    refuse_headers(embedded.clone()).await;
    let door = Door::new().await;
    for change in embedded {
        let token = evil.token(&header_with(&change), &door.claims_with(json!({})));
        refused(&door.knock(&token).await, &change.to_string());
    }
}

#[tokio::test]
async fn a_token_that_demands_an_extension_is_refused() {
    refuse_headers([json!({"crit": ["exp"], "exp": 1}), json!({"crit": ["b64"], "b64": false}), json!({"crit": []})])
        .await;
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    refuse_headers([json!("JWT"), json!("id+jwt"), json!("logout+jwt"), json!(""), json!(null)].map(|typ| {
        // An identity token, say, is signed by the same keys (RFC 8725, section 3.11).
        json!({ "typ": typ })
    }))
    .await;
}

#[tokio::test]
async fn a_token_that_was_altered_or_cut_is_refused() {
    let door = Door::new().await;
    let token = door.token_with(json!({})).await;
    let mut parts: Vec<_> = token.split('.').collect();
    let other_claims = encode(door.claims_with(json!({"roles": ["owner"]})).to_string());
    parts[1] = &other_claims;
    for altered in [
        parts.join("."),
        token[..token.len() - 1].to_owned(),
        format!("{token}AAAA"),
        format!("{token}=="),
        format!("{token}.{token}"),
        "a.b.c".to_owned(),
        "..".to_owned(),
    ] {
        refused(&door.knock(&altered).await, &altered);
    }
    door.knock(&token).await.expect(200);
}

#[tokio::test]
async fn roles_and_scopes_must_both_allow() {
    let door = Door::new().await;
    let new = json!({"target": "https://example.com/"});
    let domains = json!({"domains": []});
    for (roles, scope, read, write, manage) in [
        (json!(["owner"]), "*", 200, 201, 200),
        (json!(["admin"]), "*", 200, 201, 200),
        (json!(["member"]), "*", 200, 201, 403),
        (json!(["viewer"]), "*", 200, 403, 403),
        (json!(["viewer", "member"]), "links:*", 200, 201, 403),
        (json!(["admin"]), "links:read", 200, 403, 403),
        (json!(["admin"]), "", 403, 403, 403),
        (json!(["superuser"]), "*", 403, 403, 403),
        (json!([]), "*", 403, 403, 403),
    ] {
        let token = door.token_with(json!({"roles": roles, "scope": scope})).await;
        let ask = async |method: &str, path: &str, body: Option<&Value>| door.ask(method, path, &token, body).await;
        let answers = [
            (ask("GET", "/v1/links", None).await, read, "links:read"),
            (ask("POST", "/v1/links", Some(&new)).await, write, "links:write"),
            (ask("PUT", "/v1/links/blocklist", Some(&domains)).await, manage, "links:manage"),
        ];
        for (answer, status, permission) in answers {
            let answer = answer.expect(status);
            if status == 403 {
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{permission}\"");
                assert_eq!(answer.header("www-authenticate"), challenge);
                assert!(answer.problem(403, "forbidden")["detail"].as_str().unwrap().contains(permission));
            }
        }
    }
}

#[tokio::test]
async fn custom_roles_grant_what_the_token_says_within_its_scope() {
    let door = Door::new().await;
    let domains = json!({"domains": []});
    for (roles, permissions, scope, status) in [
        (json!([]), "links:manage", "*", 200),
        (json!(["viewer"]), "jobs:read links:*", "links:manage", 200),
        (json!(["viewer"]), "links:write", "*", 403),
        (json!([]), "links:manage", "links:read", 403),
    ] {
        let token = door.token_with(json!({"roles": roles, "permissions": permissions, "scope": scope})).await;
        door.ask("PUT", "/v1/links/blocklist", &token, Some(&domains)).await.expect(status);
    }
}

#[tokio::test]
async fn a_machine_client_needs_no_role_and_may_do_what_its_scopes_name() {
    let door = Door::new().await;
    let machine = json!({
        "sub": "client_1", "client_id": "client_1", "scope": "links:write",
        "roles": null, "sid": null, "auth_time": null, "amr": null,
    });
    let token = door.token_with(machine).await;
    let new = json!({"target": "https://example.com/"});
    let made = door.ask("POST", "/v1/links", &token, Some(&new)).await.expect(201).json();
    assert_eq!(made["created_by"], "client_1");
    door.knock(&token).await.problem(403, "forbidden");
}
