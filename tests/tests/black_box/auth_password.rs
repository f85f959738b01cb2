//! A forgotten password, and a new one.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email};
use tests::{Answer, FaultProxy};

use crate::own_accounts::{OwnAccounts, Person};

const NEW: &str = "another-harbour-seventeen";

/// The token of the mail that comes to whoever forgot the password.
async fn forgot(own: &OwnAccounts, email: &str) -> String {
    own.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
    own.mail(email, "Reset").await.token()
}

async fn reset(own: &OwnAccounts, token: &str, password: &str) -> Answer {
    own.post("/v1/auth/password/reset", &json!({"token": token, "new_password": password})).await
}

async fn change(person: &Person<'_>, current: &str, new: &str) -> Answer {
    let body = json!({"current_password": current, "new_password": new});
    person.post("/v1/auth/password/change", &body).await
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_mail_and_ends_all_sessions() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let other = own.signed_in(&ann.email).await;
    let token = forgot(&own, &ann.email).await;
    reset(&own, &token, NEW).await.expect(204);
    own.mail(&ann.email, "password was changed").await;
    for person in [&ann, &other] {
        person.refresh().await.problem(401, "invalid-refresh-token");
        person.delete("/v1/me").await.problem(401, "unauthenticated");
    }
    own.log_in(&ann.email, PASSWORD).await.problem(401, "invalid-credentials");
    let answer = own.log_in(&ann.email, NEW).await.expect(200).json();
    reset(&own, &token, PASSWORD).await.problem(400, "invalid-one-time-token");
    let trail = Person::of(&own, &ann.email, &answer).trail().await;
    let found =
        |action: &str| trail.iter().find(|record| record["action"] == action).unwrap_or_else(|| panic!("{action}"));
    assert_eq!(
        (&found("password.reset")["actor"], &found("password.reset")["detail"]),
        (&json!(ann.id), &json!("2 sessions ended"))
    );
    let asked = found("password.reset_requested");
    assert_eq!((&asked["actor"], &asked["target"]), (&json!("anonymous"), &json!(ann.id)));
}

#[tokio::test]
async fn a_password_that_may_not_be_chosen_does_not_use_the_token_up() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let token = forgot(&own, &ann.email).await;
    let local = ann.email.split('@').next().unwrap();
    for weak in ["short", "password123", local, &"x".repeat(129)] {
        let problem = reset(&own, &token, weak).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], "/new_password");
    }
    assert!(own.mails(&ann.email).await.is_empty());
    own.signed_in(&ann.email).await;
    reset(&own, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn a_reset_link_is_good_for_an_hour_and_void_when_the_password_was_set_otherwise() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let (first, second) = (forgot(&own, &ann.email).await, forgot(&own, &ann.email).await);
    reset(&own, &second, NEW).await.expect(204);
    reset(&own, &first, PASSWORD).await.problem(400, "invalid-one-time-token");
    own.mails(&ann.email).await;

    let third = forgot(&own, &ann.email).await;
    let answer = own.log_in(&ann.email, NEW).await.expect(200).json();
    change(&Person::of(&own, &ann.email, &answer), NEW, PASSWORD).await.expect(204);
    reset(&own, &third, NEW).await.problem(400, "invalid-one-time-token");
    own.mails(&ann.email).await;

    let fourth = forgot(&own, &ann.email).await;
    own.wait(SignedDuration::from_hours(1));
    reset(&own, &fourth, NEW).await.problem(400, "invalid-one-time-token");
    own.signed_in(&ann.email).await;
}

#[tokio::test]
async fn a_reset_proves_the_address() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    own.mail(&email, "Confirm").await;
    let token = forgot(&own, &email).await;
    reset(&own, &token, NEW).await.expect(204);
    let ann = Person::of(&own, &email, &own.log_in(&email, NEW).await.expect(200).json());
    assert!(ann.audit().await.iter().any(|(action, _)| action == "user.email_verified"));
}

#[tokio::test]
async fn nobody_without_an_account_is_written_to() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
    assert!(own.mails(&email).await.is_empty());
}

