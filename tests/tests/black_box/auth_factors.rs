//! Second factors: the authenticator app, recovery codes, and proving oneself again.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use shared::identity::access::{Access, Needs};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, mail_to};
use tests::{Fault, FaultProxy, openapi, stack};

use crate::own_auth::{App, OwnAuth, Person, count};
use crate::resources::aws;

#[tokio::test]
async fn an_authenticator_app_is_the_second_step_of_a_log_in_once_it_is_set_up() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let begun = ann.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    assert!(begun["qr_svg"].as_str().is_some_and(|svg| svg.contains("<svg")), "{begun}");
    assert!(begun["otpauth_uri"].as_str().unwrap().contains(begun["secret"].as_str().unwrap()));
    // Begun is not set up.
    Person::of(&auth, &ann.email, &auth.log_in(&ann.email).await.expect(200).json());

    let app = App::scan(&auth, begun["otpauth_uri"].as_str().unwrap());
    let confirmation = json!({"code": app.code()});
    let confirmed = ann.post("/v1/auth/factors/totp/confirm", &confirmation).await.expect(200).json();
    assert_eq!(confirmed["recovery_codes"].as_array().map(Vec::len), Some(10), "{confirmed}");
    assert_eq!(ann.get("/v1/me").await.expect(200).json()["totp"], true);

    let asked = auth.log_in(&ann.email).await.expect(200).json();
    assert_eq!(asked["factors"], json!(["totp", "recovery_code"]), "{asked}");
    assert!(asked.get("access_token").is_none(), "{asked}");
    let ticket = asked["ticket"].as_str().unwrap();
    let signed_in = ann.prove(ticket, "totp", &app.next_code()).await.expect(200).json();
    let ann = Person::of(&auth, &ann.email, &signed_in);
    assert_eq!(ann.methods().await, json!(["pwd", "otp", "mfa"]));
    ann.get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_code_is_right_one_step_early_and_one_step_late() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (app, _) = ann.with_app().await;
    auth.wait(SignedDuration::from_mins(10));
    for (offset, status) in [(-60, 401), (60, 401), (-30, 200), (30, 200)] {
        let ticket = ann.second_factor_ticket().await;
        let answer = ann.prove(&ticket, "totp", &app.code_after(offset)).await;
        assert_eq!(answer.status.as_u16(), status, "{offset}: {answer:?}");
    }
}

#[tokio::test]
async fn a_code_is_used_once() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (app, _) = ann.with_app().await;
    // The one that set the app up counts.
    let ticket = ann.second_factor_ticket().await;
    ann.prove(&ticket, "totp", &app.code()).await.problem(401, "invalid-credentials");
    let code = app.next_code();
    ann.prove(&ticket, "totp", &code).await.expect(200);
    // Nor does it open anything beside the ticket that it was used with, which is used up with it.
    ann.prove(&ticket, "totp", &app.next_code()).await.problem(400, "invalid-one-time-token");
    let ticket = ann.second_factor_ticket().await;
    ann.prove(&ticket, "totp", &code).await.problem(401, "invalid-credentials");
}

#[tokio::test]
async fn of_parallel_uses_of_a_code_one_wins() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (app, _) = ann.with_app().await;
    let tickets =
        [ann.second_factor_ticket().await, ann.second_factor_ticket().await, ann.second_factor_ticket().await];
    let code = app.next_code();
    let answers = join_all(tickets.iter().map(|ticket| ann.prove(ticket, "totp", &code))).await;
    assert_eq!(count(&answers, StatusCode::OK), 1, "{answers:?}");
}

#[tokio::test]
async fn a_ticket_is_good_for_five_tries_and_each_user_for_some_before_the_tries_slow_down() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (app, _) = ann.with_app().await;
    let ticket = ann.second_factor_ticket().await;
    for _ in 0..5 {
        ann.prove(&ticket, "totp", &app.wrong_code()).await.problem(401, "invalid-credentials");
    }
    ann.prove(&ticket, "totp", &app.next_code()).await.problem(400, "invalid-one-time-token");

    let ticket = ann.second_factor_ticket().await;
    let slowed = ann.prove(&ticket, "totp", &app.code()).await;
    assert!(slowed.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=2).contains(&seconds)), "{slowed:?}");
    slowed.problem(429, "rate-limited");
    // Whoever waits is let in, and the tries are forgotten.
    ann.prove(&ticket, "totp", &app.next_code()).await.expect(200);
    let ticket = ann.second_factor_ticket().await;
    for _ in 0..4 {
        ann.prove(&ticket, "totp", &app.wrong_code()).await.problem(401, "invalid-credentials");
    }
}

