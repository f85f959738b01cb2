//! The list of links: its filters and both orders.

use http::Method;
use serde_json::{Value, json};
use tests::{Ask as _, Tenant, anonymous};

use crate::link::{door_of, link, path_of};

/// The titles of a list, in its order.
async fn titles(tenant: &Tenant, query: &str) -> Vec<String> {
    let page = tenant.get(&format!("/v1/links?{query}")).await.expect(200).json();
    page["data"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
}

/// Three links in the order of their making, at least a millisecond apart.
async fn three(tenant: &Tenant) -> Vec<Value> {
    let mut made: Vec<Value> = Vec::new();
    let suffix = tenant.id.to_string().to_lowercase();
    let suffix = &suffix[suffix.len() - 12..];
    for (title, target, tags, alias) in [
        ("Alpha", "https://www.shop.example/", json!(["red"]), format!("First-{suffix}")),
        ("beta", "https://blog.example/", json!(["red", "blue"]), format!("second-{suffix}")),
        ("\u{c4}pfel", "https://Shop.example.org/", json!([]), format!("third-{suffix}")),
    ] {
        made.push(link(tenant, json!({"title": title, "target": target, "tags": tags, "alias": alias})).await);
        if let [.., last, new] = made.as_slice() {
            assert!(
                last["created_at"].as_str() < new["created_at"].as_str(),
                "a request takes more than a millisecond"
            );
        }
    }
    made
}

#[tokio::test]
async fn links_come_newest_first_or_oldest_first() {
    let tenant = Tenant::new().await;
    three(&tenant).await;
    assert_eq!(titles(&tenant, "").await, ["\u{c4}pfel", "beta", "Alpha"]);
    assert_eq!(titles(&tenant, "sort=-created_at").await, ["\u{c4}pfel", "beta", "Alpha"]);
    assert_eq!(titles(&tenant, "sort=created_at").await, ["Alpha", "beta", "\u{c4}pfel"]);
}

#[tokio::test]
async fn filters_narrow_the_list_and_add_up() {
    let tenant = Tenant::new().await;
    let made = three(&tenant).await;
    tenant.patch(&path_of(&made[1]), &json!({"archived": true})).await.expect(200);
    let second = made[1]["created_at"].as_str().unwrap();
    for (query, expected) in [
        ("tag=red".to_owned(), vec!["beta", "Alpha"]),
        ("tag=blue".to_owned(), vec!["beta"]),
        ("tag=re".to_owned(), vec![]),
        ("tag=Red".to_owned(), vec![]),
        ("archived=true".to_owned(), vec!["beta"]),
        ("archived=false".to_owned(), vec!["\u{c4}pfel", "Alpha"]),
        ("tag=red&archived=false".to_owned(), vec!["Alpha"]),
        (format!("created_from={second}"), vec!["\u{c4}pfel", "beta"]),
        (format!("created_before={second}"), vec!["Alpha"]),
        (format!("created_from={second}&created_before={second}"), vec![]),
        (format!("created_from={}", second.replace('Z', "%2B00:00")), vec!["\u{c4}pfel", "beta"]),
        ("created_from=2999-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        assert_eq!(titles(&tenant, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_search_finds_by_the_beginning_of_slug_title_or_host_in_any_case() {
    let tenant = Tenant::new().await;
    three(&tenant).await;
    for (search, expected) in [
        ("alp", vec!["Alpha"]),
        ("BETA", vec!["beta"]),
        ("first-", vec!["Alpha"]),
        ("FIRST-", vec!["Alpha"]),
        ("shop.", vec!["\u{c4}pfel", "Alpha"]),
        ("shop.example.org", vec!["\u{c4}pfel"]),
        ("%C3%A4pf", vec!["\u{c4}pfel"]),
        ("%C3%84PF", vec!["\u{c4}pfel"]),
        ("lpha", vec![]),
        ("example", vec![]),
        ("", vec!["\u{c4}pfel", "beta", "Alpha"]),
        ("%25", vec![]),
    ] {
        assert_eq!(titles(&tenant, &format!("search={search}")).await, expected, "{search}");
    }
}

#[tokio::test]
async fn a_search_knows_hosts_in_all_their_forms_and_words_whatever_follows() {
    let tenant = Tenant::new().await;
    for (title, target) in [
        ("\u{39f}\u{394}\u{39f}\u{3a3}\u{3a4}", "https://www.b\u{fc}cher.example/"),
        ("b", "https://www.shop.example/"),
    ] {
        tenant.post("/v2/links", &json!({"target": target, "title": title})).await.expect(201);
    }
    let first = "\u{39f}\u{394}\u{39f}\u{3a3}\u{3a4}";
    for (search, expected) in [
        ("www.shop.example", "b"),
        ("WWW.Shop", "b"),
        ("shop.", "b"),
        ("b\u{fc}ch", first),
        ("www.B\u{dc}CHER.example", first),
        ("xn--bcher", first),
        // It ends in a sigma, which is another letter at the end of a word.
        ("\u{39f}\u{394}\u{39f}\u{3a3}", first),
    ] {
        assert_eq!(titles(&tenant, &format!("search={search}")).await, [expected], "{search}");
    }
}

#[tokio::test]
async fn what_was_edited_is_found_by_what_it_is_now() {
    let tenant = Tenant::new().await;
    let made = three(&tenant).await;
    tenant.patch(&path_of(&made[0]), &json!({"title": "Gamma", "target": "https://other.example/"})).await.expect(200);
    assert_eq!(titles(&tenant, "search=alpha").await, Vec::<String>::new());
    assert_eq!(titles(&tenant, "search=gam").await, ["Gamma"]);
    assert_eq!(titles(&tenant, "search=other").await, ["Gamma"]);
    assert_eq!(titles(&tenant, "sort=created_at").await, ["Gamma", "beta", "\u{c4}pfel"]);
}

#[tokio::test]
async fn a_list_shows_how_many_clicks_are_spent() {
    let tenant = Tenant::new().await;
    let limited = link(&tenant, json!({"max_clicks": 1})).await;
    link(&tenant, json!({})).await;
    anonymous(Method::GET, &door_of(&limited)).answer().await.expect(302);
    let listed = tenant.get("/v1/links?sort=created_at").await.expect(200).json();
    let shown = |at: usize| (listed["data"][at]["clicks_used"].clone(), listed["data"][at]["status"].clone());
    assert_eq!(shown(0), (json!(1), json!("exhausted")));
    assert_eq!(shown(1), (json!(null), json!("active")));
}
