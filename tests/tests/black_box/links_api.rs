//! Links: made, read, edited, deleted.

use http::Method;
use serde_json::json;
use shared::time::Clock;
use tests::{Ask as _, Instance, Tenant, anonymous, stack};

use crate::link::{door_of, faults, link, made, path_of, refusal_of};
use crate::slugs::alias;

#[tokio::test]
async fn a_link_has_all_that_its_maker_said() {
    let tenant = Tenant::new().await;
    let alias = alias("Spring-Sale_");
    let sent = json!({
        "target": "https://example.com/spring?from=letter#top", "alias": alias, "redirect_status": 308,
        "title": "Spring sale", "note": "For the\nletter", "tags": ["b", "a"], "not_before": "2026-05-01T10:00:00+02:00",
        "expires_at": "2999-12-31T23:59:59.123Z", "max_clicks": 1_000_000_000, "password": "correct horse",
    });
    let answer = tenant.post("/v1/links", &sent).await.expect(201);
    let made = answer.json();
    assert_eq!(answer.header("location"), path_of(&made));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(made["id"].as_str().unwrap().starts_with("link_") && made["id"].as_str().unwrap().len() == 31);
    for name in ["target", "redirect_status", "title", "note", "tags", "max_clicks", "expires_at"] {
        assert_eq!(made[name], sent[name], "{name}");
    }
    assert_eq!(made["slug"], json!(alias));
    assert_eq!(made["short_url"], format!("{}/l/{alias}", stack().url()));
    assert_eq!(made["not_before"], "2026-05-01T08:00:00.000Z");
    assert_eq!(
        (&made["has_password"], &made["clicks_used"], &made["archived"]),
        (&json!(true), &json!(0), &json!(false))
    );
    assert!(made["created_by"].as_str().unwrap().starts_with("key_"));
    assert_eq!(made["created_at"], made["updated_at"]);
    assert!(!answer.json().to_string().contains("correct horse") && !made.to_string().contains("argon2"));
    let read = tenant.get(answer.header("location")).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (made, answer.header("etag")));
}

#[tokio::test]
async fn a_link_with_nothing_but_a_target_works_at_once() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({"target": "HTTP://Example.COM:80/a/../b"})).await;
    assert_eq!(made["target"], "http://example.com/b");
    assert_eq!((&made["redirect_status"], &made["status"]), (&json!(302), &json!("active")));
    for name in ["title", "note", "not_before", "expires_at", "max_clicks", "clicks_used"] {
        assert_eq!(made[name], json!(null), "{name}");
    }
    anonymous(Method::GET, &door_of(&made)).answer().await.expect(302);
}

#[tokio::test]
async fn a_target_that_is_no_safe_address_is_refused() {
    let tenant = Tenant::new().await;
    let own = format!("{}/l/abc", stack().url());
    let port = stack().url().rsplit_once(':').unwrap().1;
    for (target, code) in [
        ("javascript:alert(1)", "bad_scheme"),
        ("JaVaScRiPt://example.com/%0aalert(1)", "bad_scheme"),
        ("data:text/html,x", "bad_scheme"),
        ("file:///etc/passwd", "bad_scheme"),
        ("ftp://example.com/", "bad_scheme"),
        ("//example.com/", "not_absolute"),
        ("/path", "not_absolute"),
        ("", "not_absolute"),
        ("https:example.com", "not_absolute"),
        ("https://", "no_host"),
        ("https:///path", "no_host"),
        ("https://user:secret@example.com/", "credentials"),
        ("https://user@example.com/", "credentials"),
        ("https://example.com@evil.example/", "credentials"),
        ("https://example.com/\r\nSet-Cookie: a=b", "control_character"),
        ("https://exam\tple.com/", "control_character"),
        (" https://example.com/", "whitespace"),
        (&format!("https://example.com/{}", "a".repeat(2029)), "too_long"),
        (&format!("https://example.com/{}", "\u{fc}".repeat(400)), "too_long"),
        (&format!("https://{}.example/", "a".repeat(64)), "bad_host"),
        ("https://exa mple.com/", "not_a_url"),
        ("https://256.256.256.256/", "not_a_url"),
        ("https://example.com:99999/", "not_a_url"),
        (&own, "loop"),
        (&format!("http://127.1:{port}/x/../l/abc"), "loop"),
        (&format!("https://0x7f000001:{port}/l/abc"), "loop"),
    ] {
        let problem = refusal_of(&tenant, json!({"target": target})).await;
        assert_eq!(faults(&problem), [("/target", code)], "{target:?}");
    }
    link(&tenant, json!({"target": format!("https://example.com/{}", "a".repeat(2028))})).await;
    // What is not under /l/ is no short link.
    link(&tenant, json!({"target": format!("{}/health", stack().url())})).await;
}

