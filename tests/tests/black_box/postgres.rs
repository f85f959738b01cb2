//! Postgres: migrations, the wall between tenants, and what holds when the server is away.

mod migrations;
pub(crate) mod outages;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use shared::config::Secret;
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::postgres::{APP_ROLE, Migrations, Postgres, PostgresError, Settings, Transaction};
use shared::random::Random;
use shared::time::Clock;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tests::{Instance, stack};

use crate::resources::name;

fn tenant() -> TenantId {
    TenantId::new(Clock::system().now(), &Random::system())
}

/// A connection as the owner of everything, past all walls.
async fn owner(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

async fn number(connection: &mut PgConnection, sql: String) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
}

/// An empty database of the test's own: its URL.
async fn database() -> String {
    let url = &stack().dev().database_url;
    let database = name("test").replace('-', "_");
    run(&mut owner(url).await, format!("CREATE DATABASE {database}")).await;
    let (server, options) =
        url.split_once('?').map_or((url.as_str(), String::new()), |(url, rest)| (url, format!("?{rest}")));
    format!("{}/{database}{options}", server.rsplit_once('/').unwrap().0)
}

/// The same database with the platform's migrations.
pub(crate) async fn migrated_database() -> String {
    let url = database().await;
    migrate(&url).await.invoke(&json!({})).await.unwrap();
    url
}

async fn migrate(url: &str) -> Instance {
    Instance::with(&platform::SERVICE, "platform.migrate", Clock::system(), |environment| {
        environment.with("DATABASE_URL", url)
    })
    .await
}

fn postgres(url: &str) -> Postgres {
    Postgres::new(&Secret::new(url), Settings::new("test", "memos"), Random::system()).unwrap()
}

/// What a service would have: rows of tenants behind the wall, in a schema of its own.
const NOTES: Migrations = Migrations {
    service: "memos",
    scripts: &[(
        "0001_notes.sql",
        "GRANT USAGE ON SCHEMA memos TO tenfold_app;
         CREATE TABLE notes (tenant text NOT NULL DEFAULT tenfold.current_tenant(), text text NOT NULL);
         ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
         ALTER TABLE notes FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON notes USING (tenant = tenfold.current_tenant());
         GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO tenfold_app;",
    )],
};

/// The notes in a migrated database.
async fn notes(url: &str) -> Postgres {
    assert_eq!(NOTES.apply(&Secret::new(url)).await.unwrap(), 1);
    postgres(url)
}

async fn insert(transaction: &mut Transaction, text: &str) -> Result<(), PostgresError> {
    sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(text).execute(transaction).await?;
    Ok(())
}

/// Does `work` in a transaction of the tenant's, and all of it again where others were in its way.
async fn in_tenant<T>(
    postgres: &Postgres,
    tenant: &TenantId,
    work: impl AsyncFn(&mut Transaction) -> Result<T, PostgresError>,
) -> Result<T, PostgresError> {
    let once = async || {
        let mut transaction = postgres.tenant_transaction(tenant).await?;
        let done = work(&mut transaction).await;
        transaction.end(done).await
    };
    postgres.repeated(once).await
}

