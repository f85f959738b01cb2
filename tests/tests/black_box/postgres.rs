//! Postgres: migrations, the wall between tenants, and what holds when the server is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::{join_all, try_join_all};
use serde_json::json;
use shared::BoxFuture;
use shared::config::Secret;
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::postgres::{APP_ROLE, Migrations, Postgres, PostgresError, Settings, Transaction};
use shared::random::Random;
use shared::time::Clock;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tests::{Instance, stack};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

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
async fn migrated_database() -> String {
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
    Postgres::new(&Secret::new(url), Settings::new("test", "notes"), Random::system()).unwrap()
}

/// What a service would have: rows of tenants behind the wall, in a schema of its own.
const NOTES: Migrations = Migrations {
    service: "notes",
    scripts: &[(
        "0001_notes.sql",
        "GRANT USAGE ON SCHEMA notes TO tenfold_app;
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

fn insert<'t>(transaction: &'t mut Transaction, text: &'static str) -> BoxFuture<'t, Result<(), PostgresError>> {
    Box::pin(async move {
        sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(text).execute(transaction).await?;
        Ok(())
    })
}

async fn texts(postgres: &Postgres, tenant: &TenantId) -> Vec<String> {
    let mut transaction = postgres.tenant_transaction(tenant).await.unwrap();
    let rows = sqlx::query("SELECT text FROM notes ORDER BY text").fetch_all(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn migrations_are_applied_once_however_often_they_are_run() {
    let url = database().await;
    let function = migrate(&url).await;
    let first = function.invoke(&json!({})).await.unwrap();
    assert_eq!(first["postgres"], "migrated");
    assert_eq!(first["applied"], platform::migrate::ALL.iter().map(Migrations::len).sum::<usize>());
    let again = function.invoke(&json!({})).await.unwrap();
    assert_eq!((&again["postgres"], &again["applied"]), (&json!("migrated"), &json!(0)));
    let mut owner = owner(&url).await;
    let bypassing =
        "SELECT count(*) FROM pg_roles WHERE rolname = 'tenfold_app' AND NOT (rolsuper OR rolbypassrls OR rolcanlogin)";
    assert_eq!(number(&mut owner, bypassing.to_owned()).await, 1);
    let possessions =
        "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = 'tenfold_app'";
    assert_eq!(number(&mut owner, possessions.to_owned()).await, 0, "the application's role owns nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_that_are_run_at_once_are_applied_one_after_the_other() {
    let url = database().await;
    let functions = join_all((0..4).map(|_| migrate(&url))).await;
    let event = json!({});
    let answers = try_join_all(functions.iter().map(|function| function.invoke(&event))).await.unwrap();
    let mut applied: Vec<_> = answers.iter().map(|answer| answer["applied"].as_u64().unwrap()).collect();
    applied.sort_unstable();
    let all = u64::try_from(platform::migrate::ALL.iter().map(Migrations::len).sum::<usize>()).unwrap();
    assert_eq!(applied.last(), Some(&all), "{applied:?}");
    let recorded =
        number(&mut owner(&url).await, "SELECT count(*) FROM platform.migrations WHERE success".to_owned()).await;
    assert_eq!(u64::try_from(recorded).unwrap(), u64::try_from(platform::migrate::PLATFORM.len()).unwrap());
}

#[tokio::test]
async fn a_migration_that_fails_is_undone_and_those_before_it_stay() {
    let url = migrated_database().await;
    let broken = Migrations {
        service: "broken",
        scripts: &[
            ("0001_good.sql", "CREATE TABLE good (id int)"),
            ("0002_bad.sql", "CREATE TABLE half (id int); SELECT 1 / 0"),
        ],
    };
    broken.apply(&Secret::new(url.as_str())).await.unwrap_err();
    let mut owner = owner(&url).await;
    let there =
        |table: &str| format!("SELECT count(*) FROM pg_tables WHERE schemaname = 'broken' AND tablename = '{table}'");
    assert_eq!(number(&mut owner, there("good")).await, 1);
    assert_eq!(number(&mut owner, there("half")).await, 0);
    let mended = Migrations {
        service: "broken",
        scripts: &[("0001_good.sql", "CREATE TABLE good (id int)"), ("0002_bad.sql", "CREATE TABLE half (id int)")],
    };
    assert_eq!(mended.apply(&Secret::new(url.as_str())).await.unwrap(), 1);
    let altered = Migrations { service: "broken", scripts: &[("0001_good.sql", "CREATE TABLE other (id int)")] };
    altered.apply(&Secret::new(url.as_str())).await.unwrap_err();
}

#[tokio::test]
async fn a_tenant_sees_and_changes_its_own_rows_alone() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let (one, other) = (tenant(), tenant());
    notes.in_tenant(&one, |transaction| insert(transaction, "of one")).await.unwrap();
    notes.in_tenant(&other, |transaction| insert(transaction, "of the other")).await.unwrap();
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
    assert_eq!(number(&mut owner(&url).await, "SELECT count(*) FROM notes.notes".to_owned()).await, 2);
}

#[tokio::test]
async fn without_a_tenant_there_are_no_rows() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    notes.in_tenant(&tenant(), |transaction| insert(transaction, "hidden")).await.unwrap();
    let mut connection = owner(&url).await;
    run(&mut connection, format!("SET ROLE {APP_ROLE}")).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM notes.notes".to_owned()).await, 0);
    // Also where an earlier transaction had one.
    run(&mut connection, "BEGIN; SET LOCAL tenfold.tenant = 'tenant_1'; COMMIT".to_owned()).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM notes.notes".to_owned()).await, 0);
    let planted = sqlx::raw_sql("INSERT INTO notes.notes VALUES ('', 'planted')").execute(&mut connection).await;
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
    notes.in_tenant(&one, |transaction| insert(transaction, "of one")).await.unwrap();
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
    let attempts = AtomicUsize::new(0);
    notes
        .in_tenant(&tenant, |transaction| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                insert(transaction, "once").await?;
                if attempt < 2 {
                    let collide =
                        "DO $$ BEGIN RAISE EXCEPTION 'collision' USING ERRCODE = 'serialization_failure'; END $$";
                    sqlx::raw_sql(collide).execute(transaction).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 3);
    assert_eq!(texts(&notes, &tenant).await, ["once"]);
}

#[tokio::test]
async fn work_that_refuses_is_undone_and_its_problem_is_the_answer() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    let refused: Result<(), _> = notes
        .in_tenant(&tenant, |transaction| {
            Box::pin(async move {
                insert(transaction, "undone").await?;
                Err(Problem::not_found().into())
            })
        })
        .await;
    assert_eq!(Problem::from(refused.unwrap_err()).kind(), ProblemType::NotFound);
    assert!(texts(&notes, &tenant).await.is_empty());
}

/// The road to the server, which can be cut and mended.
struct Road {
    url: String,
    open: Arc<AtomicBool>,
    cut: Arc<tokio::sync::Notify>,
}

impl Road {
    async fn to(url: &str) -> Self {
        let address = url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let road =
            Self { url: url.replace(&address, &here), open: Arc::new(AtomicBool::new(true)), cut: Arc::default() };
        let (open, cut) = (road.open.clone(), road.cut.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let (cut, address) = (cut.clone(), address.clone());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        road
    }

    /// All connections break, and new ones are refused.
    fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_the_answer_is_unavailable_and_afterwards_all_is_well() {
    let url = migrated_database().await;
    notes(&url).await;
    let road = Road::to(&url).await;
    let notes = postgres(&road.url);
    let tenant = tenant();
    notes.in_tenant(&tenant, |transaction| insert(transaction, "before")).await.unwrap();

    road.close();
    for _ in 0..2 {
        let error = notes.in_tenant(&tenant, |transaction| insert(transaction, "away")).await.unwrap_err();
        assert_eq!(Problem::from(error).kind(), ProblemType::Unavailable);
        assert_eq!(Problem::from(notes.ping().await.unwrap_err()).kind(), ProblemType::Unavailable);
    }
    road.mend();
    notes.in_tenant(&tenant, |transaction| insert(transaction, "back")).await.unwrap();
    assert_eq!(texts(&notes, &tenant).await, ["back", "before"], "nothing was half written");
}

#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_replaced() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    notes.in_tenant(&tenant, |transaction| insert(transaction, "before")).await.unwrap();
    let mut owner = owner(&url).await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'test'";
    assert_eq!(number(&mut owner, ended.to_owned()).await, 1);
    notes.in_tenant(&tenant, |transaction| insert(transaction, "restarted")).await.unwrap();
    assert_eq!(texts(&notes, &tenant).await, ["before", "restarted"]);
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_is_made_again_and_the_work_is_done_once() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    let attempts = AtomicUsize::new(0);
    notes
        .in_tenant(&tenant, |transaction| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                insert(transaction, "once").await?;
                if attempt == 0 {
                    let suicide = "RESET ROLE; SELECT pg_terminate_backend(pg_backend_pid())";
                    sqlx::raw_sql(suicide).execute(transaction).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 2);
    assert_eq!(texts(&notes, &tenant).await, ["once"]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let url = migrated_database().await;
    let settings =
        Settings { statement_timeout: std::time::Duration::from_millis(100), ..Settings::new("test", "notes") };
    let postgres = Postgres::new(&Secret::new(url), settings, Random::system()).unwrap();
    let slow = postgres
        .in_tenant(&tenant(), |transaction| {
            Box::pin(async move {
                sqlx::query("SELECT pg_sleep(60)").execute(transaction).await?;
                Ok(())
            })
        })
        .await;
    assert_eq!(Problem::from(slow.unwrap_err()).kind(), ProblemType::Unavailable);
    postgres.ping().await.unwrap();
}

#[tokio::test]
async fn where_nothing_listens_migrations_fail_the_deployment() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://nobody@{}/nothing?sslmode=disable", taken.local_addr().unwrap());
    drop(taken);
    let error = migrate(&url).await.invoke(&json!({})).await.unwrap_err();
    assert!(shared::telemetry::chain(&*error).contains("Postgres is not available"), "{error:?}");
}
