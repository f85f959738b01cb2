#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use proptest::prelude::*;
use serde_json::json;
use shared::random::Random;
use shared::time::SignedDuration;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn editable(more: Value) -> Editable {
    let mut value = json!({"name": "Nightly", "job": {"type": "noop"}});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn made(more: Value, now: Timestamp) -> Result<Schedule, Vec<Fault>> {
    let random = Random::seeded(1);
    editable(more).into_schedule(Origin {
        id: ScheduleId::new(now, &random),
        tenant_id: TenantId::new(now, &random),
        created_by: "key".to_owned(),
        now,
    })
}

fn patched(schedule: &Schedule, patch: Value, now: Timestamp) -> Result<Schedule, Vec<Fault>> {
    let mut value = serde_json::to_value(schedule.editable().unwrap()).unwrap();
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    schedule.edited(serde_json::from_value(value).unwrap(), now)
}

fn faults(result: Result<Schedule, Vec<Fault>>) -> Vec<(&'static str, &'static str)> {
    let faults = result.unwrap_err();
    faults.into_iter().map(|fault| (fault.pointer, fault.refusal.code)).collect()
}

const NOON: &str = "2026-05-04T12:00:00Z";

#[test]
fn what_contradicts_itself_is_refused_with_a_pointer_to_each_field() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let payload = |text: &str| {
        let job = format!("{{\"type\": \"noop\", \"payload\": {text}}}");
        let mut editable = editable(json!({"cron": "@daily"}));
        editable.job = serde_json::from_str(&job).unwrap();
        let origin = made(json!({"cron": "@daily"}), at(NOON)).unwrap();
        origin.edited(editable, at(NOON))
    };
    assert_eq!(faults(made(json!({}), at(NOON))), [("/cron", "missing_field")]);
    for (more, expected) in [
        (json!({"cron": "@daily", "interval_seconds": 60}), ("/interval_seconds", "conflict")),
        (json!({"interval_seconds": 60, "time_zone": "Europe/Berlin"}), ("/time_zone", "conflict")),
        (json!({"cron": "@daily", "jitter_seconds": 3601}), ("/jitter_seconds", "out_of_range")),
        (json!({"cron": "@daily", "ends_at": NOON}), ("/ends_at", "in_the_past")),
        (
            json!({"cron": "@daily", "starts_at": "2027-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}),
            ("/ends_at", "out_of_range"),
        ),
        (json!({"cron": "@daily", "ends_at": "2026-05-04T23:59:59Z"}), ("/ends_at", "never_fires")),
        (json!({"cron": "@daily", "starts_at": "6000-01-01T00:00:00Z"}), ("/starts_at", "never_fires")),
    ] {
        assert_eq!(faults(made(more.clone(), at(NOON))), [expected], "{more}");
    }
    assert_eq!(faults(payload(&format!("\"{}\"", "a".repeat(INLINE)))), [("/job/payload", "too_large")]);
    assert_eq!(faults(payload("1e999")), [("/job/payload", "out_of_range")]);
    assert_eq!(faults(payload(&deep)), [("/job/payload", "out_of_range")]);
}

#[test]
fn an_interval_is_counted_from_its_start_or_from_when_the_schedule_was_made() {
    let schedule = made(json!({"interval_seconds": 3600}), at("2026-05-04T12:00:07.123456Z")).unwrap();
    assert_eq!(schedule.next_at, Some(at("2026-05-04T13:00:07.123Z")));
    let patched = patched(&schedule, json!({"interval_seconds": 60}), at("2026-05-04T12:30:00Z")).unwrap();
    assert_eq!(patched.next_at, Some(at("2026-05-04T12:30:07.123Z")));
    let past = made(json!({"interval_seconds": 3600, "starts_at": "2020-01-01T00:00:30Z"}), at(NOON)).unwrap();
    assert_eq!(past.next_at, Some(at("2026-05-04T12:00:30Z")));
    let future = made(json!({"interval_seconds": 3600, "starts_at": "2027-01-01T00:00:30Z"}), at(NOON)).unwrap();
    assert_eq!(future.next_at, Some(at("2027-01-01T00:00:30Z")));
}

#[test]
fn it_fires_from_its_start_to_its_end_both_included() {
    let window = json!({"cron": "0 * * * *", "starts_at": "2026-05-05T00:00:00Z", "ends_at": "2026-05-05T02:00:00Z"});
    let schedule = made(window, at(NOON)).unwrap();
    let times = ["2026-05-05T00:00:00Z", "2026-05-05T01:00:00Z", "2026-05-05T02:00:00Z"].map(at);
    assert_eq!(schedule.next_ticks(5), times);
}

#[test]
fn a_schedule_that_is_resumed_goes_on_with_the_next_time() {
    let schedule = made(json!({"cron": "0 * * * *"}), at("2026-05-04T09:30:00Z")).unwrap();
    let paused = patched(&schedule, json!({"paused": true}), at("2026-05-04T09:31:00Z")).unwrap();
    assert_eq!((paused.next_at, paused.next_ticks(5).len()), (None, 0));
    let renamed = patched(&paused, json!({"name": "Weekly"}), at("2026-05-04T11:00:00Z")).unwrap();
    assert_eq!(renamed.next_at, None);
    let resumed = patched(&renamed, json!({"paused": false}), at("2026-05-04T13:30:00Z")).unwrap();
    assert_eq!(resumed.next_at, Some(at("2026-05-04T14:00:00Z")));
}

#[test]
fn an_edit_that_leaves_the_times_alone_forgets_no_tick_that_was_missed() {
    let schedule = made(json!({"cron": "0 * * * *"}), at("2026-05-04T09:30:00Z")).unwrap();
    let later = at("2026-05-04T20:30:00Z");
    let renamed = patched(&schedule, json!({"name": "Weekly", "overlap": "skip"}), later).unwrap();
    assert_eq!((renamed.next_at, renamed.revision, renamed.updated_at), (schedule.next_at, 2, later));
    let ended = Schedule { next_at: None, ends_at: Some(at("2026-05-04T10:00:00Z")), ..schedule };
    assert_eq!(patched(&ended, json!({"name": "Weekly"}), later).unwrap().next_at, None);
}

#[test]
fn no_edit_makes_a_tick_fire_twice_that_was_dealt_with_ahead() {
    let schedule = made(json!({"cron": "* * * * *"}), at("2026-05-04T09:30:10Z")).unwrap();
    let fired = Schedule { last_tick_at: Some(at("2026-05-04T09:32:00Z")), ..schedule };
    let now = at("2026-05-04T09:30:20Z");
    for patch in [json!({"cron": "*/2 * * * *"}), json!({"starts_at": "2020-01-01T00:00:00Z"})] {
        assert!(patched(&fired, patch, now).unwrap().next_at > fired.last_tick_at);
    }
}

#[test]
fn the_job_stays_as_it_was_written_until_it_is_edited() {
    let written = r#"{"type":"noop","payload":{"b":1.10,  "a":12345678901234567890123}}"#;
    let mut editable = editable(json!({"cron": "@daily"}));
    editable.job = serde_json::from_str(written).unwrap();
    let base = made(json!({"cron": "@daily"}), at(NOON)).unwrap();
    let schedule = base.edited(editable, at(NOON)).unwrap();
    assert!(schedule.job.contains(r#"{"b":1.10,  "a":12345678901234567890123}"#), "{}", schedule.job);
    let renamed = patched(&schedule, json!({"name": "Weekly"}), at(NOON)).unwrap();
    assert_eq!(renamed.job, schedule.job);
    let changed = patched(&schedule, json!({"job": {"type": "sleep"}}), at(NOON)).unwrap();
    assert_eq!(changed.template().unwrap().kind.as_str(), "sleep");
}

#[test]
fn a_template_takes_neither_a_time_nor_what_a_job_is_unique_by() {
    for field in ["run_at", "delay_seconds", "unique"] {
        let job = json!({"type": "noop", field: 1});
        let error = serde_json::from_value::<Template>(job).unwrap_err();
        assert!(error.to_string().starts_with("unknown field"), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back(interval in 60_u32..9_000_000, start in 0_i64..4_000_000_000, jitter in 0_u32..3600) {
        let start = at("2026-05-04T12:00:00Z").checked_add(SignedDuration::from_millis(start)).unwrap();
        let more = json!({"interval_seconds": interval, "starts_at": start, "jitter_seconds": jitter, "overlap": "queue"});
        let schedule = made(more, at(NOON)).unwrap();
        let item: shared::dynamo::Item = serde_dynamo::to_item(&schedule).unwrap();
        prop_assert_eq!(serde_dynamo::from_item::<_, Schedule>(item).unwrap(), schedule);
    }
}

#[test]
fn a_cron_schedule_is_read_back_from_the_store() {
    let schedule = made(json!({"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}), at(NOON)).unwrap();
    let item: shared::dynamo::Item = serde_dynamo::to_item(&schedule).unwrap();
    assert_eq!(serde_dynamo::from_item::<_, Schedule>(item).unwrap(), schedule);
}
