//! The keys that sign access tokens: made when they are first needed, exchanged without refusing a living token. Each test
//! has a ring of its own.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use auth::signer::{SignError, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use localstack::template::workspace_root;
use serde_json::{Value, json};
use shared::BoxError;
use shared::config::Environment;
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::identity::token::Claims;
use shared::lambda::Runtime;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tests::{Fault, FaultProxy, Instance, stack, token};
use tokio::io::AsyncWriteExt as _;

use crate::resources::{name, table};

/// A ring in tables of its own, and its time.
#[derive(Clone)]
struct Ring {
    accounts: String,
    identity: String,
    secret: Option<String>,
    endpoint: Option<String>,
    clock: Clock,
}

impl Ring {
    async fn new() -> Self {
        Self {
            accounts: table("accounts", &["pk", "sk"]).await,
            identity: table("identity", &["pk", "sk"]).await,
            secret: None,
            endpoint: None,
            clock: Clock::manual(Clock::system().now()),
        }
    }

    /// The same ring, behind a network of the test's own.
    fn behind(&self, proxy: &FaultProxy) -> Self {
        Self { endpoint: Some(proxy.url().to_owned()), ..self.clone() }
    }

    fn environment(&self, environment: &Environment) -> Environment {
        let mut changed = environment.with("IDENTITY_TABLE", &self.identity);
        let others = [("SIGNING_SECRET_ID", &self.secret), ("AWS_ENDPOINT_URL", &self.endpoint)];
        for (name, value) in others.into_iter().chain([("ACCOUNTS_TABLE", &Some(self.accounts.clone()))]) {
            changed = value.as_ref().map_or(changed.clone(), |value| changed.with(name, value));
        }
        changed
    }

    async fn keys(&self) -> Instance {
        let change = |environment| self.environment(&environment);
        Instance::with(&auth::SERVICE, "auth.keys", self.clock.clone(), change).await
    }

    async fn command(&self, event: Value) -> Result<Value, BoxError> {
        self.keys().await.invoke(&event).await
    }

