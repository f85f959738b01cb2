//! `GET /v2/notes`: the notes that the caller may see.

use axum::Extension;
use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::versions::notes::NumberedPage;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, Principal, permission};
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::IntoParams;

use crate::app::App;
use crate::note::Actor;
use crate::store::list::{ListQuery, Position, Sort, Span, State as NoteState};
use crate::text::{Tags, Words};
use crate::view::SummaryView;

/// Which notes, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Rows in a page, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `created_at`, `updated_at`, `due_at`, `done_at` or `title`; with a `-` before it the largest first. Notes without
    /// the time come last.
    #[serde(default)]
    #[param(value_type = Option<String>, default = "-created_at")]
    sort: Sort,
    /// Only notes with one of these tags, separated by commas.
    #[param(value_type = Option<String>, example = "home,work")]
    tags_any: Option<TagList>,
    /// Only notes with all of these tags, separated by commas.
    #[param(value_type = Option<String>)]
    tags_all: Option<TagList>,
    /// Only notes with all of these words, up to ten, each anywhere in the title, the content or a tag. Case does not
    /// count, nor do Unicode's ways to write the same; accents do.
    #[param(value_type = Option<String>)]
    text: Option<Words>,
    /// Only notes in this state: `active` (neither archived nor done), `archived`, `done`, `overdue`, or `deleted` (the
    /// caller's own, for thirty days). Without it, all but deleted ones.
    #[param(value_type = Option<String>)]
    state: Option<NoteState>,
    /// Only pinned notes, or only others.
    pinned: Option<bool>,
    /// `me`: only the caller's own; `shared`: only those that others share with the caller.
    #[param(value_type = Option<String>)]
    owner: Option<Ownership>,
    /// Only notes made at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_from: Option<Timestamp>,
    /// Only notes made before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
    /// Only notes last changed at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    updated_from: Option<Timestamp>,
    /// Only notes last changed before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    updated_before: Option<Timestamp>,
    /// Only notes due at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    due_from: Option<Timestamp>,
    /// Only notes due before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    due_before: Option<Timestamp>,
}

/// Tags separated by commas.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct TagList(Tags);

impl TryFrom<String> for TagList {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        Tags::parse(&text).map(Self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ownership {
    Me,
    Shared,
}

/// The notes that the caller may see: their own, and those that are shared with them.
///
/// A row has the beginning of the content and not all of it.
#[utoipa::path(
    get, path = "/v2/notes", operation_id = "list_notes", tag = "notes",
    params(Parameters),
    responses(
        (status = 200, description = "A page of notes", body = Page<SummaryView>, headers(("Link" = String)), example = json!({
            "data": [{
                "id": "note_01k9z4n2y6e0qv3m8t5w7x9abc", "owner": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "access": "owner",
                "title": "Groceries", "excerpt": "- milk\n- bread", "content_bytes": 14, "format": "markdown",
                "tags": ["home"], "pinned": false, "archived": false, "due_at": null, "done_at": null, "version": 1,
                "created_at": "2026-05-04T09:30:00.000Z", "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
                "updated_at": "2026-05-04T09:30:00.000Z", "updated_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
                "deleted_at": null,
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    uri: Uri,
    numbered: Option<Extension<NumberedPage>>,
    Query(parameters): Query<Parameters>,
) -> Result<Page<SummaryView>, Problem> {
    if let Some(Extension(page)) = numbered {
        return by_number(&app, &caller, parameters, page).await;
    }
    let after = match &parameters.cursor {
        Some(cursor) => Some(app.cursors.open::<Position>(&caller.tenant, &uri, cursor).await?),
        None => None,
    };
    let query = parameters.query(after, app.clock.now());
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let page = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.list(&query).await;
            work.end(done).await
        })
        .await?;
    let cursor = match page.next {
        Some(position) => Some(app.cursors.seal(&caller.tenant, &uri, &position).await?),
        None => None,
    };
    Ok(Page::new(&uri, page.notes.into_iter().map(Into::into).collect(), cursor))
}

/// The list as an older version asks for it: by the number of a page, and with the total.
async fn by_number(
    app: &App,
    caller: &Principal,
    parameters: Parameters,
    page: NumberedPage,
) -> Result<Page<SummaryView>, Problem> {
    let query = parameters.query(None, app.clock.now());
    let (actor, notes) = (Actor::of(caller), app.notes()?);
    let (rows, total) = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.numbered(&query, page).await;
            work.end(done).await
        })
        .await?;
    Ok(Page::numbered(rows.into_iter().map(Into::into).collect(), total))
}

impl Parameters {
    fn query(self, after: Option<Position>, now: Timestamp) -> ListQuery {
        ListQuery {
            tags_any: self.tags_any.map(|tags| tags.0),
            tags_all: self.tags_all.map(|tags| tags.0),
            words: self.text,
            created: Span { from: self.created_from, before: self.created_before },
            updated: Span { from: self.updated_from, before: self.updated_before },
            due: Span { from: self.due_from, before: self.due_before },
            state: self.state,
            pinned: self.pinned,
            own: self.owner.map(|owner| owner == Ownership::Me),
            sort: self.sort,
            after,
            limit: self.limit.get(),
            now,
        }
    }
}
