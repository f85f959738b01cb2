//! A provider that does what no right one does. It speaks OpenID Connect and GitHub's own protocol, holds the client to its
//! secret and to PKCE, and is right in everything but what a test tells it.
//!
//! Nobody signs in at it: its `code` is the challenge and the nonce that the authorization request had.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ring::{digest, hmac};
use serde_json::{Value, json};
use shared::random::Random;
use shared::time::Clock;
use tokio::net::TcpListener;
use url::{Url, form_urlencoded};

use super::{Begun, callback};

const CLIENT_ID: &str = "the-client";
const CLIENT_SECRET: &str = "the-secret";

/// A provider on a free port of loopback, for as long as the test runs.
#[derive(Clone)]
pub(super) struct Hostile {
    pub(super) issuer: String,
    state: Arc<Mutex<State>>,
}

/// How it behaves.
struct State {
    clock: Clock,
    key: Arc<EcdsaKeyPair>,
    kid: String,
    signature: Signature,
    /// Over the right ones; null takes one away.
    claims: Value,
    metadata: Value,
    /// In place of the right answer, by path.
    faults: BTreeMap<String, Fault>,
    /// How often each path was asked.
    asked: BTreeMap<String, usize>,
    github_emails: Value,
}

/// How the id token is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    Right,
    /// By a key that is not published, under the name of one that is.
    AnotherKey,
    /// The same under a name of its own.
    UnknownKey,
    /// `alg: none`.
    Missing,
    /// `alg: HS256`, by what is published.
    HmacOfTheKey,
    /// The right one, of other claims.
    OfOthers,
}

/// What a path answers in place of what is right.
#[derive(Clone)]
pub(super) enum Fault {
    Answer(u16, &'static str, Bytes),
    /// Nothing at all, ever.
    Silence,
}

impl Fault {
    pub(super) fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::Answer(status, content_type, body.into())
    }
}

