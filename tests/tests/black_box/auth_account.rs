//! One's own account: seen, edited, moved to another address, deleted.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::Answer;
use tests::account::{PASSWORD, fresh_email};

use crate::own_accounts::{OwnAccounts, Person};
use crate::own_tenant::accounts;
use crate::resources::Subscriber;

async fn with_tag(
    own: &OwnAccounts,
    person: &Person<'_>,
    method: &str,
    tag: (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let bearer = format!("Bearer {}", person.access_token);
    let body = body.map(ToString::to_string);
    own.call(method, "/v1/me", &[("authorization", &bearer), tag], body.as_deref()).await
}

/// Asks for another address.
async fn ask(person: &Person<'_>, email: &str) -> Answer {
    person.post("/v1/auth/email/change", &json!({"email": email})).await
}

/// The token by which the address becomes the user's.
async fn asked(own: &OwnAccounts, person: &Person<'_>, email: &str) -> String {
    assert_eq!(ask(person, email).await.expect(202).json(), json!({"status": "check_your_mail"}));
    own.mail(email, "Confirm").await.token()
}

#[tokio::test]
async fn a_user_edits_their_name_by_version() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let subscriber = Subscriber::of(&ann.tenant_id.parse().unwrap()).await;
    let seen = ann.get("/v1/me").await.expect(200);
    let tag = seen.header("etag").to_owned();
    with_tag(&own, &ann, "GET", ("if-none-match", &tag), None).await.expect(304);
    let edited =
        with_tag(&own, &ann, "PATCH", ("if-match", &tag), Some(&json!({"name": "Ann Example"}))).await.expect(200);
    assert_eq!(edited.json()["name"], "Ann Example");
    assert_ne!(edited.header("etag"), tag);
    with_tag(&own, &ann, "PATCH", ("if-match", &tag), Some(&json!({"name": "Eve"})))
        .await
        .problem(412, "precondition-failed");
    // A change that changes nothing is no version.
    let same = ann.patch("/v1/me", &json!({"name": "Ann Example"})).await.expect(200);
    assert_eq!(same.header("etag"), edited.header("etag"));
    assert_eq!(ann.get("/v1/me").await.header("etag"), edited.header("etag"));
    // Lists of members show it.
    let member = ann.administer("GET", &format!("/v1/users/{}", ann.id), None).await.expect(200).json();
    assert_eq!(member["name"], "Ann Example");
    let told = tokio::sync::Mutex::new(subscriber);
    let event = tests::eventually("the name to be told", || async {
        let mut subscriber = told.lock().await;
        subscriber.look().await;
        let events = subscriber.about("user.updated", &ann.id);
        // The proof of the address is told, too.
        events.into_iter().find(|event| event["data"]["name"] == "Ann Example").cloned()
    })
    .await;
    assert_eq!((&event["data"]["email"], &event["data"]["verified"]), (&json!(ann.email), &json!(true)));
    let nameless = ann.patch("/v1/me", &json!({"name": null})).await.expect(200);
    assert_eq!(nameless.json()["name"], json!(null));
    for (body, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"name": " Ann"}), "/name"),
        (json!({"name": "x".repeat(101)}), "/name"),
        (json!({"name": "\u{202e}nnA"}), "/name"),
        (json!({"name": 1}), "/name"),
        (json!({"email": "eve@example.com"}), "/email"),
        (json!({"nmae": "Ann"}), "/nmae"),
    ] {
        let problem = ann.patch("/v1/me", &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_at_once_are_all_done_and_of_those_that_name_a_version_one() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let bodies: Vec<_> = (0..5).map(|number| json!({"name": format!("Ann {number}")})).collect();
    for answer in join_all(bodies.iter().map(|body| ann.patch("/v1/me", body))).await {
        answer.expect(200);
    }
    let tag = ann.get("/v1/me").await.header("etag").to_owned();
    let bodies: Vec<_> = (5..10).map(|number| json!({"name": format!("Ann {number}")})).collect();
    let edits = bodies.iter().map(|body| with_tag(&own, &ann, "PATCH", ("if-match", &tag), Some(body)));
    let mut statuses: Vec<_> = join_all(edits).await.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412]);
    let shown = ann.get("/v1/me").await.json()["name"].clone();
    let member = ann.administer("GET", &format!("/v1/users/{}", ann.id), None).await.expect(200).json();
    assert_eq!(member["name"], shown);
}

