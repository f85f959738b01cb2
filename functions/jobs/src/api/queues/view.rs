//! A queue as clients see it.

use serde::Serialize;
use shared::time::rfc3339_millis;
use utoipa::ToSchema;

use super::statistics::StatisticsView;
use crate::name::QueueName;
use crate::queue::{Queue, Settings};

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue, example = json!({
    "name": "default", "paused": false, "concurrency": 5, "concurrency_per_key": 1, "rate_limit": {"jobs": 100, "per_seconds": 60},
    "deliver_to": "https://example.com/jobs", "max_attempts": 10,
    "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60, "retention_days": 14,
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
    "statistics": {
        "depth": {"blocked": 0, "scheduled": 3, "queued": 12, "running": 5, "retrying": 1, "succeeded": 4711, "dead": 2, "cancelled": 0},
        "oldest_queued_seconds": 7, "window_seconds": 870,
        "per_minute": {"made": 60.2, "succeeded": 58.621, "failed_attempts": 1.517, "dead": 0.138, "cancelled": 0.0},
        "error_rate": 0.025,
    },
}))]
pub struct QueueView {
    /// Its name.
    name: QueueName,
    /// What is set for it.
    #[serde(flatten)]
    settings: Settings,
    /// When it came to be.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last set.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Its numbers: with what is read alone. They are no part of its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<StatisticsView>,
}

impl QueueView {
    /// `queue`.
    pub fn of(queue: &Queue) -> Self {
        Self {
            name: queue.name.clone(),
            settings: queue.settings.clone(),
            created_at: rfc3339_millis(queue.created_at),
            updated_at: rfc3339_millis(queue.updated_at),
            statistics: None,
        }
    }

    /// The same with its numbers.
    pub fn with_statistics(self, statistics: StatisticsView) -> Self {
        Self { statistics: Some(statistics), ..self }
    }
}
