//! The redirect, with each of its calls failing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use shared::aws::Aws;
use shared::dynamo::Dynamo;
use shared::limits::{DynamoLimiter, Limit, Limiter as _, Policy};
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tests::{Fault, FaultProxy, Instance, Tenant, eventually, http_event};

use super::{at_each_call, behind, done_or_unavailable, unavailable};

/// A new link's path at the API, and its public path.
async fn link(tenant: &Tenant, body: &serde_json::Value) -> (String, String) {
    let made = tenant.post("/v1/links", body).await.expect(201);
    (made.header("location").to_owned(), format!("/l/{}", made.json()["slug"].as_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_dynamodb_is_down_a_link_that_is_remembered_works_until_it_is_too_old() {
    let tenant = Tenant::new().await;
    let (_, path) = link(&tenant, &json!({"target": "https://example.com/"})).await;
    let (_, other) = link(&tenant, &json!({"target": "https://example.com/"})).await;
    for fault in [Fault::LostRequest, Fault::Throttled, Fault::ServerError] {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = is_down.clone();
        let proxy = FaultProxy::start(move |operation| {
            (operation == "GetItem" && down.load(Ordering::SeqCst)).then_some(fault)
        })
        .await;
        let clock = Clock::manual(Clock::system().now());
        let door = Instance::with(&links::SERVICE, "links.redirect", clock.clone(), |environment| {
            environment.with("AWS_ENDPOINT_URL", proxy.url())
        })
        .await;
        door.http("GET", &path, &[], None).await.expect(302);
        is_down.store(true, Ordering::SeqCst);

        clock.advance(links::redirect::MAX_STALENESS - SignedDuration::from_millis(1));
        let kept = door.http("GET", &path, &[], None).await.expect(302);
        assert_eq!(kept.header("location"), "https://example.com/");
        unavailable(&door.http("GET", &other, &[], None).await, "another link");
        clock.advance(SignedDuration::from_millis(1));
        unavailable(&door.http("GET", &path, &[], None).await, "too old");

        is_down.store(false, Ordering::SeqCst);
        door.http("GET", &path, &[], None).await.expect(302);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_sqs_is_down_the_redirect_works() {
    let tenant = Tenant::new().await;
    let (_, path) = link(&tenant, &json!({"target": "https://example.com/"})).await;
    for fault in super::FAULTS {
        let proxy = FaultProxy::start(move |operation| (operation == "SendMessage").then_some(fault)).await;
        let door = behind(&proxy, "links.redirect").await;
        door.http("GET", &path, &[], None).await.expect(302);
        assert!(proxy.calls().contains(&"SendMessage".to_owned()), "the click was tried");
        door.http("GET", &path, &[], None).await.expect(302);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_the_queue_refuses_goes_with_the_next_one_and_both_count_once() {
    let tenant = Tenant::new().await;
    for fault in super::FAULTS {
        let (path, public) = link(&tenant, &json!({"target": "https://example.com/"})).await;
        let refuses = Arc::new(AtomicBool::new(true));
        let refusing = refuses.clone();
        let proxy = FaultProxy::start(move |operation| {
            (operation == "SendMessage" && refusing.load(Ordering::SeqCst)).then_some(fault)
        })
        .await;
        let clock = Clock::manual(Clock::system().now());
        let door = Instance::with(&links::SERVICE, "links.redirect", clock.clone(), |environment| {
            environment.with("AWS_ENDPOINT_URL", proxy.url())
        })
        .await;
        door.http("GET", &public, &[], None).await.expect(302);
        let tries = proxy.requests("SendMessage").len();
        assert!(tries > 1, "the client library has tried it more than once");

        refuses.store(false, Ordering::SeqCst);
        clock.advance(SignedDuration::from_secs(1));
        door.http("GET", &public, &[], None).await.expect(302);
        let sent: Vec<serde_json::Value> = proxy
            .requests("SendMessage")
            .iter()
            .map(|request| serde_json::from_str(request["MessageBody"].as_str().unwrap()).unwrap())
            .collect();
        let (first, of_next) = sent.split_at(tries);
        assert_eq!(of_next.len(), 2, "{fault:?}: the next one, and the first one again");
        assert!(first.iter().all(|click| *click == of_next[1]), "{fault:?}: with its own time and id");
        assert_ne!((&of_next[0]["id"], &of_next[0]["at"]), (&of_next[1]["id"], &of_next[1]["at"]));
        // Nothing is left for a third.
        door.http("GET", "/l/nothing-here", &[], None).await.expect(404);
        assert_eq!(proxy.requests("SendMessage").len(), sent.len());

        eventually("both clicks to be counted", || async {
            let stats = tenant.get(&format!("{path}/stats")).await.expect(200).json();
            let clicks = stats["total"]["clicks"].as_u64().unwrap();
            assert!(clicks <= 2, "{fault:?}: {stats}");
            (clicks == 2).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_is_killed_before_it_sends_its_click_has_redirected_and_left_all_in_order() {
    let tenant = Tenant::new().await;
    let (path, public) = link(&tenant, &json!({"target": "https://example.com/", "max_clicks": 2})).await;
    let proxy = FaultProxy::watching().await;
    let door = behind(&proxy, "links.redirect").await;
    let answer = door.invoke_and_kill(&http_event("GET", &public, &[], None)).await.unwrap();
    assert_eq!(answer["statusCode"], 302);
    assert_eq!(answer["headers"]["location"], "https://example.com/");
    assert!(!proxy.calls().contains(&"SendMessage".to_owned()), "it was killed before");

    // The click of the limit was spent in the answer's path; only its count is missing.
    assert_eq!(tenant.get(&path).await.expect(200).json()["clicks_used"], 1);
    let door = Instance::of(&links::SERVICE, "links.redirect").await;
    door.http("GET", &public, &[], None).await.expect(302);
    door.http("GET", &public, &[], None).await.problem(410, "gone");
    eventually("the second click to be counted", || async {
        let stats = tenant.get(&format!("{path}/stats")).await.expect(200).json();
        let clicks = stats["total"]["clicks"].as_u64().unwrap();
        assert!(clicks <= 1, "{stats}");
        (clicks == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_no_visitor_more_than_the_limit_gets_through() {
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let (path, public) = link(&tenant, &json!({"target": "https://example.com/", "max_clicks": 4})).await;
        let answer = behind(&proxy, "links.redirect").await.http("GET", &public, &[], None).await;
        done_or_unavailable(&answer, 302, outage);
        let first = u64::from(answer.status == 302);

        // A visit that ends in a failure may cost its click, as nobody knows whether it was spent; never more than that one.
        let used = tenant.get(&path).await.expect(200).json()["clicks_used"].as_u64().unwrap();
        assert!((first..=1).contains(&used), "{outage:?}: {used}");
        let door = Instance::of(&links::SERVICE, "links.redirect").await;
        for _ in used..4 {
            door.http("GET", &public, &[], None).await.expect(302);
        }
        door.http("GET", &public, &[], None).await.problem(410, "gone");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_whose_answer_was_lost_is_spent_once_and_its_visitor_gets_through() {
    let tenant = Tenant::new().await;
    for limit in [1, 3] {
        let (path, public) = link(&tenant, &json!({"target": "https://example.com/", "max_clicks": limit})).await;
        let proxy = losing_the_first_update(|| {}).await;
        behind(&proxy, "links.redirect").await.http("GET", &public, &[], None).await.expect(302);
        assert_eq!(proxy.requests("UpdateItem").len(), 2, "the client library has sent it again");

        assert_eq!(tenant.get(&path).await.expect(200).json()["clicks_used"], 1);
        let door = Instance::of(&links::SERVICE, "links.redirect").await;
        for _ in 1..limit {
            door.http("GET", &public, &[], None).await.expect(302);
        }
        door.http("GET", &public, &[], None).await.problem(410, "gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_click_whose_answer_was_lost_is_known_again_after_an_edit() {
    let tenant = Arc::new(Tenant::new().await);
    let (path, public) = link(&tenant, &json!({"target": "https://example.com/", "max_clicks": 1})).await;
    let (editor, edited) = (tenant.clone(), path.clone());
    let proxy = losing_the_first_update(move || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(async { editor.patch(&edited, &json!({"title": "Edited"})).await.expect(200) })
        });
    })
    .await;
    behind(&proxy, "links.redirect").await.http("GET", &public, &[], None).await.expect(302);

    let shown = tenant.get(&path).await.expect(200).json();
    assert_eq!((&shown["title"], &shown["clicks_used"]), (&json!("Edited"), &json!(1)));
    let door = Instance::of(&links::SERVICE, "links.redirect").await;
    door.http("GET", &public, &[], None).await.problem(410, "gone");
}

/// A network that loses the answer to the first `UpdateItem`; the second one waits for `meanwhile`.
async fn losing_the_first_update(meanwhile: impl Fn() + Send + 'static) -> FaultProxy {
    let mut updates = 0;
    FaultProxy::start(move |operation| {
        updates += usize::from(operation == "UpdateItem");
        match (operation, updates) {
            ("UpdateItem", 1) => return Some(Fault::LostAnswer),
            ("UpdateItem", 2) => meanwhile(),
            _ => {}
        }
        None
    })
    .await
}

/// A network in which the first `count` calls (more than the SDK tries by itself) of `operation` meet a transaction.
async fn meeting_transactions(operation: &'static str, mut count: u32) -> FaultProxy {
    FaultProxy::start(move |called| {
        let meets = called == operation && count > 0;
        count -= u32::from(meets);
        meets.then_some(Fault::InTransaction)
    })
    .await
}

#[tokio::test]
async fn a_visit_that_meets_an_edit_waits_for_it() {
    let tenant = Tenant::new().await;
    let (_, limited) = link(&tenant, &json!({"target": "https://example.com/", "max_clicks": 1})).await;
    let network = meeting_transactions("UpdateItem", 4).await;
    let door = Instance::with(&links::SERVICE, "links.redirect", Clock::system(), |environment| {
        environment.with("AWS_ENDPOINT_URL", network.url())
    })
    .await;
    door.http("GET", &limited, &[], None).await.expect(302);
    door.http("GET", &limited, &[], None).await.expect(410);
}

#[tokio::test]
async fn a_limit_whose_bucket_is_in_a_transaction_waits_for_it() {
    let network = meeting_transactions("UpdateItem", 4).await;
    let environment = tests::stack().environment("links.redirect").unwrap();
    let aws = Aws::new(&environment.with("AWS_ENDPOINT_URL", network.url())).unwrap();
    let table = environment.get("LIMITS_TABLE").unwrap();
    let limiter = DynamoLimiter::new(Dynamo::new(aws.dynamo), table, Random::system());
    let policy = Policy::new("one", 1, std::time::Duration::from_mins(1), 1).unwrap();
    let limits = [Limit { policy: &policy, key: "k", cost: 1 }];
    let tenant = Tenant::new().await.id.to_string();
    let now = Clock::system().now();
    assert!(limiter.check(&tenant, &limits, now).await.unwrap().allowed);
    assert!(!limiter.check(&tenant, &limits, now).await.unwrap().allowed);
}