async fn texts(postgres: &Postgres, tenant: &TenantId) -> Vec<String> {
    let mut transaction = postgres.tenant_transaction(tenant).await.unwrap();
    let rows = sqlx::query("SELECT text FROM notes ORDER BY text").fetch_all(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Inserts a note although the first `times` attempts end in `trouble`, a statement that fails; how many it took.
async fn insert_despite(notes: &Postgres, tenant: &TenantId, trouble: &'static str, times: usize) -> usize {
    let attempts = AtomicUsize::new(0);
    in_tenant(notes, tenant, async |transaction| {
        let attempt = attempts.fetch_add(1, Ordering::SeqCst);
        insert(transaction, "once").await?;
        if attempt < times {
            sqlx::raw_sql(trouble).execute(transaction).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    attempts.into_inner()
}

#[tokio::test]
async fn a_tenant_sees_and_changes_its_own_rows_alone() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let (one, other) = (tenant(), tenant());
    in_tenant(&notes, &one, async |transaction| insert(transaction, "of one").await).await.unwrap();
    in_tenant(&notes, &other, async |transaction| insert(transaction, "of the other").await).await.unwrap();
    assert_eq!(texts(&notes, &one).await, ["of one"]);
    assert_eq!(texts(&notes, &other).await, ["of the other"]);

    let mut transaction = notes.tenant_transaction(&one).await.unwrap();
    let changed = sqlx::query("UPDATE notes SET text = 'taken'").execute(&mut transaction).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
    let removed = sqlx::query("DELETE FROM notes WHERE text = 'of the other'").execute(&mut transaction).await.unwrap();
    assert_eq!(removed.rows_affected(), 0);
    transaction.rollback().await.unwrap();
    assert_eq!(texts(&notes, &one).await, ["of one"], "it was undone");

    // Nor can it write a row for the other.
    let mut transaction = notes.tenant_transaction(&one).await.unwrap();
    let planted = sqlx::query("INSERT INTO notes VALUES ($1, 'planted')").bind(other.to_string());
    planted.execute(&mut transaction).await.unwrap_err();
    drop(transaction);
    assert_eq!(texts(&notes, &other).await, ["of the other"]);
    assert_eq!(number(&mut owner(&url).await, "SELECT count(*) FROM memos.notes".to_owned()).await, 2);
}

#[tokio::test]
async fn without_a_tenant_there_are_no_rows() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    in_tenant(&notes, &tenant(), async |transaction| insert(transaction, "hidden").await).await.unwrap();
    let mut connection = owner(&url).await;
    run(&mut connection, format!("SET ROLE {APP_ROLE}")).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM memos.notes".to_owned()).await, 0);
    // Also where an earlier transaction had one.
    run(&mut connection, "BEGIN; SET LOCAL tenfold.tenant = 'tenant_1'; COMMIT".to_owned()).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM memos.notes".to_owned()).await, 0);
    let planted = sqlx::raw_sql("INSERT INTO memos.notes VALUES ('', 'planted')").execute(&mut connection).await;
    planted.unwrap_err();
}

#[tokio::test]
async fn nothing_of_a_transaction_is_left_on_its_connection() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let (one, other) = (tenant(), tenant());
    let backend = async |tenant: &TenantId| {
        let mut transaction = notes.tenant_transaction(tenant).await.unwrap();
        let query = "SELECT pg_backend_pid(), current_setting('tenfold.tenant'), (SELECT count(*) FROM notes), \
                     (SELECT count(*) FROM pg_prepared_statements)";
        let row = sqlx::query(query).fetch_one(&mut transaction).await.unwrap();
        let seen: (i32, String, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
        transaction.commit().await.unwrap();
        seen
    };
    in_tenant(&notes, &one, async |transaction| insert(transaction, "of one").await).await.unwrap();
    let first = backend(&one).await;
    let second = backend(&other).await;
    assert_eq!(first.0, second.0, "it is one connection");
    assert_eq!((first.1, first.2), (one.to_string(), 1));
    assert_eq!((second.1, second.2), (other.to_string(), 0));
    assert_eq!(second.3, 0, "no statement stays prepared");

    // A transaction that was dropped leaves nothing either.
    drop(notes.tenant_transaction(&one).await.unwrap());
    assert_eq!(backend(&other).await.2, 0);
}

#[tokio::test]
async fn work_that_collides_is_done_again_and_takes_place_once() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    let collide = "DO $$ BEGIN RAISE EXCEPTION 'collision' USING ERRCODE = 'serialization_failure'; END $$";
    assert_eq!(insert_despite(&notes, &tenant, collide, 2).await, 3);
    assert_eq!(texts(&notes, &tenant).await, ["once"]);
}

#[tokio::test]
async fn work_that_refuses_is_undone_and_its_problem_is_the_answer() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    let refused: Result<(), _> = in_tenant(&notes, &tenant, async |transaction| {
        insert(transaction, "undone").await?;
        Err(Problem::not_found().into())
    })
    .await;
    assert_eq!(Problem::from(refused.unwrap_err()).kind(), ProblemType::NotFound);
    assert!(texts(&notes, &tenant).await.is_empty());
}
