//! Refresh tokens: one use each, forgiving to races and unforgiving to thieves.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::Answer;

use crate::own_accounts::{OwnAccounts, claims};
use crate::own_tenant::OwnTenant;
use crate::resources::Subscriber;

async fn refresh(own: &OwnAccounts, token: &str) -> Answer {
    own.post("/v1/auth/refresh", &json!({"refresh_token": token})).await
}

fn token(answer: &Value) -> String {
    answer["refresh_token"].as_str().unwrap().to_owned()
}

fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

#[tokio::test]
async fn each_use_of_a_refresh_token_makes_the_next() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let (mut seen, mut newest) = (BTreeSet::new(), ann.refresh_token.clone());
    for _ in 0..5 {
        own.wait(seconds(300));
        assert!(newest.starts_with("tf_rt_") && seen.insert(newest.clone()));
        let answer = refresh(&own, &newest).await.expect(200).json();
        assert_eq!((&answer["session_id"], &answer["tenant_id"]), (&json!(ann.session_id), &json!(ann.tenant_id)));
        assert!(answer.get("device_token").is_none());
        let told = claims(answer["access_token"].as_str().unwrap());
        assert_eq!(told["iat"], own.clock.now().as_second());
        assert_eq!(told["auth_time"], claims(&ann.access_token)["auth_time"], "it proves nobody again");
        newest = token(&answer);
    }
}

#[tokio::test]
async fn a_token_that_is_sent_again_within_ten_seconds_has_the_same_successor() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let successor = token(&ann.refresh().await.expect(200).json());
    for wait in [0, 3, 7] {
        own.wait(seconds(wait));
        let again = ann.refresh().await.expect(200).json();
        assert_eq!(token(&again), successor);
        own.send("GET", "/v1/me", again["access_token"].as_str().unwrap(), None).await.expect(200);
    }
    // The successor is as good as if nothing had been sent twice.
    refresh(&own, &successor).await.expect(200);
}

#[tokio::test]
async fn a_token_that_is_sent_again_later_ends_its_session_and_is_told_of() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let other = own.signed_in(&ann.email).await;
    let mut subscriber = Subscriber::of(&ann.tenant_id.parse().unwrap()).await;
    let thief = ann.refreshed().await;
    own.wait(seconds(11));
    // The owner comes with the token that the thief has used.
    let answers = join_all((0..5).map(|_| ann.refresh())).await;
    for answer in answers {
        answer.problem(401, "invalid-refresh-token");
    }
    thief.refresh().await.problem(401, "invalid-refresh-token");
    // At once on the routes that matter most, and elsewhere within half a minute.
    thief.delete("/v1/me").await.problem(401, "unauthenticated");
    own.wait(seconds(30));
    thief.get("/v1/me").await.problem(401, "unauthenticated");

    let other = other.refreshed().await;
    let reused = other.audit().await.into_iter().filter(|(action, _)| action == "session.refresh_token_reused");
    assert_eq!(reused.map(|(_, target)| target).collect::<Vec<_>>(), std::slice::from_ref(&ann.session_id));
    let event = subscriber.await_event("session.refresh_token_reused", &ann.session_id).await;
    assert_eq!((&event["data"]["user_id"], &event["data"]["session_id"]), (&json!(ann.id), &json!(ann.session_id)));
    assert_eq!(subscriber.about("session.refresh_token_reused", &ann.session_id).len(), 1);
    let mail = own.mail(&ann.email, "ended for safety").await;
    assert!(mail.text.contains(".0/24"), "{}", mail.text);
}

