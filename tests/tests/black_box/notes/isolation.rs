//! The wall between tenants, also for whoever could write SQL of their own as the application.

use serde_json::json;
use shared::config::Secret;
use shared::id::TenantId;
use shared::identity::Role;
use shared::postgres::{Postgres, Settings};
use shared::random::Random;
use shared::time::Clock;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tests::stack;

use super::House;

const TABLES: [&str; 8] =
    ["user_states", "users", "notes", "note_revisions", "note_shares", "idempotency_keys", "settings", "outbox"];

/// An entry that no sweep takes, as it is of a far future.
const ENTRY: &str =
    "INSERT INTO outbox (id, events, reminders, written_at) VALUES ('event_1', '[]', '[]', 9000000000000000)";

fn postgres() -> Postgres {
    let url = Secret::new(stack().dev().database_url.as_str());
    Postgres::new(&url, Settings::new("test", "notes"), Random::system()).unwrap()
}

#[tokio::test]
async fn another_tenants_note_is_not_there() {
    let (house, other) = (House::new(), House::new());
    let (ada, eve) = (house.member().await, other.member().await);
    let path = ada.note(json!({"title": "a", "content": "secret"})).await;
    eve.get(&path).await.problem(404, "not-found");
    eve.put(&path, &json!({"title": "x"})).await.problem(404, "not-found");
    eve.delete(&path).await.problem(404, "not-found");
    assert!(eve.titles("?text=secret").await.is_empty());
}

#[tokio::test]
async fn the_application_role_sees_and_changes_no_row_of_another_tenant() {
    let house = House::new();
    let (ada, bob) = (house.member_as(Role::Admin).await, house.member().await);
    let path = ada.note(json!({"title": "a"})).await;
    ada.put("/v2/notes/settings", &json!({"require_if_match": true})).await.expect(200);
    ada.share(&path, &bob, "write").await;
    ada.request(http::Method::POST, "/v2/notes")
        .header("idempotency-key", "k")
        .json(&json!({"title": "b"}))
        .send()
        .await
        .unwrap();
    let postgres = postgres();
    let mut transaction = postgres.tenant_transaction(&house.tenant).await.unwrap();
    sqlx::raw_sql(ENTRY).execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let stranger = TenantId::new(Clock::system().now(), &Random::system());
    for table in TABLES {
        let count = |tenant: TenantId| {
            let postgres = &postgres;
            async move {
                let mut transaction = postgres.tenant_transaction(&tenant).await.unwrap();
                let query = format!("SELECT count(*) FROM {table}");
                sqlx::query(AssertSqlSafe(query)).fetch_one(&mut transaction).await.unwrap().get::<i64, _>(0)
            }
        };
        assert!(count(house.tenant).await > 0, "{table}");
        assert_eq!(count(stranger).await, 0, "{table}");
        let mut transaction = postgres.tenant_transaction(&stranger).await.unwrap();
        let query = format!("DELETE FROM {table}");
        let deleted = sqlx::query(AssertSqlSafe(query)).execute(&mut transaction).await.unwrap();
        assert_eq!(deleted.rows_affected(), 0, "{table}");
    }
    // Nor does it write one for another, or refer to one of another's.
    for planted in [
        format!("INSERT INTO users (tenant, id) VALUES ('{}', 'user_1')", house.tenant),
        format!(
            "INSERT INTO outbox (tenant, id, events, reminders, written_at) VALUES ('{}', 'event_2', '[]', '[]', 1)",
            house.tenant
        ),
        format!(
            "INSERT INTO note_shares (note_id, user_id, access, created_at, updated_at) VALUES ('{}', '{}', 'read', 1, 1)",
            path.rsplit('/').next().unwrap(),
            bob.id
        ),
    ] {
        let mut transaction = postgres.tenant_transaction(&stranger).await.unwrap();
        sqlx::query(AssertSqlSafe(planted)).execute(&mut transaction).await.unwrap_err();
    }
}

#[tokio::test]
async fn the_purge_sees_what_is_deleted_and_nothing_else() {
    let house = House::new();
    let ada = house.member().await;
    let (kept, dropped) = (ada.note(json!({"title": "kept"})).await, ada.note(json!({"title": "dropped"})).await);
    ada.delete(&dropped).await.expect(204);
    let nobody: TenantId = "tenant_00000000000000000000000000".parse().unwrap();
    let postgres = postgres();
    let mut transaction = postgres.tenant_transaction(&nobody).await.unwrap();
    sqlx::raw_sql("SET LOCAL tenfold.purge = 'on'").execute(&mut transaction).await.unwrap();
    let seen = async |transaction: &mut shared::postgres::Transaction, path: &str| {
        let query =
            sqlx::query("SELECT count(*) FROM notes WHERE id = $1").bind(path.rsplit('/').next().unwrap().to_owned());
        query.fetch_one(transaction).await.unwrap().get::<i64, _>(0)
    };
    assert_eq!(seen(&mut transaction, &kept).await, 0);
    assert_eq!(seen(&mut transaction, &dropped).await, 1);
    let query = sqlx::query("UPDATE notes SET title = 'x' WHERE deleted_at IS NOT NULL");
    assert_eq!(query.execute(&mut transaction).await.unwrap().rows_affected(), 0);
}

#[tokio::test]
async fn the_hand_over_sees_what_is_to_be_told_and_nothing_else() {
    let house = House::new();
    let path = house.member().await.note(json!({"title": "a"})).await;
    let postgres = postgres();
    let mut transaction = postgres.tenant_transaction(&house.tenant).await.unwrap();
    sqlx::raw_sql(ENTRY).execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let nobody: TenantId = "tenant_00000000000000000000000000".parse().unwrap();
    let mut transaction = postgres.tenant_transaction(&nobody).await.unwrap();
    sqlx::raw_sql("SET LOCAL tenfold.hand_over = 'on'").execute(&mut transaction).await.unwrap();
    let query = sqlx::query("SELECT count(*) FROM outbox WHERE tenant = $1").bind(house.tenant.to_string());
    assert!(query.fetch_one(&mut transaction).await.unwrap().get::<i64, _>(0) >= 1);
    let query = sqlx::query("SELECT count(*) FROM notes WHERE id = $1").bind(path.rsplit('/').next().unwrap());
    assert_eq!(query.fetch_one(&mut transaction).await.unwrap().get::<i64, _>(0), 0);
    let query = sqlx::query("UPDATE outbox SET events = 'x'");
    assert_eq!(query.execute(&mut transaction).await.unwrap().rows_affected(), 0);
    let planted = format!(
        "INSERT INTO outbox (tenant, id, events, reminders, written_at) VALUES ('{}', 'e', '[]', '[]', 1)",
        house.tenant
    );
    sqlx::query(AssertSqlSafe(planted)).execute(&mut transaction).await.unwrap_err();
}

#[tokio::test]
async fn every_table_of_notes_stands_behind_the_wall() {
    let mut owner = sqlx::PgConnection::connect(&stack().dev().database_url).await.unwrap();
    let query = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'notes' AND c.relkind = 'r' AND c.relname <> 'migrations'
                   AND c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1";
    let mut walled: Vec<String> =
        sqlx::query(query).fetch_all(&mut owner).await.unwrap().iter().map(|row| row.get(0)).collect();
    walled.sort();
    let mut tables = TABLES.map(str::to_owned);
    tables.sort();
    assert_eq!(walled, tables);
    let all = "SELECT count(*) FROM pg_tables WHERE schemaname = 'notes' AND tablename <> 'migrations'";
    assert_eq!(sqlx::query(all).fetch_one(&mut owner).await.unwrap().get::<i64, _>(0), 8);
}
