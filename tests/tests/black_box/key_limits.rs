//! What an API key may be bound to: the networks it is used from, and a number of requests.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::dynamo::{AttributeValue, Cancellation, Dynamo, DynamoError, n, s};
use shared::http::versions::Version;
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::credits::{Credits, Refill};
use shared::identity::store::{ApiKeyRecord, MOST_NETWORKS};
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};
use tests::{Answer, Ask as _, FaultProxy, Instance, Tenant, anonymous, eventually, http_event, identity, stack};

use crate::resources::aws;

/// A new key of a new tenant, whose record is not written yet.
async fn new_key() -> (ApiKey, ApiKeyRecord) {
    let key = ApiKey::generate(KeyMode::Live, Clock::system().now(), &Random::system());
    let record = ApiKeyRecord::new(&key, Tenant::new().await.id, "test", Scopes::all(), "user_1");
    (key, record)
}

/// A key with these credits, an instance whose clock stands at a whole second, and that clock.
async fn with_credits(credits: impl FnOnce(Timestamp) -> Credits) -> (ApiKey, Instance, Clock) {
    let (key, record) = new_key().await;
    let clock = Clock::manual(Timestamp::from_second(Clock::system().now().as_second()).unwrap());
    Tenant::put_key(&ApiKeyRecord { credits: Some(credits(clock.now())), ..record }).await;
    let instance = instance(&clock).await;
    (key, instance, clock)
}

async fn instance(clock: &Clock) -> Instance {
    Instance::with(&links::SERVICE, "links.api", clock.clone(), |environment| environment).await
}

async fn present(instance: &Instance, key: &ApiKey) -> Answer {
    instance.http("GET", "/v1/links", &[("x-api-key", key.expose())], None).await
}

fn let_in(answers: &[Answer]) -> usize {
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.clone().problem(429, "credits-exhausted");
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test]
async fn fifty_requests_at_once_share_twenty_credits_exactly() {
    let (key, record) = new_key().await;
    Tenant::put_key(&ApiKeyRecord { credits: Some(Credits { remaining: 20, refill: None }), ..record }).await;
    let ask = |_| anonymous(http::Method::GET, "/v1/links").bearer_auth(key.expose()).answer();
    let answers = join_all((0..50).map(ask)).await;
    assert_eq!(let_in(&answers), 20);
    // They do not come back, so nobody is told to wait.
    assert!(answers.iter().all(|answer| answer.header("retry-after").is_empty()));
    assert_eq!(identity().api_key_fresh(&key.id()).await.unwrap().unwrap().credits.unwrap().remaining, 0);
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_key_takes_no_credit() {
    let (key, record) = new_key().await;
    let credits = Some(Credits { remaining: 1, refill: None });
    Tenant::put_key(&ApiKeyRecord { expires_at: Some(Clock::system().now()), credits, ..record.clone() }).await;
    let clock = Clock::system();
    present(&instance(&clock).await, &key).await.problem(401, "unauthenticated");
    let elsewhere = vec!["192.0.2.0/24".parse().unwrap()];
    Tenant::put_key(&ApiKeyRecord { allowed_networks: elsewhere, credits, ..record.clone() }).await;
    present(&instance(&clock).await, &key).await.problem(403, "forbidden");
    Tenant::put_key(&ApiKeyRecord { credits, ..record }).await;
    present(&instance(&clock).await, &key).await.expect(200);
}

#[tokio::test]
async fn credits_are_refilled_at_each_whole_period() {
    let (key, instance, clock) = with_credits(|now| Credits {
        remaining: 1,
        refill: Some(Refill { amount: 3, every_seconds: 60, refilled_at: now }),
    })
    .await;
    present(&instance, &key).await.expect(200);
    for (wait, millis) in [("60", 59_000), ("1", 999)] {
        let answer = present(&instance, &key).await;
        assert_eq!(answer.header("retry-after"), wait);
        answer.problem(429, "credits-exhausted");
        clock.advance(SignedDuration::from_millis(millis));
    }
    present(&instance, &key).await.problem(429, "credits-exhausted");
    clock.advance(SignedDuration::from_millis(1));
    let answers = [(); 4].map(|()| present(&instance, &key));
    assert_eq!(let_in(&join_all(answers).await), 3);
    // Two and a half periods later: three again, not six, and until the next whole period.
    clock.advance(SignedDuration::from_secs(150));
    let answers = join_all([(); 5].map(|()| present(&instance, &key))).await;
    assert_eq!(let_in(&answers), 3);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.header("retry-after") == "30"));
}