#[tokio::test]
async fn a_change_keeps_this_session_and_ends_the_others() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let other = own.signed_in(&ann.email).await;
    change(&ann, PASSWORD, NEW).await.expect(204);
    own.mail(&ann.email, "password was changed").await;
    other.refresh().await.problem(401, "invalid-refresh-token");
    other.delete("/v1/me").await.problem(401, "unauthenticated");
    ann.get("/v1/me").await.expect(200);
    ann.refresh().await.expect(200);
    own.log_in(&ann.email, PASSWORD).await.problem(401, "invalid-credentials");
    own.log_in(&ann.email, NEW).await.expect(200);
    assert_eq!(ann.audit().await.iter().filter(|(action, _)| action == "password.changed").count(), 1);
}

#[tokio::test]
async fn a_change_needs_the_present_password_and_guessing_it_waits() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    for _ in 0..6 {
        change(&ann, "not-the-password", NEW).await.problem(401, "invalid-credentials");
    }
    assert_eq!(change(&ann, PASSWORD, NEW).await.header("retry-after"), "1");
    own.wait(SignedDuration::from_secs(1));
    let problem = change(&ann, PASSWORD, "password123").await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/new_password");
    change(&ann, PASSWORD, NEW).await.expect(204);
}

#[tokio::test]
async fn who_has_no_password_sets_one_by_mail() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    own.mail(&email, "Confirm").await;
    own.post("/v1/auth/passwordless/start", &json!({"email": email})).await.expect(202);
    let link = own.mail(&email, "Sign in").await.token();
    let answer = own.post("/v1/auth/passwordless/verify", &json!({"ticket": link})).await.expect(200).json();
    let ann = Person::of(&own, &email, &answer);
    change(&ann, PASSWORD, NEW).await.problem(401, "invalid-credentials");
    reset(&own, &forgot(&own, &email).await, NEW).await.expect(204);
    own.log_in(&email, NEW).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_and_resets_at_once_one_wins() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let token = forgot(&own, &ann.email).await;
    let passwords: Vec<_> = (0..4).map(|number| format!("harbour-number-{number}-walnut")).collect();
    let answers = join_all(passwords.iter().map(|password| reset(&own, &token, password))).await;
    let winners: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.status == 204).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [204, 400, 409].contains(&answer.status.as_u16())), "{answers:?}");
    own.log_in(&ann.email, &passwords[winners[0].0]).await.expect(200);
    assert_eq!(own.mails(&ann.email).await.len(), 1, "it is told once");
}

/// The log-in is let through at the moment when the reset has read which sessions there are, and has not yet written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_was_begun_by_the_old_password_at_this_moment_ends_too() {
    let (own, (reached, arrived), (proceed, go_on)) = (OwnAccounts::new().await, channel::<()>(), channel::<()>());
    let ann = own.person().await;
    let token = forgot(&own, &ann.email).await;
    let (go_on, mut is_first) = (Mutex::new(go_on), true);
    let proxy = FaultProxy::start(move |operation| {
        if operation == "TransactWriteItems" && std::mem::take(&mut is_first) {
            reached.send(()).unwrap();
            go_on.lock().unwrap().recv().unwrap();
        }
        None
    })
    .await;
    let slow = own.instance_with("auth.api", |environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let body = json!({"token": token, "new_password": NEW});
    let (answer, thief) =
        tokio::join!(async { slow.http("POST", "/v1/auth/password/reset", &[], Some(&body)).await }, async {
            tokio::task::spawn_blocking(move || arrived.recv().unwrap()).await.unwrap();
            let thief = own.signed_in(&ann.email).await;
            proceed.send(()).unwrap();
            thief
        });
    answer.expect(204);
    thief.refresh().await.problem(401, "invalid-refresh-token");
    thief.delete("/v1/me").await.problem(401, "unauthenticated");
    assert!(thief.sessions().await.is_empty());
    let told: Value = own.log_in(&ann.email, NEW).await.expect(200).json();
    assert_eq!(told["user"]["id"], ann.id);
}
