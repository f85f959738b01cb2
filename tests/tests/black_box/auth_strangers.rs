//! Strangers who know an address: what they see of it, leave in its account, and keep its owner from.

use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, fresh_email};
use tests::{eventually, stack};
use totp_rs::Totp;

use crate::own_accounts::{OwnAccounts, Person};
use crate::own_tenant::{OwnTenant, accounts, column};
use crate::resources::Subscriber;

/// A tenant that is open to sign-ups.
async fn open_tenant() -> OwnTenant {
    let tenant = OwnTenant::new().await;
    let settings = json!({"settings": {"sign_up": "open"}});
    tenant.patch(&tenant.owner, "/v1/tenant", &settings).await.expect(200);
    tenant
}

async fn signs_up(own: &OwnAccounts, email: &str, password: &str, further: &Value) {
    let mut body = json!({"email": email, "password": password});
    body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    own.post("/v1/auth/signup", &body).await.expect(202);
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_a_sign_up_before_the_address_is_proved() {
    let (own, tenant) = (OwnAccounts::new().await, open_tenant().await);
    let known = own.person().await;
    let (members, trail) = (column(&tenant.get(&tenant.owner, "/v1/users").await, "id"), tenant.audit().await);
    for email in [&fresh_email(), &known.email] {
        signs_up(&own, email, "the-strangers-choice", &json!({"tenant_id": tenant.id})).await;
        // A try to sign in is told to no tenant either.
        own.log_in(email, "the-strangers-choice").await.problem(401, "invalid-credentials");
        assert_eq!(column(&tenant.get(&tenant.owner, "/v1/users").await, "id"), members);
        assert_eq!(tenant.audit().await, trail);
    }
}

#[tokio::test]
async fn whose_address_a_stranger_signed_up_with_begins_in_a_tenant_of_their_own() {
    let (own, tenant) = (OwnAccounts::new().await, open_tenant().await);
    let theirs = json!({"tenant_id": tenant.id, "name": "Mallory"});
    let check = async |owner: &Person<'_>| {
        assert_ne!(owner.tenant_id, tenant.id);
        let me = owner.get("/v1/me").await.expect(200).json();
        assert_eq!(me["name"], json!(null));
        let members = owner.administer("GET", "/v1/users", None).await.expect(200);
        assert_eq!(
            (column(&members, "id"), &members.json()["data"][0]["roles"]),
            (vec![owner.id.clone()], &json!(["owner"]))
        );
        own.log_in(&owner.email, "the-strangers-choice").await.problem(401, "invalid-credentials");
    };

    // By another sign-up with the address.
    let email = fresh_email();
    signs_up(&own, &email, "the-strangers-choice", &theirs).await;
    own.mail(&email, "Confirm").await;
    own.sign_up(&email).await;
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    own.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
    let reset = json!({"token": own.mail(&email, "Reset").await.token(), "new_password": PASSWORD});
    own.post("/v1/auth/password/reset", &reset).await.expect(204);
    check(&own.signed_in(&email).await).await;

    // By a sign-in by mail.
    let email = fresh_email();
    signs_up(&own, &email, "the-strangers-choice", &theirs).await;
    own.mail(&email, "Confirm").await;
    own.post("/v1/auth/passwordless/start", &json!({"email": email})).await.expect(202);
    let link = json!({"ticket": own.mail(&email, "Sign in").await.token()});
    let answer = own.post("/v1/auth/passwordless/verify", &link).await.expect(200).json();
    check(&Person::of(&own, &email, &answer)).await;

    // By a new password.
    let email = fresh_email();
    signs_up(&own, &email, "the-strangers-choice", &theirs).await;
    own.mail(&email, "Confirm").await;
    own.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
    let reset = json!({"token": own.mail(&email, "Reset").await.token(), "new_password": PASSWORD});
    own.post("/v1/auth/password/reset", &reset).await.expect(204);
    check(&own.signed_in(&email).await).await;
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/users").await, "id"), [&*tenant.owner.id]);
}

#[tokio::test]
async fn a_tenant_that_closed_meanwhile_takes_in_nobody() {
    let (own, tenant) = (OwnAccounts::new().await, open_tenant().await);
    let email = fresh_email();
    signs_up(&own, &email, PASSWORD, &json!({"tenant_id": tenant.id})).await;
    tenant.wait(1);
    tenant.patch(&tenant.owner, "/v1/tenant", &json!({"settings": {"sign_up": "closed"}})).await.expect(200);
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    let person = own.signed_in(&email).await;
    assert_ne!(person.tenant_id, tenant.id);
    person.administer("GET", "/v1/users", None).await.expect(200);
}