#[tokio::test]
async fn international_addresses_are_kept_in_ascii() {
    let tenant = Tenant::new().await;
    for (sent, kept) in [
        ("https://b\u{fc}cher.example/\u{e4}?q=\u{f6}#\u{fc}", "https://xn--bcher-kva.example/%C3%A4?q=%C3%B6#%C3%BC"),
        ("https://B\u{dc}CHER.example", "https://xn--bcher-kva.example/"),
        ("https://\u{65e5}\u{672c}.jp/", "https://xn--wgv71a.jp/"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("https://example.com/%0d%0aSet-Cookie:a", "https://example.com/%0d%0aSet-Cookie:a"),
    ] {
        let made = link(&tenant, json!({"target": sent})).await;
        assert_eq!(made["target"], kept);
        let followed = anonymous(Method::GET, &door_of(&made)).answer().await.expect(302);
        assert_eq!(followed.header("location"), kept);
    }
}

#[tokio::test]
async fn a_window_that_is_over_or_upside_down_is_refused() {
    let tenant = Tenant::new().await;
    let target = "https://example.com/";
    let past = json!({"target": target, "expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(faults(&refusal_of(&tenant, past).await), [("/expires_at", "in_the_past")]);
    let reverse = json!({"target": target, "not_before": "2999-01-02T00:00:00Z", "expires_at": "2999-01-01T00:00:00Z"});
    assert_eq!(faults(&refusal_of(&tenant, reverse).await), [("/expires_at", "before_start")]);
    // Several faults of this kind are told at once too.
    let both = json!({"target": format!("{}/l/x", stack().url()), "expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(faults(&refusal_of(&tenant, both).await), [("/expires_at", "in_the_past"), ("/target", "loop")]);
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_the_visitors_follow() {
    let tenant = Tenant::new().await;
    let before = made(&tenant, json!({"title": "Old"})).await;
    let (path, old) = (path_of(&before.json()), before.json());
    let edited =
        tenant.patch(&path, &json!({"target": "https://new.example/", "redirect_status": 307})).await.expect(200);
    let new = edited.json();
    assert_eq!(
        (&new["target"], &new["redirect_status"], &new["title"]),
        (&json!("https://new.example/"), &json!(307), &json!("Old"))
    );
    assert_ne!(edited.header("etag"), before.header("etag"));
    assert_eq!((&new["created_at"], &new["slug"], &new["id"]), (&old["created_at"], &old["slug"], &old["id"]));
    assert_eq!(tenant.get(&path).await.json(), new);
    // It was not visited before, so nobody remembers it as it was.
    let followed = anonymous(Method::GET, &door_of(&new)).answer().await.expect(307);
    assert_eq!(followed.header("location"), "https://new.example/");
}

#[tokio::test]
async fn what_identifies_a_link_cannot_be_edited() {
    let tenant = Tenant::new().await;
    let path = path_of(&link(&tenant, json!({})).await);
    for name in [
        "id",
        "slug",
        "alias",
        "tenant_id",
        "created_at",
        "created_by",
        "clicks_used",
        "status",
        "short_url",
        "revision",
        "password_hash",
    ] {
        let problem = tenant.patch(&path, &json!({ name: "x" })).await.problem(422, "validation");
        assert_eq!(faults(&problem), [(format!("/{name}").as_str(), "unknown_field")]);
    }
}

#[tokio::test]
async fn an_edit_is_checked_as_a_new_link_is() {
    let tenant = Tenant::new().await;
    let path = path_of(&link(&tenant, json!({"not_before": "2998-01-01T00:00:00Z"})).await);
    for (patch, fault) in [
        (json!({"target": "javascript:alert(1)"}), ("/target", "bad_scheme")),
        (json!({"target": format!("{}/l/x", stack().url())}), ("/target", "loop")),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), ("/expires_at", "in_the_past")),
        (json!({"expires_at": "2997-01-01T00:00:00Z"}), ("/expires_at", "before_start")),
        (json!({"password": "abc"}), ("/password", "too_short")),
        (json!({"password": true}), ("/password", "invalid_type")),
        (json!({"password": false}), ("/password", "invalid_type")),
        (json!({"redirect_status": 303}), ("/redirect_status", "unknown_value")),
        (json!({"max_clicks": -1}), ("/max_clicks", "out_of_range")),
        (json!({"archived": "yes"}), ("/archived", "invalid_type")),
        (json!({"tags": null, "title": "x".repeat(201)}), ("/title", "too_long")),
    ] {
        let problem = tenant.patch(&path, &patch).await.problem(422, "validation");
        assert!(faults(&problem).contains(&fault), "{patch}: {problem}");
    }
}

#[tokio::test]
async fn a_password_is_set_kept_and_removed_and_never_shown() {
    let tenant = Tenant::new().await;
    let path = path_of(&link(&tenant, json!({})).await);
    for (patch, expected) in [
        (json!({"password": "correct horse"}), true),
        (json!({"title": "x"}), true),
        (json!({"password": true}), true),
        (json!({"password": null}), false),
    ] {
        let answer = tenant.patch(&path, &patch).await.expect(200);
        assert_eq!(answer.json()["has_password"], expected, "{patch}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("horse"));
    }
}

#[tokio::test]
async fn a_deleted_link_is_gone_and_a_second_delete_is_404() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({"max_clicks": 5})).await;
    let path = path_of(&made);
    assert!(tenant.delete(&path).await.expect(204).body.is_empty());
    tenant.delete(&path).await.problem(404, "not-found");
    tenant.get(&path).await.problem(404, "not-found");
    tenant.patch(&path, &json!({"title": "x"})).await.problem(404, "not-found");
    tenant.get(&format!("{path}/stats")).await.problem(404, "not-found");
    tenant.get(&format!("{path}/qr")).await.problem(404, "not-found");
    assert_eq!(tenant.get("/v1/links").await.json()["data"], json!([]));
    anonymous(Method::GET, &door_of(&made)).answer().await.problem(404, "not-found");
}

#[tokio::test]
async fn a_deployment_with_a_public_address_uses_it_whatever_host_is_named() {
    let tenant = Tenant::new().await;
    let instance = Instance::with(&links::SERVICE, "links.api", Clock::system(), |environment| {
        environment.with("PUBLIC_URL", "https://go.example")
    })
    .await;
    let create = async |target: &str| {
        let headers = [("host", "evil.example"), ("x-api-key", tenant.api_key.as_str())];
        instance.http("POST", "/v1/links", &headers, Some(&json!({ "target": target }))).await
    };
    let made = create("https://example.com/").await.expect(201).json();
    assert_eq!(made["short_url"], format!("https://go.example{}", door_of(&made)));
    for target in ["https://go.example/l/abc", "http://GO.example./l/abc", "https://go.example:443/l/abc"] {
        assert_eq!(faults(&create(target).await.problem(422, "validation")), [("/target", "loop")], "{target}");
    }
    create("https://evil.example/l/abc").await.expect(201);
    create("https://go.example/").await.expect(201);
}
