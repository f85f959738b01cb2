//! Signing up: what an account is made of, and what proves its address.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::account::{PASSWORD, fresh_email, post};
use tests::{Account, Ask as _, anonymous};

use crate::own_accounts::{OwnAccounts, Person};
use crate::own_tenant::{OwnTenant, accounts};
use crate::resources::Subscriber;

async fn user(email: &str) -> Option<auth::user::User> {
    accounts().user_by_email(&email.to_owned().try_into().unwrap()).await.unwrap()
}

fn code_for(email: &str, code: &str) -> Value {
    json!({"email": email, "code": code})
}

/// Six digits that are not these.
fn another(code: &str) -> String {
    let digit = if code.starts_with('0') { "1" } else { "0" };
    format!("{digit}{}", &code[1..])
}

#[tokio::test]
async fn the_running_stack_takes_a_person_from_the_sign_up_to_the_log_out() {
    let mut ann = Account::with(json!({"name": "Ann", "tenant_name": "Ann & Co"})).await;
    let me = ann.get("/v1/me").await.expect(200).json();
    assert_eq!((&me["email"], &me["name"], &me["email_verified"]), (&json!(ann.email), &json!("Ann"), &json!(true)));
    assert_eq!(ann.get("/v1/tenant").await.expect(200).json()["name"], "Ann & Co");
    let members = ann.get("/v1/users").await.expect(200).json();
    assert_eq!(members["data"].as_array().unwrap().len(), 1);
    assert_eq!(members["data"][0]["roles"], json!(["owner"]));
    ann.get("/v1/links").await.expect(200);

    let old = ann.refresh_token.clone();
    let refreshed = ann.refresh().await;
    assert_ne!(refreshed["refresh_token"], json!(old));
    assert_eq!(refreshed["token_type"], "Bearer");
    ann.post("/v1/auth/logout", &json!({})).await.expect(204);
    let over = post("/v1/auth/refresh", &json!({"refresh_token": ann.refresh_token})).await;
    over.problem(401, "invalid-refresh-token");
    tests::eventually("the access token to be refused elsewhere", || async {
        let request = anonymous(Method::GET, "/v1/links").bearer_auth(&ann.access_token);
        (request.answer().await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_account_gives_no_access_before_its_address_is_proved() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    let new = json!({"email": email, "password": PASSWORD, "name": "Mallory <b>"});
    let answer = own.post("/v1/auth/signup", &new).await.expect(202);
    assert_eq!(answer.json(), json!({"status": "check_your_mail"}));
    own.log_in(&email, PASSWORD).await.problem(401, "invalid-credentials");
    let mail = own.mail(&email, "Confirm").await;
    assert!(!mail.text.contains("Mallory") && !mail.html.contains("Mallory"), "anybody may have chosen the name");
    let proved = own.verify(&mail.token()).await.expect(200).json();
    assert_eq!(proved, json!({"status": "verified", "email": email}));
    own.log_in(&email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_tenant_takes_in_whom_its_settings_admit() {
    let (own, tenant) = (OwnAccounts::new().await, OwnTenant::new().await);
    let mut subscriber = Subscriber::of(&tenant.id.parse().unwrap()).await;
    let sign_up = async |email: &str, tenant: &str| {
        own.post("/v1/auth/signup", &json!({"email": email, "password": PASSWORD, "tenant_id": tenant})).await
    };
    let admit = async |settings: Value| {
        tenant.patch(&tenant.owner, "/v1/tenant", &json!({"settings": settings})).await.expect(200);
    };
    // A closed tenant and one that is not there are answered alike.
    let closed = sign_up(&fresh_email(), &tenant.id).await.problem(422, "validation");
    let absent = sign_up(&fresh_email(), "tenant_01k9z4n2y6e0qv3m8t5w7x9abc").await.problem(422, "validation");
    assert_eq!(closed["errors"], absent["errors"]);
    assert_eq!(closed["errors"][0]["pointer"], "/tenant_id");

    admit(json!({"sign_up": "open"})).await;
    let email = fresh_email();
    sign_up(&email, &tenant.id).await.expect(202);
    let member = user(&email).await.unwrap();
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    let event = subscriber.await_event("user.created", &member.id.to_string()).await;
    let told = json!({"user_id": member.id, "email": email, "name": null, "verified": true});
    assert_eq!((&event["data"], &event["source"]), (&told, &json!("/tenfold/auth")));
    let joined = own.signed_in(&email).await;
    assert_eq!(joined.tenant_id, tenant.id);
    let shown = tenant.get(&tenant.owner, &format!("/v1/users/{}", joined.id)).await.expect(200).json();
    assert_eq!(shown["roles"], json!(["member"]));
    let trail = tenant.audit().await;
    for action in ["user.signed_up", "user.email_verified", "session.signed_in"] {
        assert!(trail.iter().any(|(found, _)| found == action), "{action} in {trail:?}");
    }

    admit(json!({"allowed_email_domains": ["allowed.example"]})).await;
    sign_up(&fresh_email(), &tenant.id).await.problem(422, "validation");
    let allowed = fresh_email().replace("@example.com", "@Allowed.Example");
    sign_up(&allowed, &tenant.id).await.expect(202);
    admit(json!({"sign_up": "closed"})).await;
    sign_up(&fresh_email().replace("@example.com", "@allowed.example"), &tenant.id).await.problem(422, "validation");
    // A name for a tenant that is not made is a mistake.
    let body = json!({"email": fresh_email(), "password": PASSWORD, "tenant_id": tenant.id, "tenant_name": "Mine"});
    own.post("/v1/auth/signup", &body).await.problem(422, "validation");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ups_of_one_address_at_once_make_one_account() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    // One address, however it is written.
    let written =
        [email.clone(), email.to_uppercase().replace("@EXAMPLE.COM", "@example.com"), email.replace(".com", ".COM")];
    let answers = join_all((0..9).map(|number| {
        let body = json!({"email": written[number % 3], "password": PASSWORD, "tenant_name": format!("{number}")});
        let own = &own;
        async move { own.post("/v1/auth/signup", &body).await }
    }))
    .await;
    // A mail to an address is asked for six times an hour.
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(taken, 6, "{answers:?}");
    for answer in answers {
        if answer.status == 202 {
            assert_eq!(answer.json(), json!({"status": "check_your_mail"}));
        } else {
            answer.problem(429, "rate-limited");
        }
    }
    let made = user(&email).await.unwrap();
    let mut mails = Vec::new();
    for written in written {
        mails.extend(own.mails(&written).await);
    }
    assert_eq!(mails.len(), 6, "each is answered by a mail");
    // All were the same person's, by the password.
    assert!(made.password.is_some());
    let tokens: Vec<_> = mails.iter().map(tests::account::SentMail::token).collect();
    let proofs = join_all(tokens.iter().map(|token| own.verify(token))).await;
    assert!(proofs.iter().any(|answer| answer.status == 200), "{proofs:?}");
    assert_eq!(accounts().memberships(&made.id).await.unwrap().len(), 1, "however often it is proved");
}

#[tokio::test]
async fn whoever_signs_up_first_with_somebody_elses_address_has_no_password_left_when_it_is_proved() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    let sign_up = async |password: &str| {
        own.post("/v1/auth/signup", &json!({"email": email, "password": password})).await.expect(202);
        own.mail(&email, "Confirm").await.token()
    };
    sign_up("the-strangers-choice").await;
    let token = sign_up(PASSWORD).await;
    own.verify(&token).await.expect(200);
    for password in ["the-strangers-choice", PASSWORD] {
        own.log_in(&email, password).await.problem(401, "invalid-credentials");
    }
    own.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
    let token = own.mail(&email, "Reset").await.token();
    let body = json!({"token": token, "new_password": PASSWORD});
    own.post("/v1/auth/password/reset", &body).await.expect(204);
    own.signed_in(&email).await;
}

#[tokio::test]
async fn whoever_signs_up_twice_with_one_password_keeps_it() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    own.mail(&email, "Confirm").await;
    own.sign_up(&email).await;
    let second = own.mail(&email, "Confirm").await;
    own.verify(&second.token()).await.expect(200);
    own.signed_in(&email).await;
    // And from then on the mail says that there is an account.
    own.sign_up(&email).await;
    own.mail(&email, "already have an account").await;
    own.signed_in(&email).await;
}

#[tokio::test]
async fn a_password_that_came_with_a_sign_up_is_gone_when_another_reads_the_mail() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.post("/v1/auth/signup", &json!({"email": email, "password": "the-strangers-choice"})).await.expect(202);
    own.mail(&email, "Confirm").await;
    // The owner of the address signs in by mail, and knows nothing of the sign-up.
    own.post("/v1/auth/passwordless/start", &json!({"email": email})).await.expect(202);
    let link = own.mail(&email, "Sign in").await.token();
    let answer = own.post("/v1/auth/passwordless/verify", &json!({"ticket": link})).await.expect(200).json();
    let owner = Person::of(&own, &email, &answer);
    let me = owner.get("/v1/me").await.expect(200).json();
    assert_eq!((&me["email_verified"], &me["has_password"]), (&json!(true), &json!(false)));
    own.log_in(&email, "the-strangers-choice").await.problem(401, "invalid-credentials");
    assert!(owner.audit().await.iter().any(|(action, _)| action == "user.email_verified"));
}

#[tokio::test]
async fn a_link_proves_an_address_once() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    let mail = own.mail(&email, "Confirm").await;
    own.verify(&mail.token()).await.expect(200);
    own.verify(&mail.token()).await.problem(400, "invalid-one-time-token");
    // The code of the same mail says nothing new, and works once as well.
    own.post("/v1/auth/email/verify", &code_for(&email, &mail.code())).await.expect(200);
    let again = own.post("/v1/auth/email/verify", &code_for(&email, &mail.code())).await;
    again.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn a_code_is_typed_with_the_address_and_five_wrong_ones_void_it() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    let mail = own.mail(&email, "Confirm").await;
    let try_code = async |email: &str, code: &str| own.post("/v1/auth/email/verify", &code_for(email, code)).await;
    // Blanks and dashes do not count, nor does how the address is written.
    let spaced = format!(" {}-{} ", &mail.code()[..3], &mail.code()[3..]);
    for _ in 0..4 {
        try_code(&email, &another(&mail.code())).await.problem(400, "invalid-one-time-token");
    }
    try_code(&email.to_uppercase(), &spaced).await.expect(200);

    let other = fresh_email();
    own.sign_up(&other).await;
    let mail = own.mail(&other, "Confirm").await;
    for _ in 0..5 {
        try_code(&other, &another(&mail.code())).await.problem(400, "invalid-one-time-token");
    }
    try_code(&other, &mail.code()).await.problem(400, "invalid-one-time-token");
    own.verify(&mail.token()).await.expect(200);
}

#[tokio::test]
async fn new_mails_do_not_make_guessing_codes_faster() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    own.sign_up(&email).await;
    let mut wrong = another(&own.mail(&email, "Confirm").await.code());
    let mut slowed = 0;
    for _ in 0..5 {
        for _ in 0..5 {
            let answer = own.post("/v1/auth/email/verify", &code_for(&email, &wrong)).await;
            if answer.status == 429 {
                assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
                slowed += 1;
            } else {
                answer.problem(400, "invalid-one-time-token");
            }
        }
        own.post("/v1/auth/email/verify/resend", &json!({"email": email})).await.expect(202);
        wrong = another(&own.mail(&email, "Confirm").await.code());
    }
    assert_eq!(slowed, 25 - 6, "six tries at one moment, however many mails");
    // The owner has the link.
    own.post("/v1/auth/email/verify/resend", &json!({"email": email})).await.expect(202);
    own.mail(&email, "Confirm").await;
    own.post("/v1/auth/email/verify/resend", &json!({"email": email})).await.problem(429, "rate-limited");
    own.wait(SignedDuration::from_mins(11));
    own.post("/v1/auth/email/verify/resend", &json!({"email": email})).await.expect(202);
    let mail = own.mail(&email, "Confirm").await;
    own.verify(&mail.token()).await.expect(200);
}