#[tokio::test]
async fn a_ticket_of_a_log_in_is_good_for_five_minutes() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (app, _) = ann.with_app().await;
    let ticket = ann.second_factor_ticket().await;
    auth.wait(SignedDuration::from_mins(5));
    ann.prove(&ticket, "totp", &app.next_code()).await.problem(400, "invalid-one-time-token");
    for ticket in ["", "tf_ot_", &ticket.replace("tf_ot_", "tf_ot_A"), "\0\u{202e}"] {
        ann.prove(ticket, "totp", &app.code()).await.problem(400, "invalid-one-time-token");
    }
}

#[tokio::test]
async fn exactly_one_factor_is_offered() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    ann.with_app().await;
    let ticket = ann.second_factor_ticket().await;
    for (body, pointer) in [
        (json!({"ticket": ticket}), "/totp"),
        (json!({"ticket": ticket, "totp": "1", "recovery_code": "2"}), ""),
        (json!({"ticket": ticket, "totp": 287_082}), "/totp"),
        (json!({"ticket": ticket, "otp": "287082"}), "/otp"),
        (json!({"totp": "287082"}), "/ticket"),
        (json!({"ticket": ticket, "passkey": {"ticket": "x", "credential": {}}}), "/passkey/credential/id"),
    ] {
        let problem = auth.post("/v1/auth/second-factor", &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn an_app_is_confirmed_in_time_by_a_right_code_and_set_up_once() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let confirm = |code: String| json!({"code": code});
    ann.post("/v1/auth/factors/totp/confirm", &confirm("287082".to_owned())).await.problem(409, "conflict");
    let begin = async || {
        let begun = ann.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
        App::scan(&auth, begun["otpauth_uri"].as_str().unwrap())
    };
    // A second beginning replaces the first.
    let (first, second) = (begin().await, begin().await);
    ann.post("/v1/auth/factors/totp/confirm", &confirm(first.code())).await.problem(400, "invalid-one-time-token");
    ann.post("/v1/auth/factors/totp/confirm", &confirm(second.code())).await.expect(200);
    ann.post("/v1/auth/factors/totp/confirm", &confirm(second.next_code())).await.problem(409, "conflict");

    let mut ben = auth.person().await;
    let enrolment = ben.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let app = App::scan(&auth, enrolment["otpauth_uri"].as_str().unwrap());
    auth.wait(SignedDuration::from_mins(15));
    ben.refresh().await;
    ben.step_up(&json!({"password": PASSWORD})).await;
    ben.post("/v1/auth/factors/totp/confirm", &confirm(app.code())).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_new_password_by_mail_leaves_the_second_factor_in_place() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (app, _) = ann.with_app().await;
    auth.post("/v1/auth/password/forgot", &json!({"email": ann.email})).await.expect(202);
    let token = mail_to(&ann.email, "Reset").await.token();
    let new = "another-harbour-seventeen";
    let answer = auth.post("/v1/auth/password/reset", &json!({"token": token, "new_password": new})).await.expect(204);
    assert!(answer.body.is_empty(), "it signs nobody in");
    let log_in = json!({"email": ann.email, "password": new});
    let asked = auth.post("/v1/auth/login", &log_in).await.expect(200).json();
    assert_eq!(asked["status"], "second_factor_required", "{asked}");
    ann.prove(asked["ticket"].as_str().unwrap(), "totp", &app.next_code()).await.expect(200);
}

#[tokio::test]
async fn the_secret_of_an_app_is_stored_sealed_and_for_its_user_alone() {
    let auth = OwnAuth::new().await;
    let (ann, ben) = (auth.person().await, auth.person().await);
    let begun = ann.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let pending = stored(&ann, "totp_pending").await;
    let app = App::scan(&auth, begun["otpauth_uri"].as_str().unwrap());
    ann.post("/v1/auth/factors/totp/confirm", &json!({"code": app.code()})).await.expect(200);
    let set_up = stored(&ann, "totp").await;
    let sealed = set_up["secret"].as_s().unwrap();
    for item in [&pending, &set_up] {
        assert!(!format!("{item:?}").contains(begun["secret"].as_str().unwrap()), "{item:?}");
    }
    // A nonce, 20 octets and a tag.
    assert_eq!(URL_SAFE_NO_PAD.decode(sealed).unwrap().len(), 12 + 20 + 16);

    // Whoever writes to the table does not exchange it for one whose codes they know.
    let (bens, recovery) = ben.with_app().await;
    let mut item = stored(&ben, "totp").await;
    item.insert("secret".to_owned(), AttributeValue::S(sealed.clone()));
    aws().dynamo.put_item().table_name(table()).set_item(Some(item)).send().await.unwrap();
    for code in [app.next_code(), bens.code()] {
        ben.prove(&ben.second_factor_ticket().await, "totp", &code).await.problem(401, "invalid-credentials");
    }
    ben.prove(&ben.second_factor_ticket().await, "recovery_code", &recovery[0]).await.expect(200);
}

fn table() -> String {
    stack().environment("auth.api").unwrap().get("ACCOUNTS_TABLE").unwrap().to_owned()
}

/// An item of a user as it is stored.
async fn stored(person: &Person<'_>, sort_key: &str) -> HashMap<String, AttributeValue> {
    let get = aws().dynamo.get_item().table_name(table()).consistent_read(true);
    let get = get.key("pk", AttributeValue::S(format!("user#{}", person.id)));
    get.key("sk", AttributeValue::S(sort_key.to_owned())).send().await.unwrap().item.unwrap()
}

#[tokio::test]
async fn recovery_codes_stand_in_for_the_app_once_each() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (_, codes) = ann.with_app().await;
    let left = async || ann.get("/v1/auth/factors/recovery-codes").await.expect(200).json()["remaining"].clone();
    assert_eq!(left().await, 10);
    let ticket = ann.second_factor_ticket().await;
    let typed = codes[3].to_uppercase().replace('-', " ");
    let signed_in = ann.prove(&ticket, "recovery_code", &typed).await.expect(200).json();
    let again = Person::of(&auth, &ann.email, &signed_in);
    assert_eq!(again.methods().await, json!(["pwd", "recovery", "mfa"]));
    assert_eq!(left().await, 9);
    let ticket = ann.second_factor_ticket().await;
    for wrong in [codes[3].as_str(), "22222-22222", "", "287082"] {
        ann.prove(&ticket, "recovery_code", wrong).await.problem(401, "invalid-credentials");
    }

    // A new set makes the old one void.
    let made = again.post("/v1/auth/factors/recovery-codes", &json!({})).await.expect(201);
    assert_eq!(made.header("location"), "/v1/auth/factors/recovery-codes");
    let ticket = ann.second_factor_ticket().await;
    ann.prove(&ticket, "recovery_code", &codes[4]).await.problem(401, "invalid-credentials");
    auth.wait(SignedDuration::from_mins(1));
    let new = made.json()["recovery_codes"][0].as_str().unwrap().to_owned();
    ann.prove(&ticket, "recovery_code", &new).await.expect(200);
    assert_eq!(left().await, 9);
}

