//! `GET /health`: the function runs.

use axum::extract::State;
use serde::Serialize;
use shared::http::{Document, Json};
use utoipa::ToSchema;

use crate::app::App;

/// What a running instance says of itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "version": "0.1.0", "uptime_seconds": 42}))]
pub struct Alive {
    /// Always `ok`: who cannot answer does not.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The release that runs.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// How long this instance has been running. Others started at other times.
    #[schema(example = 42)]
    pub uptime_seconds: u64,
}

/// Tell that the function runs. No dependency is touched.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    summary = "Is Tenfold alive?",
    tag = "health",
    responses(
        (status = 200, description = "It is.", body = Alive),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn alive(State(app): State<App>) -> Json<Alive> {
    let uptime = app.clock.now().duration_since(app.started_at);
    Json(Alive {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        // A wall clock may be set back.
        uptime_seconds: u64::try_from(uptime.as_secs()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Checks;
    use shared::time::{Clock, SignedDuration, Timestamp};

    #[tokio::test]
    async fn the_uptime_is_told_in_whole_seconds_and_is_never_negative() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let checks = Checks::new(Vec::new(), clock.clone());
        let app = App { clock: clock.clone(), started_at: clock.now(), checks };
        clock.advance(SignedDuration::from_millis(42_900));
        assert_eq!(alive(State(app.clone())).await.0.uptime_seconds, 42);
        clock.advance(SignedDuration::from_secs(-100));
        assert_eq!(alive(State(app)).await.0.uptime_seconds, 0);
    }
}
