//! Signing in with a password: who gets in, who is slowed down, and who is told.

use auth::store::Keyset;
use auth::store::audit::AuditFilter;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::Answer;
use tests::account::{PASSWORD, fresh_email};
use tests::token::issuer;

use crate::own_accounts::{OwnAccounts, Person, claims};
use crate::own_tenant::{OwnTenant, accounts};

const WRONG: &str = "another-harbour-seventeen";

async fn log_in_with(own: &OwnAccounts, email: &str, further: Value) -> Answer {
    let mut body = json!({"email": email, "password": PASSWORD});
    body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    own.post("/v1/auth/login", &body).await
}

/// Uses up the tries that cost no waiting, so that the next one waits.
async fn fail(own: &OwnAccounts, email: &str) {
    for _ in 0..6 {
        own.log_in(email, WRONG).await.problem(401, "invalid-credentials");
    }
}

#[tokio::test]
async fn an_access_token_says_who_where_how_and_until_when() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let header = ann.access_token.split('.').next().unwrap();
    let header: Value =
        serde_json::from_slice(&base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, header).unwrap())
            .unwrap();
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    assert!(header["kid"].is_string());
    let told = claims(&ann.access_token);
    let now = own.clock.now().as_second();
    for (name, value) in [
        ("iss", json!(issuer())),
        ("aud", json!("tenfold-api")),
        ("sub", json!(ann.id)),
        ("tid", json!(ann.tenant_id)),
        ("sid", json!(ann.session_id)),
        ("roles", json!(["owner"])),
        ("scope", json!("*")),
        ("iat", json!(now)),
        ("exp", json!(now + 600)),
        ("auth_time", json!(now)),
        ("amr", json!(["pwd"])),
    ] {
        assert_eq!(told[name], value, "{name} in {told}");
    }
    assert!(told["jti"].is_string());
    assert_ne!(told["jti"], claims(&ann.refreshed().await.access_token)["jti"]);
}

#[tokio::test]
async fn a_log_in_names_a_tenant_of_the_users_own() {
    let (own, other) = (OwnAccounts::new().await, OwnTenant::new().await);
    let ann = own.person().await;
    let none = "tenant_01k9z4n2y6e0qv3m8t5w7x9abc".to_owned();
    for tenant in [&other.id, &none] {
        let refused = log_in_with(&own, &ann.email, json!({"tenant_id": tenant})).await.problem(403, "forbidden");
        assert_eq!(refused["detail"], "the account has no active membership in the tenant");
    }
    ann.join(&other.id, &["viewer"]).await;
    let there = log_in_with(&own, &ann.email, json!({"tenant_id": other.id})).await.expect(200).json();
    assert_eq!(
        (&there["tenant_id"], &claims(there["access_token"].as_str().unwrap())["roles"]),
        (&json!(other.id), &json!(["viewer"]))
    );
    // Without one it is that of the sign-up.
    assert_eq!(own.signed_in(&ann.email).await.tenant_id, ann.tenant_id);
}

#[tokio::test]
async fn who_is_suspended_at_home_comes_in_elsewhere() {
    let (own, home, other) = (OwnAccounts::new().await, OwnTenant::new().await, OwnTenant::new().await);
    let member = home.member(&["member"]).await;
    home.patch(&home.owner, &member.path(), &json!({"status": "suspended"})).await.expect(200);
    own.log_in(&member.email, PASSWORD).await.problem(403, "forbidden");
    let answer = json!({"status": "signed_in", "user": {"id": member.id}});
    Person::of(&own, &member.email, &answer).join(&other.id, &["viewer"]).await;
    assert_eq!(own.signed_in(&member.email).await.tenant_id, other.id);
}

#[tokio::test]
async fn wrong_passwords_make_the_next_try_wait_longer_each_time() {
    let own = OwnAccounts::new().await;
    // An account, and an address without one: there is no difference.
    for email in [own.person().await.email, fresh_email()] {
        fail(&own, &email).await;
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let refused = own.log_in(&email, PASSWORD).await;
            assert_eq!(refused.header("retry-after"), wait.to_string());
            // The same, too: no count, but the wait that is told anyway.
            assert_eq!(refused.header("ratelimit-policy"), "\"auth-failures\";q=5;w=86400");
            assert_eq!(refused.header("ratelimit"), format!("\"auth-failures\";r=0;t={wait}"));
            refused.problem(429, "rate-limited");
            own.wait(SignedDuration::from_secs(wait) - SignedDuration::from_millis(1));
            own.log_in(&email, PASSWORD).await.problem(429, "rate-limited");
            own.wait(SignedDuration::from_millis(1));
            own.log_in(&email, WRONG).await.problem(401, "invalid-credentials");
        }
    }
}

#[tokio::test]
async fn a_right_password_ends_the_waiting_and_so_does_a_day() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    fail(&own, &ann.email).await;
    own.wait(SignedDuration::from_secs(1));
    own.signed_in(&ann.email).await;
    fail(&own, &ann.email).await;
    own.wait(SignedDuration::from_hours(24) + SignedDuration::from_secs(1));
    fail(&own, &ann.email).await;
}

