//! `POST /v2/schedules`: have a job made again and again.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use shared::http::idempotency::Submitted;
use shared::http::{Created, Document, FieldError, Problem, ProblemType, race_of_key};
use shared::identity::{Caller, Principal, permission};
use shared::refusal::Fault;

use super::view::{ScheduleView, location};
use crate::api::made;
use crate::app::App;
use crate::schedule::record::{Schedule, ScheduleId};
use crate::schedule::rules::{Editable, Origin};
use crate::schedule::template::Template;
use crate::store::schedules::MOST_SCHEDULES;
use crate::store::{Along, InsertError, StoreError};

const ROUTE: &str = "POST /v2/schedules";

/// Have a job made again and again.
///
/// A tenant has up to 1,000 schedules. Each time makes one job. It runs to the second, but for the first one of a schedule that is made, edited or resumed
/// less than a minute before: that may be a minute late. Times on clocks that are put forward or back are read as
/// Debian's cron does: a fixed time that is skipped fires when the clock jumps, one that comes twice fires the first
/// time.
#[utoipa::path(
    post, path = "/v2/schedules", operation_id = "create_schedule", tag = "schedules",
    request_body(content = Editable, example = json!({"name": "Nightly export", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "job": {"type": "export.run", "payload": {"full": true}}, "overlap": "skip"})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The schedule was made", body = ScheduleView, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "conflict: there are 1,000 schedules already; or idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    new: Submitted<Editable>,
) -> Result<Response, Problem> {
    race_of_key(&app.engine.random, &app.idempotency, (&caller.tenant, ROUTE), &new, async |attempt| {
        let now = app.engine.clock.now();
        let origin = Origin {
            id: ScheduleId::new(now, &app.engine.random),
            tenant_id: caller.tenant,
            created_by: caller.subject.clone(),
            now,
        };
        let template = new.body.job.clone();
        let schedule = checked(&app, &caller, &template, new.body.clone().into_schedule(origin)).await?;
        let created = Created {
            location: location(&schedule.id),
            etag: schedule.etag(),
            body: ScheduleView::of(&schedule).map_err(Problem::internal)?,
        };
        let along = Along { idempotency: attempt.record(&created)? };
        match app.engine.jobs.insert_schedule(&schedule, along).await {
            Ok(()) => Ok(Some(created.into_response())),
            Err(InsertError::Full) => {
                let detail = format!("the tenant has {MOST_SCHEDULES} schedules: delete one that is not needed");
                Err(Problem::new(ProblemType::Conflict, detail))
            }
            // Others are made at this moment; or the next try finds the answer of a request with the same key.
            Err(InsertError::KeyUsed | InsertError::Store(StoreError::Conflict)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// The schedule, if its job could be made now. The refusal tells every bad field.
pub(super) async fn checked(
    app: &App,
    caller: &Principal,
    template: &Template,
    schedule: Result<Schedule, Vec<Fault>>,
) -> Result<Schedule, Problem> {
    let mut errors: Vec<FieldError> = match made::job(app, caller, template.clone().into()).await {
        Ok(_) => Vec::new(),
        Err(problem) if problem.kind() == ProblemType::Validation => problem.below("/job").errors().to_vec(),
        Err(problem) => return Err(problem),
    };
    match schedule {
        Ok(schedule) if errors.is_empty() => return Ok(schedule),
        Ok(_) => {}
        Err(faults) => errors.extend(Problem::from(faults).errors().iter().cloned()),
    }
    Err(Problem::validation(errors))
}
