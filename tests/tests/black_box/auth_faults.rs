//! Accounts while the network or a store fails: nothing is half made, and what is sent again is done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::id::TenantId;
use shared::random::Random;
use tests::account::{PASSWORD, SentMail, fresh_email};
use tests::{Answer, Fault, FaultProxy, Instance, eventually};

use crate::faults::{FAULTS, Outage, at_each_call_in, done_or_unavailable, unavailable};
use crate::own_accounts::{OwnAccounts, Person, network};
use crate::own_tenant::accounts;

const NEW: &str = "another-harbour-seventeen";

/// A call that is done although its answer is lost, which the client library repeats; and one that is never done, or whose
/// answer never comes.
fn ways() -> impl Iterator<Item = (Fault, bool)> {
    [(Fault::LostAnswer, false), (Fault::LostAnswer, true), (Fault::ServerError, true)].into_iter()
}

async fn shaken(own: &OwnAccounts, outage: Outage) -> (Instance, FaultProxy) {
    let proxy = outage.proxy().await;
    (behind(own, &proxy).await, proxy)
}

async fn behind(own: &OwnAccounts, proxy: &FaultProxy) -> Instance {
    own.instance_with("auth.api", |environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await
}

/// A request from a network of its own.
async fn ask(api: &Instance, own: &OwnAccounts, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = if token.is_empty() { vec![] } else { vec![("authorization", bearer.as_str())] };
    let mut event = own.event(method, path, &headers, body.map(ToString::to_string).as_deref());
    event["requestContext"]["http"]["sourceIp"] = json!(network());
    api.http_in(&event, Context::default()).await
}

/// A verified user with a tenant of their own.
async fn somebody(own: &OwnAccounts) -> String {
    let email = fresh_email();
    let admin = own.instance("auth.admin").await;
    admin.invoke(&json!({"email": email, "password": PASSWORD})).await.unwrap();
    email
}

async fn signed_in<'a>(own: &'a OwnAccounts, email: &str) -> Person<'a> {
    own.move_away();
    own.signed_in(email).await
}

/// A user has one tenant, which is there.
async fn whole(person: &Person<'_>, outage: Outage) {
    assert_eq!(accounts().memberships(&person.id.parse().unwrap()).await.unwrap().len(), 1, "{outage:?}");
    assert!(accounts().tenant(&person.tenant_id.parse().unwrap()).await.unwrap().is_some(), "{outage:?}");
}