#[tokio::test]
async fn a_known_device_waits_for_its_own_tries_alone() {
    let own = OwnAccounts::new().await;
    let (ann, ben) = (own.person().await, own.person().await);
    assert!(ann.device_token.starts_with("tf_dv_"));
    fail(&own, &ann.email).await;
    own.log_in(&ann.email, PASSWORD).await.problem(429, "rate-limited");
    // Neither another user's device nor one that was made up is known.
    let (nonce, tag) = ann.device_token.split_once('.').unwrap();
    for foreign in [ben.device_token.as_str(), "", "tf_dv_x.y", nonce, &format!("{nonce}x.{tag}"), &format!("{nonce}.")]
    {
        log_in_with(&own, &ann.email, json!({"device_token": foreign})).await.problem(429, "rate-limited");
    }
    let known = json!({"device_token": ann.device_token});
    log_in_with(&own, &ann.email, known.clone()).await.expect(200);
    // Its own wrong tries it waits for, and others do not.
    own.wait(SignedDuration::from_secs(1));
    for _ in 0..6 {
        let body = json!({"password": WRONG, "device_token": ann.device_token});
        log_in_with(&own, &ann.email, body).await.problem(401, "invalid-credentials");
    }
    log_in_with(&own, &ann.email, known).await.problem(429, "rate-limited");
    own.signed_in(&ann.email).await;
    // It is worth nothing at another account.
    fail(&own, &ben.email).await;
    log_in_with(&own, &ben.email, json!({"device_token": ann.device_token})).await.problem(429, "rate-limited");
}

#[tokio::test]
async fn a_stranger_who_guesses_does_not_keep_the_owner_from_signing_in_by_mail() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    fail(&own, &ann.email).await;
    // Guessing codes of mails that they ask for slows down codes, and not the link.
    let ticket = own.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202).json();
    let link = own.mail(&ann.email, "Sign in").await.token();
    for _ in 0..5 {
        let guess = json!({"ticket": ticket["ticket"], "code": "x"});
        own.post("/v1/auth/passwordless/verify", &guess).await.problem(400, "invalid-one-time-token");
    }
    let answer = own.post("/v1/auth/passwordless/verify", &json!({"ticket": link})).await.expect(200).json();
    assert_eq!(answer["user"]["id"], ann.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_once_gain_nothing() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let guesses = async |own: &OwnAccounts| {
        let answers = join_all((0..20).map(|_| own.log_in(&ann.email, WRONG))).await;
        let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
        assert!(answers.iter().all(|answer| answer.status == 401 || answer.status == 429), "{answers:?}");
        looked_at
    };
    let first = guesses(&own).await;
    assert!((1..=6).contains(&first), "{first}");
    own.move_away();
    for _ in first..6 {
        own.log_in(&ann.email, WRONG).await.problem(401, "invalid-credentials");
    }
    // From now on one in a while, however many come.
    for wait in [1, 2, 4] {
        assert_eq!(guesses(&own).await, 0);
        own.move_away();
        own.wait(SignedDuration::from_secs(wait));
        let looked_at = guesses(&own).await;
        assert!(looked_at <= 1, "{looked_at}");
        own.move_away();
        if looked_at == 0 {
            own.log_in(&ann.email, WRONG).await.problem(401, "invalid-credentials");
        }
    }
}

#[tokio::test]
async fn a_network_has_so_many_tries_whatever_accounts_they_are_for() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    own.move_away();
    let from = async |address: &str, body: &Value| {
        let mut event = own.event("POST", "/v1/auth/refresh", &[], Some(&body.to_string()));
        event["rawPath"] = json!("/v1/auth/login");
        event["requestContext"]["http"]["path"] = json!("/v1/auth/login");
        event["requestContext"]["http"]["sourceIp"] = json!(address);
        own.answer(&event).await
    };
    let right = json!({"email": ann.email, "password": PASSWORD});
    // One customer of a provider has 64 bits of IPv6.
    let prefix = own.clock.now().as_microsecond() % 0xffff;
    for host in 0..60 {
        let body = json!({"email": fresh_email(), "password": "x"});
        from(&format!("2001:db8:{prefix:x}:1:{host:x}::1"), &body).await.problem(401, "invalid-credentials");
    }
    let refused = from(&format!("2001:db8:{prefix:x}:1:ffff::1"), &right).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.header("ratelimit-policy").contains("\"auth-tries\";q=60;w=60"), "{refused:?}");
    refused.problem(429, "rate-limited");
    from(&format!("2001:db8:{prefix:x}:2::1"), &right).await.expect(200);
}

