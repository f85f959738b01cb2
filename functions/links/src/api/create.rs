//! `POST /v2/links`: shorten a URL.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use shared::events::Event;
use shared::events::links::LinkCreated;
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Created, Document, Problem, ProblemType, race_of_key};
use shared::identity::{Caller, Principal, permission};

use crate::app::{App, Base};
use crate::expiries::{due_write, expiry_message, nudge};
use crate::link::{Link, LinkId};
use crate::rules::{NewLink, Origin, Rules};
use crate::slug::Slug;
use crate::store::{Along, WriteError};
use crate::view::{LinkView, etag, location};

/// A drawn slug that is taken is drawn again so often. With a million links one draw in 27,000 is taken.
const DRAWS: usize = 5;

/// Shorten a URL.
///
/// Without an `alias` the slug is drawn at random. The link works at once.
#[utoipa::path(
    post, path = "/v2/links", operation_id = "create_link", tag = "links",
    request_body(content = NewLink, example = json!({"target": "https://example.com/spring?from=letter", "title": "Spring sale"})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The link was made", body = LinkView, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "alias-taken: the alias is in use; or idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    caller: Caller<permission::WriteLinks>,
    base: Base,
    new: Submitted<NewLink>,
) -> Result<Response, Problem> {
    let make = Make { app: &app, caller: &caller, base: &base, new: &new.body };
    let place = (&caller.tenant, "POST /v2/links");
    race_of_key(&app.random, &app.idempotency, place, &new, async |attempt| make.once(&attempt).await).await
}

/// One request to make a link.
struct Make<'a> {
    app: &'a App,
    caller: &'a Principal,
    base: &'a Base,
    new: &'a NewLink,
}

impl Make<'_> {
    /// Draws a slug and writes; none when another request was between.
    async fn once(&self, attempt: &Attempt) -> Result<Option<Response>, Problem> {
        let Self { app, caller, base, new } = *self;
        let (blocklist, _) = app.links.blocklist(&caller.tenant).await?;
        let now = app.clock.now();
        let rules = Rules { now, base: &base.0, blocklist: &blocklist };
        let draft = new.clone().check(&rules).map_err(Problem::from)?;
        let password_hash = app.hash(draft.password()).await?;

        for _ in 0..DRAWS {
            let origin = Origin {
                id: LinkId::new(now, &app.random),
                tenant_id: caller.tenant,
                created_by: caller.subject.clone(),
                now,
            };
            let slug = draft.slug(&app.random);
            let link = draft.clone().into_link(origin, slug, password_hash.clone());
            match insert(app, base, &link, attempt).await {
                Ok(created) => return Ok(Some(created.into_response())),
                Err(InsertError::Write(WriteError::SlugTaken)) if !draft.has_alias() => {}
                Err(InsertError::Write(WriteError::SlugTaken)) => return Err(alias_taken(&link.slug)),
                // The next try finds the answer of a request with the same key; or that the alias was taken.
                Err(InsertError::Write(WriteError::KeyUsed | WriteError::Conflict)) => return Ok(None),
                Err(InsertError::Write(error)) => return Err(error.into()),
                Err(InsertError::Problem(problem)) => return Err(problem),
            }
        }
        Err(Problem::internal(WriteError::SlugTaken))
    }
}

enum InsertError {
    Write(WriteError),
    Problem(Problem),
}

/// Writes the link together with its event, the entry for its expiry and the answer to its key.
async fn insert(app: &App, base: &Base, link: &Link, attempt: &Attempt) -> Result<Created<LinkView>, InsertError> {
    let created = Created {
        location: location(&link.id),
        etag: etag(link, link.created_at),
        body: LinkView::of(link, base, link.created_at),
    };
    let data = LinkCreated {
        link_id: link.id.to_string(),
        slug: link.slug.to_string(),
        target: link.target.as_str().to_owned(),
    };
    let event = Event::new(link.tenant_id, link.id, data, link.created_at, &app.random);
    let internal = |error: serde_json::Error| InsertError::Problem(Problem::internal(error));
    let expiry = expiry_message(&app.expiries_queue_url, link).map_err(internal)?;
    let along = Along {
        outbox: Some(event.outbox().map_err(internal)?),
        due: due_write(&app.sender, expiry.as_ref(), link),
        idempotency: attempt.record(&created).map_err(InsertError::Problem)?,
    };
    app.links.insert(link, along).await.map_err(InsertError::Write)?;
    nudge(&app.sender, expiry.as_ref(), link).await;
    Ok(created)
}

fn alias_taken(alias: &Slug) -> Problem {
    Problem::new(ProblemType::AliasTaken, format!("the alias {alias} is in use; choose another"))
}
