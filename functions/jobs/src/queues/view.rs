//! A queue as clients see it.

use serde::Serialize;
use shared::time::rfc3339_millis;
use utoipa::ToSchema;

use crate::name::QueueName;
use crate::queue::{Queue, Settings};

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue, example = json!({
    "name": "default", "paused": false, "concurrency": 5, "concurrency_per_key": 1, "rate_limit": {"jobs": 100, "per_seconds": 60},
    "deliver_to": "https://example.com/jobs", "max_attempts": 10,
    "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60, "retention_days": 14,
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
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
}

impl QueueView {
    /// `queue`.
    pub fn of(queue: &Queue) -> Self {
        Self {
            name: queue.name.clone(),
            settings: queue.settings.clone(),
            created_at: rfc3339_millis(queue.created_at),
            updated_at: rfc3339_millis(queue.updated_at),
        }
    }
}