/// The new mails to `email`, of which there is one at least: another story may be having them written.
async fn mails(own: &OwnAccounts, email: &str) -> Vec<SentMail> {
    eventually("a mail", || async { Some(own.mails(email).await).filter(|mails| !mails.is_empty()) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_sign_up_makes_a_whole_account_or_none() {
    let own = &OwnAccounts::new().await;
    at_each_call_in(ways(), |outage| async move {
        let email = fresh_email();
        let (api, proxy) = shaken(own, outage).await;
        let body = json!({"email": email, "password": PASSWORD});
        let answer = ask(&api, own, "POST", "/v1/auth/signup", "", Some(&body)).await;
        done_or_unavailable(&answer, 202, outage);
        let made = accounts().user_by_email(&email.parse().unwrap()).await.unwrap();
        assert!(made.is_some() || answer.status == 503, "{outage:?}");
        // Sent again it is answered as ever, and leads in.
        own.move_away();
        own.sign_up(&email).await;
        let token = mails(own, &email).await.pop().unwrap().token();
        own.verify(&token).await.expect(200);
        let ann = signed_in(own, &email).await;
        assert!(made.is_none_or(|user| user.id.to_string() == ann.id), "{outage:?}");
        whole(&ann, outage).await;
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_an_address_is_proved_once_it_was_tried_again() {
    let own = &OwnAccounts::new().await;
    at_each_call_in(ways(), |outage| async move {
        let email = fresh_email();
        own.move_away();
        own.sign_up(&email).await;
        let token = mails(own, &email).await.pop().unwrap().token();
        let (api, proxy) = shaken(own, outage).await;
        let answer = ask(&api, own, "POST", "/v1/auth/email/verify", "", Some(&json!({"token": token}))).await;
        done_or_unavailable(&answer, 200, outage);
        own.move_away();
        let again = own.verify(&token).await.status.as_u16();
        // What was done although its answer was lost is not done twice.
        assert!(again == 400 || (again == 200 && answer.status == 503), "{outage:?}: {again}");
        whole(&signed_in(own, &email).await, outage).await;
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_log_in_makes_a_session_or_none() {
    let own = &OwnAccounts::new().await;
    at_each_call_in(ways(), |outage| async move {
        let email = somebody(own).await;
        let (api, proxy) = shaken(own, outage).await;
        let body = json!({"email": email, "password": PASSWORD});
        let answer = ask(&api, own, "POST", "/v1/auth/login", "", Some(&body)).await;
        done_or_unavailable(&answer, 200, outage);
        if answer.status == 200 {
            let ann = Person::of(own, &email, &answer.json());
            own.move_away();
            ann.refresh().await.expect(200);
        }
        // The try that failed does not count against the user for long: there are more that cost nothing.
        let ann = signed_in(own, &email).await;
        let sessions = ann.sessions().await.len();
        assert!(sessions == 2 || (sessions == 1 && answer.status == 503), "{outage:?}: {sessions}");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_refresh_that_is_sent_again_goes_on() {
    let own = &OwnAccounts::new().await;
    let email = &somebody(own).await;
    at_each_call_in(ways(), |outage| async move {
        let ann = signed_in(own, email).await;
        let (api, proxy) = shaken(own, outage).await;
        let body = json!({"refresh_token": ann.refresh_token});
        let answer = ask(&api, own, "POST", "/v1/auth/refresh", "", Some(&body)).await;
        done_or_unavailable(&answer, 200, outage);
        let again = ann.refresh().await.expect(200).json();
        if answer.status == 200 {
            assert_eq!(answer.json()["refresh_token"], again["refresh_token"], "{outage:?}");
        }
        Person::of(own, email, &again).refresh().await.expect(200);
        ann.post("/v1/auth/logout", &json!({})).await.expect(204);
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_reset_is_done_whole_or_not_at_all() {
    let own = &OwnAccounts::new().await;
    at_each_call_in(ways(), |outage| async move {
        let email = somebody(own).await;
        let before = signed_in(own, &email).await;
        own.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
        let token = mails(own, &email).await.pop().unwrap().token();
        let body = json!({"token": token, "new_password": NEW});
        let (api, proxy) = shaken(own, outage).await;
        let answer = ask(&api, own, "POST", "/v1/auth/password/reset", "", Some(&body)).await;
        done_or_unavailable(&answer, 204, outage);
        let is_old = before.refresh().await.status == 200;
        assert!(!is_old || answer.status == 503, "{outage:?}");
        own.move_away();
        let again = own.post("/v1/auth/password/reset", &body).await.status.as_u16();
        assert_eq!(again, if is_old { 204 } else { 400 }, "{outage:?}");
        before.refresh().await.problem(401, "invalid-refresh-token");
        own.log_in(&email, PASSWORD).await.problem(401, "invalid-credentials");
        own.log_in(&email, NEW).await.expect(200);
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_an_account_is_deleted_whole_or_not_at_all() {
    let own = &OwnAccounts::new().await;
    at_each_call_in(ways(), |outage| async move {
        let email = somebody(own).await;
        let ann = signed_in(own, &email).await;
        let (api, proxy) = shaken(own, outage).await;
        let answer = ask(&api, own, "DELETE", "/v1/me", &ann.access_token, None).await;
        done_or_unavailable(&answer, 204, outage);
        let known = accounts().user_by_email(&email.parse().unwrap()).await.unwrap();
        assert!(known.is_none() || answer.status == 503, "{outage:?}");
        let id = ann.id.parse().unwrap();
        assert_eq!(accounts().user(&id).await.unwrap().is_some(), known.is_some(), "{outage:?}");
        assert_eq!(accounts().memberships(&id).await.unwrap().len(), usize::from(known.is_some()), "{outage:?}");
        let again = ann.delete("/v1/me").await.status.as_u16();
        assert_eq!(again, if known.is_some() { 204 } else { 401 }, "{outage:?}");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_dynamodb_is_down_every_endpoint_says_when_to_try_again() {
    let own = &OwnAccounts::new().await;
    let ann = own.person().await;
    let one_time = format!("tf_ot_{}", "A".repeat(43));
    let (email, tenant) = (&ann.email, TenantId::new(own.clock.now(), &Random::system()));
    let anonymous = [
        ("/v1/auth/signup", json!({"email": email, "password": PASSWORD})),
        ("/v1/auth/signup", json!({"email": email, "password": PASSWORD, "tenant_id": tenant})),
        ("/v1/auth/login", json!({"email": email, "password": PASSWORD})),
        ("/v1/auth/refresh", json!({"refresh_token": ann.refresh_token})),
        ("/v1/auth/email/verify", json!({"token": one_time})),
        ("/v1/auth/email/verify", json!({"email": email, "code": "123456"})),
        ("/v1/auth/email/verify/resend", json!({"email": email})),
        ("/v1/auth/password/forgot", json!({"email": email})),
        ("/v1/auth/password/reset", json!({"token": one_time, "new_password": NEW})),
        ("/v1/auth/passwordless/start", json!({"email": email})),
        ("/v1/auth/passwordless/verify", json!({"ticket": one_time})),
    ];
    let session = format!("/v1/auth/sessions/{}", ann.session_id);
    let signed_in = [
        ("GET", "/v1/me", None),
        ("PATCH", "/v1/me", Some(json!({"name": "Ann"}))),
        ("DELETE", "/v1/me", None),
        ("GET", "/v1/auth/sessions", None),
        ("DELETE", session.as_str(), None),
        ("POST", "/v1/auth/logout", None),
        ("POST", "/v1/auth/logout-all", None),
        ("POST", "/v1/auth/password/change", Some(json!({"current_password": PASSWORD, "new_password": NEW}))),
        ("POST", "/v1/auth/email/change", Some(json!({"email": fresh_email()}))),
    ];
    // An answer that is lost may be of a write that was done.
    for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::LostAnswer) {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = is_down.clone();
        let proxy = FaultProxy::start(move |_| down.load(Ordering::SeqCst).then_some(fault)).await;
        let api = behind(own, &proxy).await;
        // The credential is known by then, so that it is the endpoint's own calls that fail.
        ask(&api, own, "GET", "/v1/me", &ann.access_token, None).await.expect(200);
        is_down.store(true, Ordering::SeqCst);
        for (path, body) in &anonymous {
            let answer = ask(&api, own, "POST", path, "", Some(body)).await;
            unavailable(&answer, &format!("{fault:?} {path} {body}"));
        }
        for (method, path, body) in &signed_in {
            let answer = ask(&api, own, method, path, &ann.access_token, body.as_ref()).await;
            unavailable(&answer, &format!("{fault:?} {method} {path}"));
        }
        ann.get("/v1/me").await.expect(200);
        assert_eq!(ann.sessions().await.len(), 1);
    }
}

#[tokio::test]
async fn what_meets_another_transaction_is_tried_again() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    for (meetings, status) in [(7, 200), (8, 503)] {
        let mut left = meetings;
        let proxy = FaultProxy::start(move |operation| {
            let meets = operation == "TransactWriteItems" && left > 0;
            left -= usize::from(meets);
            meets.then_some(Fault::InTransaction)
        })
        .await;
        let body = json!({"email": ann.email, "password": PASSWORD});
        let api = behind(&own, &proxy).await;
        let answer = ask(&api, &own, "POST", "/v1/auth/login", "", Some(&body)).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
    assert_eq!(ann.sessions().await.len(), 2);
}
