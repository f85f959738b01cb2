//! Lists: filters, orders, pages.

use serde_json::{Value, json};
use tests::Tenant;

use super::{House, Member, titles};

/// Reads a list to its end, page by page.
async fn all_pages(member: &Member, query: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = member.get(&format!("/v2/notes?{query}{cursor}")).await.expect(200);
        let (has_link, page) = (!page.header("link").is_empty(), page.json());
        all.extend(titles(&page));
        assert_eq!(page["has_more"], json!(has_link));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn notes_are_found_by_tags_state_times_and_whose_they_are() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let past = "2020-01-01T00:00:00Z";
    for body in [
        json!({"title": "plain", "tags": ["a"]}),
        json!({"title": "pinned", "tags": ["a", "b"], "pinned": true}),
        json!({"title": "archived", "tags": ["b", "c"], "archived": true, "due_at": past}),
        json!({"title": "late", "due_at": past}),
        json!({"title": "done", "due_at": past, "done_at": past}),
    ] {
        ada.note(body).await;
    }
    let shared = bob.note(json!({"title": "of bob", "tags": ["a"]})).await;
    bob.share(&shared, &ada, "read").await;
    bob.note(json!({"title": "bob's alone", "tags": ["a"]})).await;
    for (query, expected) in [
        ("", vec!["archived", "done", "late", "of bob", "pinned", "plain"]),
        ("?tags_any=A,c", vec!["archived", "of bob", "pinned", "plain"]),
        ("?tags_all=b,a", vec!["pinned"]),
        ("?tags_any=a,b&tags_all=b&pinned=false", vec!["archived"]),
        ("?state=active", vec!["late", "of bob", "pinned", "plain"]),
        ("?state=archived", vec!["archived"]),
        ("?state=done", vec!["done"]),
        ("?state=overdue", vec!["late"]),
        ("?state=deleted", vec![]),
        ("?owner=me&tags_any=a", vec!["pinned", "plain"]),
        ("?owner=shared", vec!["of bob"]),
        ("?pinned=true", vec!["pinned"]),
        ("?due_from=2020-01-01T00:00:00Z&due_before=2020-01-01T00:00:00.001Z", vec!["archived", "done", "late"]),
        ("?due_from=2020-01-01T00:00:00.001Z", vec![]),
        ("?created_before=2020-01-01T00:00:00Z", vec![]),
        ("?updated_from=2020-01-01T00:00:00Z&state=done", vec!["done"]),
    ] {
        let mut found = ada.titles(query).await;
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
    assert_eq!(titles(&ada.get("/v2/notes?owner=shared").await.json()), ["of bob"]);
    let row = ada.get("/v2/notes?owner=shared").await.json()["data"][0].clone();
    assert_eq!((&row["access"], &row["owner"]), (&json!("read"), &json!(bob.id)));
}

#[tokio::test]
async fn a_search_knows_no_case_and_one_way_of_writing() {
    let ada = House::new().member().await;
    for (title, content, tag) in [
        ("Straße", "", "x"),
        ("two", "ΟΔΟΣ καί", "x"),
        ("three", "cafe\u{301} ﬁle", "x"),
        ("four", "東京タワー", "x"),
        ("five", "100% _sure_ \\ '", "x"),
        ("six", "", "Größe"),
    ] {
        ada.note(json!({"title": title, "content": content, "tags": [tag]})).await;
    }
    for (searched, expected) in [
        ("STRASSE", vec!["Straße"]),
        ("οδος", vec!["two"]),
        ("καὶ", vec![]),
        ("CAFÉ", vec!["three"]),
        ("cafe", vec![]),
        ("FILE café", vec!["three"]),
        ("京タ", vec!["four"]),
        ("%25", vec!["five"]),
        ("_", vec!["five"]),
        ("\\", vec!["five"]),
        ("'", vec!["five"]),
        ("GRÖSSE", vec!["six"]),
        ("no such word", vec![]),
    ] {
        assert_eq!(ada.titles(&format!("?text={searched}")).await, expected, "{searched}");
    }
}

#[tokio::test]
async fn every_order_is_whole_and_pages_neither_repeat_nor_hide() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let due = |day: u8| json!(format!("2030-01-{day:02}T00:00:00Z"));
    // Some titles and times are the same, some times are not there, and some notes are somebody else's.
    for (index, (title, due_at)) in [
        ("b", due(2)),
        ("A", due(1)),
        ("c", Value::Null),
        ("a", due(2)),
        ("B", Value::Null),
        ("É", due(3)),
        ("d", due(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let owner = if index % 3 == 0 { &bob } else { &ada };
        let path = owner.note(json!({"title": title, "due_at": due_at})).await;
        if index % 3 == 0 {
            owner.share(&path, &ada, "write").await;
        }
    }
    let whole = ada.titles("?sort=created_at").await;
    assert_eq!(whole, ["b", "A", "c", "a", "B", "É", "d"]);
    for sort in ["created_at", "updated_at", "due_at", "done_at", "title"] {
        for sort in [sort.to_owned(), format!("-{sort}")] {
            let whole = ada.titles(&format!("?sort={sort}")).await;
            assert_eq!(whole.len(), 7);
            for limit in [1, 2, 3] {
                assert_eq!(all_pages(&ada, &format!("sort={sort}&limit={limit}")).await, whole, "{sort} by {limit}");
            }
        }
    }
    assert_eq!(ada.titles("?sort=title").await, ["A", "a", "b", "B", "c", "d", "É"]);
    assert_eq!(ada.titles("?sort=due_at").await, ["A", "b", "a", "d", "É", "c", "B"]);
    assert_eq!(ada.titles("?sort=-due_at").await, ["É", "d", "a", "b", "A", "B", "c"]);
}

#[tokio::test]
async fn what_is_made_meanwhile_moves_no_page() {
    let ada = House::new().member().await;
    for title in ["1", "2", "3"] {
        ada.note(json!({"title": title})).await;
    }
    let first = ada.get("/v2/notes?limit=2").await.expect(200).json();
    assert_eq!(titles(&first), ["3", "2"]);
    ada.note(json!({"title": "4"})).await;
    let next = format!("/v2/notes?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(titles(&ada.get(&next).await.expect(200).json()), ["1"]);
}

#[tokio::test]
async fn a_cursor_of_another_order_filter_or_tenant_is_refused() {
    let ada = House::new().member().await;
    for title in ["1", "2"] {
        ada.note(json!({"title": title})).await;
    }
    let page = ada.get("/v2/notes?limit=1&sort=title").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    ada.get(&format!("/v2/notes?limit=1&sort=title&cursor={cursor}")).await.expect(200);
    for query in ["sort=-title", "sort=created_at", "sort=title&tags_any=a", "sort=title&text=a", ""] {
        ada.get(&format!("/v2/notes?{query}&cursor={cursor}")).await.problem(400, "invalid-cursor");
    }
    let (last, rest) = (cursor.chars().last().unwrap(), &cursor[..cursor.len() - 1]);
    let altered = format!("{rest}{}", if last == 'A' { 'Q' } else { 'A' });
    for cursor in ["", "x", altered.as_str()] {
        ada.get(&format!("/v2/notes?sort=title&cursor={cursor}")).await.problem(400, "invalid-cursor");
    }
    let other = Tenant::new().await;
    other.get(&format!("/v2/notes?sort=title&cursor={cursor}")).await.problem(400, "invalid-cursor");
}

#[tokio::test]
async fn a_row_has_the_beginning_of_the_content() {
    let ada = House::new().member().await;
    ada.note(json!({"title": "long", "content": "ü".repeat(1000)})).await;
    let row = ada.get("/v2/notes").await.expect(200).json()["data"][0].clone();
    assert_eq!((&row["excerpt"], &row["content_bytes"]), (&json!("ü".repeat(200)), &json!(2000)));
    assert!(row.get("content").is_none());
}
