//! Pages by number, as version 1 of the API asks the newest for them.

use serde_json::{Value, json};
use shared::http::versions::notes::NumberedPage;
use shared::lambda::{Function, Runtime};
use tests::{Answer, Instance, stack};

use super::{House, Member, titles};

/// The API, asked for a page by its number whatever the request says.
pub(super) fn api(page: NumberedPage, database_url: &str) -> Instance {
    let environment = stack().environment("notes.api").unwrap().with("DATABASE_URL", database_url);
    let runtime = Runtime::new("notes.api", environment).unwrap();
    let app = notes::app::App::new(&runtime).unwrap();
    let (router, _) = notes::api::router().with_state(app).split_for_parts();
    Instance::from_function(Function::http(&runtime, router.layer(axum::Extension(page))))
}

async fn ask(member: &Member, page: u32, per_page: u16, query: &str) -> Answer {
    let api = api(NumberedPage { page, per_page }, &stack().dev().database_url);
    let authorization = format!("Bearer {}", member.token);
    api.http("GET", &format!("/v2/notes?{query}"), &[("authorization", &authorization)], None).await
}

async fn page(member: &Member, page: u32, per_page: u16, query: &str) -> Value {
    ask(member, page, per_page, query).await.expect(200).json()
}

#[tokio::test]
async fn pages_by_number_have_the_rows_of_the_cursors_in_their_order_and_the_total() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    // Some titles are the same, some times are not there, and some notes are somebody else's.
    for (index, title) in ["b", "A", "c", "a", "B", "É", "a"].into_iter().enumerate() {
        let owner = if index % 3 == 0 { &bob } else { &ada };
        let due_at = if index % 2 == 0 { json!("2030-01-01T00:00:00Z") } else { Value::Null };
        let path = owner.note(json!({"title": title, "due_at": due_at})).await;
        if index % 3 == 0 {
            owner.share(&path, &ada, "read").await;
        }
    }
    bob.note(json!({"title": "bob's alone"})).await;
    for query in ["sort=title", "sort=-title", "sort=due_at", "sort=-due_at", "", "owner=me", "owner=shared", "text=a"]
    {
        let whole = ada.get(&format!("/v2/notes?{query}")).await.expect(200).json();
        let mut rows = Vec::new();
        for number in 1..=4 {
            let page = page(&ada, number, 2, query).await;
            assert_eq!(page["total"], json!(whole["data"].as_array().unwrap().len()), "{query}");
            rows.extend(page["data"].as_array().unwrap().clone());
        }
        assert_eq!(json!(rows), whole["data"], "{query}");
    }
}

#[tokio::test]
async fn a_page_behind_the_last_is_empty_and_tells_the_total_all_the_same() {
    let ada = House::new().member().await;
    ada.note(json!({"title": "one"})).await;
    for (number, per_page) in [(2, 1), (50, 200), (10_000, 1)] {
        let page = page(&ada, number, per_page, "").await;
        assert_eq!((&page["data"], &page["total"]), (&json!([]), &json!(1)), "{number}");
    }
    assert_eq!(titles(&page(&ada, 1, 200, "").await), ["one"]);
}
