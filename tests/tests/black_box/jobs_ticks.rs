//! When schedules fire: one job for each tick, at its time, whatever happens.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration, Timestamp, rfc3339_millis};
use tests::{Fault, FaultProxy};

use crate::faults::at_each_call_in;
use crate::own_schedules::{OwnSchedules, path_of};

fn on_4_may(times: &[&str]) -> Vec<String> {
    times.iter().map(|time| format!("2031-05-04T{time}.000Z")).collect()
}

fn tick(time: &str, skipped: Value) -> (String, Value) {
    (format!("2031-05-04T{time}.000Z"), skipped)
}

fn made(time: &str) -> (String, Value) {
    tick(time, json!(null))
}

async fn job(own: &OwnSchedules, index: usize) -> Value {
    own.jobs().await.remove(index)
}

#[tokio::test]
async fn a_job_is_made_ahead_and_sent_so_that_it_arrives_at_its_tick() {
    let own = OwnSchedules::at("2031-05-04T09:00:00Z").await;
    let hourly = own
        .schedule(json!({"cron": "0 * * * *", "job": {"type": "noop", "payload": {"a": 1}, "priority": "high"}}))
        .await;
    own.sweep_at("2031-05-04T09:57:29Z").await;
    assert!(own.jobs().await.is_empty());
    own.sweep_at("2031-05-04T09:57:30Z").await;
    let job = job(&own, 0).await;
    assert_eq!((&job["run_at"], &job["state"]), (&json!("2031-05-04T10:00:00.000Z"), &json!("scheduled")));
    assert_eq!(
        (&job["payload"], &job["priority"], &job["created_by"]),
        (&json!({"a": 1}), &json!("high"), &hourly["id"])
    );
    let now = own.get(&path_of(&hourly)).await;
    assert_eq!((&now["last_job_id"], &now["last_tick_at"]), (&job["id"], &job["run_at"]));
    assert_eq!(now["next_times"][0], "2031-05-04T11:00:00.000Z");
    assert_eq!(own.delayed().await, "1");
    assert_eq!(own.history(&hourly).await, [made("10:00:00")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_makes_one_job_though_several_sweepers_run_at_once() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    for number in 0..6 {
        own.schedule(json!({"interval_seconds": 60, "name": format!("{number}"), "catch_up": "all"})).await;
    }
    let sweepers = join_all((0..3).map(|_| own.sweeper())).await;
    let event = json!({});
    for _ in 0..5 {
        own.clock.advance(SignedDuration::from_secs(61));
        for swept in join_all(sweepers.iter().map(|sweeper| sweeper.invoke(&event))).await {
            swept.unwrap();
        }
    }
    // The last look was at 10:05:05, up to 10:07:35.
    let jobs = own.jobs().await;
    let ticks: BTreeSet<_> =
        jobs.iter().map(|job| (job["created_by"].to_string(), job["run_at"].to_string())).collect();
    assert_eq!((jobs.len(), ticks.len()), (42, 42));
}

#[tokio::test]
async fn a_sweeper_that_has_little_time_reads_no_shard() {
    let own = OwnSchedules::at("2031-05-04T09:59:00Z").await;
    own.schedule(json!({"cron": "0 * * * *"})).await;
    let proxy = FaultProxy::watching().await;
    let sweeper = own.sweeper_behind(&proxy).await;
    let mut context = lambda_runtime::Context::default();
    context.deadline = u64::try_from(Clock::system().now().as_millisecond()).unwrap() + 9_000;
    sweeper.invoke_in(&json!({}), context).await.unwrap();
    assert!(!proxy.calls().iter().any(|operation| operation == "Query"), "{:?}", proxy.calls());
    own.sweep_at("2031-05-04T09:59:30Z").await;
    assert_eq!(own.jobs().await.len(), 1, "the next run has made it");
}

#[tokio::test]
async fn ticks_that_were_missed_are_made_up_for_as_the_schedule_says() {
    let own = OwnSchedules::at("2031-05-04T09:30:00Z").await;
    let mut schedules = Vec::new();
    for policy in ["none", "last", "all"] {
        schedules.push(own.schedule(json!({"cron": "0 * * * *", "catch_up": policy})).await);
    }
    own.sweep_at("2031-05-04T13:30:00Z").await;
    let missed = |time| tick(time, json!("missed"));
    assert_eq!(own.history(&schedules[0]).await, [missed("10:00:00")]);
    assert_eq!(own.history(&schedules[1]).await, [made("13:00:00"), missed("10:00:00")]);
    let all = ["13:00:00", "12:00:00", "11:00:00", "10:00:00"].map(made);
    assert_eq!(own.history(&schedules[2]).await, all);
    // They are done now: what has passed is no time to run at.
    let times = own.run_times().await;
    assert!(times.len() == 5 && times.iter().all(|time| time == "2031-05-04T13:30:00.000Z"), "{times:?}");
    let run = own.get(&format!("{}/history", path_of(&schedules[0]))).await["data"][0].clone();
    assert_eq!(run["resumed_at"], "2031-05-04T14:00:00.000Z");
    own.sweep_at("2031-05-04T13:59:00Z").await;
    for schedule in &schedules {
        assert_eq!(own.history(schedule).await[0], made("14:00:00"));
    }
}

#[tokio::test]
async fn of_many_missed_ticks_the_last_hundred_are_made_up_for() {
    let own = OwnSchedules::at("2031-05-04T00:00:30Z").await;
    own.schedule(json!({"cron": "* * * * *", "catch_up": "all"})).await;
    own.sweep_at("2031-05-14T12:00:30Z").await;
    let jobs = own.jobs().await;
    // Three more are ahead: at 12:01, 12:02 and 12:03.
    let late = jobs.iter().filter(|job| job["run_at"] == "2031-05-14T12:00:30.000Z").count();
    assert_eq!((late, jobs.len()), (100, 103));
}

#[tokio::test]
async fn a_schedule_that_skips_leaves_a_tick_out_while_its_job_has_not_ended() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let schedule = own.schedule(json!({"interval_seconds": 60, "overlap": "skip"})).await;
    own.sweep_at("2031-05-04T10:00:10Z").await;
    assert_eq!(own.history(&schedule).await, [made("10:01:00")], "whether 10:02 is left out is not known yet");
    own.sweep_at("2031-05-04T10:02:05Z").await;
    let overlap = |time| tick(time, json!("overlap"));
    assert_eq!(own.history(&schedule).await, [overlap("10:02:00"), made("10:01:00")]);
    own.complete(&own.leased().await[0]).await;
    own.sweep_at("2031-05-04T10:02:30Z").await;
    assert_eq!(own.history(&schedule).await, [made("10:03:00"), overlap("10:02:00"), made("10:01:00")]);
    // One that has ended after the tick and before the next look is no overlap: the job is late.
    own.move_to("2031-05-04T10:04:10Z");
    own.complete(&own.leased().await[0]).await;
    own.sweep_at("2031-05-04T10:04:20Z").await;
    assert_eq!(own.history(&schedule).await[0], made("10:04:00"));
    assert_eq!(job(&own, 2).await["run_at"], "2031-05-04T10:04:20.000Z");
}

#[tokio::test]
async fn a_schedule_that_cancels_calls_the_job_before_off() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let schedule = own.schedule(json!({"interval_seconds": 60, "overlap": "cancel_previous"})).await;
    own.sweep_at("2031-05-04T10:00:10Z").await;
    own.sweep_at("2031-05-04T10:02:05Z").await;
    // It waited.
    assert_eq!((&job(&own, 0).await["state"], own.jobs().await.len()), (&json!("cancelled"), 2));
    assert_eq!(own.leased().await.len(), 1);
    own.sweep_at("2031-05-04T10:03:05Z").await;
    // It runs.
    let running = job(&own, 1).await;
    assert_eq!((&running["state"], &running["cancel_requested"]), (&json!("running"), &json!(true)));
    assert_eq!(own.history(&schedule).await, ["10:03:00", "10:02:00", "10:01:00"].map(made));
}

