//! Two at once, and Postgres away.

use http::Method;
use serde_json::json;
use shared::time::Clock;
use tests::{Ask as _, Instance, Tenant};

use super::House;
use crate::postgres::migrated_database;
use crate::postgres::outages::Road;

#[tokio::test]
async fn of_ten_writers_with_the_same_version_one_wins_and_nine_are_told() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let made = ada.post("/v2/notes", &json!({"title": "a"})).await.expect(201);
    let (path, etag) = (made.header("location"), made.header("etag"));
    ada.share(path, &bob, "write").await;
    let writers = (0..10).map(|number| {
        let (who, method) = if number % 2 == 0 { (&ada, Method::PATCH) } else { (&bob, Method::PUT) };
        let request = who.request(method, path).header("if-match", etag);
        request.json(&json!({"title": format!("by {number}")})).answer()
    });
    let answers = futures::future::join_all(writers).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![412; 9]].concat());
    let won = answers.iter().find(|answer| answer.status.is_success()).unwrap().json();
    assert_eq!(ada.get(path).await.expect(200).json()["title"], won["title"]);
    let revisions = ada.get(&format!("{path}/revisions")).await.expect(200).json();
    assert_eq!(revisions["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn writers_without_a_condition_come_one_after_the_other() {
    let ada = House::new().member().await;
    let path = ada.note(json!({"title": "a"})).await;
    let fields = [json!({"pinned": true}), json!({"archived": true}), json!({"content": "x"}), json!({"tags": ["t"]})];
    for answer in futures::future::join_all(fields.iter().map(|patch| ada.patch(&path, patch))).await {
        answer.expect(200);
    }
    let note = ada.get(&path).await.expect(200).json();
    assert_eq!(
        (&note["pinned"], &note["archived"], &note["content"], &note["tags"]),
        (&json!(true), &json!(true), &json!("x"), &json!(["t"]))
    );
    assert_eq!(note["version"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_the_answer_says_when_to_try_again_and_nothing_is_half_written() {
    let road = Road::to(&migrated_database().await).await;
    let api = Instance::with(&notes::SERVICE, "notes.api", Clock::system(), |environment| {
        environment.with("DATABASE_URL", &road.url)
    })
    .await;
    let authorization = format!("Bearer {}", Tenant::new().await.api_key);
    let headers = [("authorization", authorization.as_str())];
    let made = api.http("POST", "/v2/notes", &headers, Some(&json!({"title": "before"}))).await.expect(201);
    let path = made.header("location").to_owned();

    road.close();
    for (method, path, body) in [
        ("GET", path.as_str(), None),
        ("POST", "/v2/notes", Some(json!({"title": "away"}))),
        ("PATCH", path.as_str(), Some(json!({"title": "away"}))),
    ] {
        let answer = api.http(method, path, &headers, body.as_ref()).await;
        assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
        assert_eq!(answer.status.as_u16(), 503);
    }
    road.mend();
    let keyed = [headers[0], ("idempotency-key", "k")];
    for _ in 0..2 {
        api.http("POST", "/v2/notes", &keyed, Some(&json!({"title": "back"}))).await.expect(201);
    }
    let list = api.http("GET", "/v2/notes?sort=title", &headers, None).await.expect(200).json();
    assert_eq!(super::titles(&list), ["back", "before"]);
}

#[tokio::test]
async fn where_there_is_no_postgres_notes_say_so() {
    let api = Instance::with(&notes::SERVICE, "notes.api", Clock::system(), |environment| {
        environment.with("DATABASE_URL", "")
    })
    .await;
    let authorization = format!("Bearer {}", Tenant::new().await.api_key);
    let answer = api.http("GET", "/v2/notes", &[("authorization", authorization.as_str())], None).await;
    assert!(answer.expect(503).header("retry-after").parse::<u32>().is_ok());
    for handler in ["notes.users", "notes.purge", "notes.outbox", "notes.reminders"] {
        let function = Instance::with(&notes::SERVICE, handler, Clock::system(), |environment| {
            environment.with("DATABASE_URL", "")
        })
        .await;
        function.invoke(&json!({"Records": []})).await.unwrap();
    }
}
