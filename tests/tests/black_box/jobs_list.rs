//! The list of jobs: its filters, both orders, and every row once.

use serde_json::{Value, json};
use tests::Tenant;

use crate::jobs::{act, batch, ended, ids, in_state, job, lease, leased, soon};
use crate::link::faults;

/// The types of a list, in its order.
async fn types(tenant: &Tenant, query: &str) -> Vec<String> {
    let page = tenant.get(&format!("/v1/jobs?{query}")).await.expect(200).json();
    page["data"].as_array().unwrap().iter().map(|row| row["type"].as_str().unwrap().to_owned()).collect()
}

/// All rows of a list, page by page; `between` runs after each.
async fn walk(tenant: &Tenant, list: &str, mut between: impl AsyncFnMut()) -> Vec<Value> {
    let (mut rows, mut next) = (Vec::new(), list.to_owned());
    loop {
        let answer = tenant.get(&next).await.expect(200);
        let page = answer.json();
        rows.extend(page["data"].as_array().unwrap().clone());
        assert_eq!(page["has_more"], json!(page["next_cursor"].is_string()));
        if page["next_cursor"].is_null() {
            return rows;
        }
        let link = answer.header("link");
        next = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
        between().await;
    }
}

#[tokio::test]
async fn jobs_are_found_by_queue_type_tag_priority_and_time_and_filters_add_up() {
    let tenant = Tenant::new().await;
    let mut made = Vec::new();
    for body in [
        json!({"type": "one", "tags": ["red"], "priority": "high"}),
        json!({"type": "two", "tags": ["red", "blue"], "queue": "other"}),
        json!({"type": "three", "queue": "other"}),
    ] {
        let new = job(&tenant, body).await;
        let last = made.last().map(|last: &Value| last["created_at"].as_str().unwrap());
        assert!(last < new["created_at"].as_str(), "a request takes more than a millisecond");
        made.push(new);
    }
    let second = made[1]["created_at"].as_str().unwrap();
    for (query, expected) in [
        (String::new(), vec!["three", "two", "one"]),
        ("sort=-created_at".to_owned(), vec!["three", "two", "one"]),
        ("sort=created_at".to_owned(), vec!["one", "two", "three"]),
        ("queue=other".to_owned(), vec!["three", "two"]),
        ("queue=default".to_owned(), vec!["one"]),
        ("queue=none".to_owned(), vec![]),
        ("type=two".to_owned(), vec!["two"]),
        ("tag=red".to_owned(), vec!["two", "one"]),
        ("tag=re".to_owned(), vec![]),
        ("tag=red&queue=other".to_owned(), vec!["two"]),
        ("priority=high".to_owned(), vec!["one"]),
        ("priority=normal&sort=created_at".to_owned(), vec!["two", "three"]),
        ("state=queued&tag=blue".to_owned(), vec!["two"]),
        (format!("created_from={second}"), vec!["three", "two"]),
        (format!("created_before={second}"), vec!["one"]),
        (format!("created_before={second}&sort=created_at"), vec!["one"]),
        (format!("created_from={second}&created_before={second}"), vec![]),
        (format!("created_from={}", second.replace('Z', "%2B00:00")), vec!["three", "two"]),
        ("created_from=2999-01-01T00:00:00Z".to_owned(), vec![]),
        ("created_before=1960-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        assert_eq!(types(&tenant, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn jobs_are_found_by_each_of_their_states() {
    let tenant = Tenant::new().await;
    let again = json!({"kind": "fixed", "seconds": 3600});
    let sleep = |milliseconds: u32, more: Value| {
        let mut body = json!({"type": "sleep", "payload": {"milliseconds": milliseconds}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let jobs = batch(
        &tenant,
        vec![
            json!({"type": "scheduled", "delay_seconds": 3600}),
            json!({"type": "queued"}),
            json!({"type": "running", "queue": "work"}),
            sleep(0, json!({"payload": {"milliseconds": 0, "fail_attempts": 1}, "backoff": again})),
            sleep(0, json!({})),
            sleep(0, json!({"payload": {"milliseconds": 0, "poison": true}})),
            json!({"type": "cancelled", "delay_seconds": 3600}),
        ],
    )
    .await;
    let states = ["scheduled", "queued", "running", "retrying", "succeeded", "dead", "cancelled"];
    lease(&tenant, "work", json!({"wait_seconds": 20})).await;
    act(&tenant, &jobs[6], "cancel", json!({})).await.expect(200);
    for (job, state) in jobs.iter().zip(states) {
        in_state(&tenant, job, state).await;
    }
    for (job, state) in jobs.iter().zip(states) {
        let listed = tenant.get(&format!("/v1/jobs?state={state}")).await.expect(200).json();
        assert_eq!(ids(listed["data"].as_array().unwrap()), ids(std::slice::from_ref(job)), "{state}");
        assert_eq!(listed["data"][0]["state"], state);
    }
}

#[tokio::test]
async fn every_job_comes_once_in_order_while_others_are_made() {
    let tenant = Tenant::new().await;
    let body = |index: usize| {
        let (queue, tag) = if index.is_multiple_of(3) { ("third", "rare") } else { ("default", "common") };
        json!({"type": "a", "queue": queue, "tags": [tag]})
    };
    let mut all = ids(&batch(&tenant, (0..60).map(body).collect()).await);
    // Some have other states.
    lease(&tenant, "default", json!({"max": 10})).await;
    let cancelled = tenant.get("/v1/jobs?queue=third&limit=5").await.expect(200).json();
    for job in cancelled["data"].as_array().unwrap() {
        act(&tenant, job, "cancel", json!({})).await.expect(200);
    }
    all.sort_unstable();
    let insert = async || {
        job(&tenant, json!({"type": "late"})).await;
    };
    let newest_first = walk(&tenant, "/v1/jobs?limit=7", insert).await;
    assert_eq!(ids(&newest_first), all.iter().rev().cloned().collect::<Vec<_>>());
    let states = |state: &str| newest_first.iter().filter(|job| job["state"] == state).count();
    assert_eq!((states("running"), states("cancelled"), states("queued")), (10, 5, 45));

    let oldest_first = walk(&tenant, "/v1/jobs?limit=25&sort=created_at&type=a", async || {}).await;
    assert_eq!(ids(&oldest_first), all);
    let rare = walk(&tenant, "/v1/jobs?limit=4&tag=rare&sort=created_at", async || {}).await;
    assert_eq!(rare.len(), 20);
    assert!(ids(&rare).is_sorted());
    assert_eq!(walk(&tenant, "/v1/jobs?limit=2&state=cancelled", async || {}).await.len(), 5);
    let exact = tenant.get("/v1/jobs?type=a&limit=60").await.expect(200).json();
    assert_eq!((exact["data"].as_array().unwrap().len(), &exact["has_more"]), (60, &json!(false)));
    let none = tenant.get("/v1/jobs?type=b").await.expect(200).json();
    assert_eq!(none, json!({"data": [], "next_cursor": null, "has_more": false}));
}

#[tokio::test]
async fn a_list_shows_what_a_single_read_shows_but_no_long_payload() {
    let tenant = Tenant::new().await;
    let short =
        job(&tenant, json!({"type": "sleep", "payload": {"milliseconds": 0, "fail_attempts": 1}, "backoff": soon()}))
            .await;
    let short = ended(&tenant, &short).await;
    job(&tenant, json!({"type": "a", "payload": "x".repeat(5000)})).await;
    let long = leased(&tenant).await;
    let listed = tenant.get("/v1/jobs?sort=created_at").await.expect(200).json();
    assert_eq!(listed["data"][0], short);
    assert_eq!((&listed["data"][1]["payload"], &listed["data"][1]["payload_bytes"]), (&json!(null), &json!(5002)));
    assert_eq!((&long["payload"], &long["payload_bytes"]), (&json!("x".repeat(5000)), &json!(5002)));
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_refused() {
    let tenant = Tenant::new().await;
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("limits=1", "?limits"),
        ("sort=type", "?sort"),
        ("state=Running", "?state"),
        ("state=", "?state"),
        ("priority=1", "?priority"),
        ("type=A", "?type"),
        ("queue=a..b", "?queue"),
        ("tag=", "?tag"),
        ("tag=%00", "?tag"),
        ("tag=a&tag=b", "?tag"),
        ("created_from=yesterday", "?created_from"),
    ] {
        let problem = tenant.get(&format!("/v1/jobs?{query}")).await.problem(422, "validation");
        assert_eq!(faults(&problem)[0].0, pointer, "{query}");
    }
    batch(&tenant, vec![json!({"type": "a"}); 3]).await;
    let page = tenant.get("/v1/jobs?limit=1").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for query in ["sort=created_at", "type=a", "state=queued", "queue=default", "created_from=2026-01-01T00:00:00Z"] {
        tenant.get(&format!("/v1/jobs?{query}&cursor={cursor}")).await.problem(400, "invalid-cursor");
    }
    tenant.get(&format!("/v1/queues?cursor={cursor}")).await.problem(400, "invalid-cursor");
    Tenant::new().await.get(&format!("/v1/jobs?limit=1&cursor={cursor}")).await.problem(400, "invalid-cursor");
    tenant.get("/v1/jobs?cursor=AAAA").await.problem(400, "invalid-cursor");
}