#[tokio::test]
async fn of_parallel_uses_of_a_recovery_code_one_wins_and_two_codes_do_not_meet() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let (_, codes) = ann.with_app().await;
    let mut tickets = Vec::new();
    for _ in 0..4 {
        tickets.push(ann.second_factor_ticket().await);
    }
    let answers = join_all(tickets.iter().map(|ticket| ann.prove(ticket, "recovery_code", &codes[0]))).await;
    assert_eq!(count(&answers, StatusCode::OK), 1, "{answers:?}");
    let left = ann.get("/v1/auth/factors/recovery-codes").await.expect(200).json();
    assert_eq!(left["remaining"], 9);

    let (one, other) = (ann.second_factor_ticket().await, ann.second_factor_ticket().await);
    let both = [ann.prove(&one, "recovery_code", &codes[1]), ann.prove(&other, "recovery_code", &codes[2])];
    let answers = join_all(both).await;
    assert_eq!(count(&answers, StatusCode::OK), 2, "{answers:?}");
}

/// The operations on the own account that need a recent sign-in: those that change what signs a user in, but for the password,
/// or end the account. Method and path.
fn operations_for_a_recent_sign_in() -> Vec<(String, String)> {
    let parts = openapi::parts();
    let (_, described) = parts.iter().find(|(handler, _)| *handler == "auth.api").unwrap();
    let mut found = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let Some(Access::Permitted(Needs { recent: true, .. })) = Access::of(id) else { continue };
            found.push((method.to_uppercase(), path.replace("{id}", "x")));
        }
    }
    found
}

