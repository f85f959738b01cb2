//! What goes by itself: accounts that nobody proved, and what deleted ones leave behind. And the operator's command.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::dynamo::{Item, s};
use shared::id::TenantId;
use shared::random::Random;
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email};
use tests::{FaultProxy, Instance};

use crate::own_accounts::OwnAccounts;
use crate::resources::{aws, items};

async fn sweep(own: &OwnAccounts) -> Result<Value, shared::BoxError> {
    own.instance("auth.sweeper").await.invoke(&json!({})).await
}

/// How many items there are under each kind of key.
async fn kinds(own: &OwnAccounts) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for item in items(&own.table("ACCOUNTS_TABLE")).await {
        let text = |name: &str| item[name].as_s().unwrap().split('#').next().unwrap().to_owned();
        let (pk, sk) = (text("pk"), text("sk"));
        let audit = item["pk"].as_s().unwrap().ends_with("#audit");
        let pk = if audit { "audit" } else { pk.split('_').next().unwrap() };
        *kinds.entry(format!("{pk} {}", if audit || pk == "sweep" { "*" } else { &sk })).or_default() += 1;
    }
    kinds
}

#[tokio::test]
async fn an_account_that_nobody_proves_is_deleted_after_a_week() {
    let own = OwnAccounts::alone().await;
    let (proved, unproved) = (own.person().await, fresh_email());
    own.sign_up(&unproved).await;
    let mail = own.mail(&unproved, "Confirm").await;
    // It is in no tenant, so that nothing of it is in a trail.
    let told = kinds(&own).await["audit *"];
    own.log_in(&unproved, PASSWORD).await.problem(401, "invalid-credentials");
    own.post("/v1/auth/password/forgot", &json!({"email": unproved})).await.expect(202);
    assert_eq!(kinds(&own).await["audit *"], told);
    own.mails(&unproved).await;
    own.wait(SignedDuration::from_hours(7 * 24) - SignedDuration::from_millis(1));
    sweep(&own).await.unwrap();
    assert_eq!(kinds(&own).await["user user"], 2);
    own.wait(SignedDuration::from_millis(2));
    sweep(&own).await.unwrap();
    let left = kinds(&own).await;
    assert_eq!((left["user user"], left["email email"], left["user membership"]), (1, 1, 1), "{left:?}");
    own.verify(&mail.token()).await.problem(400, "invalid-one-time-token");
    own.signed_in(&proved.email).await;
    // The address is free.
    own.sign_up(&unproved).await;
    own.verify(&own.mail(&unproved, "Confirm").await.token()).await.expect(200);
    own.wait(SignedDuration::from_hours(7 * 24 + 1));
    sweep(&own).await.unwrap();
    own.signed_in(&unproved).await;
    sweep(&own).await.unwrap();
    assert!(!kinds(&own).await.contains_key("sweep *"), "what was dealt with is gone");
}

#[tokio::test]
async fn what_a_deleted_account_leaves_is_erased() {
    let own = OwnAccounts::alone().await;
    let ann = own.person().await;
    for _ in 0..3 {
        own.signed_in(&ann.email).await;
    }
    let begun = ann.post("/v1/auth/factors/totp", &json!({})).await.expect(200);
    assert!(!begun.body.is_empty());
    let before = kinds(&own).await;
    assert_eq!((before["user session"], before["user totp_pending"]), (4, 1), "{before:?}");
    own.wait(SignedDuration::from_secs(1));
    ann.delete("/v1/me").await.expect(204);
    let deleted = kinds(&own).await;
    assert!(!deleted.contains_key("user user") && !deleted.contains_key("email email"), "{deleted:?}");
    own.wait(SignedDuration::from_hours(1));
    sweep(&own).await.unwrap();
    let left = kinds(&own).await;
    assert!(!left.keys().any(|kind| kind.starts_with("user")), "{left:?}");
    // The trail stays with the tenant.
    assert!(left["audit *"] > 0);
    sweep(&own).await.unwrap();
    assert_eq!(kinds(&own).await, left);
}

#[tokio::test]
async fn an_account_that_cannot_be_swept_holds_no_other_up() {
    let own = OwnAccounts::alone().await;
    let emails: Vec<_> = (0..8).map(|_| fresh_email()).collect();
    for email in &emails {
        own.sign_up(email).await;
        own.move_away();
    }
    let table = own.table("ACCOUNTS_TABLE");
    // A record that cannot be read, of the account that comes first.
    let mut users: Vec<Item> = items(&table).await.into_iter().filter(|item| item["sk"] == s("user")).collect();
    users.sort_by_key(|user| user["pk"].as_s().unwrap().clone());
    let mut broken = users.remove(0);
    broken.remove("created_at");
    aws().dynamo.put_item().table_name(&table).set_item(Some(broken.clone())).send().await.unwrap();
    own.wait(SignedDuration::from_hours(7 * 24 + 1));
    sweep(&own).await.unwrap_err();
    let left = items(&table).await;
    let users: Vec<_> = left.iter().filter(|item| item["sk"] == s("user")).collect();
    assert_eq!(users, [&broken], "all others are deleted");
    // Mended, it goes as well.
    broken.insert("created_at".to_owned(), s("2026-01-01T00:00:00Z"));
    aws().dynamo.put_item().table_name(&table).set_item(Some(broken)).send().await.unwrap();
    sweep(&own).await.unwrap();
    assert!(!kinds(&own).await.contains_key("user user"));
}

