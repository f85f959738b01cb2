//! Entity tags: nobody overwrites what they have not seen.

use http::Method;
use serde_json::json;
use tests::{Answer, Ask as _, Tenant};

use crate::link::{made, path_of};

async fn conditional(tenant: &Tenant, method: Method, path: &str, condition: (&str, &str)) -> Answer {
    let request = tenant.request(method.clone(), path).header(condition.0, condition.1);
    let request = if method == Method::PATCH { request.json(&json!({"title": "New"})) } else { request };
    request.answer().await
}

#[tokio::test]
async fn a_client_that_has_the_version_is_answered_304_without_a_body() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({})).await;
    let (path, etag) = (path_of(&made.json()), made.header("etag").to_owned());
    assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong tag, not {etag}");
    let many = format!("\"x\", W/{etag}, \"y\"");
    for tags in [etag.as_str(), &format!("W/{etag}"), "*", &many] {
        for method in [Method::GET, Method::HEAD] {
            let answer = conditional(&tenant, method, &path, ("if-none-match", tags)).await.expect(304);
            assert_eq!((answer.header("etag"), answer.body.len()), (etag.as_str(), 0), "{tags}");
        }
    }
    for tags in ["\"other\"", "", etag.trim_matches('"'), "garbage"] {
        let answer = conditional(&tenant, Method::GET, &path, ("if-none-match", tags)).await.expect(200);
        assert_eq!(answer.header("etag"), etag, "{tags}");
    }
    tenant.patch(&path, &json!({"title": "Changed"})).await.expect(200);
    let answer = conditional(&tenant, Method::GET, &path, ("if-none-match", &etag)).await.expect(200);
    assert_ne!(answer.header("etag"), etag);
}

#[tokio::test]
async fn a_write_that_names_another_version_is_412_and_changes_nothing() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({"title": "Old"})).await;
    let (path, etag) = (path_of(&made.json()), made.header("etag").to_owned());
    // If-Match compares strongly (RFC 9110, section 13.1.1).
    for tags in ["\"other\"", &format!("W/{etag}"), "garbage", "\"x\", \"y\""] {
        for method in [Method::PATCH, Method::DELETE] {
            conditional(&tenant, method, &path, ("if-match", tags)).await.problem(412, "precondition-failed");
        }
    }
    let read = tenant.get(&path).await.expect(200);
    assert_eq!((read.header("etag"), &read.json()["title"]), (etag.as_str(), &json!("Old")));
}

#[tokio::test]
async fn a_write_that_names_the_present_version_is_done() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({})).await;
    let path = path_of(&made.json());
    for written in ["", "\"x\", "] {
        // The edit below writes one title: another one before it, so that each edit changes something.
        let renamed = tenant.patch(&path, &json!({"title": format!("before {written}")})).await.expect(200);
        let etag = renamed.header("etag");
        let tags = format!("{written}{etag}");
        let patched = conditional(&tenant, Method::PATCH, &path, ("if-match", &tags)).await.expect(200);
        assert_ne!(patched.header("etag"), etag);
        // What was current is stale now.
        conditional(&tenant, Method::PATCH, &path, ("if-match", etag)).await.problem(412, "precondition-failed");
    }
    conditional(&tenant, Method::DELETE, &path, ("if-match", "*")).await.expect(204);
    conditional(&tenant, Method::PATCH, &path, ("if-match", "*")).await.problem(404, "not-found");
}

#[tokio::test]
async fn of_many_writers_with_the_same_version_one_wins() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({})).await;
    let (path, etag) = (path_of(&made.json()), made.header("etag").to_owned());
    let writers = (0..10).map(|_| conditional(&tenant, Method::PATCH, &path, ("if-match", &etag)));
    let statuses: Vec<_> =
        futures::future::join_all(writers).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 9, "{statuses:?}");
}

#[tokio::test]
async fn a_merge_patch_replaces_what_it_names_and_removes_what_is_null() {
    let tenant = Tenant::new().await;
    let all = json!({
        "title": "Title", "note": "Note", "tags": ["a", "b"], "redirect_status": 301, "max_clicks": 5,
        "not_before": "2026-01-01T00:00:00Z", "expires_at": "2999-01-01T00:00:00Z", "password": "correct horse",
    });
    let made = made(&tenant, all).await.json();
    let patched = tenant.patch(&path_of(&made), &json!({"title": "Other", "archived": true})).await.expect(200).json();
    let mut expected = made.clone();
    for name in ["title", "archived", "status", "updated_at"] {
        expected[name] = patched[name].clone();
    }
    assert_eq!(patched, expected);
    assert_eq!((&patched["title"], &patched["status"]), (&json!("Other"), &json!("archived")));

    let nulls = json!({"title": null, "note": null, "max_clicks": null, "not_before": null, "expires_at": null, "password": null});
    let emptied = tenant.patch(&path_of(&made), &nulls).await.expect(200).json();
    for name in ["title", "note", "max_clicks", "clicks_used", "not_before", "expires_at"] {
        assert_eq!(emptied[name], json!(null), "{name}");
    }
    assert_eq!((&emptied["has_password"], &emptied["tags"]), (&json!(false), &json!(["a", "b"])));
    // An array is replaced whole, and what must be there cannot be removed.
    let tagged = tenant.patch(&path_of(&made), &json!({"tags": ["c"]})).await.expect(200).json();
    assert_eq!(tagged["tags"], json!(["c"]));
    let problem = tenant.patch(&path_of(&made), &json!({"target": null})).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/target");
}

#[tokio::test]
async fn an_empty_patch_is_an_edit_without_a_change() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({"title": "Title"})).await.json();
    let patched = tenant.patch(&path_of(&made), &json!({})).await.expect(200).json();
    assert_eq!(patched["title"], "Title");
}

#[tokio::test]
async fn an_edit_that_changes_nothing_makes_no_version() {
    let tenant = Tenant::new().await;
    let made = made(&tenant, json!({"title": "Same"})).await;
    let path = path_of(&made.json());
    for patch in [json!({}), json!({"title": "Same"}), json!({"note": null})] {
        let patched = tenant.patch(&path, &patch).await.expect(200);
        assert_eq!(patched.header("etag"), made.header("etag"), "{patch}");
    }
    tenant.patch(&path, &json!({"titel": null})).await.problem(422, "validation");
}
