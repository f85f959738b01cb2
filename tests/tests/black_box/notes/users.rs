//! The copy of identity's users: told in any order and twice, it comes to the same; and who goes.

use http::Method;
use serde_json::{Value, json};
use shared::events::identity::{MemberRemoved, UserCreated, UserDeleted, UserUpdated};
use shared::time::{Clock, SignedDuration, Timestamp};
use sqlx::Row as _;
use tests::{Account, Ask as _, Instance, eventually, queue_event, stack};

use super::{House, Member, tell};

fn updated(member: &Member, name: &str) -> UserUpdated {
    let email = format!("{}@example.com", member.id);
    UserUpdated { user_id: member.id.clone(), email, name: Some(name.to_owned()), verified: true }
}

fn created(member: &Member) -> UserCreated {
    let email = format!("{}@example.com", member.id);
    UserCreated { user_id: member.id.clone(), email, name: Some("First".to_owned()), verified: false }
}

fn deleted(house: &House, member: &Member) -> UserDeleted {
    UserDeleted { user_id: member.id.clone(), tenant_ids: vec![house.tenant] }
}

fn later(seconds: i64) -> Timestamp {
    Clock::system().now() + SignedDuration::from_secs(seconds)
}

/// The name under which a note is shared with `user`.
async fn name_of(owner: &Member, path: &str, user: &Member) -> Value {
    owner.get(&format!("{path}/shares/{}", user.id)).await.expect(200).json()["name"].clone()
}

#[tokio::test]
async fn what_is_told_twice_or_in_another_order_comes_to_the_same() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.stranger().await);
    let path = ada.note(json!({"title": "a"})).await;
    let (first, second, third) = (
        house.event(&bob, created(&bob), later(1)),
        house.event(&bob, updated(&bob, "B"), later(2)),
        house.event(&bob, updated(&bob, "C"), later(3)),
    );
    // The last comes first.
    tell(&third).await;
    ada.share(&path, &bob, "read").await;
    for event in [&first, &second, &third, &second, &first] {
        tell(event).await;
        assert_eq!(name_of(&ada, &path, &bob).await, json!("C"));
    }

    let gone = house.event(&bob, deleted(&house, &bob), later(4));
    for event in [&gone, &third, &gone, &first] {
        tell(event).await;
        ada.get(&format!("{path}/shares/{}", bob.id)).await.problem(404, "not-found");
        ada.put(&format!("{path}/shares/{}", bob.id), &json!({"access": "read"})).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_user_whose_account_is_gone_takes_their_notes_along_and_makes_none() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let (of_ada, of_bob) = (ada.note(json!({"title": "Ada's"})).await, bob.note(json!({"title": "Bob's"})).await);
    for number in 0..60 {
        bob.note(json!({"title": format!("{number}")})).await;
    }
    bob.share(&of_bob, &ada, "write").await;
    ada.share(&of_ada, &bob, "write").await;
    bob.patch(&of_ada, &json!({"content": "Bob was here"})).await.expect(200);
    tell(&house.event(&bob, deleted(&house, &bob), later(1))).await;
    ada.get(&of_bob).await.problem(404, "not-found");
    assert_eq!(ada.titles("").await, ["Ada's"]);
    assert_eq!(ada.get(&of_ada).await.expect(200).json()["content"], "Bob was here", "it is Ada's");
    // A token is good for some seconds yet.
    assert!(bob.titles("").await.is_empty());
    bob.post("/v2/notes", &json!({"title": "from beyond"})).await.problem(403, "forbidden");
    let keyed = bob.request(Method::POST, "/v2/notes").header("idempotency-key", "k");
    keyed.json(&json!({"title": "from beyond"})).answer().await.problem(403, "forbidden");
    assert!(bob.titles("").await.is_empty());
}

#[tokio::test]
async fn a_user_who_leaves_the_tenant_leaves_their_notes_to_it() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let path = bob.note(json!({"title": "Bob's"})).await;
    bob.share(&path, &ada, "read").await;
    let removed = MemberRemoved { user_id: bob.id.clone() };
    tell(&house.event(&bob, removed, later(1))).await;
    let note = ada.get(&path).await.expect(200).json();
    assert_eq!((&note["owner"], &note["created_by"]), (&json!(house.tenant.to_string()), &json!(bob.id)));
    assert!(bob.titles("").await.is_empty());
}

