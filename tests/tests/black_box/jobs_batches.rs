//! Batches whose jobs depend on one another.

use http::Method;
use serde_json::{Value, json};
use tests::{Answer, Ask as _, Tenant};

use crate::jobs::{act, batch, ended, ids, in_state, job, lease};
use crate::link::faults;

async fn send(tenant: &Tenant, key: &str, jobs: &Value) -> Answer {
    let request = tenant.request(Method::POST, "/v2/jobs/batch").header("idempotency-key", key);
    request.json(&json!({"jobs": jobs})).answer().await
}

#[tokio::test]
async fn a_flow_is_one_batch() {
    let tenant = Tenant::new().await;
    let there = job(&tenant, json!({"type": "noop"})).await;
    let flow = [
        json!({"type": "split", "ref": "split"}),
        json!({"type": "part", "ref": "a", "depends_on": [{"ref": "split"}]}),
        json!({"type": "part", "ref": "b", "depends_on": [{"ref": "split"}]}),
        json!({"type": "gather", "depends_on": [{"ref": "b"}, there["id"], {"ref": "a"}]}),
    ];
    ended(&tenant, &there).await;
    let made = batch(&tenant, flow.to_vec()).await;
    let all = ids(&made);
    let waiting: Vec<_> = made.iter().map(|job| (&job["state"], &job["depends_on"], &job["waits_for"])).collect();
    let (blocked, split) = (&json!("blocked"), &json!([all[0]]));
    let (gather, open) = (json!([all[2], there["id"], all[1]]), json!([all[2], all[1]]));
    let none = json!([]);
    let expected =
        [(&json!("queued"), &none, &none), (blocked, split, split), (blocked, split, split), (blocked, &gather, &open)];
    assert_eq!(waiting, expected);

    for round in [1, 2, 1] {
        let taken = lease(&tenant, "default", json!({"max": 32})).await;
        assert_eq!(taken.len(), round);
        for one in &taken {
            let said = json!({"claim": one["claim"], "result": one["type"]});
            act(&tenant, one, "complete", said).await.expect(200);
        }
    }
    assert_eq!(ended(&tenant, &made[3]).await["result"], "gather");
}

#[tokio::test]
async fn a_batch_that_was_made_before_says_so() {
    let tenant = Tenant::new().await;
    let (one, two) = (json!({"type": "a"}), json!([{"type": "a"}, {"type": "b"}]));
    let first = send(&tenant, "key", &json!([one])).await.expect(200);
    assert!(first.headers.get("idempotency-replayed").is_none());
    let again = send(&tenant, "key", &json!([one])).await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first.json()));
    let other = send(&tenant, "other", &two).await.expect(200);
    assert!(other.headers.get("idempotency-replayed").is_none());
}