#[tokio::test]
async fn many_instances_at_the_moment_of_a_refill_share_it_exactly() {
    let (key, first, clock) = with_credits(|now| Credits {
        remaining: 1,
        refill: Some(Refill { amount: 20, every_seconds: 10, refilled_at: now }),
    })
    .await;
    let mut instances = vec![first];
    for _ in 0..4 {
        instances.push(instance(&clock).await);
    }
    // All have read the record in the old period.
    let answers = join_all(instances.iter().map(|instance| present(instance, &key))).await;
    assert_eq!(let_in(&answers), 1);
    clock.advance(SignedDuration::from_secs(10));
    let asks = (0..10).flat_map(|_| instances.iter().map(|instance| present(instance, &key)));
    assert_eq!(let_in(&join_all(asks).await), 20);
}

#[tokio::test]
async fn more_credits_are_noticed_within_thirty_seconds() {
    let (key, instance, clock) = with_credits(|_| Credits { remaining: 0, refill: None }).await;
    present(&instance, &key).await.problem(429, "credits-exhausted");
    let record = identity().api_key_fresh(&key.id()).await.unwrap().unwrap();
    Tenant::put_key(&ApiKeyRecord { credits: Some(Credits { remaining: 1, refill: None }), ..record }).await;
    clock.advance(SignedDuration::from_secs(30));
    present(&instance, &key).await.expect(200);
    present(&instance, &key).await.problem(429, "credits-exhausted");
}

#[tokio::test]
async fn a_key_without_credits_costs_no_write() {
    let proxy = FaultProxy::watching().await;
    let clock = Clock::system();
    let instance = Instance::with(&links::SERVICE, "links.api", clock, |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url())
    })
    .await;
    let (key, record) = new_key().await;
    Tenant::put_key(&record).await;
    for _ in 0..3 {
        present(&instance, &key).await.expect(200);
    }
    // But for the note of its use, after the first answer.
    assert_eq!(proxy.calls().iter().filter(|call| *call == "UpdateItem").count(), 1);
}

