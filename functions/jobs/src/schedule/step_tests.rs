#![allow(clippy::unwrap_used)]

use shared::id::TenantId;
use shared::time::Timestamp;

use super::*;
use crate::schedule::record::{Overlap, ScheduleId};
use crate::schedule::recurrence::Recurrence;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(cron: &str, time_zone: &str, catch_up: CatchUp, next_at: &str) -> Schedule {
    Schedule {
        id: ScheduleId::from_uuid(uuid::Uuid::from_u128(1)),
        tenant_id: TenantId::from_uuid(uuid::Uuid::from_u128(2)),
        name: "Nightly".parse().unwrap(),
        recurrence: Recurrence::Cron { expression: cron.parse().unwrap(), time_zone: time_zone.parse().unwrap() },
        starts_at: None,
        ends_at: None,
        job: String::new(),
        overlap: Overlap::Allow,
        catch_up,
        jitter_seconds: 0,
        paused: false,
        next_at: Some(at(next_at)),
        last_tick_at: None,
        last_job_id: None,
        created_at: at("2026-01-01T00:00:00Z"),
        created_by: "key".to_owned(),
        updated_at: at("2026-01-01T00:00:00Z"),
        revision: 1,
    }
}

/// All steps at a time: the ticks that fire, and those from which on some were missed with the one that followed.
fn steps(mut schedule: Schedule, now: &str) -> (Vec<Timestamp>, Vec<(Timestamp, Option<Timestamp>)>) {
    let now = at(now);
    let (mut fired, mut missed) = (Vec::new(), Vec::new());
    while let Some(step) = schedule.step(now, now.checked_add(SignedDuration::from_secs(150)).unwrap()) {
        schedule.next_at = match step {
            Step::Fire { tick, next } => {
                fired.push(tick);
                next
            }
            Step::Miss { first, last, next } => {
                assert!(first <= last && next.is_none_or(|next| next > last));
                missed.push((first, next));
                next
            }
        };
    }
    (fired, missed)
}

#[test]
fn what_is_near_fires_ahead_and_what_is_a_little_late_all_the_same() {
    for policy in [CatchUp::None, CatchUp::Last, CatchUp::All] {
        let minutely = schedule("* * * * *", "UTC", policy, "2026-05-04T09:58:00Z");
        let (fired, missed) = steps(minutely, "2026-05-04T10:00:30Z");
        let ticks = ["09:58", "09:59", "10:00", "10:01", "10:02", "10:03"];
        assert_eq!(fired, ticks.map(|tick| at(&format!("2026-05-04T{tick}:00Z"))));
        assert_eq!(missed, []);
    }
}

#[test]
fn after_an_outage_each_policy_makes_up_for_what_it_says() {
    let hourly = |policy| schedule("0 * * * *", "UTC", policy, "2026-05-04T10:00:00Z");
    let now = "2026-05-04T15:30:00Z";
    let hours =
        |hours: &[u32]| -> Vec<_> { hours.iter().map(|hour| at(&format!("2026-05-04T{hour}:00:00Z"))).collect() };
    assert_eq!(steps(hourly(CatchUp::All), now), (hours(&[10, 11, 12, 13, 14, 15]), vec![]));
    let missed = (at("2026-05-04T10:00:00Z"), Some(at("2026-05-04T15:00:00Z")));
    assert_eq!(steps(hourly(CatchUp::Last), now), (hours(&[15]), vec![missed]));
    let missed = (at("2026-05-04T10:00:00Z"), Some(at("2026-05-04T16:00:00Z")));
    assert_eq!(steps(hourly(CatchUp::None), now), (vec![], vec![missed]));
}

#[test]
fn of_the_ticks_of_a_year_the_newest_hundred_are_made_up_for() {
    for (cron, count) in [("* * * * *", 100), ("*/7 1-3 * 2 *", 100), ("0 0 * * *", 100), ("0 0 1 * *", 12)] {
        let schedule = schedule(cron, "Europe/Berlin", CatchUp::All, "2025-05-03T22:00:00Z");
        let first = schedule.recurrence.next_after(at("2025-05-03T21:59:59Z")).unwrap();
        let schedule = Schedule { next_at: Some(first), ..schedule };
        let over = at("2026-05-04T12:00:00Z");
        let newest: Vec<_> = {
            let all: Vec<_> = std::iter::successors(Some(first), |tick| schedule.tick_after(*tick))
                .take_while(|tick| *tick <= over)
                .collect();
            all.iter().rev().take(100).rev().copied().collect()
        };
        assert_eq!(newest.len(), count, "{cron}");
        let (fired, _) = steps(schedule, "2026-05-04T12:00:00Z");
        let made_up: Vec<_> = fired.into_iter().filter(|tick| *tick <= over).collect();
        assert_eq!(made_up, newest, "{cron}");
    }
}

#[test]
fn what_has_ended_during_an_outage_is_made_up_for_up_to_its_end() {
    let ended = |policy| Schedule {
        ends_at: Some(at("2026-05-04T12:00:00Z")),
        ..schedule("0 * * * *", "UTC", policy, "2026-05-04T10:00:00Z")
    };
    let now = "2026-05-04T15:30:00Z";
    assert_eq!(steps(ended(CatchUp::Last), now).0, [at("2026-05-04T12:00:00Z")]);
    assert_eq!(steps(ended(CatchUp::All), now).0.len(), 3);
    assert_eq!(steps(ended(CatchUp::None), now), (vec![], vec![(at("2026-05-04T10:00:00Z"), None)]));
}