#[tokio::test]
async fn a_job_of_a_batch_depends_on_earlier_ones_alone_and_else_none_is_made() {
    let tenant = Tenant::new().await;
    let jobs = json!([
        {"type": "a", "ref": "a", "depends_on": [{"ref": "a"}, {"ref": "b"}]},
        {"type": "a", "ref": "b", "depends_on": [{"ref": "a"}, {"ref": "c"}]},
        {"type": "a", "ref": "a", "depends_on": vec![json!({"ref": "b"}); 21]},
    ]);
    let problem = tenant.post("/v2/jobs/batch", &json!({"jobs": jobs})).await.problem(422, "validation");
    let expected = [
        ("/jobs/0/depends_on/0", "not_found"),
        ("/jobs/0/depends_on/1", "not_found"),
        ("/jobs/1/depends_on/1", "not_found"),
        ("/jobs/2/depends_on", "too_many"),
        ("/jobs/2/ref", "taken"),
    ];
    assert_eq!(faults(&problem), expected);
    for (dependency, pointer) in [
        (json!({"ref": ""}), "/jobs/0/depends_on/0/ref"),
        (json!({"id": "a"}), "/jobs/0/depends_on/0/id"),
        (json!({}), "/jobs/0/depends_on/0/ref"),
        (json!("a"), "/jobs/0/depends_on/0"),
        (json!(1), "/jobs/0/depends_on/0"),
    ] {
        let body = json!({"jobs": [{"type": "a", "depends_on": [dependency]}]});
        let problem = tenant.post("/v2/jobs/batch", &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    // There are no others but in a batch.
    let problem = tenant.post("/v2/jobs", &json!({"type": "a", "ref": "a"})).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/ref", "not_allowed")]);
    let alone = json!({"type": "a", "depends_on": [{"ref": "a"}]});
    let problem = tenant.post("/v2/jobs", &alone).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/depends_on/0", "not_found")]);
    assert_eq!(tenant.get("/v2/jobs").await.expect(200).json()["data"], json!([]));
}

#[tokio::test]
async fn a_flow_that_is_sent_again_with_its_key_is_made_once() {
    let tenant = Tenant::new().await;
    let flow = json!([
        {"type": "a", "ref": "first"}, {"type": "b", "ref": "second", "depends_on": [{"ref": "first"}]},
        {"type": "c", "depends_on": [{"ref": "second"}, {"ref": "first"}]},
    ]);
    let first = send(&tenant, "flow", &flow).await.expect(200).json();
    assert_eq!(send(&tenant, "flow", &flow).await.expect(200).json(), first);
    assert_eq!(tenant.get("/v2/jobs").await.expect(200).json()["data"].as_array().unwrap().len(), 3);
    let ids = |at: usize, list: &str| first["results"][at]["job"][list].clone();
    assert_eq!(ids(2, "depends_on"), json!([ids(1, "id"), ids(0, "id")]));
}

#[tokio::test]
async fn a_ref_stands_for_the_job_that_has_its_unique_key() {
    let tenant = Tenant::new().await;
    let import = json!({"type": "import", "unique": {"key": "daily"}});
    let running = job(&tenant, import.clone()).await;
    let mut named = import.clone();
    named["ref"] = json!("import");
    let jobs = json!([named, {"type": "report", "depends_on": [{"ref": "import"}]}]);
    let results = send(&tenant, "one", &jobs).await.expect(200).json()["results"].clone();
    assert_eq!((&results[0]["outcome"], &results[1]["outcome"]), (&json!("existing"), &json!("created")));
    assert_eq!(results[1]["job"]["waits_for"], json!([running["id"]]));
    act(&tenant, &running, "cancel", json!({})).await.expect(200);
    in_state(&tenant, &results[1]["job"], "cancelled").await;
}

#[tokio::test]
async fn a_hundred_jobs_may_depend_on_one_that_ends_while_they_are_made() {
    let tenant = Tenant::new().await;
    let mut jobs = vec![json!({"type": "noop", "ref": "first"})];
    jobs.extend(vec![json!({"type": "noop", "depends_on": [{"ref": "first"}]}); 99]);
    for job in batch(&tenant, jobs).await {
        assert_eq!(ended(&tenant, &job).await["state"], "succeeded");
    }
}

#[tokio::test]
async fn of_many_batches_with_one_key_at_once_each_tells_of_the_same_jobs() {
    let tenant = Tenant::new().await;
    let jobs = json!([{"type": "a"}, {"type": "b", "ref": "b"}, {"type": "c", "depends_on": [{"ref": "b"}]}]);
    let answers = futures::future::join_all((0..8).map(|_| send(&tenant, "once", &jobs))).await;
    let made = |answer: &Answer| {
        let results = answer.json()["results"].as_array().unwrap().clone();
        results.iter().map(|result| (result["outcome"].clone(), result["job"]["id"].clone())).collect::<Vec<_>>()
    };
    let first = made(&answers[0]);
    assert!(first.iter().all(|(outcome, _)| outcome == "created"), "{first:?}");
    for answer in &answers {
        assert_eq!(made(answer), first);
    }
    let listed = tenant.get("/v2/jobs").await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
}
