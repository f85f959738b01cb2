//! Slugs: drawn at random, or chosen and kept for who chose them.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;
use shared::random::Random;
use tests::{Ask as _, Tenant, anonymous, eventually};

use crate::link::{door_of, faults, link, path_of, refusal_of};

/// An alias that no other test has.
pub(crate) fn alias(prefix: &str) -> String {
    format!("{prefix}{}", Random::system().text(b"abcdefghijkmnpqrstuvwxyz", 12))
}

#[tokio::test]
async fn slugs_are_random_and_have_no_look_alikes() {
    let tenant = Tenant::new().await;
    let mut slugs = BTreeSet::new();
    for (unguessable, length) in [(false, 7), (true, 26)] {
        for _ in 0..10 {
            let made = link(&tenant, json!({"unguessable": unguessable})).await;
            let slug = made["slug"].as_str().unwrap().to_owned();
            assert_eq!(slug.len(), length);
            assert!(slug.bytes().all(|byte| b"23456789abcdefghjkmnpqrstuvwxyz".contains(&byte)), "{slug}");
            slugs.insert(slug);
        }
    }
    assert_eq!(slugs.len(), 20);
}

#[tokio::test]
async fn an_alias_that_breaks_a_rule_is_refused_with_a_code() {
    let tenant = Tenant::new().await;
    for (alias, code) in [
        ("", "too_short"),
        ("ab", "too_short"),
        (&"a".repeat(65), "too_long"),
        ("a b", "bad_character"),
        ("sale+", "bad_character"),
        ("../etc", "bad_character"),
        ("b\u{fc}cher", "bad_character"),
        ("a\r\nb", "bad_character"),
        ("-abc", "bad_edge"),
        ("abc_", "bad_edge"),
        ("Admin", "reserved"),
        ("login", "reserved"),
        ("well-known", "reserved"),
    ] {
        let problem = refusal_of(&tenant, json!({"target": "https://example.com/", "alias": alias})).await;
        assert_eq!(faults(&problem), [("/alias", code)], "{alias:?}");
    }
    let both = json!({"target": "https://example.com/", "alias": alias("both"), "unguessable": true});
    assert_eq!(faults(&refusal_of(&tenant, both).await), [("/unguessable", "conflict")]);
}

#[tokio::test]
async fn an_alias_is_taken_for_all_tenants_and_in_any_case() {
    let (one, other) = (Tenant::new().await, Tenant::new().await);
    let alias = alias("taken");
    link(&one, json!({"alias": alias})).await;
    for again in [alias.clone(), alias.to_uppercase()] {
        for tenant in [&one, &other] {
            let body = json!({"target": "https://example.com/", "alias": again});
            let problem = tenant.post("/v1/links", &body).await.problem(409, "alias-taken");
            // Whose it is is not said.
            assert!(!problem.to_string().contains(&one.id.to_string()));
        }
    }
}

#[tokio::test]
async fn of_many_who_want_an_alias_at_once_one_gets_it() {
    let tenants = futures::future::join_all((0..8).map(|_| Tenant::new())).await;
    let body = json!({"target": "https://example.com/", "alias": alias("race")});
    let answers = futures::future::join_all(tenants.iter().map(|tenant| tenant.post("/v1/links", &body))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_deleted_alias_stays_with_its_tenant() {
    let (owner, other) = (Tenant::new().await, Tenant::new().await);
    let alias = alias("again");
    let first = link(&owner, json!({"alias": alias})).await;
    owner.delete(&path_of(&first)).await.expect(204);
    let body = json!({"target": "https://evil.example/", "alias": alias});
    other.post("/v1/links", &body).await.problem(409, "alias-taken");
    let second = link(&owner, json!({"alias": alias.to_uppercase(), "target": "https://second.example/"})).await;
    assert_ne!(second["id"], first["id"]);
    eventually("the new link to be found", || async {
        let followed = anonymous(Method::GET, &door_of(&first)).answer().await;
        (followed.header("location") == "https://second.example/").then_some(())
    })
    .await;
    let stats = owner.get(&format!("{}/stats", path_of(&first))).await;
    stats.problem(404, "not-found");
}
