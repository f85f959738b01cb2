//! Lists by pages: every row once, in order, whatever happens meanwhile.

use aws_sdk_dynamodb::primitives::Blob;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::dynamo::{AttributeValue, Dynamo, Put, s};
use shared::identity::store::IdentityStore;
use shared::random::Random;
use tests::Tenant;

use crate::link::{faults, link, path_of};
use crate::resources::{aws, items, table};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

async fn several(tenant: &Tenant, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(link(tenant, json!({})).await["id"].as_str().unwrap().to_owned());
    }
    // Within one millisecond the order is that of the ids.
    ids.sort_unstable();
    ids
}

/// All pages of a list; `between` runs after each.
async fn walk(tenant: &Tenant, list: &str, mut between: impl AsyncFnMut()) -> Vec<String> {
    let mut seen = Vec::new();
    let mut next = list.to_owned();
    loop {
        let answer = tenant.get(&next).await.expect(200);
        let page = answer.json();
        seen.extend(ids(&page));
        assert_eq!(page["has_more"], json!(page["next_cursor"].is_string()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(answer.header("link"), "");
            return seen;
        };
        let target = answer.header("link").strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        next = target.expect("the next page").to_owned();
        assert!(next.contains(&format!("cursor={cursor}")), "{next}");
        between().await;
    }
}

#[tokio::test]
async fn every_row_comes_once_in_order_while_others_are_made() {
    let tenant = Tenant::new().await;
    let rows = several(&tenant, 7).await;
    let insert = async || {
        several(&tenant, 1).await;
    };
    let newest_first = walk(&tenant, "/v1/links?limit=2", insert).await;
    assert_eq!(newest_first, rows.iter().rev().cloned().collect::<Vec<_>>());

    let before = ids(&tenant.get("/v1/links?limit=200&sort=created_at").await.json());
    let mut inserted = 0;
    let insert = async || {
        if inserted < 2 {
            inserted += 1;
            several(&tenant, 1).await;
        }
    };
    let oldest_first = walk(&tenant, "/v1/links?sort=created_at&limit=3", insert).await;
    assert_eq!(oldest_first[..before.len()], before);
    assert_eq!(oldest_first.len(), before.len() + 2);
    assert!(oldest_first.is_sorted());
}

#[tokio::test]
async fn a_row_that_is_deleted_meanwhile_takes_no_other_with_it() {
    let tenant = Tenant::new().await;
    let rows = several(&tenant, 5).await;
    let page = tenant.get("/v1/links?sort=created_at&limit=2").await.json();
    assert_eq!(ids(&page), rows[..2]);
    // The row at which the cursor stands.
    tenant.delete(&format!("/v1/links/{}", rows[1])).await.expect(204);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = tenant.get(&format!("/v1/links?sort=created_at&limit=50&cursor={cursor}")).await.expect(200).json();
    assert_eq!(ids(&rest), rows[2..]);
}

#[tokio::test]
async fn the_last_page_says_that_it_is_the_last() {
    let tenant = Tenant::new().await;
    let empty = tenant.get("/v1/links").await.expect(200).json();
    assert_eq!(empty, json!({"data": [], "next_cursor": null, "has_more": false}));
    several(&tenant, 4).await;
    assert_eq!(walk(&tenant, "/v1/links?limit=2", async || {}).await.len(), 4);
    let exact = tenant.get("/v1/links?limit=4").await.json();
    assert_eq!((ids(&exact).len(), &exact["has_more"]), (4, &json!(false)));
}

#[tokio::test]
async fn filtered_lists_come_whole_too() {
    let tenant = Tenant::new().await;
    let mut tagged = Vec::new();
    for index in 0..9 {
        let row =
            link(&tenant, json!({"tags": if index % 2 == 0 { json!(["even", "all"]) } else { json!(["all"]) }})).await;
        if index % 2 == 0 {
            tagged.push(row["id"].as_str().unwrap().to_owned());
        }
    }
    tagged.sort_unstable();
    let found = walk(&tenant, "/v1/links?tag=even&sort=created_at&limit=2", async || {}).await;
    assert_eq!(found, tagged);
}

#[tokio::test]
async fn a_limit_out_of_bounds_is_422() {
    let tenant = Tenant::new().await;
    several(&tenant, 3).await;
    for limit in ["0", "201", "-1", "abc", "", "1.5", "99999999999999999999"] {
        let problem = tenant.get(&format!("/v1/links?limit={limit}")).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("?limit", "out_of_range")], "{limit}");
    }
    assert_eq!(ids(&tenant.get("/v1/links?limit=1").await.expect(200).json()).len(), 1);
    assert_eq!(ids(&tenant.get("/v1/links?limit=200").await.expect(200).json()).len(), 3);
    for (query, pointer) in [
        ("limits=1", "?limits"),
        ("sort=title", "?sort"),
        ("archived=maybe", "?archived"),
        ("created_from=x", "?created_from"),
        ("limit=1&limit=2", "?limit"),
    ] {
        let problem = tenant.get(&format!("/v1/links?{query}")).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn a_cursor_that_was_altered_or_belongs_elsewhere_is_400() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    several(&tenant, 3).await;
    several(&other, 3).await;
    let page = tenant.get("/v1/links?limit=1&tag=").await.expect(200).json();
    assert_eq!(page["next_cursor"], json!(null), "no link has an empty tag");
    let page = tenant.get("/v1/links?limit=1").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    // Opaque: nothing of the position can be changed without the key.
    for place in 0..cursor.len() {
        let mut altered = cursor.clone();
        altered.replace_range(place..=place, if &cursor[place..=place] == "A" { "B" } else { "A" });
        tenant.get(&format!("/v1/links?limit=1&cursor={altered}")).await.problem(400, "invalid-cursor");
    }
    for garbage in ["", "x", "%00", "%C3%A4", "AAAA", &cursor[1..], &format!("{cursor}A"), &"A".repeat(5_000)] {
        tenant.get(&format!("/v1/links?limit=1&cursor={garbage}")).await.problem(400, "invalid-cursor");
    }
    for other_query in ["sort=created_at", "tag=a", "archived=false", "search=x", "created_from=2026-01-01T00:00:00Z"] {
        let answer = tenant.get(&format!("/v1/links?{other_query}&cursor={cursor}")).await;
        answer.problem(400, "invalid-cursor");
    }
    other.get(&format!("/v1/links?limit=1&cursor={cursor}")).await.problem(400, "invalid-cursor");
    // The size of the page is not part of the query.
    assert_eq!(ids(&tenant.get(&format!("/v1/links?limit=50&cursor={cursor}")).await.expect(200).json()).len(), 2);
}

