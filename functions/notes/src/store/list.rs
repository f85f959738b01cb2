//! Lists of the notes that somebody may see: their own and those that are shared with them, each found by its index and
//! merged, so that page 1,000 costs what page 1 costs. An older version of the API asks for pages by number
//! ([`Work::numbered`]): those are counted and skipped to, which costs the more the deeper they lie.

use serde::{Deserialize, Serialize};
use shared::http::versions::notes::NumberedPage;
use shared::postgres::PostgresError;
use shared::refusal::Refusal;
use shared::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::{OWN_TENANT, Work, row};
use crate::note::{Access, Format, NoteId};
use crate::text::{Tags, Title, Words};

/// How much of a content a list shows, in characters.
const EXCERPT: i32 = 200;

/// What a list is in the order of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortField {
    /// When it was made.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// When it is to be done; notes without such a time come last.
    DueAt,
    /// When it was done; notes without such a time come last.
    DoneAt,
    /// The title, whatever its case.
    Title,
}

/// An order: notes of the same value are in that of their ids. Written as the field's name, with a `-` before it for the
/// largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sort {
    /// By what.
    pub field: SortField,
    /// The largest first.
    pub descending: bool,
}

impl Default for Sort {
    /// The newest first.
    fn default() -> Self {
        Self { field: SortField::CreatedAt, descending: true }
    }
}

impl TryFrom<String> for Sort {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let (name, descending) = text.strip_prefix('-').map_or((text.as_str(), false), |name| (name, true));
        let field = match name {
            "created_at" => SortField::CreatedAt,
            "updated_at" => SortField::UpdatedAt,
            "due_at" => SortField::DueAt,
            "done_at" => SortField::DoneAt,
            "title" => SortField::Title,
            _ => {
                let detail =
                    "is created_at, updated_at, due_at, done_at or title, with - before it for the largest first";
                return Err(Refusal::new("unknown_value", detail));
            }
        };
        Ok(Self { field, descending })
    }
}

impl Sort {
    /// The SQL of what is compared. A time that is not there is after all others, whichever way the list runs.
    const fn key(self) -> &'static str {
        match (self.field, self.descending) {
            (SortField::CreatedAt, _) => "n.created_at",
            (SortField::UpdatedAt, _) => "n.updated_at",
            (SortField::DueAt, false) => "coalesce(n.due_at, 9223372036854775807)",
            (SortField::DueAt, true) => "coalesce(n.due_at, -1)",
            (SortField::DoneAt, false) => "coalesce(n.done_at, 9223372036854775807)",
            (SortField::DoneAt, true) => "coalesce(n.done_at, -1)",
            (SortField::Title, _) => "n.title_key",
        }
    }
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    key: Key,
    id: NoteId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

/// What state notes are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Neither archived nor done.
    Active,
    /// Archived.
    Archived,
    /// Deleted, and not purged yet.
    Deleted,
    /// Done.
    Done,
    /// Due before now, and neither archived nor done.
    Overdue,
}

/// A span of time: from its start on, until before its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// The start.
    pub from: Option<Timestamp>,
    /// The end.
    pub before: Option<Timestamp>,
}

/// Which notes, in which order.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// With one of these tags.
    pub tags_any: Option<Tags>,
    /// With all of these.
    pub tags_all: Option<Tags>,
    /// With all of these words.
    pub words: Option<Words>,
    /// Made within.
    pub created: Span,
    /// Last changed within.
    pub updated: Span,
    /// Due within.
    pub due: Span,
    /// In this state; else in any but deleted.
    pub state: Option<State>,
    /// Pinned ones, or others.
    pub pinned: Option<bool>,
    /// The actor's own ones, or those of others.
    pub own: Option<bool>,
    /// The order.
    pub sort: Sort,
    /// After this.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
    /// The time, which tells what is overdue.
    pub now: Timestamp,
}

