//! The rows: the same in the tables of both contenders, which are two schemas of one database.

use std::time::Duration;

use notes::note::NoteId;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use sqlx::{Connection as _, PgConnection};
use tests::stack;

use crate::users::{USERS, Users};

/// How many notes there are before the first request.
const NOTES: usize = 10_000;

/// About 500 bytes, other ones for each index.
pub(crate) fn content(index: usize) -> String {
    let lines = (0..9).map(|line| format!("- {index}.{line}: what is to be remembered of this, in a line\n"));
    lines.collect()
}

/// The database, as its owner.
pub(crate) struct Rows(PgConnection);

impl Rows {
    /// Makes the schema of the other contender, whose tables it makes itself.
    pub(crate) async fn new() -> Self {
        let mut connection = PgConnection::connect(&stack().dev().database_url).await.unwrap();
        sqlx::raw_sql("CREATE SCHEMA fastapi").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    pub(crate) async fn server_version(&mut self) -> String {
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut self.0).await.unwrap()
    }

    async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.0).await.unwrap();
    }

    /// Writes the notes.
    pub(crate) async fn fill(&mut self, users: &Users) {
        let (now, random, tenant) = (Clock::system().now(), Random::system(), users.tenant.to_string());
        sqlx::query("INSERT INTO notes.users (tenant, id) SELECT $1, unnest($2::text[])")
            .bind(&tenant)
            .bind(&*users.ids)
            .execute(&mut self.0)
            .await
            .unwrap();
        let first = now - SignedDuration::from_hours(24);
        let made_at = |index: usize| first + Duration::from_secs(index as u64);
        let column = |of: &dyn Fn(usize) -> String| (0..NOTES).map(of).collect::<Vec<_>>();
        sqlx::query(
            "INSERT INTO notes.notes (tenant, id, owner_id, title, content, format, tags, pinned, archived, version, created_at,
                 created_by, updated_at, updated_by, search, title_key)
             SELECT $1, id, owner, title, content, 'markdown', '{bench}', false, false, 1, at, owner, at, owner,
                 lower(title) || E'\n' || lower(content) || E'\nbench', lower(title)
             FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) AS n (id, owner, title, content, at)",
        )
        .bind(&tenant)
        .bind(column(&|index| NoteId::new(made_at(index), &random).to_string()))
        .bind(column(&|index| users.ids[index % USERS].clone()))
        .bind(column(&|index| format!("Note {index}")))
        .bind(column(&content))
        .bind((0..NOTES).map(|index| made_at(index).as_millisecond()).collect::<Vec<_>>())
        .execute(&mut self.0)
        .await
        .unwrap();
        self.run(
            "INSERT INTO notes.note_revisions (tenant, note_id, version, title, content, format, tags, created_at, created_by)
                 SELECT tenant, id, version, title, content, format, tags, created_at, created_by FROM notes.notes;
             INSERT INTO fastapi.notes (id, tenant, owner, title, content, format, tags, pinned, archived, version, created_at,
                     created_by, updated_at, updated_by)
                 SELECT gen_random_uuid(), tenant, owner_id, title, content, format, tags, pinned, archived, version,
                     to_timestamp(created_at / 1000.0), created_by, to_timestamp(updated_at / 1000.0), updated_by
                 FROM notes.notes",
        )
        .await;
        self.swept().await;
    }

    /// Waits until what changes tell was handed over, and the endpoint that it was handed to has had a moment for it.
    pub(crate) async fn settled(&mut self) {
        let left = "SELECT count(*) FROM notes.outbox";
        while sqlx::query_scalar::<_, i64>(left).fetch_one(&mut self.0).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Takes away what is in the bin, which only Tenfold has, and makes room in the tables of both.
    pub(crate) async fn swept(&mut self) {
        self.run("DELETE FROM notes.notes WHERE deleted_at IS NOT NULL").await;
        for table in ["notes.notes", "notes.note_revisions", "notes.outbox", "fastapi.notes"] {
            let sql = format!("VACUUM (ANALYZE) {table}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.0).await.unwrap();
        }
    }
}
