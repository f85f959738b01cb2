//! Whether an address has an account is nobody's business: answers, headers, the work that is done and the time that it
//! takes are the same.

use std::time::{Duration, Instant};

use http::HeaderMap;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::fresh_email;
use tests::{Answer, Fault, FaultProxy};

use crate::own_accounts::OwnAccounts;

/// An address with an account, one whose account is not proved, and one without.
async fn addresses(own: &OwnAccounts) -> [String; 3] {
    let known = own.person().await.email;
    let unproved = fresh_email();
    own.sign_up(&unproved).await;
    [known, unproved, fresh_email()]
}

/// What an anonymous client can ask about an address.
fn questions(email: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/v1/auth/signup", json!({"email": email, "password": "another-harbour-seventeen"})),
        ("/v1/auth/login", json!({"email": email, "password": "another-harbour-seventeen"})),
        ("/v1/auth/login", json!({"email": email, "password": "x", "device_token": "tf_dv_x.y"})),
        ("/v1/auth/password/forgot", json!({"email": email})),
        ("/v1/auth/email/verify/resend", json!({"email": email})),
        ("/v1/auth/email/verify", json!({"email": email, "code": "no code"})),
        ("/v1/auth/passwordless/start", json!({"email": email})),
    ]
}

/// What a client sees of an answer, less what is drawn anew each time.
fn seen(answer: &Answer) -> (u16, HeaderMap, Value) {
    let (mut headers, mut body) = (answer.headers.clone(), answer.json());
    assert!(headers.remove("x-request-id").is_some());
    let members = body.as_object_mut().unwrap();
    for (name, length) in [("request_id", 30), ("ticket", 49), ("expires_at", 24)] {
        if let Some(value) = members.remove(name) {
            assert_eq!(value.as_str().unwrap().len(), length, "{name}");
        }
    }
    (answer.status.as_u16(), headers, body)
}

#[tokio::test]
async fn every_address_is_answered_alike() {
    let own = OwnAccounts::new().await;
    let addresses = addresses(&own).await;
    for question in 0..questions("").len() {
        // A mail to an address is asked for six times an hour.
        own.wait(SignedDuration::from_mins(30));
        let mut answers = Vec::new();
        for address in &addresses {
            let (path, body) = questions(address).swap_remove(question);
            answers.push((path, seen(&own.post(path, &body).await)));
        }
        assert!(answers.iter().all(|other| *other == answers[0]), "{answers:#?}");
    }
}

#[tokio::test]
async fn every_address_causes_the_same_calls() {
    let proxy = FaultProxy::watching().await;
    let own = OwnAccounts::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let addresses = addresses(&own).await;
    for (question, (path, _)) in questions("").iter().enumerate() {
        own.wait(SignedDuration::from_mins(30));
        let mut calls = Vec::new();
        // The first finds the network's bucket full, which costs one call more, whoever it asks about.
        for address in [&fresh_email()].into_iter().chain(&addresses) {
            let (path, body) = questions(address).swap_remove(question);
            let event = own.event("POST", path, &[], Some(&body.to_string()));
            let before = proxy.calls().len();
            own.answer(&event).await;
            calls.push(proxy.calls()[before..].to_vec());
        }
        calls.remove(0);
        assert!(!calls[0].is_empty() && calls.iter().all(|other| *other == calls[0]), "{path}: {calls:#?}");
    }
}