#[tokio::test]
async fn a_stranger_who_uses_up_other_mails_does_not_keep_the_owner_from_a_new_password_or_a_link() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    let email = json!({"email": owner.email});
    let resend = async || own.post("/v1/auth/email/verify/resend", &email).await;
    for _ in 0..6 {
        resend().await.expect(202);
    }
    // One more was that of the owner.
    for _ in 0..5 {
        own.sign_up(&owner.email).await;
    }
    resend().await.problem(429, "rate-limited");
    own.move_away();
    own.mails(&owner.email).await;
    own.post("/v1/auth/password/forgot", &email).await.expect(202);
    own.mail(&owner.email, "Reset").await;
    own.post("/v1/auth/passwordless/start", &email).await.expect(202);
    let link = json!({"ticket": own.mail(&owner.email, "Sign in").await.token()});
    own.post("/v1/auth/passwordless/verify", &link).await.expect(200);
}

#[tokio::test]
async fn who_was_removed_from_the_only_tenant_gets_one_and_can_delete_the_account() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    tenant.delete(&tenant.owner, &member.path()).await.expect(204);
    tenant.wait(1);
    // To the tenant no more, but to one of their own, which stays.
    let body = json!({"email": member.email, "password": PASSWORD});
    let mut asked = body.clone();
    asked["tenant_id"] = json!(tenant.id);
    tenant.send("POST", "/v1/auth/login", "", Some(&asked)).await.problem(403, "forbidden");
    let again = tenant.send("POST", "/v1/auth/login", "", Some(&body)).await.expect(200).json();
    tenant.wait(1);
    let (token, own) = (again["access_token"].as_str().unwrap(), &again["tenant_id"]);
    assert_ne!(own, &json!(tenant.id));
    let me = tenant.send("GET", "/v1/me", token, None).await.expect(200).json();
    assert_eq!(me["id"], json!(member.id));
    let members = tenant.send("GET", "/v1/users", token, None).await.expect(200);
    assert_eq!(column(&members, "id"), [&*member.id]);
    assert_eq!(members.json()["data"][0]["roles"], json!(["owner"]));
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/users").await.expect(200), "id"), [&*tenant.owner.id]);
    let third = tenant.send("POST", "/v1/auth/login", "", Some(&body)).await.expect(200).json();
    assert_eq!(&third["tenant_id"], own);
    tenant.wait(1);
    tenant.send("DELETE", "/v1/me", third["access_token"].as_str().unwrap(), None).await.expect(204);
    assert!(accounts().user(&member.id.parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_tenant_learns_nothing_more_of_whom_it_removed() {
    let (own, tenant) = (OwnAccounts::new().await, open_tenant().await);
    let mut subscriber = Subscriber::of(&tenant.id.parse().unwrap()).await;
    let bob = own.person_with(json!({"tenant_id": tenant.id})).await;
    assert_eq!(bob.tenant_id, tenant.id);
    bob.refreshed().await.refreshed().await;
    tenant.wait(1);
    tenant.delete(&tenant.owner, &format!("/v1/users/{}", bob.id)).await.expect(204);
    let trail = tenant.audit().await;

    // Before the next sign-in there is no trail to be in, after it that of the tenant of their own.
    own.log_in(&bob.email, "wrong-and-long-enough").await.problem(401, "invalid-credentials");
    own.post("/v1/auth/password/forgot", &json!({"email": bob.email})).await.expect(202);
    // A token of the tenant is good for some seconds yet, and somebody may have a copy of a refresh token.
    bob.patch("/v1/me", &json!({"name": "Robert"})).await;
    bob.refresh().await.problem(401, "invalid-refresh-token");
    own.mails(&bob.email).await;
    own.wait(SignedDuration::from_secs(1));
    let again = own.signed_in(&bob.email).await;
    assert_ne!(again.tenant_id, tenant.id);
    let email = fresh_email();
    again.post("/v1/auth/email/change", &json!({"email": email})).await.expect(202);
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    own.log_in(&email, "wrong-and-long-enough").await.problem(401, "invalid-credentials");
    let change = json!({"current_password": PASSWORD, "new_password": "another-harbour-seventeen"});
    again.post("/v1/auth/password/change", &change).await.expect(204);

    assert_eq!(tenant.audit().await, trail);
    let told = again.audit().await;
    for action in ["tenant.created", "user.email_changed", "session.sign_in_failed", "password.changed"] {
        assert!(told.iter().any(|(known, _)| known == action), "{action} in {told:?}");
    }
    subscriber.await_event("member.removed", &bob.id).await;
    tenant.patch(&tenant.owner, "/v1/me", &json!({"name": "Last"})).await.expect(200);
    subscriber.await_event("user.updated", &tenant.owner.id).await;
    assert!(subscriber.about("user.updated", &bob.id).is_empty(), "{:?}", subscriber.events);
}

#[tokio::test]
async fn the_tenant_that_a_removed_member_gets_is_told_of_them() {
    let (own, tenant) = (OwnAccounts::new().await, open_tenant().await);
    let bob = own.person_with(json!({"tenant_id": tenant.id})).await;
    tenant.wait(1);
    tenant.delete(&tenant.owner, &format!("/v1/users/{}", bob.id)).await.expect(204);
    own.wait(SignedDuration::from_secs(1));
    let again = own.signed_in(&bob.email).await;
    let stored = accounts().user(&bob.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.home_tenant_id.to_string(), again.tenant_id);
    // Notes of that tenant are shared with users whom its services were told of.
    let database = sqlx::PgPool::connect(&stack().dev().database_url).await.unwrap();
    let known = "SELECT email FROM notes.users WHERE tenant = $1 AND id = $2";
    eventually("the user to be known in the new tenant", async || {
        let query = sqlx::query_scalar::<_, Option<String>>(known).bind(&again.tenant_id).bind(&bob.id);
        query.fetch_optional(&database).await.unwrap().flatten().filter(|email| *email == bob.email)
    })
    .await;
}

#[tokio::test]
async fn a_device_is_known_until_the_password_is_another() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    let try_from = async |device: &str, password: &str| {
        let body = json!({"email": owner.email, "password": password, "device_token": device});
        own.post("/v1/auth/login", &body).await
    };
    let fails = async |device: &str| {
        for _ in 0..6 {
            try_from(device, "wrong-and-long-enough").await.problem(401, "invalid-credentials");
        }
        try_from(device, PASSWORD).await.problem(429, "rate-limited");
    };
    fails("").await;
    own.move_away();
    // The device has a count of its own.
    try_from(&owner.device_token, PASSWORD).await.expect(200);
    own.wait(SignedDuration::from_hours(25));
    own.post("/v1/auth/password/forgot", &json!({"email": owner.email})).await.expect(202);
    let mails = own.mails(&owner.email).await;
    let token = mails.iter().find(|mail| mail.subject.contains("Reset")).unwrap().token();
    let reset = json!({"token": token, "new_password": "another-harbour-seventeen"});
    own.post("/v1/auth/password/reset", &reset).await.expect(204);
    own.move_away();
    for _ in 0..6 {
        try_from("", "wrong-and-long-enough").await.problem(401, "invalid-credentials");
    }
    // Whoever held the token with the earlier password is a stranger, and waits like the others.
    try_from(&owner.device_token, "another-harbour-seventeen").await.problem(429, "rate-limited");
}

#[tokio::test]
async fn a_wrong_code_of_a_mail_is_in_the_trail() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    let started = own.post("/v1/auth/passwordless/start", &json!({"email": owner.email})).await.expect(202).json();
    let mail = own.mail(&owner.email, "Sign in").await;
    let wrong = if mail.code() == "000000" { "111111" } else { "000000" };
    let body = json!({"ticket": started["ticket"], "code": wrong});
    own.post("/v1/auth/passwordless/verify", &body).await.problem(400, "invalid-one-time-token");
    let told = eventually("the try in the trail", || async {
        owner.trail().await.into_iter().find(|record| record["action"] == "session.sign_in_failed")
    })
    .await;
    assert_eq!((&told["target"], &told["detail"]), (&json!(owner.id), &json!("wrong code of a mail")));
}