#[tokio::test]
async fn what_was_tried_is_in_the_audit_trail() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let body = json!({"email": ann.email, "password": WRONG}).to_string();
    let headers =
        [("user-agent", "Mozilla/5.0 (X11; Linux x86_64) \t Firefox/145.0"), ("x-request-id", "from-the-client")];
    own.call("POST", "/v1/auth/login", &headers, Some(&body)).await.problem(401, "invalid-credentials");
    let trail = ann.trail().await;
    let failed = trail.iter().find(|record| record["action"] == "session.sign_in_failed").unwrap();
    assert_eq!((&failed["actor"], &failed["target"]), (&json!("anonymous"), &json!(ann.id)));
    assert_eq!(failed["request_id"], "from-the-client");
    let network = failed["network"].as_str().unwrap();
    assert!(network.starts_with("10.") && network.ends_with(".0/24"), "{network}");
    assert_eq!(failed["at"].as_str().unwrap().len(), 24);
    let signed_in = trail.iter().find(|record| record["action"] == "session.signed_in").unwrap();
    let found = (&signed_in["actor"], &signed_in["target"], &signed_in["detail"]);
    assert_eq!(found, (&json!(ann.id), &json!(ann.session_id), &json!("pwd")));
    assert!(!serde_json::to_string(&trail).unwrap().contains(WRONG));
}

#[tokio::test]
async fn a_sign_in_from_an_unknown_device_is_told_by_mail() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let log_in = async |further: Value| {
        let mut body = json!({"email": ann.email, "password": PASSWORD});
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let headers = [("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")];
        own.call("POST", "/v1/auth/login", &headers, Some(&body.to_string())).await.expect(200).json()
    };
    // The first sign-ins of an account are its user's own.
    log_in(json!({})).await;
    assert!(own.mails(&ann.email).await.is_empty());
    own.wait(SignedDuration::from_hours(1));
    log_in(json!({"device_token": ann.device_token})).await;
    assert!(own.mails(&ann.email).await.is_empty());
    let answer = log_in(json!({"device_token": "tf_dv_x.y"})).await;
    let mail = own.mail(&ann.email, "New sign-in").await;
    assert!(mail.text.contains("Firefox on Linux") && mail.text.contains(".0/24"), "{}", mail.text);
    // From then on it is known.
    log_in(json!({"device_token": answer["device_token"]})).await;
    assert!(own.mails(&ann.email).await.is_empty());
    own.log_in(&ann.email, WRONG).await.problem(401, "invalid-credentials");
    assert!(own.mails(&ann.email).await.is_empty(), "who does not get in is not told of");
}

#[tokio::test]
async fn a_right_password_that_waits_for_a_second_factor_is_recorded_and_told() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let begun = ann.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let app = totp_rs::Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
    let code = app.generate(own.clock.now().as_second().unsigned_abs()).to_string();
    ann.post("/v1/auth/factors/totp/confirm", &json!({"code": code})).await.expect(200);
    own.wait(SignedDuration::from_hours(2));
    own.mails(&ann.email).await;
    let answer = own.log_in(&ann.email, PASSWORD).await.expect(200).json();
    assert_eq!(answer["status"], "second_factor_required");
    let mail = own.mail(&ann.email, "password was used").await;
    assert!(mail.text.contains("second factor") && mail.text.contains(".0/24"), "{}", mail.text);
    let (tenant, first) = (ann.tenant_id.parse().unwrap(), Keyset { after: None, limit: 50 });
    let trail = accounts().audit_page(&tenant, &AuditFilter::default(), &first).await.unwrap();
    let trail = serde_json::to_value(trail.rows).unwrap();
    let told = trail.as_array().unwrap().iter().find(|record| record["action"] == "session.first_factor_proved");
    let told = told.unwrap_or_else(|| panic!("{trail}"));
    assert_eq!(
        (&told["actor"], &told["target"], &told["detail"]),
        (&json!("anonymous"), &json!(ann.id), &json!("pwd"))
    );
    // A device that is known is told of in the trail alone.
    log_in_with(&own, &ann.email, json!({"device_token": ann.device_token})).await.expect(200);
    assert!(own.mails(&ann.email).await.is_empty());
}

#[tokio::test]
async fn a_password_that_was_hashed_with_less_is_hashed_again() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    // Of this password, with less memory and by the algorithm's sibling.
    for weak in [
        "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$0lyFHplZU7Brvt5Iu9nJycG9EZ30k2SE7Iw1s1h62e8",
        "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$Tww2zjxn4aJ/03GMN9aXgntYtVT041MDT9RkY1Vt7Bs",
    ] {
        let user = accounts().user(&ann.id.parse().unwrap()).await.unwrap().unwrap();
        let password = serde_json::from_value(json!(weak)).unwrap();
        let user = auth::user::User { password: Some(password), ..user }.changed(own.clock.now());
        accounts().update_user(&user, None, Vec::new()).await.unwrap();
        own.log_in(&ann.email, WRONG).await.problem(401, "invalid-credentials");
        own.signed_in(&ann.email).await;
        let kept = accounts().user(&ann.id.parse().unwrap()).await.unwrap().unwrap().password.unwrap();
        assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.expose());
        own.signed_in(&ann.email).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_of_one_user_at_once_all_get_in() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let body = json!({"device_token": ann.device_token});
    let answers = join_all((0..8).map(|_| log_in_with(&own, &ann.email, body.clone()))).await;
    // A try counts until it has succeeded, so that some may have to come again.
    let got_in = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(got_in > 0 && answers.iter().all(|answer| answer.status == 200 || answer.status == 429), "{answers:?}");
    assert_eq!(ann.sessions().await.len(), 1 + got_in);
}
