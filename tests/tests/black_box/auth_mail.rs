//! The mails that sign people up and in: none is lost, whatever is down, and none comes back after its time.

use std::net::TcpListener;
use std::sync::Arc;

use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email};
use tests::{Fault, FaultProxy, Instance};
use tokio::sync::Notify;

use crate::faults::at_each_call;
use crate::own_accounts::OwnAccounts;
use crate::resources::{due_table, failures, items, received_event};

async fn scheduler(own: &OwnAccounts, due: &str) -> Instance {
    Instance::with(&platform::SERVICE, "platform.scheduler", own.clock.clone(), |environment| {
        environment.with("DUE_TABLE", due)
    })
    .await
}

/// The one message that waits for the worker.
async fn message(own: &OwnAccounts) -> Value {
    received_event(&own.queue.await_messages(1).await)
}

/// A worker with other settings.
async fn worker(own: &OwnAccounts, name: &str, value: &str) -> Instance {
    own.instance_with("auth.mail", |environment| environment.with("MAIL_URL", &own.mail_url()).with(name, value)).await
}

/// A port of this machine at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn while_the_mail_server_is_down_a_mail_waits_in_its_queue() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    let event = message(&own).await;
    let down = worker(&own, "MAIL_URL", &format!("smtp://127.0.0.1:{}", closed_port())).await;
    for _ in 0..2 {
        assert_eq!(failures(&down.invoke(&event).await.unwrap()).len(), 1, "it comes again");
    }
    // So does a mail where no server is set up yet.
    let unset = worker(&own, "MAIL_URL", "").await;
    assert_eq!(failures(&unset.invoke(&event).await.unwrap()).len(), 1);
    own.wait(SignedDuration::from_hours(5));
    let up = worker(&own, "MAIL_URL", &own.mail_url()).await;
    assert_eq!(failures(&up.invoke(&event).await.unwrap()), Vec::<String>::new());
    let mail = own.mail(&email, "Confirm").await;
    own.verify(&mail.token()).await.expect(200);
    own.signed_in(&email).await;
}

#[tokio::test]
async fn whichever_call_fails_a_mail_that_comes_again_is_a_good_one() {
    at_each_call(|outage| async move {
        // Each story has a queue of its own: none takes another's message.
        let (own, email) = (OwnAccounts::new().await, fresh_email());
        own.sign_up(&email).await;
        let event = message(&own).await;
        let proxy = outage.proxy().await;
        let shaken = worker(&own, "AWS_ENDPOINT_URL", proxy.url()).await;
        let failed = !failures(&shaken.invoke(&event).await.unwrap()).is_empty();
        assert!(!failed || outage.lasts, "{outage:?}");
        if failed {
            let healthy = worker(&own, "MAIL_URL", &own.mail_url()).await;
            assert_eq!(failures(&healthy.invoke(&event).await.unwrap()), Vec::<String>::new());
        }
        let mail = own.mail(&email, "Confirm").await;
        own.verify(&mail.token()).await.expect(200);
        proxy.calls().len()
    })
    .await;
}

#[tokio::test]
async fn while_the_queue_is_down_an_account_is_made_and_its_mail_comes_later() {
    let proxy = FaultProxy::start(|operation| (operation == "SendMessage").then_some(Fault::ServerError)).await;
    let due = due_table().await;
    let own =
        OwnAccounts::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url()).with("DUE_TABLE", &due))
            .await;
    let email = fresh_email();
    own.sign_up(&email).await;
    assert!(own.mails(&email).await.is_empty());
    assert_eq!(items(&due).await.len(), 1);
    scheduler(&own, &due).await.invoke(&json!({})).await.unwrap();
    let mail = own.mail(&email, "Confirm").await;
    own.verify(&mail.token()).await.expect(200);
    own.signed_in(&email).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_between_write_and_send_loses_no_mail() {
    let sending = Arc::new(Notify::new());
    let told = sending.clone();
    let proxy = FaultProxy::start(move |operation| {
        (operation == "SendMessage").then(|| {
            told.notify_one();
            Fault::LostRequest
        })
    })
    .await;
    let (own, due) = (OwnAccounts::new().await, due_table().await);
    let api = own
        .instance_with("auth.api", |environment| {
            environment.with("AWS_ENDPOINT_URL", proxy.url()).with("DUE_TABLE", &due)
        })
        .await;
    let email = fresh_email();
    let body = json!({"email": email, "password": PASSWORD}).to_string();
    let event = own.event("POST", "/v1/auth/signup", &[], Some(&body));
    tokio::select! {
        answer = api.invoke_and_kill(&event) => panic!("it answered before it was killed: {answer:?}"),
        () = sending.notified() => {}
    }
    scheduler(&own, &due).await.invoke(&json!({})).await.unwrap();
    let mail = own.mail(&email, "Confirm").await;
    own.verify(&mail.token()).await.expect(200);
}

