//! Guessing the password of a link: what a stranger can try, and that others are not shut out by it.

use lambda_runtime::Context;
use serde_json::json;
use shared::time::{Clock, SignedDuration};
use tests::{Answer, Instance, Tenant, http_event};

use crate::link::link;

/// The tries that one network has in a minute.
const TRIES: usize = 10;

async fn door(clock: &Clock) -> Instance {
    Instance::with(&links::SERVICE, "links.redirect", clock.clone(), |environment| environment).await
}

async fn attempt(door: &Instance, slug: &str, address: &str, password: &str) -> Answer {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut event = http_event("POST", &format!("/l/{slug}"), &form, Some(&format!("password={password}")));
    event["requestContext"]["http"]["sourceIp"] = json!(address);
    door.http_in(&event, Context::default()).await
}

#[tokio::test]
async fn a_network_that_guesses_waits_and_others_go_on() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({"target": "https://example.com/", "password": "open sesame"})).await;
    let slug = link["slug"].as_str().unwrap();
    let clock = Clock::manual(Clock::system().now());
    let door = door(&clock).await;
    for left in (0..TRIES).rev() {
        let refused = attempt(&door, slug, "203.0.113.7", "wrong").await.expect(403);
        assert!(refused.header("ratelimit").contains(&format!("\"password-tries\";r={left}")), "{refused:?}");
    }
    let limited = attempt(&door, slug, "203.0.113.7", "open+sesame").await;
    assert_eq!(limited.header("retry-after"), "6");
    assert!(limited.header("ratelimit-policy").contains("\"password-tries\";q=10;w=60"), "{limited:?}");
    limited.problem(429, "rate-limited");

    let other = attempt(&door, slug, "203.0.113.8", "open+sesame").await.expect(303);
    assert_eq!(other.header("location"), "https://example.com/");
    clock.advance(SignedDuration::from_secs(6));
    attempt(&door, slug, "203.0.113.7", "open+sesame").await.expect(303);
}

#[tokio::test]
async fn one_customers_ipv6_addresses_count_as_one_network() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({"target": "https://example.com/", "password": "open sesame"})).await;
    let slug = link["slug"].as_str().unwrap();
    let door = door(&Clock::manual(Clock::system().now())).await;
    for host in 0..TRIES {
        attempt(&door, slug, &format!("2001:db8:1:2:{host:x}::1"), "wrong").await.expect(403);
    }
    attempt(&door, slug, "2001:db8:1:2:ffff::1", "open+sesame").await.problem(429, "rate-limited");
    attempt(&door, slug, "2001:db8:1:3::1", "open+sesame").await.expect(303);
}

#[tokio::test]
async fn many_networks_together_are_limited_too() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({"target": "https://example.com/", "password": "open sesame"})).await;
    let slug = link["slug"].as_str().unwrap();
    let door = door(&Clock::manual(Clock::system().now())).await;
    for host in 0..100 {
        // Too short to be a password at all: refused without a hash, and counted all the same.
        attempt(&door, slug, &format!("203.0.113.{host}"), "no").await.expect(403);
    }
    let limited = attempt(&door, slug, "203.0.113.200", "open+sesame").await;
    assert!(limited.header("ratelimit").contains("\"password-tries-of-all\";r=0"), "{limited:?}");
    limited.problem(429, "rate-limited");
}