#[tokio::test]
async fn what_is_recorded_of_a_known_address_is_written_after_the_answer() {
    let proxy = FaultProxy::start(|operation| (operation == "TransactWriteItems").then_some(Fault::ServerError)).await;
    let own = OwnAccounts::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let healthy = OwnAccounts::new().await;
    let known = healthy.person().await;
    let before = proxy.calls().len();
    let body = json!({"email": known.email, "password": "another-harbour-seventeen"}).to_string();
    let event = own.event("POST", "/v1/auth/login", &[], Some(&body));
    own.answer(&event).await.problem(401, "invalid-credentials");
    assert!(!proxy.calls()[before..].contains(&"TransactWriteItems".to_owned()));
    // What is written then is there for the tenant to read.
    healthy.log_in(&known.email, "another-harbour-seventeen").await.problem(401, "invalid-credentials");
    let failed = known.audit().await.into_iter().filter(|(action, _)| action == "session.sign_in_failed").count();
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn whoever_signs_up_with_an_address_and_logs_in_learns_nothing() {
    let own = OwnAccounts::new().await;
    let mut answers = Vec::new();
    for address in addresses(&own).await {
        let body = json!({"email": address, "password": "the-strangers-choice"});
        let signed_up = own.post("/v1/auth/signup", &body).await;
        answers.push([seen(&signed_up), seen(&own.post("/v1/auth/login", &body).await)]);
    }
    assert_eq!(answers[0][1].0, 401);
    assert!(answers.iter().all(|other| *other == answers[0]), "{answers:#?}");
}

#[tokio::test]
async fn a_ticket_of_an_unknown_address_waits_for_its_code_like_any_other() {
    let own = OwnAccounts::new().await;
    let mut answers = Vec::new();
    for address in addresses(&own).await {
        let ticket = own.post("/v1/auth/passwordless/start", &json!({"email": address})).await.expect(202).json();
        own.mails(&address).await;
        let mut tries = Vec::new();
        for body in [json!({"ticket": ticket["ticket"]}), json!({"ticket": ticket["ticket"], "code": "no code"})] {
            tries.push(seen(&own.post("/v1/auth/passwordless/verify", &body).await));
        }
        for _ in 0..6 {
            let body = json!({"ticket": ticket["ticket"], "code": "no code"});
            tries.push(seen(&own.post("/v1/auth/passwordless/verify", &body).await));
        }
        answers.push(tries);
    }
    assert_eq!((answers[0][0].0, answers[0][1].0, answers[0][7].0), (400, 400, 429));
    assert!(answers.iter().all(|other| *other == answers[0]), "{answers:#?}");
}

/// By how much of the longer one two medians differ.
fn difference(mut one: Vec<Duration>, mut other: Vec<Duration>) -> f64 {
    one.sort();
    other.sort();
    let (one, other) = (one[one.len() / 2].as_secs_f64(), other[other.len() / 2].as_secs_f64());
    (one - other).abs() / one.max(other)
}

/// How long the answer to the first of the questions at `path` takes.
async fn time_of(own: &OwnAccounts, path: &str, email: &str) -> Duration {
    let (_, body) = questions(email).into_iter().find(|(asked, _)| *asked == path).unwrap();
    let event = own.event("POST", path, &[], Some(&body.to_string()));
    let started = Instant::now();
    own.answer(&event).await;
    started.elapsed()
}

/// Samples are taken in turn, so that what else the machine does meets both alike, and the median of the rounds decides, so
/// that neither one bad round fails it nor one good round passes it. Without the hash that is made for every address, and
/// without what the worker of mails does instead of the handler, each round is far off.
#[tokio::test(flavor = "multi_thread")]
async fn every_address_takes_the_same_time() {
    const ROUNDS: usize = 3;
    const SAMPLES: usize = 25;
    const BOUND: f64 = 0.25;
    let own = OwnAccounts::new().await;
    let known = own.person().await.email;
    for path in ["/v1/auth/login", "/v1/auth/signup", "/v1/auth/password/forgot", "/v1/auth/passwordless/start"] {
        let mut found = Vec::new();
        for _ in 0..ROUNDS {
            let (mut knowns, mut unknowns) = (Vec::new(), Vec::new());
            for _ in 0..SAMPLES {
                // Neither waits for tries before it.
                own.wait(SignedDuration::from_mins(20));
                knowns.push(time_of(&own, path, &known).await);
                unknowns.push(time_of(&own, path, &fresh_email()).await);
            }
            found.push(difference(knowns, unknowns));
        }
        found.sort_by(f64::total_cmp);
        assert!(found[ROUNDS / 2] <= BOUND, "{path}: {found:?}");
    }
}