#[tokio::test]
async fn a_mail_to_sign_in_that_is_late_is_not_sent() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202);
    own.wait(SignedDuration::from_mins(10));
    assert!(own.mails(&ann.email).await.is_empty());
    // One that comes in time is good until its time is over, by the link and by the code.
    let started = own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202).json();
    own.wait(SignedDuration::from_mins(4));
    let mail = own.mail(&ann.email, "Sign in").await;
    let until: shared::time::Timestamp = started["expires_at"].as_str().unwrap().parse().unwrap();
    // It is told to the millisecond.
    own.wait(until.duration_since(own.clock.now()) + SignedDuration::from_millis(1));
    let by_code = json!({"ticket": started["ticket"], "code": mail.code()});
    own.post("/v1/auth/passwordless/verify", &by_code).await.problem(400, "invalid-one-time-token");
    own.wait(SignedDuration::from_mins(4));
    let by_link = json!({"ticket": mail.token()});
    own.post("/v1/auth/passwordless/verify", &by_link).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn a_message_that_comes_twice_opens_nothing_again() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let started = own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202).json();
    let event = message(&own).await;
    let worker = worker(&own, "MAIL_URL", &own.mail_url()).await;
    worker.invoke(&event).await.unwrap();
    let mail = own.mail(&ann.email, "Sign in").await;
    // The code has blanks where people like them.
    let spaced = format!("{} {}", &mail.code()[..3], &mail.code()[3..]);
    let by_code = json!({"ticket": started["ticket"], "code": spaced});
    let signed_in = own.post("/v1/auth/passwordless/verify", &by_code).await.expect(200).json();
    assert_eq!((&signed_in["user"]["id"], &signed_in["status"]), (&json!(ann.id), &json!("signed_in")));
    worker.invoke(&event).await.unwrap();
    assert!(own.mails(&ann.email).await.is_empty());
    own.post("/v1/auth/passwordless/verify", &by_code).await.problem(400, "invalid-one-time-token");
    // The link of the mail was used up with its code.
    let by_link = json!({"ticket": mail.token()});
    own.post("/v1/auth/passwordless/verify", &by_link).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn five_wrong_codes_void_a_ticket_and_not_the_link() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let started = own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202).json();
    let mail = own.mail(&ann.email, "Sign in").await;
    let digit = if mail.code().starts_with('0') { "1" } else { "0" };
    let wrong = format!("{digit}{}", &mail.code()[1..]);
    let finish = async |code: &str| {
        let body = json!({"ticket": started["ticket"], "code": code});
        own.post("/v1/auth/passwordless/verify", &body).await
    };
    for _ in 0..5 {
        finish(&wrong).await.problem(400, "invalid-one-time-token");
    }
    finish(&mail.code()).await.problem(400, "invalid-one-time-token");
    let by_link = json!({"ticket": mail.token()});
    let answer = own.post("/v1/auth/passwordless/verify", &by_link).await.expect(200).json();
    assert_eq!(answer["user"]["id"], json!(ann.id));
    // Neither is good with what belongs to the other.
    let started = own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202).json();
    let mail = own.mail(&ann.email, "Sign in").await;
    own.wait(SignedDuration::from_mins(1));
    let crossed = json!({"ticket": mail.token(), "code": mail.code()});
    own.post("/v1/auth/passwordless/verify", &crossed).await.problem(400, "invalid-one-time-token");
    let bare = json!({"ticket": started["ticket"]});
    own.post("/v1/auth/passwordless/verify", &bare).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn a_message_holds_no_secret() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202);
    own.post("/v1/auth/password/forgot", &json!({"email": ann.email})).await.expect(202);
    own.post("/v1/auth/signup", &json!({"email": fresh_email(), "password": PASSWORD})).await.expect(202);
    for message in own.queue.await_messages(3).await {
        let body = message.body().unwrap();
        assert!(!body.contains("tf_") && !body.contains(PASSWORD) && !body.contains("argon2"), "{body}");
    }
}
