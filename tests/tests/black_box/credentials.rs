//! API keys: who is let in, and to what.

use http::Method;
use serde_json::json;
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::store::ApiKeyRecord;
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};
use tests::{Answer, Ask as _, Instance, Tenant, anonymous};

use crate::link::{link, path_of};

async fn with(headers: &[(&str, &str)]) -> Answer {
    let request = anonymous(Method::GET, "/v1/links");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).answer().await
}

/// A credential was sent that is not good (RFC 6750, section 3.1).
#[track_caller]
fn refused(answer: Answer) {
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    answer.problem(401, "unauthenticated");
}

/// None was sent, or none of a known scheme: the answer names the scheme and no error.
#[track_caller]
fn asked_for_one(answer: Answer) {
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    answer.problem(401, "unauthenticated");
}

#[tokio::test]
async fn without_a_credential_every_route_is_401() {
    let id = "link_01k9z4n2y6e0qv3m8t5w7x9abc";
    for (method, path) in [
        (Method::GET, "/v1/links".to_owned()),
        (Method::POST, "/v1/links".to_owned()),
        (Method::GET, "/v1/links/blocklist".to_owned()),
        (Method::PUT, "/v1/links/blocklist".to_owned()),
        (Method::GET, format!("/v1/links/{id}")),
        (Method::PATCH, format!("/v1/links/{id}")),
        (Method::DELETE, format!("/v1/links/{id}")),
        (Method::GET, format!("/v1/links/{id}/stats")),
        (Method::GET, format!("/v1/links/{id}/qr")),
    ] {
        // Before anything of the request is looked at.
        asked_for_one(anonymous(method, &path).body("{").answer().await);
    }
}

#[tokio::test]
async fn a_key_is_taken_from_either_header() {
    let tenant = Tenant::new().await;
    with(&[("x-api-key", &tenant.api_key)]).await.expect(200);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        with(&[("authorization", &format!("{scheme} {}", tenant.api_key))]).await.expect(200);
    }
}