fn new_key() -> Arc<EcdsaKeyPair> {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
    Arc::new(key.expect("its own key"))
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Hostile {
    /// A provider that is right in everything until it is told otherwise.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let state = State {
            clock: Clock::system(),
            key: new_key(),
            kid: "first".to_owned(),
            signature: Signature::Right,
            claims: json!({}),
            metadata: json!({}),
            faults: BTreeMap::new(),
            asked: BTreeMap::new(),
            github_emails: json!([]),
        };
        let this = Self {
            issuer: format!("http://{}", listener.local_addr().expect("a bound port")),
            state: Arc::new(Mutex::new(state)),
        };
        let provider = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = provider.clone();
                let service = service_fn(move |request| {
                    let provider = provider.clone();
                    async move { Ok::<_, Infallible>(provider.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        this
    }

    /// What the installation is configured with, as an OpenID provider.
    pub(super) fn configuration(&self, name: &str) -> Value {
        json!({"name": name, "issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    }

    /// The same as GitHub.
    pub(super) fn github(&self) -> Value {
        json!({"name": "github", "base_url": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    }

    /// Its tokens are in the test's own time.
    pub(super) fn keeps_the_time_of(&self, clock: &Clock) {
        self.state().clock = clock.clone();
    }

    /// Somebody signs in: with these claims over the right ones.
    pub(super) fn says(&self, claims: Value) {
        self.state().claims = claims;
    }

    pub(super) fn signs(&self, signature: Signature) {
        self.state().signature = signature;
    }

    pub(super) fn publishes(&self, metadata: Value) {
        self.state().metadata = metadata;
    }

    pub(super) fn github_emails(&self, emails: Value) {
        self.state().github_emails = emails;
    }

    /// A new key under another name; the old one is gone.
    pub(super) fn rotates_its_key(&self) {
        let mut state = self.state();
        (state.key, state.kid) = (new_key(), "second".to_owned());
    }

    pub(super) fn fails(&self, path: &str, fault: Fault) {
        self.state().faults.insert(path.to_owned(), fault);
    }

    pub(super) fn recovers(&self) {
        self.state().faults.clear();
    }

    /// How often a path was asked.
    pub(super) fn asked(&self, path: &str) -> usize {
        self.state().asked.get(path).copied().unwrap_or_default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics here")
    }

    async fn answer(&self, request: hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let fault = {
            let mut state = self.state();
            *state.asked.entry(path.clone()).or_default() += 1;
            state.faults.get(&path).cloned()
        };
        let (status, content_type, body) = match fault {
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Answer(status, content_type, body)) => (status, content_type, body),
            None => {
                let (status, answer) = self.right_answer(&path, &head.headers, &body);
                (status, "application/json; charset=utf-8", answer.to_string().into())
            }
        };
        let answer = hyper::Response::builder().status(status).header("content-type", content_type);
        // Where a client would be led that follows redirects.
        let answer = answer.header("location", format!("{}/elsewhere", self.issuer));
        answer.body(Full::new(body)).expect("an answer")
    }

    fn right_answer(&self, path: &str, headers: &http::HeaderMap, body: &[u8]) -> (u16, Value) {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let with_token = header("authorization") == "Bearer the-access-token";
        match path {
            "/.well-known/openid-configuration" => (200, self.metadata()),
            "/keys" => (200, self.key_set()),
            "/token" => self.tokens(header("authorization"), body),
            "/userinfo" if with_token => (200, self.claims("")),
            "/login/oauth/access_token" => Self::github_token(header("accept"), body),
            "/api/v3/user" if with_token => {
                let claims = self.claims("");
                (200, json!({"id": claims["id"], "login": "ann", "name": claims["name"]}))
            }
            "/api/v3/user/emails" if with_token => (200, self.state().github_emails.clone()),
            _ => (404, json!({"message": "Not Found"})),
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut metadata = json!({
            "issuer": self.issuer, "authorization_endpoint": at("/authorize?tenant=1"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"), "userinfo_endpoint": at("/userinfo"), "response_types_supported": ["code"],
        });
        merge(&mut metadata, &self.state().metadata);
        metadata
    }

    fn key_set(&self) -> Value {
        let state = self.state();
        let (x, y) = state.key.public_key().as_ref()[1..].split_at(32);
        json!({"keys": [
            {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": state.kid, "x": encoded(x), "y": encoded(y)},
            // Of a kind that is not known here.
            {"kty": "AKP", "alg": "ML-DSA-44", "kid": "post-quantum", "pub": "AA"},
        ]})
    }

    fn claims(&self, nonce: &str) -> Value {
        let now = self.state().clock.now().as_second();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "sub": "somebody", "nonce": nonce, "iat": now, "exp": now + 300,
        });
        merge(&mut claims, &self.state().claims);
        claims
    }

    /// RFC 6749, section 4.1.3, with RFC 7636.
    fn tokens(&self, authorization: &str, body: &[u8]) -> (u16, Value) {
        let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
        let right = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
        if authorization != right {
            return (401, json!({"error": "invalid_client"}));
        }
        let Some(nonce) = proved(&form) else { return (400, json!({"error": "invalid_grant"})) };
        let id_token = self.id_token(&self.claims(nonce));
        (200, json!({"token_type": "Bearer", "access_token": "the-access-token", "id_token": id_token}))
    }

    /// GitHub's: a refusal has the status of success.
    #[allow(clippy::unused_self)] // beside its other answers
    fn github_token(accept: &str, body: &[u8]) -> (u16, Value) {
        let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!(accept, "application/json");
        if (field("client_id"), field("client_secret")) != (CLIENT_ID, CLIENT_SECRET) {
            return (200, json!({"error": "incorrect_client_credentials"}));
        }
        match proved(&form) {
            Some(_) => (200, json!({"token_type": "bearer", "access_token": "the-access-token"})),
            None => (200, json!({"error": "bad_verification_code"})),
        }
    }

    fn id_token(&self, claims: &Value) -> String {
        let state = self.state();
        let algorithm = match state.signature {
            Signature::Missing => "none",
            Signature::HmacOfTheKey => "HS256",
            _ => "ES256",
        };
        let kid = if state.signature == Signature::UnknownKey { "nowhere" } else { &state.kid };
        let signed = |claims: &Value| {
            let header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"});
            format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()))
        };
        let by = |key: &EcdsaKeyPair, text: &str| {
            encoded(key.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature"))
        };
        let text = signed(claims);
        let signature = match state.signature {
            Signature::Right => by(&state.key, &text),
            Signature::AnotherKey | Signature::UnknownKey => by(&new_key(), &text),
            Signature::Missing => String::new(),
            Signature::HmacOfTheKey => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, state.key.public_key().as_ref());
                encoded(hmac::sign(&key, text.as_bytes()))
            }
            Signature::OfOthers => by(&state.key, &signed(&json!({"sub": "another"}))),
        };
        format!("{text}.{signature}")
    }
}

/// Where a hostile provider sends the browser of a log-in that was begun.
pub(super) fn back(provider: &str, begun: &Begun) -> Url {
    callback(provider, &[("code", &code(begun)), ("state", &begun.asked("state"))])
}

/// The code that it gives to a log-in.
pub(super) fn code(begun: &Begun) -> String {
    let nonce = super::parameter(&begun.url, "nonce").unwrap_or_default();
    assert_eq!(begun.asked("code_challenge_method"), "S256");
    format!("{}.{nonce}", begun.asked("code_challenge"))
}

/// The nonce of a code, if the verifier and the redirect URI are those of its log-in.
fn proved(form: &BTreeMap<String, String>) -> Option<&str> {
    let (challenge, nonce) = form.get("code")?.split_once('.')?;
    let verifier = form.get("code_verifier")?;
    let is_proved = encoded(digest::digest(&digest::SHA256, verifier.as_bytes())) == challenge;
    let is_ours = form.get("redirect_uri")?.starts_with("http://127.0.0.1:");
    (is_proved && is_ours && (43..=128).contains(&verifier.len())).then_some(nonce)
}

fn merge(into: &mut Value, further: &Value) {
    let members = into.as_object_mut().expect("an object");
    for (name, value) in further.as_object().into_iter().flatten() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
}

/// Whom no other test knows: who it is at a provider.
pub(super) fn fresh_subject() -> String {
    Random::system().text(b"0123456789", 20)
}