#[tokio::test]
async fn what_is_told_of_a_user_who_left_is_not_taken_in_before_they_are_back() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let path = ada.note(json!({"title": "a"})).await;
    let left = house.event(&bob, MemberRemoved { user_id: bob.id.clone() }, later(1));
    let elsewhere = house.event(&bob, updated(&bob, "B"), later(2));
    let back = house.event(&bob, created(&bob), later(3));
    for event in [&left, &elsewhere, &left] {
        tell(event).await;
        ada.put(&format!("{path}/shares/{}", bob.id), &json!({"access": "read"})).await.problem(404, "not-found");
        bob.post("/v2/notes", &json!({"title": "from beyond"})).await.problem(403, "forbidden");
    }
    for event in [&back, &left, &elsewhere] {
        tell(event).await;
        ada.share(&path, &bob, "read").await;
        assert_eq!(name_of(&ada, &path, &bob).await, json!("First"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_while_their_going_is_taken_in_keeps_what_they_make() {
    let house = House::new();
    let bob = house.member().await;
    bob.note(json!({"title": "old"})).await;
    let database = sqlx::PgPool::connect(&stack().dev().database_url).await.unwrap();
    let mut holder = database.begin().await.unwrap();
    let held = sqlx::query("SELECT pg_backend_pid() FROM notes.notes WHERE owner_id = $1 FOR UPDATE").bind(&bob.id);
    let holder_pid: i32 = held.fetch_one(&mut *holder).await.unwrap().get(0);
    let waiting = async |of: &str| {
        let query = format!(
            "WITH first AS (SELECT pid FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))),
                  second AS (SELECT a.pid FROM pg_stat_activity a, first WHERE first.pid = ANY(pg_blocking_pids(a.pid)))
             SELECT count(*) > 0 FROM {of}"
        );
        let query = sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(query)).bind(holder_pid);
        query.fetch_one(&database).await.unwrap()
    };

    let gone = house.event(&bob, MemberRemoved { user_id: bob.id.clone() }, later(1));
    let back = house.event(&bob, created(&bob), later(2));
    let going = tokio::spawn(async move { tell(&gone).await });
    eventually("the going to wait for the note", async || waiting("first").await.then_some(())).await;
    let coming = tokio::spawn(async move { tell(&back).await });
    eventually("the coming back", async || (coming.is_finished() || waiting("second").await).then_some(())).await;
    if coming.is_finished() {
        bob.note(json!({"title": "new"})).await;
    }
    holder.rollback().await.unwrap();
    going.await.unwrap();
    coming.await.unwrap();
    if bob.titles("").await.is_empty() {
        bob.note(json!({"title": "new"})).await;
    }
    assert_eq!(bob.titles("").await, ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_shares_with_a_user_who_is_just_going() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let path = ada.note(json!({"title": "a"})).await;
    let database = sqlx::PgPool::connect(&stack().dev().database_url).await.unwrap();
    let mut going = database.begin().await.unwrap();
    let query = sqlx::query("DELETE FROM notes.users WHERE id = $1 RETURNING pg_backend_pid()").bind(&bob.id);
    let going_pid: i32 = query.fetch_one(&mut *going).await.unwrap().get(0);

    let share = format!("{path}/shares/{}", bob.id);
    let sharing = tokio::spawn(async move { ada.put(&share, &json!({"access": "read"})).await });
    eventually("the share to wait for the user", async || {
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))";
        let waiting = sqlx::query_scalar::<_, bool>(waiting).bind(going_pid).fetch_one(&database).await.unwrap();
        waiting.then_some(())
    })
    .await;
    going.commit().await.unwrap();
    sharing.await.unwrap().problem(404, "not-found");
}

#[tokio::test]
async fn a_user_of_whom_nothing_was_told_yet_can_begin_at_once() {
    let house = House::new();
    let new = house.stranger().await;
    assert!(new.titles("").await.is_empty());
    let keyed = new.request(Method::POST, "/v2/notes").header("idempotency-key", "k").json(&json!({"title": "first"}));
    keyed.answer().await.expect(201);
    tell(&house.event(&new, created(&new), later(1))).await;
    assert_eq!(new.titles("").await, ["first"]);
}

#[tokio::test]
async fn what_is_no_event_is_left_to_the_redrive_policy_and_holds_up_no_other() {
    let house = House::new();
    let bob = house.stranger().await;
    let users = Instance::of(&notes::SERVICE, "notes.users").await;
    let mut broken = house.event(&bob, created(&bob), later(1));
    broken["data"] = json!({"user_id": 7});
    let mut other = house.event(&bob, created(&bob), later(1));
    other["type"] = json!("user.danced");
    let good = house.event(&bob, created(&bob), later(1));
    let messages = [
        ("text", "x".to_owned()),
        ("broken", broken.to_string()),
        ("other", other.to_string()),
        ("good", good.to_string()),
    ];
    let answer = users.invoke(&queue_event(messages)).await.unwrap();
    let mut failed: Vec<_> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["itemIdentifier"].clone())
        .collect();
    failed.sort_by_key(ToString::to_string);
    assert_eq!(failed, [json!("broken"), json!("text")]);
}

#[tokio::test]
async fn from_the_sign_up_to_the_end_of_the_account_notes_follow_identity() {
    let ada = Account::new().await;
    let made = ada.post("/v2/notes", &json!({"title": "a"})).await.expect(201);
    assert_eq!(made.json()["owner"], ada.user_id);
    ada.patch("/v1/me", &json!({"name": "Ada L."})).await.expect(200);
    let database = sqlx::PgPool::connect(&stack().dev().database_url).await.unwrap();
    let known = async || {
        let query = "SELECT u.email, u.name, (SELECT count(*) FROM notes.notes n WHERE n.owner_id = u.id) AS notes
                     FROM notes.users u WHERE u.id = $1";
        let row = sqlx::query(query).bind(&ada.user_id).fetch_optional(&database).await.unwrap();
        row.map(|row| (row.get::<Option<String>, _>(0), row.get::<Option<String>, _>(1), row.get::<i64, _>(2)))
    };
    let expected = Some((Some(ada.email.clone()), Some("Ada L.".to_owned()), 1));
    eventually("the name to be known", async || (known().await == expected).then_some(())).await;
    ada.delete("/v1/me").await.expect(204);
    eventually("the user to be gone", async || known().await.is_none().then_some(())).await;
    let left = sqlx::query("SELECT count(*) FROM notes.notes WHERE owner_id = $1").bind(&ada.user_id);
    assert_eq!(left.fetch_one(&database).await.unwrap().get::<i64, _>(0), 0);
}
