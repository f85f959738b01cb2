//! The dead of a queue: why they died, and how they are done again.

use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::{Tenant, eventually};

use crate::jobs::{act, batch, ids, in_state, job, lease, read, time};
use crate::link::faults;

/// Jobs of the queue `q` that died of `class`.
async fn dead(tenant: &Tenant, class: &str, messages: &[&str]) -> Vec<Value> {
    batch(tenant, vec![json!({"type": "a", "queue": "q"}); messages.len()]).await;
    let mut all = Vec::new();
    for message in messages {
        let taken = lease(tenant, "q", json!({"wait_seconds": 20})).await.remove(0);
        let said = json!({"claim": taken["claim"], "class": class, "message": message, "permanent": true});
        all.push(act(tenant, &taken, "fail", said).await.expect(200).json());
    }
    all
}

#[tokio::test]
async fn the_dead_of_a_queue_are_grouped_by_what_they_died_of() {
    let tenant = Tenant::new().await;
    assert_eq!(
        tenant.get("/v1/queues/q/dead").await.expect(200).json(),
        json!({"groups": [], "total": 0, "truncated": false})
    );
    let stock =
        dead(&tenant, "out_of_stock", &["item 4711 at 10.0.0.1", "item 9 at 10.0.0.27", "item 12 at 10.2.3.4"]).await;
    let money = dead(&tenant, "no_money", &["customer 7"]).await;
    let listed = tenant.get("/v1/queues/q/dead").await.expect(200).json();
    assert_eq!((&listed["total"], &listed["truncated"]), (&json!(3 + 1), &json!(false)));
    let [first, second] = [&listed["groups"][0], &listed["groups"][1]];
    assert_eq!(
        (&first["count"], &second["count"], listed["groups"].as_array().unwrap().len()),
        (&json!(3), &json!(1), 2)
    );
    assert_eq!(first["fingerprint"], stock[0]["attempts"][0]["failure"]["fingerprint"]);
    assert_eq!((&first["first_at"], &first["last_at"]), (&stock[0]["finished_at"], &stock[2]["finished_at"]));
    assert_eq!((&first["last_job_id"], &first["last_failure"]), (&stock[2]["id"], &stock[2]["attempts"][0]["failure"]));
    assert_eq!(second["last_job_id"], money[0]["id"]);
    assert_eq!(tenant.get("/v1/queues/other/dead").await.expect(200).json()["total"], 0);
    // What is done again is not dead any more.
    act(&tenant, &money[0], "retry", json!({})).await.expect(200);
    assert_eq!(tenant.get("/v1/queues/q/dead").await.expect(200).json()["total"], 3);
}

#[tokio::test]
async fn dead_jobs_are_done_again_by_selection_and_no_faster_than_asked() {
    let tenant = Tenant::new().await;
    let stock = dead(&tenant, "out_of_stock", &["a", "b", "c", "d"].map(|_| "item 1")).await;
    let money = dead(&tenant, "no_money", &["customer 7", "customer 8"]).await;
    let redrive = async |wanted: Value| tenant.post("/v1/queues/q/redrive", &wanted).await.expect(200).json();
    let fingerprint = &stock[0]["attempts"][0]["failure"]["fingerprint"];
    assert_eq!(redrive(json!({"dry_run": true})).await, json!({"matched": 6, "redriven": 0}));
    let counted = redrive(json!({"dry_run": true, "fingerprint": fingerprint, "max": 1})).await;
    assert_eq!(counted, json!({"matched": 4, "redriven": 0}));
    assert_eq!(redrive(json!({"fingerprint": "0000000000000000"})).await, json!({"matched": 0, "redriven": 0}));
    assert_eq!(read(&tenant, &stock[0]).await, stock[0]);

    // The oldest three, one a second from now on.
    let before = Clock::system().now();
    let done = redrive(json!({"fingerprint": fingerprint, "max": 3, "per_second": 1})).await;
    assert_eq!(done, json!({"matched": 4, "redriven": 3}));
    let mut times = Vec::new();
    for (job, index) in stock.iter().zip(0..) {
        let now = read(&tenant, job).await;
        if index == 3 {
            assert_eq!(now["state"], "dead");
            continue;
        }
        assert_eq!((&now["attempt"], &now["finished_at"]), (&json!(0), &json!(null)));
        times.push(time(&now["run_at"]));
    }
    for (at, index) in times.iter().zip(0..) {
        assert_eq!(at.duration_since(times[0]), SignedDuration::from_secs(index));
    }
    assert!(times[0].duration_since(before) < SignedDuration::from_secs(30));
    for job in &stock[..3] {
        let taken = lease(&tenant, "q", json!({"wait_seconds": 20})).await.remove(0);
        assert_eq!((&taken["id"], &taken["claim"]), (&job["id"], &json!(2)));
    }
    // The rest, with jobs of the built-in kind among them.
    let poison = json!({"type": "sleep", "queue": "q", "payload": {"milliseconds": 0, "poison": true}});
    let poison = job(&tenant, poison).await;
    in_state(&tenant, &poison, "dead").await;
    // By their ids: one that is dead, twice, one that is not, and one that is nowhere.
    let named = json!([money[0]["id"], money[0]["id"], stock[0]["id"], "job_01k9z4n2y6e0qv3m8t5w7x9abc"]);
    assert_eq!(redrive(json!({"ids": named, "dry_run": true})).await, json!({"matched": 1, "redriven": 0}));
    assert_eq!(redrive(json!({"ids": named})).await, json!({"matched": 1, "redriven": 1}));
    assert_eq!(read(&tenant, &money[0]).await["attempt"], 0);
    assert_eq!(redrive(json!({"per_second": 100})).await, json!({"matched": 3, "redriven": 3}));
    let again = eventually("the second death", || async {
        let job = read(&tenant, &poison).await;
        (job["attempts"].as_array().unwrap().len() == 2).then_some(job)
    })
    .await;
    assert_eq!(again["state"], "dead");
    let taken = lease(&tenant, "q", json!({"max": 32, "wait_seconds": 20})).await;
    assert!(taken.len() <= 3 && ids(&taken).contains(&ids(&stock[3..])[0]), "{taken:?}");
    assert!(money.iter().all(|job| job["state"] == "dead"));

    for (bad, pointer) in [
        (json!({"max": 0}), "/max"),
        (json!({"max": 501}), "/max"),
        (json!({"per_second": 0}), "/per_second"),
        (json!({"per_second": 101}), "/per_second"),
        (json!({"fingerprints": "x"}), "/fingerprints"),
        (json!({"dry_run": 1}), "/dry_run"),
        (json!({"ids": []}), "/ids"),
        (json!({"ids": ["link_01k9z4n2y6e0qv3m8t5w7x9abc"]}), "/ids/0"),
        (json!({"ids": ["job_01k9z4n2y6e0qv3m8t5w7x9abc"], "fingerprint": "0000000000000000"}), "/ids"),
    ] {
        let problem = tenant.post("/v1/queues/q/redrive", &bad).await.problem(422, "validation");
        assert_eq!(faults(&problem)[0].0, pointer, "{bad}");
    }
}
