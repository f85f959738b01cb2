//! Where a user is signed in, and how that ends.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::PASSWORD;
use tests::{Instance, Tenant};

use crate::own_accounts::{OwnAccounts, Person, claims};

async fn list(person: &Person<'_>) -> Vec<Value> {
    let page = person.get("/v1/auth/sessions").await.expect(200).json();
    assert_eq!((&page["next_cursor"], &page["has_more"]), (&json!(null), &json!(false)));
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_user_sees_where_they_are_signed_in() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.wait(SignedDuration::from_secs(60));
    let body = json!({"email": ann.email, "password": PASSWORD}).to_string();
    let agent = format!("Mozilla/5.0\t (iPhone) {}", "x".repeat(300));
    let answer = own.call("POST", "/v1/auth/login", &[("user-agent", &agent)], Some(&body)).await.expect(200).json();
    let phone = Person::of(&own, &ann.email, &answer);
    own.wait(SignedDuration::from_secs(60));
    let ann = ann.refreshed().await;

    let sessions = list(&ann).await;
    assert_eq!(sessions.len(), 2);
    // The one used last comes first.
    assert_eq!((&sessions[0]["id"], &sessions[0]["current"]), (&json!(ann.session_id), &json!(true)));
    assert_eq!((&sessions[1]["id"], &sessions[1]["current"]), (&json!(phone.session_id), &json!(false)));
    assert!(sessions[0]["last_used_at"].as_str() > sessions[0]["created_at"].as_str());
    assert_eq!(sessions[1]["last_used_at"], sessions[1]["created_at"]);
    let shown = sessions[1]["user_agent"].as_str().unwrap();
    assert!(shown.starts_with("Mozilla/5.0 (iPhone) xxx") && shown.len() == 200, "{shown}");
    assert_eq!(sessions[0]["user_agent"], json!(null));
    for session in &sessions {
        let network = session["network"].as_str().unwrap();
        assert!(
            network.starts_with("10.") && network.ends_with(".0/24"),
            "the network, and not the address: {network}"
        );
        assert_eq!((&session["methods"], &session["tenant_id"]), (&json!(["pwd"]), &json!(ann.tenant_id)));
    }
    let text = serde_json::to_string(&sessions).unwrap();
    assert!(!text.contains("salt") && !text.contains("family") && !text.contains("revision"), "{text}");
}

#[tokio::test]
async fn a_user_ends_one_of_their_sessions() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    let other = own.signed_in(&ann.email).await;
    let path = |id: &str| format!("/v1/auth/sessions/{id}");
    // What belongs to another, is of another kind or was never there is not there.
    for id in [ben.session_id.as_str(), "session_01k9z4n2y6e0qv3m8t5w7x9abc", &ann.id, "x", "%00", "session_"] {
        ann.delete(&path(id)).await.problem(404, "not-found");
    }
    ann.delete(&path(&other.session_id)).await.expect(204);
    ann.delete(&path(&other.session_id)).await.problem(404, "not-found");
    other.refresh().await.problem(401, "invalid-refresh-token");
    other.delete("/v1/me").await.problem(401, "unauthenticated");
    let remaining: Vec<_> = list(&ann).await.iter().map(|session| session["id"].clone()).collect();
    assert_eq!(remaining, [json!(ann.session_id)]);
    let revoked = ann.audit().await.into_iter().find(|(action, _)| action == "session.revoked").unwrap();
    assert_eq!(revoked.1, other.session_id);
    ben.get("/v1/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_requests_at_once_one_ends_a_session() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let other = own.signed_in(&ann.email).await;
    let path = format!("/v1/auth/sessions/{}", other.session_id);
    let answers = join_all((0..5).map(|_| ann.delete(&path))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404, 404, 404, 404]);
    assert_eq!(ann.audit().await.iter().filter(|(action, _)| action == "session.revoked").count(), 1);
}

#[tokio::test]
async fn a_log_out_ends_this_session_and_no_other() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let other = own.signed_in(&ann.email).await;
    ann.post("/v1/auth/logout", &json!({})).await.expect(204);
    ann.refresh().await.problem(401, "invalid-refresh-token");
    ann.delete("/v1/me").await.problem(401, "unauthenticated");
    let other = other.refreshed().await;
    let signed_out = other.audit().await.into_iter().find(|(action, _)| action == "session.signed_out").unwrap();
    assert_eq!(signed_out.1, ann.session_id);
}