#[tokio::test]
async fn a_tick_that_waits_for_the_job_before_is_decided_when_it_comes() {
    for (overlap, skipped) in [("skip", json!("overlap")), ("cancel_previous", json!(null))] {
        let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
        let schedule = own.schedule(json!({"interval_seconds": 60, "overlap": overlap})).await;
        own.sweep_at("2031-05-04T10:00:10Z").await;
        // Further than the next run: that will send it.
        assert_eq!(own.delayed().await, "0");
        own.sweep_at("2031-05-04T10:01:10Z").await;
        assert_eq!(own.delayed().await, "1");
        let (tenant, schedule_id) = (own.tenant.id.to_string(), &schedule["id"]);
        let message = json!({"do": "tick", "tenant_id": tenant, "schedule_id": schedule_id, "tick_at": "2031-05-04T10:02:00.000Z"});
        own.move_to("2031-05-04T10:02:00Z");
        let decided = [tick("10:02:00", skipped), made("10:01:00")];
        // However often it comes.
        for _ in 0..2 {
            own.work(&message).await;
            assert_eq!(own.history(&schedule).await, decided);
        }
        assert_eq!(job(&own, 0).await["state"], if overlap == "skip" { "queued" } else { "cancelled" });
    }
}

#[tokio::test]
async fn the_jobs_of_a_schedule_that_queues_run_one_after_the_other() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let schedule = own.schedule(json!({"interval_seconds": 60, "overlap": "queue"})).await;
    own.sweep_at("2031-05-04T10:00:10Z").await;
    let key = format!("schedule:{}", schedule["id"].as_str().unwrap());
    assert!(own.jobs().await.iter().all(|job| job["concurrency_key"] == *key));
    own.sweep_at("2031-05-04T10:02:10Z").await;
    let first = own.leased().await;
    assert_eq!((first.len(), own.leased().await.len()), (1, 0));
    own.complete(&first[0]).await;
    let second = own.leased().await;
    assert_eq!(second.len(), 1);
    let run_at = |job: &Value| job["run_at"].as_str().unwrap().to_owned();
    assert_eq!([run_at(&first[0]), run_at(&second[0])].to_vec(), on_4_may(&["10:01:00", "10:02:00"]));
    // A key of its own is kept.
    let keyed =
        own.schedule(json!({"interval_seconds": 60, "overlap": "queue", "job": {"type": "a", "concurrency_key": "k"}}));
    let keyed = keyed.await;
    own.sweep_at("2031-05-04T10:02:20Z").await;
    let id = own.get(&path_of(&keyed)).await["last_job_id"].as_str().unwrap().to_owned();
    assert_eq!(own.get(&format!("/v1/jobs/{id}")).await["concurrency_key"], "k");
}