#[tokio::test]
async fn a_deleted_account_is_gone_at_once_and_its_address_is_free() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let mut subscriber = Subscriber::of(&ann.tenant_id.parse().unwrap()).await;
    let other = own.signed_in(&ann.email).await;
    with_tag(&own, &ann, "DELETE", ("if-match", "\"another\""), None).await.problem(412, "precondition-failed");
    ann.delete("/v1/me").await.expect(204);
    for person in [&ann, &other] {
        person.delete("/v1/me").await.problem(401, "unauthenticated");
        person.refresh().await.problem(401, "invalid-refresh-token");
    }
    own.wait(SignedDuration::from_secs(30));
    other.get("/v1/me").await.problem(401, "unauthenticated");
    own.log_in(&ann.email, PASSWORD).await.problem(401, "invalid-credentials");
    let told = own.mail(&ann.email, "account was deleted").await;
    assert!(!told.text.contains("Hello") && told.text.contains("somebody else could"), "{}", told.text);
    let event = subscriber.await_event("user.deleted", &ann.id).await;
    assert_eq!(event["data"], json!({"user_id": ann.id, "tenant_ids": [ann.tenant_id]}));
    own.sign_up(&ann.email).await;
    own.verify(&own.mail(&ann.email, "Confirm").await.token()).await.expect(200);
    let again = own.signed_in(&ann.email).await;
    assert!(again.id != ann.id && again.tenant_id != ann.tenant_id);
}

#[tokio::test]
async fn what_matters_most_needs_a_recent_sign_in() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.wait(SignedDuration::from_mins(14));
    let ann = ann.refreshed().await;
    own.wait(SignedDuration::from_secs(61));
    ann.delete("/v1/me").await.problem(401, "step-up-required");
    ask(&ann, &fresh_email()).await.problem(401, "step-up-required");
    let answer = ann.post("/v1/auth/step-up", &json!({"password": PASSWORD})).await.expect(200).json();
    let token = answer["access_token"].as_str().unwrap();
    own.send("DELETE", "/v1/me", token, None).await.expect(204);
}

#[tokio::test]
async fn the_last_owner_of_a_tenant_with_members_stays() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    ben.join(&ann.tenant_id, &["member"]).await;
    ann.delete("/v1/me").await.problem(409, "last-owner");
    ann.get("/v1/me").await.expect(200);
    own.signed_in(&ann.email).await;
    let path = format!("/v1/users/{}", ben.id);
    ann.administer("PATCH", &path, Some(&json!({"roles": ["owner"]}))).await.expect(200);
    ann.delete("/v1/me").await.expect(204);
    // Who is the owner now cannot go either while another is there.
    let eve = own.person().await;
    eve.join(&ann.tenant_id, &["viewer"]).await;
    own.signed_in(&ben.email).await.delete("/v1/me").await.problem(409, "last-owner");
    eve.delete("/v1/me").await.expect(204);
    own.signed_in(&ben.email).await.delete("/v1/me").await.expect(204);
}

#[tokio::test]
async fn a_tenant_that_its_last_member_left_counts_its_next_owner_as_the_first() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    ann.delete("/v1/me").await.expect(204);
    let admin = own.instance("auth.admin").await;
    let email = fresh_email();
    let event = json!({"email": email, "password": PASSWORD, "tenant_id": ann.tenant_id});
    admin.invoke(&event).await.unwrap();
    let ben = own.signed_in(&email).await;
    assert_eq!(ben.tenant_id, ann.tenant_id);
    let path = format!("/v1/users/{}", ben.id);
    ben.administer("PATCH", &path, Some(&json!({"roles": ["viewer"]}))).await.problem(409, "last-owner");
}

#[tokio::test]
async fn an_address_is_changed_when_the_new_one_is_proved() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let new = fresh_email();
    let token = asked(&own, &ann, &new).await;
    // Until then all stays as it is.
    assert_eq!(ann.get("/v1/me").await.json()["email"], json!(ann.email));
    own.log_in(&new, PASSWORD).await.problem(401, "invalid-credentials");
    assert_eq!(own.verify(&token).await.expect(200).json()["email"], json!(new));
    own.verify(&token).await.problem(400, "invalid-one-time-token");
    let told = own.mail(&ann.email, "address").await;
    assert!(!told.text.contains(&new), "the old mailbox may be somebody else's by now: {}", told.text);
    assert_eq!(ann.get("/v1/me").await.json()["email"], json!(new));
    let member = ann.administer("GET", &format!("/v1/users/{}", ann.id), None).await.expect(200).json();
    assert_eq!(member["email"], json!(new));
    own.log_in(&ann.email, PASSWORD).await.problem(401, "invalid-credentials");
    assert_eq!(own.signed_in(&new).await.id, ann.id);
    assert!(ann.audit().await.contains(&("user.email_changed".to_owned(), String::new())));
    // The old address is free for whoever has it.
    own.sign_up(&ann.email).await;
    own.verify(&own.mail(&ann.email, "Confirm").await.token()).await.expect(200);
    assert_ne!(own.signed_in(&ann.email).await.id, ann.id);
}

