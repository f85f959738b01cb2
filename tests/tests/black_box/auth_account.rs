//! One's own account: seen, edited, moved to another address, deleted.

use std::sync::{Arc, Mutex};

use auth::store::WriteError;
use auth::tenant::SignUp;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email};
use tests::{Answer, FaultProxy, Instance};

use crate::own_accounts::{OwnAccounts, Person, join};
use crate::own_oauth::{FORM, encoded};
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
        (json!({"name": " "}), "/name"),
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

/// Whoever reads what an API key may read; and a machine, by its token.
struct Programs {
    links: Instance,
    users: Instance,
    oauth: Instance,
}

impl Programs {
    async fn new(own: &OwnAccounts) -> Self {
        Self {
            links: Instance::with(&links::SERVICE, "links.api", own.clock.clone(), |environment| environment).await,
            users: own.instance("auth.users").await,
            oauth: own.instance("auth.oauth").await,
        }
    }

    async fn read(&self, credential: &str) -> u16 {
        let bearer = format!("Bearer {credential}");
        self.links.http("GET", "/v1/links", &[("authorization", &bearer)], None).await.status.as_u16()
    }

    /// Asks a route that is sensitive.
    async fn make_key(&self, credential: &str) -> Answer {
        let bearer = format!("Bearer {credential}");
        let body = json!({"name": "x", "scopes": ["links:read", "api_keys:write"]});
        self.users.http("POST", "/v1/api-keys", &[("authorization", &bearer)], Some(&body)).await
    }

    async fn token(&self, client: &Value) -> Answer {
        let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        let headers = [("content-type", FORM)];
        let event = tests::http_event("POST", "/oauth/token", &headers, Some(&encoded(&form)));
        self.oauth.http_in(&event, lambda_runtime::Context::default()).await
    }
}

#[tokio::test]
async fn what_programs_have_of_a_tenant_ends_with_its_last_member() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let programs = Programs::new(&own).await;
    let listed = programs.make_key(&ann.access_token).await.expect(201).json()["api_key"].as_str().unwrap().to_owned();
    // One that whoever runs the deployment has made is in no list.
    let platform = Instance::with(&platform::SERVICE, "platform.keys", own.clock.clone(), |environment| environment);
    let made = platform.await.invoke(&json!({"name": "x", "tenant_id": ann.tenant_id})).await.unwrap();
    let unlisted = made["api_key"].as_str().unwrap().to_owned();
    let body = json!({"name": "x", "scopes": ["links:read"]});
    let client = ann.administer("POST", "/v1/oauth-clients", Some(&body)).await.expect(201).json();
    let client = json!({"client_id": client["id"], "client_secret": client["client_secret"]});
    let token = programs.token(&client).await.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let credentials = [listed.as_str(), &unlisted, &token];
    for credential in credentials {
        assert_eq!(programs.read(credential).await, 200);
    }

    own.wait(SignedDuration::from_secs(1));
    ann.delete("/v1/me").await.expect(204);
    for key in [&listed, &unlisted] {
        programs.make_key(key).await.problem(401, "unauthenticated");
    }
    programs.token(&client).await.expect(401);
    own.wait(SignedDuration::from_secs(30));
    for credential in credentials {
        assert_eq!(programs.read(credential).await, 401);
    }
    // For good, and for whoever begins the tenant again.
    own.wait(SignedDuration::from_hours(1));
    let email = fresh_email();
    let event = json!({"email": email, "password": PASSWORD, "tenant_id": ann.tenant_id});
    own.instance("auth.admin").await.invoke(&event).await.unwrap();
    let ben = own.signed_in(&email).await;
    assert_eq!(ben.tenant_id, ann.tenant_id);
    let new = programs.make_key(&ben.access_token).await.expect(201).json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(programs.read(&new).await, 200);
    for credential in credentials {
        assert_eq!(programs.read(credential).await, 401);
    }
    programs.token(&client).await.expect(401);
}

#[tokio::test]
async fn the_programs_of_a_tenant_with_members_go_on_when_one_leaves() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    ben.join(&ann.tenant_id, &["owner"]).await;
    let programs = Programs::new(&own).await;
    let key = programs.make_key(&ann.access_token).await.expect(201).json()["api_key"].as_str().unwrap().to_owned();
    ann.delete("/v1/me").await.expect(204);
    own.wait(SignedDuration::from_secs(30));
    assert_eq!(programs.read(&key).await, 200);
    programs.make_key(&key).await.expect(201);
}

/// Whoever joins as the last member leaves, by either's write being the first, has a tenant with an owner or none at all.
#[tokio::test]
async fn nobody_joins_a_tenant_at_the_moment_that_it_ends() {
    let joins: Arc<Mutex<Option<(String, String)>>> = Arc::default();
    let next = joins.clone();
    let proxy = FaultProxy::start(move |operation| {
        if operation == "TransactWriteItems"
            && let Some((user, tenant)) = next.lock().unwrap().take()
        {
            // The deletion has read who the members are, and another one is there before it writes.
            let join = async move { join(&user, &tenant, &["member"]).await.unwrap() };
            let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(join);
            std::thread::spawn(run).join().unwrap();
        }
        None
    })
    .await;
    let own = OwnAccounts::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let (ann, ben, eve) = (own.person().await, own.person().await, own.person().await);
    let open = json!({"settings": {"sign_up": "open"}});
    ann.administer("PATCH", "/v1/tenant", Some(&open)).await.expect(200);

    *joins.lock().unwrap() = Some((ben.id.clone(), ann.tenant_id.clone()));
    ann.delete("/v1/me").await.problem(409, "conflict");
    assert!(joins.lock().unwrap().is_none());
    ann.delete("/v1/me").await.problem(409, "last-owner");
    ann.get("/v1/me").await.expect(200);

    ben.delete("/v1/me").await.expect(204);
    ann.delete("/v1/me").await.expect(204);
    let tenant = accounts().tenant(&ann.tenant_id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(tenant.settings.sign_up, SignUp::Closed);
    // Whoever has read it before comes too late.
    let late = join(&eve.id, &ann.tenant_id, &["member"]).await;
    assert!(matches!(late, Err(WriteError::Conflict)), "{late:?}");
    let body = json!({"email": fresh_email(), "password": PASSWORD, "tenant_id": ann.tenant_id});
    own.post("/v1/auth/signup", &body).await.problem(422, "validation");
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
    let mail = own.mail(&ben.email, "wants to use your address").await;
    assert!(!mail.text.contains("tf_ot_") && !mail.text.contains("sign up"), "{}", mail.text);
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
