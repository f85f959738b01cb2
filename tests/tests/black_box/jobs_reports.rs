//! What `report.usage` says of a tenant's jobs.

use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use shared::time::Clock;
use tests::{Answer, Tenant, client};

use crate::jobs::{act, batch, ended, job, leased, path_of, set_queue, time};
use crate::link::faults;

/// Yesterday and tomorrow: what is made now is between them, whenever the test runs.
fn days() -> (Date, Date) {
    let today = Clock::system().now().to_zoned(TimeZone::UTC).date();
    (today - 1.day(), today + 1.day())
}

fn wanted(group_by: &Value, format: &str) -> Value {
    let (from, to) = days();
    let payload = json!({"from": from, "to": to, "group_by": group_by, "format": format});
    // Apart from what it counts.
    json!({"type": "report.usage", "queue": "reports", "payload": payload})
}

/// The ended job, and its file.
async fn report(tenant: &Tenant, group_by: Value, format: &str) -> (Value, Answer) {
    let done = ended(tenant, &job(tenant, wanted(&group_by, format)).await).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    let file = done["result"]["file"].as_str().unwrap();
    let answer = tenant.get(&format!("{}/files/{file}", path_of(&done))).await.expect(303);
    let answer = client().get(answer.header("location")).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let answer = Answer { status, headers, body: answer.bytes().await.unwrap() }.expect(200);
    assert_eq!(done["result"]["bytes"], answer.body.len());
    (done, answer)
}

/// Two that succeed, one that is dead after an attempt of its own, one that waits; and one of somebody else's.
async fn some_jobs(tenant: &Tenant) -> Vec<Value> {
    let of_others = Tenant::new().await;
    job(&of_others, json!({"type": "noop"})).await;
    let jobs = batch(
        tenant,
        vec![
            json!({"type": "noop", "payload": "12"}),
            json!({"type": "noop", "queue": "second"}),
            json!({"type": "sleep", "payload": {"milliseconds": 100, "poison": true}}),
            json!({"type": "-1.own", "queue": "own", "delay_seconds": 3600}),
        ],
    )
    .await;
    let mut all = Vec::new();
    for job in &jobs[..3] {
        all.push(ended(tenant, job).await);
    }
    all.push(jobs[3].clone());
    all
}

/// The milliseconds that the attempts of jobs took.
fn work_millis(jobs: &[Value]) -> u128 {
    let attempts = jobs.iter().flat_map(|job| job["attempts"].as_array().unwrap());
    let took = attempts.map(|attempt| time(&attempt["ended_at"]).duration_since(time(&attempt["started_at"])));
    took.map(|took| took.unsigned_abs().as_millis()).sum()
}

#[tokio::test]
async fn a_report_adds_up_the_jobs_of_its_tenant() {
    let tenant = Tenant::new().await;
    let jobs = some_jobs(&tenant).await;
    let (done, file) = report(&tenant, json!(["type", "state"]), "json").await;
    assert_eq!(file.header("content-type"), "application/json");
    let document = file.json();
    let (from, to) = days();
    assert_eq!(document["group_by"], json!(["type", "state"]));
    assert_eq!((document["from"].clone(), document["to"].clone()), (json!(from), json!(to)));
    let rows = document["rows"].as_array().unwrap();
    let expected = [
        ("-1.own", "scheduled", 1, 0, 0, 0, 4),
        ("noop", "succeeded", 2, 2, 0, 0, 8),
        // It counts itself: it runs.
        ("report.usage", "running", 1, 1, 0, 0, done["payload_bytes"].as_u64().unwrap()),
        ("sleep", "dead", 1, 1, 1, 1, jobs[2]["payload_bytes"].as_u64().unwrap()),
    ];
    assert_eq!(rows.len(), expected.len(), "{document}");
    for (row, (kind, state, jobs, attempts, failures, dead, bytes)) in rows.iter().zip(expected) {
        let mut row = row.clone();
        row.as_object_mut().unwrap().remove("work_seconds");
        let expected = json!({
            "type": kind, "state": state, "jobs": jobs, "attempts": attempts, "failures": failures, "dead": dead,
            "payload_bytes": bytes,
        });
        assert_eq!(row, expected);
    }
    let seconds = rows[3]["work_seconds"].as_f64().unwrap();
    assert_eq!(Duration::from_secs_f64(seconds).as_millis(), work_millis(&jobs[2..3]));
    assert!(seconds >= 0.1);
    assert_eq!((&done["result"]["rows"], &done["result"]["jobs"]), (&json!(4), &json!(5)));
}

