//! What a tenant chooses for its notes: whether each change must name the version that it changes.

use http::Method;
use serde_json::{Value, json};
use shared::identity::Role;
use tests::{Answer, Ask as _};

use super::{House, Member, code};

const SETTINGS: &str = "/v2/notes/settings";

async fn strict_house() -> (House, Member, Member) {
    let house = House::new();
    let (admin, ada) = (house.member_as(Role::Admin).await, house.member().await);
    admin.put(SETTINGS, &json!({"require_if_match": true})).await.expect(200);
    (house, admin, ada)
}

/// Sends a change with `If-Match`, or without one where it is empty.
async fn change(who: &Member, method: &Method, path: &str, if_match: &str, body: Option<&Value>) -> Answer {
    let mut request = who.request(method.clone(), path);
    if !if_match.is_empty() {
        request = request.header("if-match", if_match);
    }
    match body {
        Some(body) => request.json(body).answer().await,
        None => request.answer().await,
    }
}

#[tokio::test]
async fn an_administrator_sets_what_holds_for_all_notes_of_the_tenant() {
    let house = House::new();
    let (admin, ada) = (house.member_as(Role::Admin).await, house.member().await);
    let nothing = ada.get(SETTINGS).await.expect(200);
    assert_eq!(nothing.json(), json!({"require_if_match": false, "updated_at": null, "updated_by": null}));
    ada.put(SETTINGS, &json!({"require_if_match": true})).await.problem(403, "forbidden");
    admin.put(SETTINGS, &json!({})).await.problem(422, "validation");
    admin.put(SETTINGS, &json!({"require_if_match": true, "colour": 1})).await.problem(422, "validation");

    let on = json!({"require_if_match": true});
    let set = change(&admin, &Method::PUT, SETTINGS, nothing.header("etag"), Some(&on)).await.expect(200);
    assert_eq!((&set.json()["require_if_match"], &set.json()["updated_by"]), (&json!(true), &json!(admin.id)));
    let off = json!({"require_if_match": false});
    let stale = change(&admin, &Method::PUT, SETTINGS, nothing.header("etag"), Some(&off)).await;
    stale.problem(412, "precondition-failed");
    let same = admin.put(SETTINGS, &on).await.expect(200);
    assert_eq!((same.json(), same.header("etag")), (set.json(), set.header("etag")), "nothing was changed");
    let seen = ada.get(SETTINGS).await.expect(200);
    assert_eq!((seen.json(), seen.header("etag")), (set.json(), set.header("etag")));
    let known = ada.request(Method::GET, SETTINGS).header("if-none-match", set.header("etag"));
    known.answer().await.expect(304);
    let other = House::new().member().await;
    assert_eq!(other.get(SETTINGS).await.expect(200).json()["require_if_match"], json!(false));
}

#[tokio::test]
async fn of_two_administrators_who_have_seen_the_same_settings_one_is_told() {
    let house = House::new();
    let admins = [house.member_as(Role::Admin).await, house.member_as(Role::Owner).await];
    let seen = admins[0].get(SETTINGS).await.expect(200).header("etag").to_owned();
    let on = json!({"require_if_match": true});
    let both = admins.iter().map(|admin| change(admin, &Method::PUT, SETTINGS, &seen, Some(&on)));
    let mut statuses: Vec<_> =
        futures::future::join_all(both).await.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test]
async fn where_the_tenant_demands_it_a_change_names_the_version_that_it_changes() {
    let (house, admin, ada) = Box::pin(strict_house()).await;
    let bob = house.member().await;
    let made = ada.post("/v2/notes", &json!({"title": "a"})).await.expect(201);
    let path = made.header("location").to_owned();
    let share = format!("{path}/shares/{}", bob.id);
    ada.share(&path, &bob, "read").await;
    let back = format!("{path}/revisions/1/restore");
    let (title, text) = (json!({"title": "b"}), json!({"content": "c"}));
    let changes = [
        (Method::PUT, path.as_str(), Some(&title)),
        (Method::PATCH, path.as_str(), Some(&text)),
        (Method::POST, back.as_str(), None),
        (Method::DELETE, share.as_str(), None),
        (Method::DELETE, path.as_str(), None),
    ];
    for (method, at, body) in &changes {
        change(&ada, method, at, "", *body).await.problem(428, "precondition-required");
        change(&ada, method, at, "\"0\"", *body).await.problem(412, "precondition-failed");
    }
    assert_eq!(ada.get(&path).await.expect(200).json(), made.json(), "nothing was changed");
    for (method, at, body) in &changes {
        assert!(change(&ada, method, at, "*", *body).await.status.is_success(), "{method} {at}");
    }
    // What changes nothing that is there needs no version.
    ada.request(Method::POST, &format!("{path}/restore")).answer().await.expect(200);
    let etag = ada.get(&path).await.expect(200).header("etag").to_owned();
    change(&ada, &Method::PATCH, &path, &etag, Some(&title)).await.expect(200);

    admin.put(SETTINGS, &json!({"require_if_match": false})).await.expect(200);
    ada.patch(&path, &json!({"title": "free"})).await.expect(200);
}

#[tokio::test]
async fn where_the_tenant_demands_it_each_operation_in_bulk_names_its_version() {
    let (_, _, ada) = Box::pin(strict_house()).await;
    let path = ada.note(json!({"title": "a"})).await;
    let id = path.rsplit('/').next().unwrap();
    let bulk = async |operations: Value| ada.post("/v2/notes/bulk", &json!({"operations": operations})).await;
    let operations = json!([
        {"op": "create", "note": {"title": "b"}},
        {"op": "tag", "id": id, "add": ["x"]},
    ]);
    let problem = bulk(operations).await.problem(422, "validation");
    assert_eq!(code(&problem), ("/operations/1/if_version", "precondition_required"));
    let operations = json!([
        {"op": "create", "note": {"title": "b"}},
        {"op": "tag", "id": id, "if_version": 1, "add": ["x"]},
        {"op": "delete", "id": id, "if_version": 2},
    ]);
    bulk(operations).await.expect(200);
}

#[tokio::test]
async fn what_one_tenant_demands_is_not_demanded_of_another() {
    Box::pin(strict_house()).await;
    let eve = House::new().member().await;
    let path = eve.note(json!({"title": "a"})).await;
    eve.patch(&path, &json!({"title": "b"})).await.expect(200);
}