/// A note as a list shows it: without its content.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Which one.
    pub id: NoteId,
    /// Whose.
    pub owner: String,
    /// What the actor may do.
    pub access: Access,
    /// What it is called.
    pub title: Title,
    /// How its content begins.
    pub excerpt: String,
    /// How long its content is, in bytes.
    pub content_bytes: i64,
    /// How that is written.
    pub format: Format,
    /// Its tags.
    pub tags: Tags,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Whether it is archived.
    pub archived: bool,
    /// When it is due.
    pub due_at: Option<Timestamp>,
    /// When it was done.
    pub done_at: Option<Timestamp>,
    /// Its version.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// A page of a list, and where the next one starts, if there is one.
#[derive(Clone, Debug)]
pub struct ListedPage {
    /// The notes.
    pub notes: Vec<Listed>,
    /// Where the next page starts.
    pub next: Option<Position>,
}

impl Work<'_> {
    /// One page.
    pub async fn list(&mut self, query: &ListQuery) -> Result<ListedPage, PostgresError> {
        // One more tells whether there is a next page.
        let mut sql = self.select_rows(query, 0, query.limit + 1);
        let mut rows = sql.build().fetch_all(&mut self.transaction).await?;
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = match rows.last().filter(|_| more) {
            Some(last) => Some(position(last, query.sort)?),
            None => None,
        };
        Ok(ListedPage { notes: rows.iter().map(listed).collect::<Result<_, _>>()?, next })
    }

    /// A page by its number, in the same order, and how many notes there are on all pages.
    pub async fn numbered(
        &mut self,
        query: &ListQuery,
        page: NumberedPage,
    ) -> Result<(Vec<Listed>, u64), PostgresError> {
        let (offset, rows) = (page.offset() as usize, usize::from(page.per_page));
        let mut sql = self.select_rows(query, offset, rows);
        let rows = sql.build().fetch_all(&mut self.transaction).await?;
        let mut sql = QueryBuilder::<Postgres>::new("SELECT 0");
        for own in branches(query) {
            sql.push(" + (SELECT count(*) ");
            self.push_source(&mut sql, query, own);
            sql.push(")");
        }
        let total: i64 = sql.build().fetch_one(&mut self.transaction).await?.try_get(0)?;
        Ok((rows.iter().map(listed).collect::<Result<_, _>>()?, total.unsigned_abs()))
    }

    /// The statement that reads `rows` rows of a list, after as many as `offset`.
    fn select_rows(&self, query: &ListQuery, offset: usize, rows: usize) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT * FROM (");
        for (index, own) in branches(query).enumerate() {
            if index > 0 {
                sql.push(" UNION ALL ");
            }
            self.push_branch(&mut sql, query, own, offset + rows);
        }
        sql.push(") n ");
        push_order(&mut sql, "n.key", query.sort, rows);
        sql.push(format!(" OFFSET {offset}"));
        sql
    }

    /// The first rows of the actor's own notes, or of those that are shared with them.
    fn push_branch(&self, sql: &mut QueryBuilder<Postgres>, query: &ListQuery, own: bool, rows: usize) {
        let access = if own { "'owner'" } else { "s.access" };
        let key = query.sort.key();
        sql.push(format!(
            "(SELECT n.id, n.owner_id, {access} AS access, n.title, left(n.content, {EXCERPT}) AS excerpt,
                 octet_length(n.content)::bigint AS content_bytes, n.format, n.tags, n.pinned, n.archived, n.due_at,
                 n.done_at, n.version, n.created_at, n.created_by, n.updated_at, n.updated_by, n.deleted_at, {key} AS key "
        ));
        self.push_source(sql, query, own);
        if let Some(Position { key: after, id }) = &query.after {
            sql.push(format!(" AND ({key}, n.id) {} (", if query.sort.descending { "<" } else { ">" }));
            match after {
                Key::Number(number) => sql.push_bind(*number),
                Key::Text(text) => sql.push_bind(text.clone()),
            };
            sql.push(", ").push_bind(id.to_string()).push(")");
        }
        push_order(sql, key, query.sort, rows);
        sql.push(")");
    }

    /// Where the actor's own notes are found, or those that are shared with them.
    fn push_source(&self, sql: &mut QueryBuilder<Postgres>, query: &ListQuery, own: bool) {
        if own {
            sql.push(format!("FROM notes n WHERE {OWN_TENANT} AND n.owner_id = "));
        } else {
            sql.push(format!(
                "FROM note_shares s JOIN notes n ON n.tenant = s.tenant AND n.id = s.note_id
                 WHERE {OWN_TENANT} AND s.user_id = "
            ));
        }
        sql.push_bind(self.actor.id.clone());
        push_filters(sql, query, own);
    }
}