#[tokio::test]
async fn a_spreadsheet_reads_it_and_takes_no_cell_for_a_formula() {
    let tenant = Tenant::new().await;
    let jobs = some_jobs(&tenant).await;
    let (done, file) = report(&tenant, json!(["queue", "type"]), "csv").await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    let text = String::from_utf8(file.body.to_vec()).unwrap();
    let lines: Vec<_> = text.split_terminator("\r\n").map(|line| line.split(',').collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["queue", "type", "jobs", "attempts", "failures", "dead", "work_seconds", "payload_bytes"]);
    let starts: Vec<_> = lines[1..].iter().map(|line| (line[0], line[1], line[2])).collect();
    assert_eq!(
        starts,
        [
            ("default", "noop", "1"),
            ("default", "sleep", "1"),
            ("own", "'-1.own", "1"),
            ("reports", "report.usage", "1"),
            ("second", "noop", "1")
        ]
    );
    assert_eq!(Duration::from_secs_f64(lines[2][6].parse().unwrap()).as_millis(), work_millis(&jobs[2..3]));
    assert_eq!((&done["result"]["rows"], &done["result"]["jobs"]), (&json!(5), &json!(5)));
}

#[tokio::test]
async fn days_are_told_apart_and_jobs_of_other_days_are_left_out() {
    let tenant = Tenant::new().await;
    let made = job(&tenant, json!({"type": "own"})).await;
    let day = time(&made["created_at"]).to_zoned(TimeZone::UTC).date();
    let of = async |from: Date, to: Date| {
        let payload = json!({"from": from, "to": to, "group_by": ["day"], "format": "json"});
        let wanted = json!({"type": "report.usage", "payload": payload});
        ended(&tenant, &job(&tenant, wanted).await).await["result"].clone()
    };
    assert_eq!(of(day - 92.days(), day - 1.day()).await["jobs"], 0);
    assert_eq!(of(day + 2.days(), day + 3.days()).await["rows"], 0);
    assert!(of(day, day).await["jobs"].as_u64().unwrap() >= 1);
    let (_, file) = report(&tenant, json!(["day"]), "json").await;
    let rows = file.json()["rows"].clone();
    assert_eq!(rows[0]["day"], json!(day), "{rows}");
}

#[tokio::test]
async fn many_jobs_are_read_to_the_last_one() {
    let tenant = Tenant::new().await;
    let payload = "x".repeat(4000);
    // More than two reads of 1 MB for each of the four partitions.
    for _ in 0..20 {
        let jobs = vec![json!({"type": "own", "payload": payload}); 100];
        batch(&tenant, jobs).await;
    }
    let (done, file) = report(&tenant, json!([]), "json").await;
    let rows = file.json()["rows"].clone();
    assert_eq!((&rows[0]["jobs"], rows.as_array().unwrap().len()), (&json!(2001), 1));
    assert_eq!(rows[0]["payload_bytes"], 2000 * 4002 + done["payload_bytes"].as_u64().unwrap());
}

#[tokio::test]
async fn a_failed_attempt_and_one_of_a_worker_count_as_well() {
    let tenant = Tenant::new().await;
    set_queue(&tenant, "default", json!({"backoff": crate::jobs::soon()})).await;
    job(&tenant, json!({"type": "own"})).await;
    let taken = leased(&tenant).await;
    act(&tenant, &taken, "fail", json!({"claim": 1, "class": "broken"})).await.expect(200);
    let taken = leased(&tenant).await;
    act(&tenant, &taken, "complete", json!({"claim": 2})).await.expect(200);
    let (_, file) = report(&tenant, json!(["queue"]), "json").await;
    let row = file.json()["rows"][0].clone();
    assert_eq!((&row["queue"], &row["attempts"], &row["failures"]), (&json!("default"), &json!(2), &json!(1)));
}

#[tokio::test]
async fn what_is_asked_is_checked_at_once() {
    let tenant = Tenant::new().await;
    for (payload, expected) in [
        (json!({}), vec![("/payload/from", "missing_field")]),
        (json!({"from": "2026-01-01", "to": "2026-01-01"}), vec![("/payload/format", "missing_field")]),
        (json!({"from": "2026-01-01", "to": "2026-04-03", "format": "csv"}), vec![("/payload/to", "out_of_range")]),
        (json!({"from": "2026-01-02", "to": "2026-01-01", "format": "csv"}), vec![("/payload/to", "out_of_range")]),
        (
            json!({"from": "2026-01-01", "to": "2026-01-01", "format": "xls", "group_by": ["tag"]}),
            vec![("/payload/format", "unknown_value"), ("/payload/group_by/0", "unknown_value")],
        ),
        (
            json!({"from": "2026-01-01", "to": "2026-01-01", "format": "csv", "group_by": ["day", "day"]}),
            vec![("/payload/group_by/1", "duplicate")],
        ),
        (json!({"from": "tomorrow", "to": "2026-01-01", "format": "csv"}), vec![("/payload/from", "invalid")]),
    ] {
        let body = json!({"type": "report.usage", "payload": payload});
        let problem = tenant.post("/v1/jobs", &body).await.problem(422, "validation");
        assert_eq!(faults(&problem), expected, "{body}");
    }
}
