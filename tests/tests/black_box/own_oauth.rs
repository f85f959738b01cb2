//! An `auth.oauth` of a test's own beside a tenant of its own, and OAuth clients as their programs hold them: with a
//! secret, or with keys that sign assertions.

use std::collections::BTreeSet;

use auth::SERVICE;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lambda_runtime::Context;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use shared::config::Environment;
use shared::random::Random;
use tests::token::issuer;
use tests::{Answer, Instance, http_event};
use url::form_urlencoded::Serializer;

use crate::own_tenant::OwnTenant;

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The tenant, and the function that issues tokens to its clients.
pub(crate) struct OwnOAuth {
    pub(crate) tenant: OwnTenant,
    function: Instance,
    network: String,
}

/// A client that was registered.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) id: String,
    /// Empty for one with keys.
    pub(crate) secret: String,
}

impl Registered {
    pub(crate) fn path(&self) -> String {
        format!("/v1/oauth-clients/{}", self.id)
    }

    /// `Authorization: Basic`.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

impl OwnOAuth {
    pub(crate) async fn new() -> Self {
        Self::with(|environment| environment).await
    }

    /// The same with a changed environment of `auth.oauth`.
    pub(crate) async fn with(change: impl FnOnce(Environment) -> Environment) -> Self {
        let tenant = OwnTenant::new().await;
        let function = Instance::with(&SERVICE, "auth.oauth", tenant.clock.clone(), change).await;
        let [a, b, c] = Random::system().bytes();
        Self { tenant, function, network: format!("10.{a}.{b}.{c}") }
    }

    /// Registers a client, as the owner.
    pub(crate) async fn register(&self, body: &Value) -> Registered {
        let made = self.tenant.post(&self.tenant.owner, "/v1/oauth-clients", body).await.expect(201).json();
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        Registered { id: text("id"), secret: text("client_secret") }
    }

    /// A client with a secret.
    pub(crate) async fn client(&self, scopes: &[&str]) -> Registered {
        self.register(&json!({"name": "test", "scopes": scopes})).await
    }

    /// A client with keys.
    pub(crate) async fn client_with_keys(&self, scopes: &[&str], keys: &[&ClientKey]) -> Registered {
        self.register(&json!({"name": "test", "scopes": scopes, "jwks": key_set(keys)})).await
    }

    /// Sends any request to `auth.oauth`.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let mut event = http_event(method, path, headers, body);
        event["requestContext"]["http"]["sourceIp"] = json!(self.network);
        self.function.http_in(&event, Context::default()).await
    }

    /// Sends a form without an `Authorization`.
    pub(crate) async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        self.send("POST", path, &[("content-type", FORM)], Some(&encoded(parameters))).await
    }

    /// Sends a form by a client that proves itself by `Authorization: Basic`.
    pub(crate) async fn as_client(&self, client: &Registered, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let headers = [("content-type", FORM), ("authorization", &client.basic())];
        self.send("POST", path, &headers, Some(&encoded(parameters))).await
    }

    /// Asks for a token by a secret.
    pub(crate) async fn token(&self, client: &Registered) -> Answer {
        self.as_client(client, "/oauth/token", &[("grant_type", "client_credentials")]).await
    }

    /// The access token itself.
    pub(crate) async fn access_token(&self, client: &Registered) -> String {
        let answer = self.token(client).await.expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Asks for a token by an assertion.
    pub(crate) async fn token_by(&self, assertion: &str) -> Answer {
        let proof = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
        self.form("/oauth/token", &[&[("grant_type", "client_credentials")], &proof[..]].concat()).await
    }

    /// What the client is told of a token.
    pub(crate) async fn introspect(&self, client: &Registered, token: &str) -> Value {
        self.as_client(client, "/oauth/introspect", &[("token", token)]).await.expect(200).json()
    }

    /// The claims of a good assertion of `client`, with an id of its own.
    pub(crate) fn claims(&self, client: &Registered) -> Value {
        let now = self.tenant.clock.now().as_second();
        let id = Random::system().text(b"abcdefghijklmnopqrstuvwxyz", 16);
        json!({"iss": client.id, "sub": client.id, "aud": issuer(), "iat": now, "exp": now + 60, "jti": id})
    }
}

pub(crate) fn encoded(parameters: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// Checks that an answer is the refusal of RFC 6749, section 5.2.
#[track_caller]
pub(crate) fn refusal(answer: Answer, status: u16, error: &str) {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("www-authenticate").starts_with("Basic realm="), status == 401);
    let document = answer.json();
    assert_eq!(document["error"], error, "{document}");
    let members: BTreeSet<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["error", "error_description"]));
    let description = document["error_description"].as_str().unwrap();
    let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(!description.is_empty() && description.bytes().all(allowed), "{description}");
}

/// A key with which a client signs its assertions.
pub(crate) struct ClientKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl ClientKey {
    pub(crate) fn ed25519(id: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { id: id.to_owned(), pair: Pair::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()) }
    }

    pub(crate) fn p256(id: &str) -> Self {
        let (signing, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
        Self {
            id: id.to_owned(),
            pair: Pair::Ec(EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap()),
        }
    }

    /// The key of RFC 7515, appendix A.2: ring makes none.
    pub(crate) fn rsa(id: &str) -> Self {
        let key: Value = serde_json::from_str(include_str!("../../vectors/rfc7515_a2.json")).unwrap();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: part("n"), e: part("e") },
            d: part("d"),
            p: part("p"),
            q: part("q"),
            dP: part("dp"),
            dQ: part("dq"),
            qInv: part("qi"),
        };
        Self { id: id.to_owned(), pair: Pair::Rsa(Box::new(RsaKeyPair::from_components(&components).unwrap())) }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed(_) => "EdDSA",
            Pair::Ec(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// The public half.
    pub(crate) fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.pair {
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}),
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Pair::Rsa(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "n": text(&public.n), "e": text(&public.e)})
            }
        };
        (key["kid"], key["alg"]) = (json!(self.id), json!(self.algorithm()));
        key
    }

    /// An assertion with these claims.
    pub(crate) fn assertion(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.id});
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match &self.pair {
            Pair::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
            Pair::Ec(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", text(&signature))
    }
}

/// The set of some keys' public halves.
pub(crate) fn key_set(keys: &[&ClientKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()})
}