#[tokio::test]
async fn a_change_is_asked_for_by_code_as_well() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let new = fresh_email();
    ask(&ann, &new).await.expect(202);
    let code = own.mail(&new, "Confirm").await.code();
    own.post("/v1/auth/email/verify", &json!({"email": new, "code": code})).await.expect(200);
    assert_eq!(own.signed_in(&new).await.id, ann.id);
}

#[tokio::test]
async fn an_address_that_has_an_account_is_not_taken_and_not_told_of() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    assert_eq!(ask(&ann, &ben.email).await.expect(202).json(), json!({"status": "check_your_mail"}));
    let mail = own.mail(&ben.email, "already have an account").await;
    assert!(!mail.text.contains("tf_ot_"), "{}", mail.text);
    let problem = ask(&ann, &ann.email.to_uppercase()).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/email");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_users_who_want_one_address_one_gets_it() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    let new = fresh_email();
    let tokens = [asked(&own, &ann, &new).await, asked(&own, &ben, &new).await];
    let answers = join_all(tokens.iter().map(|token| own.verify(token))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let (winner, loser) = if answers[0].status == 200 { (&ann, &ben) } else { (&ben, &ann) };
    assert_eq!(own.signed_in(&new).await.id, winner.id);
    // Whoever lost keeps the address that was theirs.
    assert_eq!(own.signed_in(&loser.email).await.id, loser.id);
    let owner = accounts().user_by_email(&loser.email.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(owner.id.to_string(), loser.id);
}

/// Whoever had somebody else's account for a while leaves nothing behind by which it comes back to them.
#[tokio::test]
async fn a_change_that_was_asked_for_ends_with_the_session_that_asked() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    for way_out in ["logout", "logout-all", "reset"] {
        own.wait(SignedDuration::from_hours(1));
        let thief = own.signed_in(&ann.email).await;
        let theirs = fresh_email();
        let token = asked(&own, &thief, &theirs).await;
        if way_out == "reset" {
            own.post("/v1/auth/password/forgot", &json!({"email": ann.email})).await.expect(202);
            let mails = own.mails(&ann.email).await;
            let reset = mails.iter().find(|mail| mail.subject.contains("Reset")).unwrap().token();
            let body = json!({"token": reset, "new_password": "another-harbour-seventeen"});
            own.post("/v1/auth/password/reset", &body).await.expect(204);
        } else {
            thief.post(&format!("/v1/auth/{way_out}"), &json!({})).await.expect(204);
        }
        own.verify(&token).await.problem(400, "invalid-one-time-token");
    }
    let answer = own.log_in(&ann.email, "another-harbour-seventeen").await.expect(200).json();
    assert_eq!(answer["user"]["email"], json!(ann.email));
}

#[tokio::test]
async fn a_mail_to_an_address_that_the_user_has_left_moves_nothing_back() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    let mail = own.mail(&email, "Confirm").await;
    // Proved by the code, so that the link was not used.
    own.post("/v1/auth/email/verify", &json!({"email": email, "code": mail.code()})).await.expect(200);
    let ann = own.signed_in(&email).await;
    let (mistyped, right) = (fresh_email(), fresh_email());
    let strangers = asked(&own, &ann, &mistyped).await;
    let token = asked(&own, &ann, &right).await;
    own.verify(&token).await.expect(200);
    for old in [mail.token(), strangers] {
        own.verify(&old).await.problem(400, "invalid-one-time-token");
    }
    assert_eq!(ann.get("/v1/me").await.json()["email"], json!(right));
}

#[tokio::test]
async fn a_link_to_sign_in_does_not_outlive_the_address_it_went_to() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202);
    let link = own.mail(&ann.email, "Sign in").await.token();
    let new = fresh_email();
    own.verify(&asked(&own, &ann, &new).await).await.expect(200);
    own.post("/v1/auth/passwordless/verify", &json!({"ticket": link})).await.problem(400, "invalid-one-time-token");
}
