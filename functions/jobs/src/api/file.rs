//! `GET /v2/jobs/{id}/files/{name}`: a file that a job has made.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use shared::http::{Document, Path, Problem};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::files::file_of;
use crate::handlers;
use crate::job::JobId;

/// Read a file of a job.
///
/// The result of a job names its files. The answer leads to where this one is, without a credential and for 5 minutes: follow
/// it at once, and do not keep it. A file is there as long as its job. The files of a job whose type needs a permission of its
/// own are for those who have it.
#[utoipa::path(
    get, path = "/v2/jobs/{id}/files/{name}", operation_id = "get_job_file", tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "job_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("name" = String, Path, description = "The file, as the job's result names it", example = "large.jpg"),
    ),
    responses(
        (status = 303, description = "The file is there", headers(("Location" = String, description = "Where"))),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn file(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    Path((id, name)): Path<(JobId, String)>,
) -> Result<Response, Problem> {
    let job = app.engine.jobs.get(&caller.tenant, &id).await?;
    let job = job.ok_or_else(Problem::not_found)?;
    // What came of a job is for those who may ask for it.
    handlers::permission(&job.kind).map_or(Ok(()), |permission| caller.require(permission))?;
    let file = file_of(&job, &name).ok_or_else(Problem::not_found)?;
    let url = app.files.url(&job, &file, app.engine.clock.now()).await?;
    let place = HeaderValue::try_from(url).map_err(Problem::internal)?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response())
}