    /// What the schedule does each hour.
    async fn tick(&self) -> Value {
        self.command(json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"}))
            .await
            .unwrap()
    }

    /// The ids of the keys in a state.
    async fn kids(&self, state: &str) -> Vec<String> {
        kids(&self.command(json!({"command": "status"})).await.unwrap(), state)
    }

    fn signer(&self) -> Signer {
        let environment = self.environment(&stack().environment("auth.keys").unwrap());
        Signer::new(&Runtime::new("auth.keys", environment).unwrap().with_clock(self.clock.clone())).unwrap()
    }

    /// The claims of a good token.
    fn claims(&self) -> Claims {
        let (now, random) = (self.clock.now(), Random::system());
        Claims { roles: vec!["admin".to_owned()], ..token::claims(TenantId::new(now, &random), now, &random) }
    }

    async fn sign(&self, signer: &Signer) -> String {
        signer.sign(&self.claims()).await.unwrap()
    }

    /// What an endpoint says to a token: one that has never seen it.
    async fn knock(&self, token: &str) -> u16 {
        let change = |environment: Environment| environment.with("IDENTITY_TABLE", &self.identity);
        let api = Instance::with(&links::SERVICE, "links.api", self.clock.clone(), change).await;
        let answer = api.http("GET", "/v1/links", &[("authorization", &format!("Bearer {token}"))], None).await;
        answer.status.as_u16()
    }

    /// The public keys, as anybody gets them.
    async fn published(&self) -> Value {
        let change = |environment| self.environment(&environment);
        let discovery = Instance::with(&auth::SERVICE, "auth.discovery", self.clock.clone(), change).await;
        discovery.http("GET", "/.well-known/jwks.json", &[], None).await.expect(200).json()
    }
}

fn kids(status: &Value, state: &str) -> Vec<String> {
    let keys = status["keys"].as_array().unwrap().iter().filter(|key| key["state"] == state);
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The states of the keys.
fn states(status: &Value) -> Vec<&str> {
    status["keys"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect()
}

/// The key that a token names.
fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn days(days: i64) -> SignedDuration {
    hours(24 * days)
}

/// The client with which a test makes a secret of its own.
fn secrets() -> aws_sdk_secretsmanager::Client {
    let endpoint = stack().dev().aws_endpoint.clone();
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_secretsmanager::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_secretsmanager::config::Credentials::new("test", "test", None, None, "test"))
        .http_client(shared::aws::http_client(Some(&endpoint)))
        .endpoint_url(endpoint);
    aws_sdk_secretsmanager::Client::from_conf(config.build())
}

async fn make_secret(id: &str, text: &str) {
    secrets().create_secret().name(id).secret_string(text).send().await.unwrap();
}

async fn replace_secret(id: &str, text: &str) {
    secrets().put_secret_value().secret_id(id).secret_string(text).send().await.unwrap();
}

/// Verifies a token by the key set, with the library `cryptography`.
const VERIFY: &str = r#"
import base64, json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

given = json.load(sys.stdin)
header, claims, signature = given["token"].split(".")
head = json.loads(decoded(header))
assert head["alg"] == "EdDSA" and head["typ"] == "at+jwt", head
[key] = [key for key in given["jwks"]["keys"] if key["kid"] == head["kid"]]
assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA"), key
Ed25519PublicKey.from_public_bytes(decoded(key["x"])).verify(decoded(signature), f"{header}.{claims}".encode())
print(json.dumps(json.loads(decoded(claims))))
"#;

#[tokio::test]
async fn a_token_verifies_by_the_published_keys_with_somebody_elses_library() {
    let ring = Ring::new().await;
    let claims = ring.claims();
    let token = ring.signer().sign(&claims).await.unwrap();
    let python = workspace_root().join(".tenfold/venv/bin/python");
    let mut command = tokio::process::Command::new(python);
    command.args(["-I", "-c", VERIFY]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let given = json!({"token": token, "jwks": ring.published().await}).to_string();
    child.stdin.take().unwrap().write_all(given.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read, serde_json::to_value(&claims).unwrap());
    assert_eq!(ring.knock(&token).await, 200);
}

#[tokio::test]
async fn the_first_ring_is_one_however_many_need_it_at_once() {
    let ring = Ring::new().await;
    assert_eq!(ring.published().await, json!({"keys": []}));
    let signers: Vec<_> = (0..6).map(|_| ring.signer()).collect();
    let tokens = join_all(signers.iter().map(|signer| ring.sign(signer))).await;
    let signed_by: BTreeSet<_> = tokens.iter().map(|token| kid(token)).collect();
    assert_eq!(signed_by.len(), 1, "{signed_by:?}");
    assert_eq!(ring.kids("current").await, Vec::from_iter(signed_by));
    assert_eq!(ring.published().await["keys"].as_array().unwrap().len(), 2);
    assert_eq!(ring.knock(&tokens[0]).await, 200);
}

#[tokio::test]
async fn keys_take_turns_and_no_living_token_is_refused() {
    let ring = Ring::new().await;
    let signer = ring.signer();
    let first = kid(&ring.sign(&signer).await);
    let next = ring.kids("next").await;
    ring.clock.advance(days(30) - SignedDuration::from_secs(1));
    assert_eq!(kids(&ring.tick().await, "current"), [first.as_str()]);
    ring.clock.advance(SignedDuration::from_secs(1));
    let before = ring.sign(&signer).await;
    let rotated = ring.tick().await;
    assert_eq!((kids(&rotated, "current"), kids(&rotated, "retiring")), (next.clone(), vec![first.clone()]));
    assert_eq!(rotated, ring.tick().await, "once");

    // A warm instance keeps its key for five minutes.
    let meanwhile = ring.sign(&signer).await;
    ring.clock.advance(SignedDuration::from_mins(5) - SignedDuration::from_secs(1));
    let last = ring.sign(&signer).await;
    ring.clock.advance(SignedDuration::from_secs(1));
    let after = ring.sign(&signer).await;
    let signed_by = [&before, &meanwhile, &last, &after].map(|token| kid(token));
    assert_eq!(signed_by.each_ref(), [&first, &first, &first, &next[0]]);
    for token in [&before, &meanwhile, &last, &after] {
        assert_eq!(ring.knock(token).await, 200);
    }
    ring.clock.advance(SignedDuration::from_secs(598));
    ring.tick().await;
    assert_eq!(ring.knock(&last).await, 200, "to its last second");

    ring.clock.advance(hours(1));
    let left = ring.tick().await;
    assert_eq!((kids(&left, "current"), kids(&left, "retiring")), (next, Vec::new()));
    assert!(!ring.published().await.to_string().contains(&first));
}

#[tokio::test]
async fn whoever_runs_the_deployment_rotates_when_verifiers_know_the_next_key() {
    let ring = Ring::new().await;
    assert_eq!(ring.command(json!({"command": "status"})).await.unwrap(), json!({"keys": []}));
    let token = ring.sign(&ring.signer()).await;
    let next = ring.kids("next").await;
    let refused = ring.command(json!({"command": "rotate"})).await.unwrap_err().to_string();
    assert!(refused.contains("may not sign before"), "{refused}");
    assert_eq!(ring.kids("current").await, [kid(&token)]);

    ring.clock.advance(hours(1));
    let token = ring.sign(&ring.signer()).await;
    let rotated = ring.command(json!({"command": "rotate"})).await.unwrap();
    assert_eq!((kids(&rotated, "current"), kids(&rotated, "retiring")), (next, vec![kid(&token)]));
    assert_eq!(ring.knock(&token).await, 200);
    let told: BTreeSet<_> =
        rotated["keys"].as_array().unwrap().iter().flat_map(|key| key.as_object().unwrap().keys().cloned()).collect();
    assert_eq!(Vec::from_iter(told), ["created_at", "kid", "retired_at", "signs_since", "state"]);
    for event in [json!(null), json!({}), json!({"command": "rotate", "force": true})] {
        ring.command(event).await.unwrap_err();
    }
}

#[tokio::test]
async fn after_a_compromise_all_keys_are_new_and_the_tokens_of_the_old_ones_are_refused_at_once() {
    let ring = Ring::new().await;
    let first = ring.sign(&ring.signer()).await;
    ring.clock.advance(hours(1));
    ring.command(json!({"command": "rotate"})).await.unwrap();
    let second = ring.sign(&ring.signer()).await;
    let before = ring.command(json!({"command": "status"})).await.unwrap();
    let rotated = ring.command(json!({"command": "rotate", "compromised": true})).await.unwrap();
    assert_eq!(states(&rotated), ["next", "current"]);
    let published = ring.published().await.to_string();
    for kid in before["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()) {
        assert!(!rotated.to_string().contains(kid) && !published.contains(kid), "{kid} was kept with the stolen one");
    }
    assert_eq!((kid(&second), ring.knock(&first).await), (kids(&before, "current").remove(0), 401));
    assert_eq!(ring.knock(&second).await, 401);
    assert_eq!(ring.knock(&ring.sign(&ring.signer()).await).await, 200);
}

#[tokio::test]
async fn a_compromise_of_the_secret_leaves_nothing_that_the_lost_one_opens() {
    let mut ring = Ring::new().await;
    let id = name("signing");
    make_secret(&id, "the lost text").await;
    ring.secret = Some(id.clone());
    // An instance that knows the lost text, and is warm when it is asked.
    let keys = ring.keys().await;
    let before = ring.sign(&ring.signer()).await;
    keys.invoke(&json!({"command": "rotate", "compromised": true})).await.unwrap();
    replace_secret(&id, "the new text").await;
    let rotated = keys.invoke(&json!({"command": "rotate", "compromised": true})).await.unwrap();
    assert_eq!(states(&rotated), ["next", "current"]);
    assert_eq!(ring.knock(&before).await, 401);

    // The keys are sealed under the new text: an instance that starts with it has no reason to make others.
    let after = ring.sign(&ring.signer()).await;
    assert_eq!(kids(&rotated, "current"), [kid(&after)]);
    assert_eq!(ring.tick().await, rotated);
    assert_eq!(ring.knock(&after).await, 200);
}

#[tokio::test]
async fn a_compromise_that_meets_another_rotation_still_drops_the_key() {
    let ring = Ring::new().await;
    let token = ring.sign(&ring.signer()).await;
    ring.clock.advance(hours(1));
    let mut other = Some(ring.clone());
    let proxy = FaultProxy::start(move |operation| {
        if operation == "TransactWriteItems"
            && let Some(ring) = other.take()
        {
            elsewhere(async move { ring.command(json!({"command": "rotate"})).await.unwrap() });
        }
        None
    })
    .await;
    let rotated = ring.behind(&proxy).command(json!({"command": "rotate", "compromised": true})).await.unwrap();
    assert_eq!(states(&rotated), ["next", "current"]);
    assert!(!ring.published().await.to_string().contains(&kid(&token)));
    assert_eq!(proxy.requests("TransactWriteItems").len(), 2, "what took place meanwhile was not enough");
}

#[tokio::test]
async fn of_two_rotations_at_once_one_takes_place() {
    for compromised in [false, true] {
        let ring = Ring::new().await;
        ring.tick().await;
        ring.clock.advance(hours(1));
        let (first, next) = (ring.kids("current").await, ring.kids("next").await);
        let rotate = json!({"command": "rotate", "compromised": compromised});
        // One has read the ring, and the other rotates it before the first writes.
        let mut other = Some((ring.clone(), rotate.clone()));
        let proxy = FaultProxy::start(move |operation| {
            if operation == "TransactWriteItems"
                && let Some((ring, rotate)) = other.take()
            {
                elsewhere(async move { ring.command(rotate).await.unwrap() });
            }
            None
        })
        .await;
        let rotated = ring.behind(&proxy).command(rotate).await.unwrap();
        if compromised {
            assert_eq!(states(&rotated), ["next", "current"]);
            assert!(!rotated.to_string().contains(&first[0]) && !rotated.to_string().contains(&next[0]));
        } else {
            assert_eq!((kids(&rotated, "current"), kids(&rotated, "retiring")), (next, first));
        }
        assert_eq!(rotated, ring.command(json!({"command": "status"})).await.unwrap());
        assert_eq!(proxy.requests("TransactWriteItems").len(), 1, "the one that came too late found it done");
    }
}

/// Does `work` to its end on a thread of its own, while the caller's runtime stands still.
fn elsewhere(work: impl Future<Output = Value> + Send + 'static) {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::spawn(run).join().unwrap();
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_takes_place_once() {
    let ring = Ring::new().await;
    ring.tick().await;
    ring.clock.advance(hours(1));
    let next = ring.kids("next").await;
    let mut lost = false;
    let proxy = FaultProxy::start(move |operation| {
        let first = operation == "TransactWriteItems" && !std::mem::replace(&mut lost, true);
        first.then_some(Fault::LostAnswer)
    })
    .await;
    let rotated = ring.behind(&proxy).command(json!({"command": "rotate"})).await.unwrap();
    assert_eq!((kids(&rotated, "current"), kids(&rotated, "retiring").len()), (next, 1));
    assert_eq!(ring.published().await["keys"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_secret_is_read_once_and_its_outage_passes() {
    let (ring, down) = (Ring::new().await, Arc::new(AtomicBool::new(true)));
    let is_down = down.clone();
    let proxy = FaultProxy::start(move |operation| {
        (operation == "GetSecretValue" && is_down.load(Ordering::SeqCst)).then_some(Fault::ServerError)
    })
    .await;
    let signer = ring.behind(&proxy).signer();
    let problem: Problem = signer.sign(&ring.claims()).await.unwrap_err().into();
    assert_eq!(problem.kind(), ProblemType::Unavailable);
    down.store(false, Ordering::SeqCst);
    let reads = || proxy.calls().iter().filter(|operation| *operation == "GetSecretValue").count();
    let failed = reads();
    let token = ring.sign(&signer).await;
    ring.clock.advance(SignedDuration::from_mins(6));
    ring.sign(&signer).await;
    assert_eq!(reads(), failed + 1);
    assert_eq!(ring.knock(&token).await, 200);
}

#[tokio::test]
async fn a_secret_that_is_replaced_makes_new_keys_and_refuses_no_token() {
    let mut ring = Ring::new().await;
    let id = name("signing");
    make_secret(&id, "the first text").await;
    ring.secret = Some(id.clone());
    let warm = ring.signer();
    let before = ring.sign(&warm).await;
    replace_secret(&id, "the second text").await;
    let replaced = ring.tick().await;
    assert_eq!(kids(&replaced, "retiring"), [kid(&before)]);
    assert_eq!(kids(&replaced, "current").len(), 1);
    assert_eq!(ring.knock(&before).await, 200);

    // The instance that knows the first text takes up the new keys.
    ring.clock.advance(SignedDuration::from_mins(5));
    let after = ring.sign(&warm).await;
    assert_eq!(kids(&ring.tick().await, "current"), [kid(&after)]);
    assert_eq!(ring.knock(&after).await, 200);
}

#[tokio::test]
async fn a_token_that_could_outlive_its_key_is_not_signed() {
    let ring = Ring::new().await;
    let claims = ring.claims();
    let too_long = Claims { exp: claims.exp + 1, ..claims };
    assert!(matches!(ring.signer().sign(&too_long).await, Err(SignError::TooLong)));
}