#[tokio::test]
async fn a_log_out_everywhere_ends_all_sessions() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    let others = [own.signed_in(&ann.email).await, own.signed_in(&ann.email).await];
    others[0].post("/v1/auth/logout-all", &json!({})).await.expect(204);
    for person in others.iter().chain([&ann]) {
        person.refresh().await.problem(401, "invalid-refresh-token");
        person.delete("/v1/me").await.problem(401, "unauthenticated");
    }
    ben.refresh().await.expect(200);
    let again = own.signed_in(&ann.email).await;
    again.get("/v1/me").await.expect(200);
    let records = again.trail().await;
    let signed_out = records.iter().find(|record| record["action"] == "session.signed_out").unwrap();
    assert_eq!(signed_out["detail"], "3 sessions");
}

#[tokio::test]
async fn the_tokens_of_an_ended_session_are_refused_by_other_services_within_half_a_minute() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let links = Instance::with(&links::SERVICE, "links.api", own.clock.clone(), |environment| environment).await;
    let bearer = format!("Bearer {}", ann.access_token);
    let ask = async || links.http("GET", "/v1/links", &[("authorization", &bearer)], None).await;
    ask().await.expect(200);
    ann.post("/v1/auth/logout", &json!({})).await.expect(204);
    own.wait(SignedDuration::from_secs(30));
    ask().await.problem(401, "unauthenticated");
    // Nor later, until it would have ended anyway.
    own.wait(SignedDuration::from_secs(500));
    ask().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn sessions_are_for_users() {
    let own = OwnAccounts::new().await;
    let key = Tenant::new().await.api_key;
    for (method, path) in [
        ("GET", "/v1/auth/sessions"),
        ("POST", "/v1/auth/logout"),
        ("POST", "/v1/auth/logout-all"),
        ("DELETE", "/v1/auth/sessions/session_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("GET", "/v1/me"),
        ("DELETE", "/v1/me"),
    ] {
        own.send(method, path, &key, None).await.problem(403, "forbidden");
        own.send(method, path, "", None).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_user_has_thirty_sessions_and_the_one_unused_the_longest_gives_way() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.wait(SignedDuration::from_secs(1));
    let second = own.signed_in(&ann.email).await;
    for _ in 2..30 {
        own.wait(SignedDuration::from_secs(2));
        own.signed_in(&ann.email).await;
    }
    assert_eq!(ann.sessions().await.len(), 30);
    let ann = ann.refreshed().await;
    own.wait(SignedDuration::from_secs(1));
    let newest = own.signed_in(&ann.email).await;
    assert_eq!(ann.sessions().await.len(), 30);
    second.refresh().await.problem(401, "invalid-refresh-token");
    second.delete("/v1/me").await.problem(401, "unauthenticated");
    ann.get("/v1/me").await.expect(200);
    assert_eq!(list(&newest).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_log_in_at_once_the_bound_comes_back_and_all_can_be_ended() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    for _ in 1..29 {
        own.wait(SignedDuration::from_secs(2));
        own.signed_in(&ann.email).await;
    }
    // By links, for which nobody waits. Each address is asked for six mails at once.
    let mut links = Vec::new();
    for _ in 0..2 {
        own.move_away();
        own.wait(SignedDuration::from_hours(1));
        for _ in 0..6 {
            own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202);
        }
        if links.is_empty() {
            own.mails(&ann.email).await;
        }
        links = own.mails(&ann.email).await;
    }
    let tokens: Vec<_> = links.iter().map(tests::account::SentMail::token).collect();
    let verify = |token: String| {
        let own = &own;
        async move { own.post("/v1/auth/passwordless/verify", &json!({"ticket": token})).await }
    };
    let answers = join_all(tokens.into_iter().map(verify)).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let newest = own.signed_in(&ann.email).await;
    assert!(newest.sessions().await.len() <= 30);
    assert_eq!(claims(&newest.access_token)["sid"], json!(newest.session_id));
    newest.post("/v1/auth/logout-all", &json!({})).await.expect(204);
    assert!(newest.sessions().await.is_empty());
}