#[tokio::test]
async fn the_secret_that_signs_cursors_is_made_once_and_kept_where_it_was_made() {
    let table = table("identity", &["pk", "sk"]).await;
    let dynamo = Dynamo::new(aws().dynamo);
    let store = || IdentityStore::new(dynamo.clone(), table.clone(), Random::system());
    let stores: Vec<_> = (0..4).map(|_| store()).collect();
    let secrets = join_all(stores.iter().map(IdentityStore::installation_secret)).await;
    let secrets: Vec<_> = secrets.into_iter().map(Result::unwrap).collect();
    assert!(secrets[0].len() == 32 && secrets.iter().all(|other| *other == secrets[0]));
    let partitions: Vec<_> = items(&table).await.iter().map(|item| item["pk"].as_s().unwrap().clone()).collect();
    assert_eq!(partitions, ["secret"], "beside the keys of tokens it could not be granted alone");

    // An installation of before has it there, and goes on with it.
    let old = crate::resources::table("identity", &["pk", "sk"]).await;
    let secret = AttributeValue::B(Blob::new([7; 32]));
    let item = [("pk".to_owned(), s("system")), ("sk".to_owned(), s("secret")), ("secret".to_owned(), secret)];
    dynamo.put(Put::new(&old, item.into())).await.unwrap();
    let store = IdentityStore::new(dynamo.clone(), old.clone(), Random::system());
    assert_eq!(store.installation_secret().await.unwrap(), [7; 32]);
    assert_eq!(items(&old).await.len(), 1);
}

#[tokio::test]
async fn a_page_shows_what_a_single_read_shows() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({"title": "Title", "tags": ["a"], "note": "n", "redirect_status": 308})).await;
    let page = tenant.get("/v1/links").await.expect(200).json();
    assert_eq!(page["data"], json!([made]));
    assert_eq!(tenant.get(&path_of(&made)).await.json(), made);
}