#[tokio::test]
async fn a_key_is_let_in_from_its_networks_alone() {
    let (key, record) = new_key().await;
    let allowed_networks = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
    Tenant::put_key(&ApiKeyRecord { allowed_networks: allowed_networks.to_vec(), ..record }).await;
    let instance = Instance::of(&links::SERVICE, "links.api").await;
    let from = async |address: Value| {
        let mut event = http_event("GET", "/v1/links", &[("x-api-key", key.expose())], None);
        event["requestContext"]["http"]["sourceIp"] = address;
        // What a client may write is not asked.
        event["headers"]["x-forwarded-for"] = json!("192.0.2.1");
        instance.http_in(&event, lambda_runtime::Context::default()).await
    };
    for address in ["192.0.2.1", "192.0.2.255", "198.51.100.7", "::ffff:192.0.2.1", "2001:db8:1:ffff::1"] {
        from(json!(address)).await.expect(200);
    }
    for address in ["192.0.3.1", "198.51.100.8", "127.0.0.1", "2001:db8:2::1", "::192.0.2.1", "nonsense", ""] {
        let problem = from(json!(address)).await.problem(403, "forbidden");
        assert_eq!(problem["detail"], "the API key may not be used from this address");
    }
    from(Value::Null).await.problem(403, "forbidden");
    // The running stack is asked from this machine.
    anonymous(http::Method::GET, "/v1/links").bearer_auth(key.expose()).answer().await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_keys_record_is_read_as_it_was_written() {
    let (key, record) = new_key().await;
    let at = |second| Timestamp::from_second(second).unwrap();
    let written = ApiKeyRecord {
        last_used_at: Some(at(1_000)),
        expires_at: Some(at(4_000_000_000)),
        allowed_networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        credits: Some(Credits {
            remaining: u64::MAX,
            refill: Some(Refill { amount: u64::MAX, every_seconds: 3600, refilled_at: at(2_000) }),
        }),
        api_version: Some(Version::V2),
        ..record
    };
    Tenant::put_key(&written).await;
    let read = identity().api_key_fresh(&key.id()).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
    let networks = vec!["192.0.2.0/24".parse().unwrap(); MOST_NETWORKS + 1];
    let too_many = ApiKeyRecord { allowed_networks: networks, ..written };
    assert!(matches!(identity().put_api_key(&too_many).await, Err(DynamoError::Refused(_))));
}

#[tokio::test]
async fn a_record_of_before_these_attributes_is_still_good() {
    let (key, record) = new_key().await;
    Tenant::put_key(&record).await;
    let table = stack().environment("links.api").unwrap().get("IDENTITY_TABLE").unwrap().to_owned();
    let at = |name: &str, value| (name.to_owned(), value);
    let full = aws().dynamo.get_item().table_name(&table).consistent_read(true);
    let id = [at("pk", s(format!("key#{}", key.id()))), at("sk", s("key"))];
    let full = full.set_key(Some(id.into())).send().await.unwrap().item.unwrap();
    let old = ["pk", "sk", "hash", "tenant", "name", "scopes"].map(|name| at(name, full[name].clone()));
    assert!(full.len() > old.len());
    aws().dynamo.put_item().table_name(&table).set_item(Some(old.into())).send().await.unwrap();
    let read = identity().api_key_fresh(&key.id()).await.unwrap().unwrap();
    assert_eq!(read.created_at, record.created_at);
    assert!(read.allowed_networks.is_empty() && read.credits.is_none() && read.api_version.is_none());
    present(&Instance::of(&links::SERVICE, "links.api").await, &key).await.expect(200);
    // One with a value that is none is not.
    for (name, value) in [
        ("expires_at", s("never")),
        ("revoked_at", AttributeValue::Null(true)),
        ("expires_at", n("1e30")),
        ("allowed_networks", AttributeValue::L(vec![s("everywhere")])),
        ("refill_amount", n(1)),
        ("api_version", s("v0")),
    ] {
        let item = full.clone().into_iter().chain([at(name, value.clone())]).collect();
        aws().dynamo.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
        assert!(identity().api_key_fresh(&key.id()).await.is_err(), "{name} {value:?}");
    }
}

#[tokio::test]
async fn keys_are_made_ended_and_revoked_in_the_callers_transaction() {
    let (key, record) = new_key().await;
    let (store, dynamo) = (identity(), Dynamo::new(aws().dynamo));
    let at = |second| Timestamp::from_second(second).unwrap();
    let failed = |result| match result {
        Err(DynamoError::Cancelled { reasons }) => matches!(reasons[0], Cancellation::ConditionFailed(_)),
        _ => false,
    };
    assert!(failed(dynamo.transact(vec![store.revoke_key_write(&key.id(), at(5))]).await));
    assert!(failed(dynamo.transact(vec![store.expire_key_write(&key.id(), at(5))]).await));
    dynamo.transact(vec![store.api_key_write(&record).unwrap()]).await.unwrap();
    assert!(failed(dynamo.transact(vec![store.api_key_write(&record).unwrap()]).await));
    dynamo.transact(vec![store.expire_key_write(&key.id(), at(4_000_000_000))]).await.unwrap();
    for second in [3_000_000_010, 3_000_000_020] {
        dynamo.transact(vec![store.revoke_key_write(&key.id(), at(second))]).await.unwrap();
    }
    assert!(failed(dynamo.transact(vec![store.expire_key_write(&key.id(), at(4_100_000_000))]).await));
    let read = store.api_key_fresh(&key.id()).await.unwrap().unwrap();
    assert_eq!((read.revoked_at, read.expires_at), (Some(at(3_000_000_010)), Some(at(4_000_000_000))));
    assert_eq!((read.mode, read.created_by.as_str()), (KeyMode::Live, "user_1"));
}

#[tokio::test]
async fn a_revoked_key_goes_when_its_tenant_lists_it_no_more() {
    let (key, record) = new_key().await;
    Tenant::put_key(&record).await;
    let dynamo = Dynamo::new(aws().dynamo);
    for second in [3_000_000_010, 3_000_000_020] {
        let write = identity().revoke_key_write(&key.id(), Timestamp::from_second(second).unwrap());
        dynamo.transact(vec![write]).await.unwrap();
    }
    let table = stack().environment("links.api").unwrap().get("IDENTITY_TABLE").unwrap().to_owned();
    let stored = aws().dynamo.get_item().table_name(&table).consistent_read(true);
    let stored = stored.key("pk", s(format!("key#{}", key.id()))).key("sk", s("key")).send().await.unwrap();
    let removed_at = stored.item.unwrap().get("removed_at").cloned();
    assert_eq!(removed_at, Some(n(3_000_000_010 + auth::audit::KEPT.as_secs())));
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted() {
    let (key, record) = new_key().await;
    Tenant::put_key(&record).await;
    anonymous(http::Method::GET, "/v1/links").bearer_auth(key.expose()).answer().await.expect(200);
    eventually("the use to be noted", || async {
        identity().api_key_fresh(&key.id()).await.unwrap().unwrap().last_used_at
    })
    .await;
}
