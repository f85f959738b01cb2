//! Migrations: applied once, in their order, or not at all.

use futures::future::{join_all, try_join_all};
use serde_json::json;
use shared::config::Secret;
use shared::postgres::Migrations;
use tokio::net::TcpListener;

use super::{database, migrate, migrated_database, number, owner};

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
    // They take turns service by service, so that several may have done a part.
    let applied: Vec<_> = answers.iter().map(|answer| answer["applied"].as_u64().unwrap()).collect();
    let all = u64::try_from(platform::migrate::ALL.iter().map(Migrations::len).sum::<usize>()).unwrap();
    assert_eq!(applied.iter().sum::<u64>(), all, "{applied:?}");
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
async fn where_nothing_listens_migrations_fail_the_deployment() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://nobody@{}/nothing?sslmode=disable", taken.local_addr().unwrap());
    drop(taken);
    let error = migrate(&url).await.invoke(&json!({})).await.unwrap_err();
    assert!(shared::telemetry::chain(&*error).contains("Postgres is not available"), "{error:?}");
}