#[tokio::test]
async fn a_mail_signs_in_once_by_its_link_or_by_its_code() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    for link_first in [true, false] {
        let started = own.post("/v1/auth/passwordless/start", &json!({"email": owner.email})).await.expect(202).json();
        let mail = own.mail(&owner.email, "Sign in").await;
        let link = json!({"ticket": mail.token()});
        let code = json!({"ticket": started["ticket"], "code": mail.code()});
        let (first, second) = if link_first { (link, code) } else { (code, link) };
        own.post("/v1/auth/passwordless/verify", &first).await.expect(200);
        own.post("/v1/auth/passwordless/verify", &second).await.problem(400, "invalid-one-time-token");
    }
}

/// An authenticator app of a person's.
async fn with_app(owner: &Person<'_>, own: &OwnAccounts) -> Totp {
    let begun = owner.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let app = Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
    owner.post("/v1/auth/factors/totp/confirm", &json!({"code": code(&app, own)})).await.expect(200);
    own.wait(SignedDuration::from_secs(60));
    app
}

fn code(app: &Totp, own: &OwnAccounts) -> String {
    app.generate(own.clock.now().as_second().unsigned_abs()).to_string()
}

#[tokio::test]
async fn a_log_in_that_waits_for_its_second_factor_ends_with_the_password() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    let app = with_app(&owner, &own).await;
    let asked = own.log_in(&owner.email, PASSWORD).await.expect(200).json();
    own.mails(&owner.email).await;
    own.post("/v1/auth/password/forgot", &json!({"email": owner.email})).await.expect(202);
    let token = own.mail(&owner.email, "Reset").await.token();
    let reset = json!({"token": token, "new_password": "another-harbour-seventeen"});
    own.post("/v1/auth/password/reset", &reset).await.expect(204);
    let body = json!({"ticket": asked["ticket"], "totp": code(&app, &own)});
    own.post("/v1/auth/second-factor", &body).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn who_knows_the_password_alone_does_not_keep_a_known_device_from_its_second_factor() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    let app = with_app(&owner, &own).await;
    let asked = own.log_in(&owner.email, PASSWORD).await.expect(200).json();
    let body = json!({"ticket": asked["ticket"], "totp": code(&app, &own)});
    let known = own.post("/v1/auth/second-factor", &body).await.expect(200).json();
    let device = known["device_token"].as_str().unwrap().to_owned();
    own.wait(SignedDuration::from_secs(60));
    let ticket = async |device: Option<&str>| {
        let mut body = json!({"email": owner.email, "password": PASSWORD});
        if let Some(device) = device {
            body["device_token"] = json!(device);
        }
        own.post("/v1/auth/login", &body).await.expect(200).json()["ticket"].as_str().unwrap().to_owned()
    };
    let prove = async |ticket: &str, code: &str| {
        own.post("/v1/auth/second-factor", &json!({"ticket": ticket, "totp": code})).await
    };
    let right = code(&app, &own);
    let wrong = if right == "000000" { "111111" } else { "000000" };
    for _ in 0..2 {
        let stolen = ticket(None).await;
        for _ in 0..3 {
            prove(&stolen, wrong).await.problem(401, "invalid-credentials");
        }
    }
    prove(&ticket(None).await, &right).await.problem(429, "rate-limited");
    // Whoever knew the password before the app was set up has such a token, too.
    prove(&ticket(Some(&owner.device_token)).await, &right).await.problem(429, "rate-limited");
    let known = ticket(Some(&device)).await;
    prove(&known, &right).await.expect(200);
}