#[tokio::test]
async fn what_changes_the_factors_needs_a_recent_sign_in_with_a_second_factor() {
    let auth = OwnAuth::new().await;
    let mut ann = auth.person().await;
    let setting_up = Person::of(&auth, &ann.email, &auth.log_in(&ann.email).await.expect(200).json());
    let (app, _) = setting_up.with_app().await;
    // The session in which it was set up has proved it.
    assert_eq!(setting_up.methods().await, json!(["pwd", "otp", "mfa"]));
    setting_up.post("/v1/auth/factors/recovery-codes", &json!({})).await.expect(201);
    // The other one was begun with the password alone.
    let changes = operations_for_a_recent_sign_in();
    assert!(changes.len() >= 10, "{changes:?}");
    for (method, path) in &changes {
        let refused = auth.send(method, path, &ann.access_token, None).await;
        assert!(refused.header("www-authenticate").contains("acr_values=\"urn:tenfold:aal2\""), "{refused:?}");
        refused.problem(401, "step-up-required");
    }
    ann.step_up(&json!({"password": PASSWORD, "totp": app.next_code()})).await;
    ann.post("/v1/auth/factors/recovery-codes", &json!({})).await.expect(201);

    // A quarter of an hour later it is not recent any more.
    auth.wait(SignedDuration::from_mins(16));
    ann.refresh().await;
    let refused = ann.delete("/v1/auth/factors/totp").await;
    assert!(refused.header("www-authenticate").contains("max_age=900"), "{refused:?}");
    refused.problem(401, "step-up-required");
    ann.step_up(&json!({"password": PASSWORD, "totp": app.next_code()})).await;
    ann.delete("/v1/auth/factors/totp").await.expect(204);
    ann.delete("/v1/auth/factors/totp").await.problem(404, "not-found");

    // The recovery codes went with the last factor, and a log-in asks for the password alone.
    ann.get("/v1/auth/factors/recovery-codes").await.problem(404, "not-found");
    ann.post("/v1/auth/factors/recovery-codes", &json!({})).await.problem(409, "conflict");
    Person::of(&auth, &ann.email, &auth.log_in(&ann.email).await.expect(200).json());
}

#[tokio::test]
async fn a_step_up_asks_for_as_much_as_a_log_in() {
    let auth = OwnAuth::new().await;
    let mut ann = auth.person().await;
    let missing = |problem: serde_json::Value| problem["errors"][0]["pointer"].clone();
    assert_eq!(missing(ann.post("/v1/auth/step-up", &json!({})).await.problem(422, "validation")), "/password");
    ann.post("/v1/auth/step-up", &json!({"password": "walnut-harbour-fifteen"}))
        .await
        .problem(401, "invalid-credentials");
    ann.step_up(&json!({"password": PASSWORD})).await;
    assert_eq!(ann.methods().await, json!(["pwd"]));

    let (app, codes) = ann.with_app().await;
    let without = ann.post("/v1/auth/step-up", &json!({"password": PASSWORD})).await;
    assert_eq!(missing(without.problem(422, "validation")), "/totp");
    let wrong = json!({"password": "walnut-harbour-fifteen", "totp": app.next_code()});
    ann.post("/v1/auth/step-up", &wrong).await.problem(401, "invalid-credentials");
    let wrong = json!({"password": PASSWORD, "totp": app.wrong_code()});
    ann.post("/v1/auth/step-up", &wrong).await.problem(401, "invalid-credentials");
    // The code beside the wrong password was not used up.
    ann.step_up(&json!({"password": PASSWORD, "totp": app.code()})).await;
    assert_eq!(ann.methods().await, json!(["pwd", "otp", "mfa"]));
    ann.step_up(&json!({"password": PASSWORD, "recovery_code": codes[0]})).await;
    // The session and its refresh token go on.
    ann.refresh().await;
}

