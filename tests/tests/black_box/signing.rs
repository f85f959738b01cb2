//! Signatures by Standard Webhooks against others' implementations: what we sign they verify, what they sign we verify, and
//! what was altered both refuse. `tests/standard_webhooks` says whose.

use std::io::Write as _;
use std::process::{Command, Stdio};

use http::{HeaderMap, HeaderValue};
use localstack::template::workspace_root;
use serde_json::{Map, Value, json};
use shared::random::Random;
use shared::signing::{
    ID_HEADER, Key, SIGNATURE_HEADER, Signer, SigningKey, SigningSecret, TIMESTAMP_HEADER, Verifier, VerifyError,
    VerifyingKey,
};
use shared::time::{Clock, SignedDuration, Timestamp};
use standardwebhooks::Webhook;
use tests::python::{packages, python};

const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
const BODIES: [&str; 4] = ["", r#"{"type":"contact.created","data":{"id":1}}"#, "1.2.3\r\n ", "Grüße, 世界 🦀"];

/// What came of each task, by the program in Python.
pub(crate) fn others(tasks: &[Value]) -> Vec<Value> {
    let folder = workspace_root().join("tests/standard_webhooks");
    let packages = packages("standard-webhooks", &folder.join("requirements.txt"));
    let mut program = Command::new(python());
    program.arg("-I").args([folder.join("webhooks.py"), packages]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = program.spawn().unwrap();
    program.stdin.take().unwrap().write_all(json!(tasks).to_string().as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results.len(), tasks.len());
    results
}

/// A key of each scheme, with what the receiver knows of it.
fn keys() -> [(Key, String); 2] {
    let random = Random::system();
    let (secret, key) = (SigningSecret::generate(&random), SigningKey::generate(&random));
    let (shared, public) = (secret.expose().to_owned(), key.public().to_string());
    [(secret.into(), shared), (key.into(), public)]
}

fn now() -> Timestamp {
    Clock::system().now()
}

/// The task to verify a request.
pub(crate) fn verify_task(key: &str, headers: &HeaderMap, body: &str) -> Value {
    let headers: Map<_, _> =
        headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
    json!(["verify", key, headers, body])
}

fn verify(key: &str, headers: &HeaderMap, body: &str) -> Result<(), VerifyError> {
    let key: VerifyingKey = key.parse().unwrap();
    Verifier::new([key]).unwrap().verify(headers, body.as_bytes(), now()).map(|_| ())
}

/// Requests with a body of their own that differ from this one in one thing each.
fn altered(headers: &HeaderMap, body: &str) -> Vec<(HeaderMap, String)> {
    let with = |name: &'static str, value: String| {
        let mut headers = headers.clone();
        headers.insert(name, HeaderValue::try_from(value).unwrap());
        (headers, body.to_owned())
    };
    let value = |name| headers[name].to_str().unwrap();
    let later = value(TIMESTAMP_HEADER).parse::<i64>().unwrap() + 1;
    let (scheme, signature) = value(SIGNATURE_HEADER).split_once(',').unwrap();
    let (first, rest) = signature.split_at(1);
    let other = if first == "A" { "B" } else { "A" };
    vec![
        with(ID_HEADER, format!("{ID}x")),
        with(TIMESTAMP_HEADER, later.to_string()),
        with(SIGNATURE_HEADER, format!("{scheme},{other}{rest}")),
        with(SIGNATURE_HEADER, format!("v2,{signature}")),
        (headers.clone(), format!("{body} ")),
    ]
}

#[test]
fn others_verify_what_we_sign() {
    let keys = keys();
    let old = SigningSecret::generate(&Random::system());
    let all = [keys[0].0.clone(), keys[1].0.clone(), old.clone().into()];
    let mut tasks = Vec::new();
    for body in BODIES {
        for (key, known) in &keys {
            let alone = Signer::new([key.clone()]).unwrap().sign(ID, now(), body.as_bytes()).unwrap();
            tasks.push(verify_task(known, &alone, body));
        }
        let rotated = Signer::new(all.clone()).unwrap().sign(ID, now(), body.as_bytes()).unwrap();
        for known in [&keys[0].1, &keys[1].1, old.expose()] {
            tasks.push(verify_task(known, &rotated, body));
        }
        for known in [&keys[0].1, old.expose()] {
            Webhook::new(known).unwrap().verify(body.as_bytes(), &rotated).unwrap();
        }
    }
    assert_eq!(others(&tasks), vec![Value::Null; tasks.len()]);
}

#[test]
fn we_verify_what_others_sign() {
    let (keys, now) = (keys(), now());
    let requests: Vec<_> = BODIES.iter().flat_map(|body| keys.iter().map(move |key| (*body, key))).collect();
    let tasks: Vec<_> =
        requests.iter().map(|(body, (key, _))| json!(["sign", key.expose(), ID, now.as_second(), body])).collect();
    for ((body, (key, known)), signature) in requests.iter().zip(others(&tasks)) {
        let mut headers = Signer::new([key.clone()]).unwrap().sign(ID, now, body.as_bytes()).unwrap();
        assert_eq!(headers[SIGNATURE_HEADER], signature.as_str().unwrap(), "both schemes are deterministic");
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(signature.as_str().unwrap()).unwrap());
        assert_eq!(verify(known, &headers, body), Ok(()));
        for (headers, body) in altered(&headers, body) {
            assert_eq!(verify(known, &headers, &body), Err(VerifyError::NoMatch), "{headers:?}");
        }
    }
    let secret = keys[0].1.as_str();
    for body in BODIES {
        let signature = Webhook::new(secret).unwrap().sign(ID, now.as_second(), body.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in
            [(ID_HEADER, ID), (TIMESTAMP_HEADER, &now.as_second().to_string()), (SIGNATURE_HEADER, &signature)]
        {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(verify(secret, &headers, body), Ok(()));
    }
}

#[test]
fn others_refuse_what_was_altered_or_signed_with_another_key() {
    let strangers = keys();
    let keys = keys();
    let mut tasks = Vec::new();
    for ((key, known), (_, strange)) in keys.iter().zip(&strangers) {
        let signer = Signer::new([key.clone()]).unwrap();
        let headers = signer.sign(ID, now(), BODIES[1].as_bytes()).unwrap();
        tasks.push(verify_task(strange, &headers, BODIES[1]));
        assert_eq!(verify(strange, &headers, BODIES[1]), Err(VerifyError::NoMatch));
        tasks.extend(altered(&headers, BODIES[1]).iter().map(|(headers, body)| verify_task(known, headers, body)));
    }
    assert_eq!(others(&tasks), vec![json!("No matching signature found"); tasks.len()]);
}

#[test]
fn others_refuse_the_times_that_we_refuse() {
    let [(key, secret), _] = keys();
    let signer = Signer::new([key]).unwrap();
    let at = |minutes: i64| signer.sign(ID, now() + SignedDuration::from_mins(minutes), b"").unwrap();
    let requests = [-6, -4, 4, 6].map(at);
    let refusals = others(&requests.each_ref().map(|headers| verify_task(&secret, headers, "")));
    let ours = requests.each_ref().map(|headers| verify(&secret, headers, ""));
    assert_eq!(
        refusals,
        [json!("Message timestamp too old"), json!(null), json!(null), json!("Message timestamp too new")]
    );
    assert_eq!(ours, [Err(VerifyError::TooOld), Ok(()), Ok(()), Err(VerifyError::TooNew)]);
}