#[tokio::test]
async fn a_password_that_is_wrong_is_refused_with_a_challenge_as_well() {
    let tried = json!({"email": "nobody@example.com", "password": "not this one either"});
    let answer = anonymous(Method::POST, "/v1/auth/login").json(&tried).answer().await.expect(401);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn two_credentials_are_400_even_when_both_are_good() {
    let tenant = Tenant::new().await;
    let bearer = format!("Bearer {}", tenant.api_key);
    for twice in ["authorization", "x-api-key"] {
        let value = if twice == "x-api-key" { &tenant.api_key } else { &bearer };
        with(&[(twice, value), (twice, value)]).await.problem(400, "ambiguous-credentials");
    }
    for api_key in [tenant.api_key.as_str(), "", "x"] {
        with(&[("authorization", &bearer), ("x-api-key", api_key)]).await.problem(400, "ambiguous-credentials");
    }
}

#[tokio::test]
async fn another_scheme_and_what_is_no_credential_are_401() {
    let tenant = Tenant::new().await;
    let key = &tenant.api_key;
    for value in ["", &format!("Basic {key}"), key.as_str(), &format!("Token {key}")] {
        asked_for_one(with(&[("authorization", value)]).await);
    }
    for value in ["Bearer", "Bearer ", "Bearer x y"] {
        refused(with(&[("authorization", value)]).await);
    }
    for value in ["", "x", "tf_", "tf_live_", &key[..key.len() - 1], &format!("{key}A"), &key.to_uppercase()] {
        refused(with(&[("x-api-key", value)]).await);
        refused(with(&[("authorization", &format!("Bearer {value}"))]).await);
    }
}

#[tokio::test]
async fn a_mistyped_key_is_told_so_by_its_checksum() {
    let tenant = Tenant::new().await;
    for place in [8, 20, 40, 60, tenant.api_key.len() - 1] {
        let mut wrong = tenant.api_key.clone();
        wrong.replace_range(place..=place, if &wrong[place..=place] == "a" { "b" } else { "a" });
        let problem = with(&[("x-api-key", &wrong)]).await.problem(401, "unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains("mistyped"), "{problem}");
    }
}

#[tokio::test]
async fn an_unknown_key_and_one_with_a_known_id_are_answered_alike() {
    let tenant = Tenant::new().await;
    let now = Clock::system().now();
    // The record under the id of the one holds the hash of the other.
    let (unknown, known) = (
        ApiKey::generate(KeyMode::Live, now, &Random::system()),
        ApiKey::generate(KeyMode::Live, now, &Random::system()),
    );
    Tenant::put_key(&ApiKeyRecord { id: known.id(), ..record(&unknown, &tenant) }).await;
    let answers = [with(&[("x-api-key", unknown.expose())]).await, with(&[("x-api-key", known.expose())]).await];
    let details: Vec<_> =
        answers.into_iter().map(|answer| answer.problem(401, "unauthenticated")["detail"].clone()).collect();
    assert_eq!(details[0], details[1]);
}

fn record(key: &ApiKey, tenant: &Tenant) -> ApiKeyRecord {
    ApiKeyRecord::new(key, tenant.id, "test", Scopes::all(), "test")
}

/// A key, its record, an instance whose clock the test moves, and that clock.
async fn watched() -> (ApiKey, ApiKeyRecord, Instance, Clock) {
    let tenant = Tenant::new().await;
    // Whole seconds, as they are stored.
    let clock = Clock::manual(Timestamp::from_second(Clock::system().now().as_second()).unwrap());
    let key = ApiKey::generate(KeyMode::Test, clock.now(), &Random::system());
    let record = record(&key, &tenant);
    let instance = Instance::with(&links::SERVICE, "links.api", clock.clone(), |environment| environment).await;
    (key, record, instance, clock)
}

async fn present(instance: &Instance, key: &ApiKey) -> Answer {
    instance.http("GET", "/v1/links", &[("x-api-key", key.expose())], None).await
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_thirty_seconds_everywhere() {
    let (key, record, instance, clock) = watched().await;
    Tenant::put_key(&record).await;
    present(&instance, &key).await.expect(200);
    Tenant::put_key(&ApiKeyRecord { revoked_at: Some(clock.now()), ..record }).await;
    // An instance that has not seen it knows at once.
    let other = Instance::with(&links::SERVICE, "links.api", clock.clone(), |environment| environment).await;
    refused(present(&other, &key).await);
    clock.advance(SignedDuration::from_secs(30));
    refused(present(&instance, &key).await);
}

#[tokio::test]
async fn a_key_that_was_made_a_moment_ago_works_within_thirty_seconds_even_after_it_was_refused() {
    let (key, record, instance, clock) = watched().await;
    refused(present(&instance, &key).await);
    Tenant::put_key(&record).await;
    clock.advance(SignedDuration::from_secs(30));
    present(&instance, &key).await.expect(200);
}

#[tokio::test]
async fn a_key_ends_at_its_time_to_the_second() {
    let (key, record, instance, clock) = watched().await;
    Tenant::put_key(&ApiKeyRecord { expires_at: Some(clock.now() + SignedDuration::from_secs(10)), ..record }).await;
    present(&instance, &key).await.expect(200);
    clock.advance(SignedDuration::from_millis(9_999));
    present(&instance, &key).await.expect(200);
    clock.advance(SignedDuration::from_millis(1));
    refused(present(&instance, &key).await);
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_name_and_is_told_what_it_lacks() {
    let tenant = Tenant::new().await;
    let path = path_of(&link(&tenant, json!({})).await);
    let new = json!({"target": "https://example.com/"});
    let domains = json!({"domains": []});
    for (scopes, read, write, manage) in [
        ("links:read", true, false, false),
        ("links:write", false, true, false),
        ("links:read links:write", true, true, false),
        ("links:manage", false, false, true),
        ("links:*", true, true, true),
        ("*", true, true, true),
        ("", false, false, false),
        ("link:* links links: LINKS:READ jobs:*", false, false, false),
    ] {
        let key = tenant.key_with(scopes).await;
        let ask = async |method: Method, path: &str, body: Option<&serde_json::Value>| {
            let request = anonymous(method, path).header("x-api-key", &key);
            body.map_or(request.try_clone().unwrap(), |body| request.json(body)).answer().await
        };
        let check = |answer: Answer, allowed: bool, permission: &str| {
            if allowed {
                assert!(answer.status.is_success(), "{scopes}: {answer:?}");
            } else {
                let problem = answer.problem(403, "forbidden");
                assert!(problem["detail"].as_str().unwrap().contains(permission), "{problem}");
            }
        };
        check(ask(Method::GET, "/v1/links", None).await, read, "links:read");
        check(ask(Method::GET, &path, None).await, read, "links:read");
        check(ask(Method::GET, &format!("{path}/stats"), None).await, read, "links:read");
        check(ask(Method::GET, &format!("{path}/qr"), None).await, read, "links:read");
        check(ask(Method::POST, "/v1/links", Some(&new)).await, write, "links:write");
        check(ask(Method::PATCH, &path, Some(&json!({"title": "x"}))).await, write, "links:write");
        check(ask(Method::GET, "/v1/links/blocklist", None).await, read, "links:read");
        check(ask(Method::PUT, "/v1/links/blocklist", Some(&domains)).await, manage, "links:manage");
    }
    let reader = tenant.key_with("links:read").await;
    anonymous(Method::DELETE, &path).header("x-api-key", reader).answer().await.problem(403, "forbidden");
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let (owner, stranger) = (Tenant::new().await, Tenant::new().await);
    let made = crate::link::made(&owner, json!({})).await;
    let path = path_of(&made.json());
    let missing = stranger.get("/v1/links/link_01k9z4n2y6e0qv3m8t5w7x9abc").await.problem(404, "not-found");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/stats")),
        (Method::GET, format!("{path}/qr")),
    ] {
        for header in [("x-nothing", ""), ("if-match", "*"), ("if-match", made.header("etag")), ("if-match", "\"x\"")] {
            let request =
                stranger.request(method.clone(), &path).header(header.0, header.1).json(&json!({"title": "x"}));
            let problem = request.answer().await.problem(404, "not-found");
            assert_eq!(problem["detail"], missing["detail"]);
        }
    }
    assert_eq!(stranger.get("/v1/links").await.json()["data"], json!([]));
    assert_eq!(owner.get(&path).await.expect(200).body, made.body);
}

#[tokio::test]
async fn what_is_no_id_of_a_link_names_nothing() {
    let tenant = Tenant::new().await;
    for id in [
        "job_01k9z4n2y6e0qv3m8t5w7x9abc",
        "link_",
        "link_1",
        "01k9z4n2y6e0qv3m8t5w7x9abc",
        "LINK_01K9Z4N2Y6E0QV3M8T5W7X9ABC",
        "link_81k9z4n2y6e0qv3m8t5w7x9abc",
        "%00",
        "%F0%9F%98%80",
        "..%2f",
        "link%23x",
    ] {
        for below in ["", "/stats", "/qr"] {
            tenant.get(&format!("/v1/links/{id}{below}")).await.problem(404, "not-found");
        }
        tenant.delete(&format!("/v1/links/{id}")).await.problem(404, "not-found");
    }
}
