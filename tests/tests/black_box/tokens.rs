//! Access tokens: what a JWT must be to be let in, and what its roles and scopes allow.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};
use shared::identity::token::{Claims, KeySet, sign};
use shared::time::{Clock, SignedDuration};
use tests::{Answer, Instance, Tenant, eventually, identity};
use tokio::sync::{Mutex, OnceCell};

const KID: &str = "test-tokens";

/// A key pair whose public half is in the stack's key set.
struct Signer {
    pkcs8: Vec<u8>,
    pair: Ed25519KeyPair,
}

async fn signer() -> &'static Signer {
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
    let mut keys = identity().key_set().await.unwrap();
    keys.keys.extend(KeySet::of_pair(kid, signer.pair.public_key().as_ref()).keys);
    identity().put_key_set(&keys).await.unwrap();
}

impl Signer {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap().as_ref().to_vec();
        Self { pair: Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap(), pkcs8 }
    }

    /// A token made without the library that verifies it.
    fn token(&self, header: &Value, claims: &Value) -> String {
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

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KID})
}

/// An instance whose clock stands still, with the claims of a good token at its time.
struct Door {
    instance: Instance,
    clock: Clock,
    tenant: Tenant,
}

impl Door {
    async fn new() -> Self {
        signer().await;
        let clock = Clock::manual(Clock::system().now());
        let instance = Instance::with(&links::SERVICE, "links.api", clock.clone(), |environment| environment).await;
        Self { instance, clock, tenant: Tenant::new().await }
    }

    fn claims(&self) -> Claims {
        let now = self.clock.now().as_second();
        Claims {
            iss: "tenfold".to_owned(),
            aud: "tenfold-api".to_owned(),
            sub: "user_01k9z4n2y6e0qv3m8t5w7x9abc".to_owned(),
            tid: self.tenant.id,
            sid: "session_1".to_owned(),
            roles: vec!["admin".to_owned()],
            scope: "*".to_owned(),
            iat: now,
            exp: now + 600,
            jti: "token_1".to_owned(),
        }
    }

    /// The good claims with some replaced; `null` removes one.
    fn claims_with(&self, changes: Value) -> Value {
        let mut claims = serde_json::to_value(self.claims()).unwrap();
        let Value::Object(changes) = changes else { panic!("{changes} names no claims") };
        let members = claims.as_object_mut().unwrap();
        members.extend(changes);
        members.retain(|_, value| !value.is_null());
        claims
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.instance.http(method, path, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    async fn knock(&self, token: &str) -> Answer {
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
    door.knock(&token).await.problem(401, "unauthenticated");
    // The issuer's clock may be half a minute ahead, and no more.
    let now = door.clock.now().as_second();
    let from =
        async |iat: i64| signer().await.token(&header(), &door.claims_with(json!({"iat": iat, "exp": now + 900})));
    door.knock(&from(now + 29).await).await.expect(200);
    door.knock(&from(now + 32).await).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_token_for_others_or_with_a_missing_or_odd_claim_is_refused() {
    let door = Door::new().await;
    let mut changes = vec![
        json!({"iss": "evil"}),
        json!({"aud": "other-api"}),
        json!({"iss": ["tenfold", "evil"]}),
        json!({"tid": "tenant_x"}),
        json!({"tid": door.claims().sub}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(129)}),
        json!({"exp": "soon"}),
        json!({"exp": i64::MAX}),
        json!({"exp": -1}),
        json!({"iat": i64::MAX}),
        json!({"exp": 1e300}),
    ];
    changes.extend(["iss", "aud", "sub", "tid", "exp", "iat", "scope"].map(|name| json!({ name: null })));
    for change in changes {
        let token = signer().await.token(&header(), &door.claims_with(change.clone()));
        assert_eq!(door.knock(&token).await.status, 401, "{change}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_signed_by_a_key_of_the_set_is_refused() {
    let door = Door::new().await;
    let (good, evil) = (signer().await, Signer::new());
    let claims = door.claims_with(json!({}));
    let public = good.pair.public_key().as_ref();
    let with = |changes: Value| {
        let mut head = header();
        head.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        head
    };
    let hs256 = |secret: &[u8]| {
        let signed = signing_input(&with(json!({"alg": "HS256"})), &claims);
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", encode(tag.as_ref()))
    };
    let jwk = serde_json::to_value(&KeySet::of_pair("evil", evil.pair.public_key().as_ref()).keys[0]).unwrap();
    let token = good.token(&header(), &claims);
    let mut parts: Vec<_> = token.split('.').collect();
    let other_claims = encode(door.claims_with(json!({"roles": ["owner"]})).to_string());
    parts[1] = &other_claims;
    let forged = [
        format!("{}.", signing_input(&with(json!({"alg": "none"})), &claims)),
        format!("{}.", signing_input(&header(), &claims)),
        hs256(public),
        hs256(encode(public).as_bytes()),
        hs256(KeySet::of_pair(KID, public).keys[0].x.as_bytes()),
        evil.token(&header(), &claims),
        evil.token(&with(json!({"kid": "unknown"})), &claims),
        good.token(&with(json!({"kid": "unknown"})), &claims),
        good.token(&with(json!({"kid": null})), &claims),
        good.token(&with(json!({"kid": "../../dev/null"})), &claims),
        evil.token(&with(json!({"jwk": jwk})), &claims),
        evil.token(&with(json!({"jku": "https://evil.example/jwks.json"})), &claims),
        evil.token(&with(json!({"x5u": "https://evil.example/cert.pem"})), &claims),
        // Even the right key may not bring a key with it, nor demand an extension that we do not know.
        good.token(&with(json!({"jwk": jwk})), &claims),
        good.token(&with(json!({"jku": "https://evil.example/jwks.json"})), &claims),
        good.token(&with(json!({"x5u": "https://evil.example/cert.pem"})), &claims),
        good.token(&with(json!({"x5c": ["AAAA"]})), &claims),
        good.token(&with(json!({"crit": ["exp"], "exp": 1})), &claims),
        good.token(&with(json!({"typ": "JWT"})), &claims),
        good.token(&with(json!({"typ": null})), &claims),
        good.token(&with(json!({"alg": "ES256"})), &claims),
        parts.join("."),
        token[..token.len() - 1].to_owned(),
        format!("{token}AAAA"),
        format!("{token}=="),
        format!("{token}.{token}"),
        good.token(&header(), &door.claims_with(json!({"jti": "x".repeat(8_000)}))),
        "a.b.c".to_owned(),
        "..".to_owned(),
    ];
    for token in forged {
        assert_eq!(door.knock(&token).await.status, 401, "{token}");
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
        let token = signer().await.token(&header(), &door.claims_with(json!({"roles": roles, "scope": scope})));
        let ask = async |method: &str, path: &str, body: Option<&Value>| door.ask(method, path, &token, body).await;
        let answers = [
            (ask("GET", "/v1/links", None).await, read, "links:read"),
            (ask("POST", "/v1/links", Some(&new)).await, write, "links:write"),
            (ask("PUT", "/v1/links/blocklist", Some(&domains)).await, manage, "links:manage"),
        ];
        for (answer, status, permission) in answers {
            let answer = answer.expect(status);
            if status == 403 {
                assert!(answer.problem(403, "forbidden")["detail"].as_str().unwrap().contains(permission));
            }
        }
    }
}