#[tokio::test]
async fn tokens_of_devices_from_before_the_second_factor_have_one_count_of_its_tries() {
    let own = OwnAccounts::new().await;
    let owner = own.person().await;
    // Each sign-in by the password alone answers another one.
    let devices = [own.signed_in(&owner.email).await.device_token, own.signed_in(&owner.email).await.device_token];
    let app = with_app(&owner, &own).await;
    let right = code(&app, &own);
    let wrong = if right == "000000" { "111111" } else { "000000" };
    let mut statuses = Vec::new();
    for device in devices.iter().cycle().take(8) {
        let body = json!({"email": owner.email, "password": PASSWORD, "device_token": device});
        let asked = own.post("/v1/auth/login", &body).await.expect(200).json();
        let tried = own.post("/v1/auth/second-factor", &json!({"ticket": asked["ticket"], "totp": wrong})).await;
        statuses.push(tried.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn a_strangers_sign_up_does_not_keep_an_address_from_whom_it_belongs_to() {
    let own = OwnAccounts::new().await;
    let (ann, email) = (own.person().await, fresh_email());
    signs_up(&own, &email, "the-strangers-choice", &json!({"name": "Mallory"})).await;
    own.mail(&email, "Confirm").await;
    ann.post("/v1/auth/email/change", &json!({"email": email})).await.expect(202);
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    assert_eq!(ann.get("/v1/me").await.expect(200).json()["email"], email);
    assert_eq!(own.signed_in(&email).await.id, ann.id);
    own.log_in(&email, "the-strangers-choice").await.problem(401, "invalid-credentials");
}