#[tokio::test]
async fn an_older_token_ends_the_session_at_once() {
    let own = OwnAccounts::new().await;
    let first = own.person().await;
    let second = first.refreshed().await;
    let third = second.refreshed().await;
    first.refresh().await.problem(401, "invalid-refresh-token");
    third.refresh().await.problem(401, "invalid-refresh-token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_refreshes_at_once_have_one_successor() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let answers = join_all((0..100).map(|_| ann.refresh())).await;
    let successors: BTreeSet<_> = answers.into_iter().map(|answer| token(&answer.expect(200).json())).collect();
    assert_eq!(successors.len(), 1, "{successors:?}");
    refresh(&own, successors.first().unwrap()).await.expect(200);
    assert_eq!(ann.sessions().await, std::slice::from_ref(&ann.session_id));
}

#[tokio::test]
async fn a_token_that_was_made_up_from_ids_ends_nobodys_session() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    // Who and which session is no secret: both are in access tokens.
    let ids = ann.refresh_token.split_at("tf_rt_".len() + 52).0;
    let secrets = ben.refresh_token.split_at("tf_rt_".len() + 52).1;
    let digits = |id: &str| id.rsplit_once('_').unwrap().1.to_owned();
    assert_eq!(ids, format!("tf_rt_{}{}", digits(&ann.id), digits(&ann.session_id)));
    for made_up in [
        format!("{ids}{secrets}"),
        format!("{ids}{}", "A".repeat(64)),
        format!("{ids}{}", "A".repeat(63)),
        format!("{ids}{secrets}AAAA"),
        ids.to_owned(),
        ann.refresh_token.replace("tf_rt_", "tf_ot_"),
        ann.refresh_token.to_uppercase(),
        format!(" {}", ann.refresh_token),
        "tf_rt_".to_owned(),
        String::new(),
        "é".repeat(100),
        ann.access_token.clone(),
    ] {
        refresh(&own, &made_up).await.problem(401, "invalid-refresh-token");
    }
    ann.refresh().await.expect(200);
    assert!(own.mails(&ann.email).await.is_empty());
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_in_any_case() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let settings = json!({"settings": {"session_seconds": 3600, "session_idle_seconds": 600}});
    ann.administer("PATCH", "/v1/tenant", Some(&settings)).await.expect(200);
    let unused = own.signed_in(&ann.email).await;
    let mut used = own.signed_in(&ann.email).await;
    for _ in 0..5 {
        own.wait(seconds(599));
        used = used.refreshed().await;
    }
    unused.refresh().await.problem(401, "invalid-refresh-token");
    own.wait(seconds(599));
    used = used.refreshed().await;
    let sessions = used.sessions().await;
    assert!(sessions.contains(&used.session_id) && !sessions.contains(&unused.session_id), "{sessions:?}");
    // An hour after the log-in it ends, however often it was used.
    own.wait(seconds(6));
    used.refresh().await.problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn stricter_rules_of_the_tenant_hold_for_sessions_that_are_there() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let (idle, old) = (own.signed_in(&ann.email).await, own.signed_in(&ann.email).await);
    let settings = json!({"settings": {"session_seconds": 3600, "session_idle_seconds": 600}});
    ann.administer("PATCH", "/v1/tenant", Some(&settings)).await.expect(200);
    own.wait(seconds(599));
    let old = old.refreshed().await;
    own.wait(seconds(1));
    idle.refresh().await.problem(401, "invalid-refresh-token");
    let settings = json!({"settings": {"session_seconds": 601, "session_idle_seconds": 86400}});
    // The administrator's own token is of the time before the rule.
    own.signed_in(&ann.email).await.administer("PATCH", "/v1/tenant", Some(&settings)).await.expect(200);
    let old = old.refreshed().await;
    own.wait(seconds(1));
    old.refresh().await.problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn a_refresh_moves_a_session_to_another_tenant_of_its_user() {
    let (own, other) = (OwnAccounts::new().await, OwnTenant::new().await);
    let ann = own.person().await;
    let switch = async |token: &str, tenant: &str| {
        own.post("/v1/auth/refresh", &json!({"refresh_token": token, "tenant_id": tenant})).await
    };
    switch(&ann.refresh_token, &other.id).await.problem(403, "forbidden");
    // The refusal has not used the token.
    ann.join(&other.id, &["viewer"]).await;
    let there = switch(&ann.refresh_token, &other.id).await.expect(200).json();
    let told = claims(there["access_token"].as_str().unwrap());
    assert_eq!(
        (&told["tid"], &told["roles"], &told["sid"]),
        (&json!(other.id), &json!(["viewer"]), &json!(ann.session_id))
    );
    // It stays there until it is moved again.
    let there = refresh(&own, &token(&there)).await.expect(200).json();
    assert_eq!(there["tenant_id"], json!(other.id));
    let back = switch(&token(&there), &ann.tenant_id).await.expect(200).json();
    assert_eq!(claims(back["access_token"].as_str().unwrap())["roles"], json!(["owner"]));
}

#[tokio::test]
async fn a_repeated_refresh_has_the_roles_of_the_tenant_that_it_names() {
    let (own, other) = (OwnAccounts::new().await, OwnTenant::new().await);
    let ann = own.person().await;
    ann.join(&other.id, &["viewer"]).await;
    let ask = async |tenant: Option<&str>| {
        let mut body = json!({"refresh_token": ann.refresh_token});
        if let Some(tenant) = tenant {
            body["tenant_id"] = json!(tenant);
        }
        own.post("/v1/auth/refresh", &body).await.expect(200).json()
    };
    let successor = token(&ask(None).await);
    // Within the ten seconds, to and fro: never the one tenant with the other's roles.
    let places = [
        (Some(other.id.as_str()), &other.id, "viewer"),
        (None, &other.id, "viewer"),
        (Some(&ann.tenant_id), &ann.tenant_id, "owner"),
        (None, &ann.tenant_id, "owner"),
    ];
    for (asked, tenant, role) in places {
        let answer = ask(asked).await;
        assert_eq!((token(&answer), &answer["tenant_id"]), (successor.clone(), &json!(tenant)));
        let told = claims(answer["access_token"].as_str().unwrap());
        assert_eq!((&told["tid"], &told["roles"]), (&json!(tenant), &json!([role])));
    }
    refresh(&own, &successor).await.expect(200);
}

#[tokio::test]
async fn who_is_suspended_has_no_new_tokens_until_let_in_again() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    let set = async |status: &str| {
        tenant.patch(&tenant.owner, &member.path(), &json!({"status": status})).await.expect(200);
        tenant.wait(1);
    };
    set("suspended").await;
    tenant.refresh(&member).await.problem(403, "forbidden");
    set("active").await;
    let back = tenant.refreshed(&member).await;
    tenant.get(&back, "/v1/me").await.expect(200);
    tenant.delete(&tenant.owner, &member.path()).await.expect(204);
    tenant.refresh(&back).await.problem(403, "forbidden");
}

#[tokio::test]
async fn who_has_deleted_the_account_has_no_new_tokens() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let second = own.signed_in(&ann.email).await;
    ann.delete("/v1/me").await.expect(204);
    for person in [&ann, &second] {
        person.refresh().await.problem(401, "invalid-refresh-token");
    }
}

#[tokio::test]
async fn a_token_is_issued_as_of_before_what_it_rests_on_was_read() {
    // Whoever was taken something away meanwhile has no token that still has it: what is revoked at a moment ends all that
    // was issued until then.
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let first = ann.refresh().await.expect(200).json();
    own.wait(seconds(5));
    let again = ann.refresh().await.expect(200).json();
    let issued = |answer: &Value| claims(answer["access_token"].as_str().unwrap())["iat"].clone();
    assert_eq!(issued(&first), issued(&again));
    assert_eq!((&first["expires_in"], &again["expires_in"]), (&json!(600), &json!(595)));
}