#[tokio::test]
async fn fixed_times_that_clocks_skip_or_repeat_fire_once() {
    for (day, expected) in [
        // 02:30 is skipped: it fires when the clock jumps. Every half hour after two does not.
        ("2026-03-29", vec!["01:00:00"]),
        // 02:30 comes twice: it fires the first time.
        ("2026-10-25", vec!["00:30:00"]),
    ] {
        let own = OwnSchedules::at(&format!("{day}T00:00:00Z")).await;
        let fixed = own.schedule(json!({"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "catch_up": "all"})).await;
        let elapsed = json!({"cron": "*/30 2 * * *", "time_zone": "Europe/Berlin", "catch_up": "all"});
        let elapsed = own.schedule(elapsed).await;
        own.sweep_at(&format!("{day}T23:00:00Z")).await;
        let ticks: Vec<_> = expected.iter().map(|time| (format!("{day}T{time}.000Z"), json!(null))).collect();
        assert_eq!(own.history(&fixed).await, ticks);
        let halves = own.history(&elapsed).await.len();
        // The first, at 02:00 on the day, is that of the moment at which the schedule was made.
        assert_eq!(halves, if day == "2026-03-29" { 0 } else { 3 });
    }
}

#[tokio::test]
async fn a_paused_schedule_makes_no_job_and_one_that_is_resumed_goes_on() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let schedule = own.schedule(json!({"interval_seconds": 60, "catch_up": "all"})).await;
    own.sweep_at("2031-05-04T10:00:10Z").await;
    assert_eq!(own.run_times().await, on_4_may(&["10:01:00", "10:02:00"]));
    let paused = own.patch(&schedule, json!({"paused": true})).await.expect(200).json();
    assert_eq!(paused["next_times"], json!([]));
    own.sweep_at("2031-05-04T10:30:10Z").await;
    assert_eq!(own.jobs().await.len(), 2);
    let resumed = own.patch(&schedule, json!({"paused": false})).await.expect(200).json();
    assert_eq!(resumed["next_times"][0], "2031-05-04T10:31:00.000Z");
    own.sweep_at("2031-05-04T10:30:20Z").await;
    assert_eq!(own.run_times().await, on_4_may(&["10:01:00", "10:02:00", "10:31:00", "10:32:00"]));
    // Within the time that it is ahead nothing fires twice.
    own.patch(&schedule, json!({"paused": true})).await.expect(200);
    own.patch(&schedule, json!({"paused": false})).await.expect(200);
    own.sweep_at("2031-05-04T10:30:25Z").await;
    assert_eq!(own.jobs().await.len(), 4);
}

#[tokio::test]
async fn a_deleted_schedule_makes_no_job_and_an_ended_one_neither() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let deleted = own.schedule(json!({"interval_seconds": 60, "catch_up": "all"})).await;
    let ended =
        own.schedule(json!({"interval_seconds": 60, "catch_up": "all", "ends_at": "2031-05-04T10:03:00Z"})).await;
    own.call("DELETE", &path_of(&deleted), &[], None).await.expect(204);
    for time in ["10:00:30", "10:01:30", "10:20:00"] {
        own.sweep_at(&format!("2031-05-04T{time}Z")).await;
    }
    assert_eq!(own.run_times().await, on_4_may(&["10:01:00", "10:02:00", "10:03:00"]));
    assert_eq!(own.get(&path_of(&ended)).await["next_times"], json!([]));
}

#[tokio::test]
async fn an_edit_holds_from_the_next_job_on() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let schedule = own.schedule(json!({"interval_seconds": 120})).await;
    own.sweep_at("2031-05-04T10:00:10Z").await;
    own.patch(&schedule, json!({"job": {"type": "other"}})).await.expect(200);
    own.sweep_at("2031-05-04T10:02:10Z").await;
    let jobs = own.jobs().await;
    let kinds: Vec<_> = jobs.iter().map(|job| job["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["report.make", "other"]);
}

#[tokio::test]
async fn a_jitter_spreads_jobs_and_is_the_same_for_every_sweeper() {
    let own = OwnSchedules::at("2031-05-04T09:59:00Z").await;
    for number in 0..8 {
        own.schedule(json!({"cron": "@hourly", "name": format!("{number}"), "jitter_seconds": 600})).await;
    }
    own.sweep_at("2031-05-04T09:59:30Z").await;
    let times: BTreeSet<_> = own.run_times().await.into_iter().collect();
    let tick: Timestamp = "2031-05-04T10:00:00Z".parse().unwrap();
    let last = rfc3339_millis(tick + SignedDuration::from_mins(10));
    assert_eq!(times.len(), 8);
    assert!(*times.first().unwrap() >= rfc3339_millis(tick) && *times.last().unwrap() <= last, "{times:?}");
}

#[tokio::test]
async fn history_comes_in_pages_the_newest_first() {
    let own = OwnSchedules::at("2031-05-04T10:00:00Z").await;
    let schedule = own.schedule(json!({"interval_seconds": 60})).await;
    own.sweep_at("2031-05-04T10:02:40Z").await;
    own.post(&format!("{}/run", path_of(&schedule)), json!({})).await.expect(201);
    let (mut seen, mut path) = (Vec::new(), format!("{}/history?limit=2", path_of(&schedule)));
    loop {
        let page = own.get(&path).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|run| run["tick_at"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{}/history?limit=2&cursor={cursor}", path_of(&schedule));
    }
    let times = on_4_may(&["10:05:00", "10:04:00", "10:03:00", "10:02:00", "10:01:00"]);
    let mut expected: Vec<_> = times.into_iter().map(Value::from).collect();
    // The run that was asked for was at 10:02:40.
    expected.insert(3, json!(null));
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_each_tick_makes_one_job_and_its_message_is_sent() {
    // A network that fails for good is what a sweeper meets that is killed.
    let ways = [(Fault::LostRequest, true), (Fault::LostAnswer, true), (Fault::LostAnswer, false)];
    at_each_call_in(ways.into_iter(), |outage| async move {
        let own = OwnSchedules::at("2031-05-04T09:59:10Z").await;
        own.schedule(json!({"cron": "* * * * *", "catch_up": "all", "job": {"type": "noop"}})).await;
        let proxy = outage.proxy().await;
        let first = own.sweeper_behind(&proxy).await.invoke(&json!({})).await;
        assert!(first.is_ok() || outage.lasts, "{outage:?}: {first:?}");
        own.sweep_at("2031-05-04T09:59:50Z").await;
        let ahead = on_4_may(&["10:00:00", "10:01:00", "10:02:00"]);
        assert_eq!(own.run_times().await, ahead, "{outage:?}");
        // What was written and never sent is sent once its time has passed.
        own.sweep_at("2031-05-04T10:08:00Z").await;
        let jobs = own.jobs().await;
        let ids: BTreeSet<_> = jobs.iter().take(3).map(|job| job["id"].as_str().unwrap().to_owned()).collect();
        let mut sent = BTreeSet::new();
        for message in own.queue.drain().await {
            let body: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            sent.insert(body["job_id"].as_str().unwrap().to_owned());
        }
        assert!(ids.is_subset(&sent), "{outage:?}: {ids:?} {sent:?}");
        proxy.calls().len()
    })
    .await;
}
