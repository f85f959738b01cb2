//! Jobs that depend on others: chains, fan-out and fan-in, and what becomes of them when one fails.

use http::Method;
use serde_json::{Value, json};
use tests::{Ask as _, Tenant};

/// A job that a worker leases.
async fn job(tenant: &Tenant, name: &str, depends_on: &[&str], more: Value) -> String {
    let mut new = json!({"type": name, "queue": "flow", "depends_on": depends_on});
    new.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    tenant.post("/v1/jobs", &new).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

async fn look(tenant: &Tenant, id: &str) -> Value {
    tenant.get(&format!("/v1/jobs/{id}")).await.expect(200).json()
}

/// Leases all that can be leased, as (type, job).
async fn leased(tenant: &Tenant) -> Vec<Value> {
    let jobs = tenant.post("/v1/queues/flow/lease", &json!({"max": 32})).await.expect(200).json();
    jobs["jobs"].as_array().unwrap().clone()
}

async fn end(tenant: &Tenant, job: &Value, how: &str, said: Value) {
    let mut body = json!({"claim": job["claim"]});
    body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let id = job["id"].as_str().unwrap();
    tenant.post(&format!("/v1/jobs/{id}/{how}"), &body).await.expect(200);
}

#[tokio::test]
async fn a_chain_passes_its_results_on() {
    let tenant = Tenant::new().await;
    let first = job(&tenant, "first", &[], json!({})).await;
    let second = job(&tenant, "second", &[&first], json!({})).await;
    let seen = look(&tenant, &second).await;
    assert_eq!((&seen["state"], &seen["waits_for"]), (&json!("blocked"), &json!([first])));

    let leases = leased(&tenant).await;
    assert_eq!(leases.iter().map(|job| &job["type"]).collect::<Vec<_>>(), ["first"]);
    end(&tenant, &leases[0], "complete", json!({"result": {"pages": 3}})).await;

    let seen = look(&tenant, &second).await;
    assert_eq!(
        (&seen["state"], &seen["waits_for"], &seen["depends_on"]),
        (&json!("queued"), &json!([]), &json!([first]))
    );
    let leases = leased(&tenant).await;
    assert_eq!(
        leases[0]["parents"],
        json!([{"id": first, "type": "first", "state": "succeeded", "result": {"pages": 3}}])
    );
    end(&tenant, &leases[0], "complete", json!({})).await;
    assert_eq!(look(&tenant, &second).await["state"], "succeeded");
}

#[tokio::test]
async fn what_was_fanned_out_is_fanned_in_once() {
    let tenant = Tenant::new().await;
    let start = job(&tenant, "start", &[], json!({})).await;
    let mut parts = Vec::new();
    // As many as a job may depend on.
    for _ in 0..20 {
        parts.push(job(&tenant, "part", &[&start], json!({})).await);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let gather = job(&tenant, "gather", &parts, json!({})).await;

    let leases = leased(&tenant).await;
    assert_eq!(leases.len(), 1);
    end(&tenant, &leases[0], "complete", json!({})).await;
    let leases = leased(&tenant).await;
    assert_eq!(leases.len(), 20);
    assert_eq!(look(&tenant, &gather).await["state"], "blocked");
    // All end at once, and each takes itself off what is waited for.
    futures::future::join_all(leases.iter().map(|job| end(&tenant, job, "complete", json!({})))).await;
    let seen = look(&tenant, &gather).await;
    assert_eq!((&seen["state"], &seen["waits_for"]), (&json!("queued"), &json!([])));
    let leases = leased(&tenant).await;
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0]["parents"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_failure_cancels_what_depends_on_it_unless_that_runs_all_the_same() {
    let tenant = Tenant::new().await;
    let first = job(&tenant, "first", &[], json!({})).await;
    let child = job(&tenant, "child", &[&first], json!({})).await;
    let grandchild = job(&tenant, "grandchild", &[&child], json!({})).await;
    let cleanup = job(&tenant, "cleanup", &[&first, &grandchild], json!({"on_parent_failure": "run"})).await;

    let leases = leased(&tenant).await;
    end(&tenant, &leases[0], "fail", json!({"class": "broken", "permanent": true})).await;
    assert_eq!(look(&tenant, &first).await["state"], "dead");
    for id in [&child, &grandchild] {
        assert_eq!(look(&tenant, id).await["state"], "cancelled");
    }
    let leases = leased(&tenant).await;
    assert_eq!(leases.iter().map(|job| &job["id"]).collect::<Vec<_>>(), [&json!(cleanup)]);
    let states: Vec<_> = leases[0]["parents"].as_array().unwrap().iter().map(|parent| &parent["state"]).collect();
    assert_eq!(states, ["dead", "cancelled"]);
}

#[tokio::test]
async fn a_cancellation_cascades() {
    let tenant = Tenant::new().await;
    let first = job(&tenant, "first", &[], json!({"delay_seconds": 3600})).await;
    let second = job(&tenant, "second", &[&first], json!({})).await;
    let third = job(&tenant, "third", &[&second], json!({})).await;
    tenant.request(Method::POST, &format!("/v1/jobs/{first}/cancel")).answer().await.expect(200);
    for id in [&first, &second, &third] {
        assert_eq!(look(&tenant, id).await["state"], "cancelled");
    }
}

#[tokio::test]
async fn what_has_ended_holds_nobody_up() {
    let tenant = Tenant::new().await;
    let done = job(&tenant, "done", &[], json!({})).await;
    end(&tenant, &leased(&tenant).await[0], "complete", json!({"result": 7})).await;
    let next = job(&tenant, "next", &[&done, &done], json!({})).await;
    assert_eq!(look(&tenant, &next).await["state"], "queued");
    let leases = leased(&tenant).await;
    assert_eq!(leases[0]["parents"][0]["result"], 7);
}

#[tokio::test]
async fn a_job_depends_on_jobs_of_its_own_tenant_that_can_still_succeed() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let theirs = job(&other, "theirs", &[], json!({})).await;
    let cancelled = job(&tenant, "cancelled", &[], json!({})).await;
    tenant.request(Method::POST, &format!("/v1/jobs/{cancelled}/cancel")).answer().await.expect(200);
    let new = json!({"type": "next", "depends_on": [theirs, cancelled]});
    let problem = tenant.post("/v1/jobs", &new).await.expect(422).json();
    let errors: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| (&error["pointer"], &error["code"])).collect();
    assert_eq!(
        errors,
        [(&json!("/depends_on/0"), &json!("not_found")), (&json!("/depends_on/1"), &json!("not_succeeded")),]
    );
    let many = json!({"type": "next", "depends_on": vec![job(&tenant, "one", &[], json!({})).await; 21]});
    let problem = tenant.post("/v1/jobs", &many).await.expect(422).json();
    assert_eq!(problem["errors"][0]["pointer"], "/depends_on");
    let wrong = json!({"type": "next", "depends_on": ["link_01k9z4n2y6e0qv3m8t5w7x9abc"]});
    tenant.post("/v1/jobs", &wrong).await.expect(422);
}