/// Whether notes of the actor's own are wanted, and whether others.
fn branches(query: &ListQuery) -> impl Iterator<Item = bool> + use<> {
    let wanted = query.own;
    [true, false].into_iter().filter(move |own| wanted.is_none_or(|wanted| wanted == *own))
}

fn push_order(sql: &mut QueryBuilder<Postgres>, key: &str, sort: Sort, rows: usize) {
    let direction = if sort.descending { "DESC" } else { "ASC" };
    sql.push(format!(" ORDER BY {key} {direction}, n.id {direction} LIMIT {rows}"));
}

fn push_filters(sql: &mut QueryBuilder<Postgres>, query: &ListQuery, own: bool) {
    match query.state {
        // What is in the bin is its owner's to see.
        Some(State::Deleted) if own => sql.push(" AND n.deleted_at IS NOT NULL"),
        Some(State::Deleted) => sql.push(" AND false"),
        _ => sql.push(" AND n.deleted_at IS NULL"),
    };
    match query.state {
        Some(State::Active) => sql.push(" AND NOT n.archived AND n.done_at IS NULL"),
        Some(State::Archived) => sql.push(" AND n.archived"),
        Some(State::Done) => sql.push(" AND n.done_at IS NOT NULL"),
        Some(State::Overdue) => {
            sql.push(" AND NOT n.archived AND n.done_at IS NULL AND n.due_at < ").push_bind(query.now.as_millisecond())
        }
        Some(State::Deleted) | None => sql,
    };
    for (column, span) in [("n.created_at", query.created), ("n.updated_at", query.updated), ("n.due_at", query.due)] {
        for (operator, at) in [(">=", span.from), ("<", span.before)] {
            if let Some(at) = at {
                sql.push(format!(" AND {column} {operator} ")).push_bind(at.as_millisecond());
            }
        }
    }
    if let Some(tags) = &query.tags_any {
        sql.push(" AND n.tags && ").push_bind(tags.to_texts());
    }
    if let Some(tags) = &query.tags_all {
        sql.push(" AND n.tags @> ").push_bind(tags.to_texts());
    }
    if let Some(pinned) = query.pinned {
        sql.push(" AND n.pinned = ").push_bind(pinned);
    }
    for word in query.words.iter().flat_map(Words::as_slice) {
        sql.push(" AND strpos(n.search, ").push_bind(word.clone()).push(") > 0");
    }
}

fn position(row: &PgRow, sort: Sort) -> Result<Position, PostgresError> {
    let key = match sort.field {
        SortField::Title => Key::Text(row.try_get("key")?),
        _ => Key::Number(row.try_get("key")?),
    };
    Ok(Position { key, id: row.try_get::<String, _>("id")?.parse().map_err(row::unreadable)? })
}

fn listed(row: &PgRow) -> Result<Listed, PostgresError> {
    Ok(Listed {
        id: row.try_get::<String, _>("id")?.parse().map_err(row::unreadable)?,
        owner: row.try_get("owner_id")?,
        access: row::access(row)?,
        title: row::title(row)?,
        excerpt: row.try_get("excerpt")?,
        content_bytes: row.try_get("content_bytes")?,
        format: row::format(row)?,
        tags: row::tags(row)?,
        pinned: row.try_get("pinned")?,
        archived: row.try_get("archived")?,
        due_at: row::optional_time(row, "due_at")?,
        done_at: row::optional_time(row, "done_at")?,
        version: row.try_get("version")?,
        created_at: row::time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: row::time(row, "updated_at")?,
        updated_by: row.try_get("updated_by")?,
        deleted_at: row::optional_time(row, "deleted_at")?,
    })
}