#[tokio::test]
async fn a_sweeper_that_has_little_time_begins_nothing() {
    let own = OwnAccounts::alone().await;
    own.sign_up(&fresh_email()).await;
    own.wait(SignedDuration::from_hours(7 * 24 + 1));
    let proxy = FaultProxy::watching().await;
    let sweeper =
        own.instance_with("auth.sweeper", |environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let mut context = lambda_runtime::Context::default();
    let now = shared::time::Clock::system().now().as_millisecond();
    context.deadline = u64::try_from(now).unwrap() + 9_000;
    sweeper.invoke_in(&json!({}), context).await.unwrap();
    assert!(proxy.calls().iter().all(|operation| operation == "Query"), "{:?}", proxy.calls());
    sweep(&own).await.unwrap();
    assert!(!kinds(&own).await.contains_key("user user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_at_once_do_the_work_of_one() {
    let own = OwnAccounts::alone().await;
    for _ in 0..6 {
        own.sign_up(&fresh_email()).await;
    }
    own.wait(SignedDuration::from_hours(7 * 24 + 1));
    let sweepers = join_all((0..3).map(|_| own.instance("auth.sweeper"))).await;
    let event = json!({});
    for swept in join_all(sweepers.iter().map(|sweeper| sweeper.invoke(&event))).await {
        swept.unwrap();
    }
    // One that met another one leaves an account to the next hour.
    own.wait(SignedDuration::from_hours(1));
    sweep(&own).await.unwrap();
    own.wait(SignedDuration::from_hours(1));
    sweep(&own).await.unwrap();
    let left = kinds(&own).await;
    assert!(!left.keys().any(|kind| kind.starts_with("user") || kind.starts_with("sweep")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_owner_is_made_once_however_often_it_is_asked_for() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    let tenant = TenantId::new(own.clock.now(), &Random::system());
    let event =
        json!({"email": email, "password": PASSWORD, "name": "Ann", "tenant_id": tenant, "tenant_name": "Ours"});
    let admin = own.instance("auth.admin").await;
    let admin: &Instance = &admin;
    let answers = join_all((0..4).map(|_| admin.invoke(&event))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer["created"] == true).count(), 1, "{answers:?}");
    for answer in &answers {
        assert_eq!((&answer["user_id"], &answer["tenant_id"]), (&answers[0]["user_id"], &json!(tenant)));
    }
    // An address that has an account keeps its password and name.
    let other = json!({"email": email.to_uppercase(), "password": "another-harbour-seventeen", "name": "Eve"});
    assert_eq!(admin.invoke(&other).await.unwrap()["user_id"], answers[0]["user_id"]);
    let ann = own.signed_in(&email).await;
    assert_eq!(ann.get("/v1/me").await.expect(200).json()["name"], "Ann");
    assert_eq!(ann.administer("GET", "/v1/tenant", None).await.expect(200).json()["name"], "Ours");
    let signed_up = ann.trail().await.into_iter().find(|record| record["action"] == "user.signed_up").unwrap();
    assert_eq!(signed_up["detail"], "by auth.admin");
    // A second owner of the tenant, which keeps its name.
    let second = json!({"email": fresh_email(), "password": PASSWORD, "tenant_id": tenant, "tenant_name": "Theirs"});
    assert_eq!(admin.invoke(&second).await.unwrap()["created"], true);
    assert_eq!(ann.administer("GET", "/v1/tenant", None).await.expect(200).json()["name"], "Ours");
}

#[tokio::test]
async fn an_owner_is_not_made_of_what_cannot_be_one() {
    let own = OwnAccounts::new().await;
    let admin = own.instance("auth.admin").await;
    let stranger = fresh_email();
    own.sign_up(&stranger).await;
    for (event, told) in [
        (json!({"email": stranger, "password": PASSWORD}), "nobody has verified"),
        (json!({"email": fresh_email(), "password": "password123"}), "attackers try first"),
        (json!({"email": fresh_email(), "password": "tenfold2026!"}), "the password "),
        (json!({"email": "nobody", "password": PASSWORD}), "send {"),
        (json!({"email": fresh_email()}), "send {"),
        (json!({"email": fresh_email(), "password": PASSWORD, "role": "owner"}), "send {"),
        (json!(null), "send {"),
    ] {
        let error = admin.invoke(&event).await.unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains(PASSWORD), "{event}: {error}");
    }
}