#[tokio::test]
async fn wrong_tries_of_a_step_up_slow_down() {
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let wrong = json!({"password": "walnut-harbour-fifteen"});
    for _ in 0..6 {
        ann.post("/v1/auth/step-up", &wrong).await.problem(401, "invalid-credentials");
    }
    ann.post("/v1/auth/step-up", &json!({"password": PASSWORD})).await.problem(429, "rate-limited");
    auth.wait(SignedDuration::from_secs(2));
    ann.post("/v1/auth/step-up", &json!({"password": PASSWORD})).await.expect(200);
}

#[tokio::test]
async fn factors_are_a_persons_and_not_a_keys() {
    let auth = OwnAuth::new().await;
    let key = tests::Tenant::new().await.api_key;
    for (method, path, body) in [
        ("POST", "/v1/auth/factors/totp", None),
        ("POST", "/v1/auth/factors/totp/confirm", Some(json!({"code": "287082"}))),
        ("DELETE", "/v1/auth/factors/totp", None),
        ("GET", "/v1/auth/factors/recovery-codes", None),
        ("POST", "/v1/auth/factors/recovery-codes", None),
        ("POST", "/v1/auth/passkeys/register/begin", None),
        ("GET", "/v1/auth/passkeys", None),
        ("POST", "/v1/auth/step-up", Some(json!({"password": PASSWORD}))),
        ("POST", "/v1/auth/step-up/passkey", None),
    ] {
        auth.send(method, path, &key, body.as_ref()).await.problem(403, "forbidden");
        auth.send(method, path, "", body.as_ref()).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_change_of_the_factors_is_recorded_and_told_to_the_user() {
    let auth = OwnAuth::new().await;
    let mut ann = auth.person().await;
    let email = ann.email.clone();
    let told = async |words: &str| {
        let mail = mail_to(&email, "second factors").await;
        assert!(mail.text.contains(words) && mail.html.contains(words), "{words}: {}", mail.text);
    };
    let (app, codes) = ann.with_app().await;
    told("Added: authenticator app").await;
    let ticket = ann.second_factor_ticket().await;
    ann.prove(&ticket, "totp", &app.wrong_code()).await.problem(401, "invalid-credentials");
    ann.prove(&ticket, "recovery_code", &codes[0]).await.expect(200);
    told("One was used: recovery codes").await;
    ann.step_up(&json!({"password": PASSWORD, "totp": app.next_code()})).await;
    ann.post("/v1/auth/factors/recovery-codes", &json!({})).await.expect(201);
    told("Replaced: recovery codes").await;
    ann.delete("/v1/auth/factors/totp").await.expect(204);
    told("Removed: authenticator app").await;

    let trail = ann.audit().await;
    for line in [
        "factor.added totp",
        &format!("factor.failed {} totp", ann.id),
        "factor.recovery_code_used  9 left",
        "factor.added recovery_codes",
        "factor.removed totp",
    ] {
        assert_eq!(trail.iter().filter(|record| *record == line).count(), 1, "{line} in {trail:?}");
    }
    assert!(trail.iter().any(|record| record.starts_with("session.stepped_up ") && record.ends_with(" pwd otp mfa")));
}

#[tokio::test]
async fn without_dynamodb_nothing_is_half_set_up() {
    let proxy = FaultProxy::start(|operation| (operation == "TransactWriteItems").then_some(Fault::ServerError)).await;
    let auth = OwnAuth::new().await;
    let ann = auth.person().await;
    let begun = ann.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let app = App::scan(&auth, begun["otpauth_uri"].as_str().unwrap());
    let (clock, url) = (auth.clock.clone(), proxy.url());
    let ill = OwnAuth::at(clock, |environment| environment.with("AWS_ENDPOINT_URL", url)).await;
    let body = json!({"code": app.code()});
    let down = ill.send("POST", "/v1/auth/factors/totp/confirm", &ann.access_token, Some(&body)).await;
    assert!(!down.header("retry-after").is_empty(), "{down:?}");
    down.problem(503, "unavailable");
    ann.get("/v1/auth/factors/recovery-codes").await.problem(404, "not-found");
    // The code was not used.
    ann.post("/v1/auth/factors/totp/confirm", &body).await.expect(200);
}