#[tokio::test]
async fn a_mail_is_good_for_two_days_and_for_its_own_purpose_and_account() {
    let own = OwnAccounts::new().await;
    let (first, second) = (fresh_email(), fresh_email());
    own.sign_up(&first).await;
    own.sign_up(&second).await;
    let (one, two) = (own.mail(&first, "Confirm").await, own.mail(&second, "Confirm").await);
    // The code of one is none of the other's.
    let crossed = own.post("/v1/auth/email/verify", &code_for(&second, &one.code())).await;
    if one.code() != two.code() {
        crossed.problem(400, "invalid-one-time-token");
    }
    own.wait(SignedDuration::from_hours(48) - SignedDuration::from_secs(1));
    own.verify(&one.token()).await.expect(200);
    own.wait(SignedDuration::from_secs(1));
    own.verify(&two.token()).await.problem(400, "invalid-one-time-token");
    let by_code = own.post("/v1/auth/email/verify", &code_for(&second, &two.code())).await;
    by_code.problem(400, "invalid-one-time-token");
    own.log_in(&second, PASSWORD).await.problem(401, "invalid-credentials");

    own.post("/v1/auth/password/forgot", &json!({"email": second})).await.expect(202);
    let reset = own.mail(&second, "Reset").await.token();
    own.verify(&reset).await.problem(400, "invalid-one-time-token");
    for path in ["/v1/auth/passwordless/verify", "/v1/auth/second-factor"] {
        let answer = own.post(path, &json!({"ticket": reset, "totp": "123456"})).await;
        assert!(answer.status == 400 || answer.status == 422, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_mail_is_sent_again_while_there_is_something_to_prove() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    let resend = async |email: &str| {
        let answer = own.post("/v1/auth/email/verify/resend", &json!({"email": email})).await;
        assert_eq!(answer.expect(202).json(), json!({"status": "check_your_mail"}));
    };
    resend(&email).await;
    assert!(own.mails(&email).await.is_empty(), "nobody has signed up");
    own.sign_up(&email).await;
    let first = own.mail(&email, "Confirm").await;
    resend(&email).await;
    let second = own.mail(&email, "Confirm").await;
    // Both links work; of the codes the newest.
    let by_code = async |code: &str| own.post("/v1/auth/email/verify", &code_for(&email, code)).await;
    if first.code() != second.code() {
        by_code(&first.code()).await.problem(400, "invalid-one-time-token");
    }
    own.verify(&first.token()).await.expect(200);
    by_code(&second.code()).await.expect(200);
    resend(&email).await;
    assert!(own.mails(&email).await.is_empty(), "it is proved");
}

#[tokio::test]
async fn a_password_is_chosen_well() {
    let own = OwnAccounts::new().await;
    let email = fresh_email();
    let local = email.split('@').next().unwrap().to_owned();
    let long = "walnut ".repeat(19);
    for (password, code) in [
        ("short7!", "too_short"),
        (long.as_str(), "too_long"),
        ("password123", "common"),
        ("P@ssw0rd", "common"),
        (local.as_str(), "own_data"),
        ("zacharias2026!", "own_data"),
        ("tenfold2026!", "own_data"),
    ] {
        let body = json!({"email": email, "password": password, "name": "Zacharias"});
        let problem = own.post("/v1/auth/signup", &body).await.problem(422, "validation");
        let found = (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]);
        assert_eq!(found, (&json!("/password"), &json!(code)), "{password}");
    }
    assert!(user(&email).await.is_none());
    // Any characters, and none is cut: 128 of three bytes each.
    // Neither in their order nor repeated.
    let characters: Vec<char> = (0..129).map(|number| char::from_u32(0x4e00 + number * number).unwrap()).collect();
    let text = |length: usize| characters[..length].iter().collect::<String>();
    let password = text(128);
    own.post("/v1/auth/signup", &json!({"email": email, "password": password})).await.expect(202);
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    own.log_in(&email, &text(127)).await.problem(401, "invalid-credentials");
    own.log_in(&email, &text(129)).await.problem(401, "invalid-credentials");
    own.log_in(&email, &password).await.expect(200);
    // What looks the same is the same: composed and decomposed.
    let email = fresh_email();
    own.post("/v1/auth/signup", &json!({"email": email, "password": "J\u{f6}rgs Fahrrad"})).await.expect(202);
    own.verify(&own.mail(&email, "Confirm").await.token()).await.expect(200);
    own.log_in(&email, "Jo\u{308}rgs Fahrrad").await.expect(200);
}

#[tokio::test]
async fn the_times_of_answers_have_three_decimals() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let me = ann.get("/v1/me").await.expect(200).json();
    let sessions = ann.get("/v1/auth/sessions").await.expect(200).json();
    let session = &sessions["data"][0];
    let times = [
        &me["created_at"],
        &me["updated_at"],
        &session["created_at"],
        &session["last_used_at"],
        &session["expires_at"],
    ];
    for time in times {
        let time = time.as_str().unwrap();
        assert!(time.len() == 24 && time.as_bytes()[19] == b'.' && time.ends_with('Z'), "{time}");
        let read: shared::time::Timestamp = time.parse().unwrap();
        assert!(read <= Clock::system().now() + SignedDuration::from_hours(24 * 400));
    }
}
