//! Who may do what with a note: its owner, who may write it, who may read it, and everybody else.

use http::Method;
use serde_json::{Value, json};
use shared::events::identity::{MemberRemoved, UserUpdated};
use shared::time::{Clock, SignedDuration};
use tests::Ask as _;

use super::{House, Member, tell};

/// What each of owner, writer, reader and stranger is answered.
type Row = (Method, &'static str, Option<Value>, [u16; 4]);

fn operations() -> Vec<Row> {
    let edit = || Some(json!({"title": "x"}));
    vec![
        (Method::GET, "", None, [200, 200, 200, 404]),
        (Method::GET, "/revisions", None, [200, 200, 200, 404]),
        (Method::GET, "/revisions/1", None, [200, 200, 200, 404]),
        (Method::GET, "/revisions/1/diff", None, [200, 200, 200, 404]),
        (Method::GET, "/shares", None, [200, 403, 403, 404]),
        (Method::GET, "/shares/{reader}", None, [200, 403, 200, 404]),
        (Method::PUT, "", edit(), [200, 200, 403, 404]),
        (Method::PATCH, "", edit(), [200, 200, 403, 404]),
        (Method::POST, "/revisions/1/restore", None, [200, 200, 403, 404]),
        (Method::PUT, "/shares/{reader}", Some(json!({"access": "read"})), [200, 403, 403, 404]),
        (Method::DELETE, "", None, [204, 403, 403, 404]),
        (Method::DELETE, "/shares/{reader}", None, [204, 403, 204, 404]),
    ]
}

#[tokio::test]
async fn each_may_do_with_a_note_what_is_theirs_to_do() {
    let house = House::new();
    let [owner, writer, reader, stranger] =
        [house.member().await, house.member().await, house.member().await, house.member().await];
    for (method, below, body, expected) in operations() {
        for (who, status) in [&owner, &writer, &reader, &stranger].into_iter().zip(expected) {
            let path = owner.note(json!({"title": "a"})).await;
            owner.share(&path, &writer, "write").await;
            owner.share(&path, &reader, "read").await;
            let below = below.replace("{reader}", &reader.id);
            let request = who.request(method.clone(), &format!("{path}{below}"));
            let request = if let Some(body) = &body { request.json(body) } else { request };
            let answer = request.answer().await;
            assert_eq!(answer.status.as_u16(), status, "{method} {below} {expected:?}: {answer:?}");
        }
    }
    // In bulk it is the same, told for each.
    let path = owner.note(json!({"title": "a"})).await;
    owner.share(&path, &writer, "write").await;
    owner.share(&path, &reader, "read").await;
    let id = path.rsplit('/').next().unwrap();
    for (operation, wrong) in [
        (json!({"op": "update", "id": id, "patch": {}}), ["", "", "forbidden", "not_found"]),
        (json!({"op": "tag", "id": id, "add": ["x"]}), ["", "", "forbidden", "not_found"]),
        (
            json!({"op": "delete", "id": id, "if_version": 99}),
            ["version_mismatch", "forbidden", "forbidden", "not_found"],
        ),
    ] {
        for (who, wrong) in [&owner, &writer, &reader, &stranger].into_iter().zip(wrong) {
            let answer = who.post("/v2/notes/bulk", &json!({"operations": [operation]})).await;
            let code = answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
            assert_eq!(code, wrong, "{operation}");
        }
    }
}

#[tokio::test]
async fn what_somebody_may_do_and_whose_a_note_is_are_seen_at_once() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let path = ada.note(json!({"title": "a"})).await;
    let share = format!("{path}/shares/{}", bob.id);
    let again = async |who: &Member, path: &str, known: &tests::Answer| {
        who.request(Method::GET, path).header("if-none-match", known.header("etag")).answer().await
    };
    ada.share(&path, &bob, "read").await;
    let (known, known_share) = (bob.get(&path).await.expect(200), ada.get(&share).await.expect(200));
    again(&bob, &path, &known).await.expect(304);
    again(&ada, &share, &known_share).await.expect(304);

    ada.share(&path, &bob, "write").await;
    let written = again(&bob, &path, &known).await.expect(200);
    assert_eq!((&written.json()["access"], &written.json()["version"]), (&json!("write"), &json!(1)));
    let named = UserUpdated {
        user_id: bob.id.clone(),
        email: format!("{}@example.com", bob.id),
        name: Some("Robert".to_owned()),
        verified: true,
    };
    let shared = ada.get(&share).await.expect(200);
    tell(&house.event(&bob, named, Clock::system().now() + SignedDuration::from_secs(1))).await;
    assert_eq!(again(&ada, &share, &shared).await.expect(200).json()["name"], "Robert");

    let left = MemberRemoved { user_id: ada.id.clone() };
    tell(&house.event(&ada, left, Clock::system().now() + SignedDuration::from_secs(1))).await;
    assert_eq!(again(&bob, &path, &written).await.expect(200).json()["owner"], json!(house.tenant.to_string()));
}

#[tokio::test]
async fn a_deleted_note_is_its_owners_alone() {
    let house = House::new();
    let (owner, writer) = (house.member().await, house.member().await);
    let path = owner.note(json!({"title": "a"})).await;
    owner.share(&path, &writer, "write").await;
    owner.delete(&path).await.expect(204);
    writer.request(Method::POST, &format!("{path}/restore")).answer().await.problem(404, "not-found");
    assert!(writer.titles("?state=deleted").await.is_empty());
    owner.request(Method::POST, &format!("{path}/restore")).answer().await.expect(200);
    assert_eq!(writer.titles("").await, ["a"], "it is shared again");
}

#[tokio::test]
async fn a_share_is_changed_listed_and_given_up() {
    let house = House::new();
    let (owner, user) = (house.member().await, house.member().await);
    let path = owner.note(json!({"title": "a"})).await;
    owner.share(&path, &user, "read").await;
    let share = format!("{path}/shares/{}", user.id);
    let first = owner.get(&share).await.expect(200);
    assert_eq!((&first.json()["access"], &first.json()["name"]), (&json!("read"), &json!("Ada")));
    let same = owner.put(&share, &json!({"access": "read"})).await.expect(200);
    assert_eq!(same.header("etag"), first.header("etag"));
    let anew = owner.request(Method::PUT, &share).header("if-none-match", "*").json(&json!({"access": "write"}));
    anew.answer().await.problem(412, "precondition-failed");
    let changed = owner.put(&share, &json!({"access": "write"})).await.expect(200);
    assert_ne!(changed.header("etag"), first.header("etag"));
    let listed = owner.get(&format!("{path}/shares")).await.expect(200).json();
    assert_eq!(listed["data"], json!([changed.json()]));
    user.patch(&path, &json!({"title": "b"})).await.expect(200);

    let put = |path: &str, etag: &str| {
        let request = owner.request(Method::PUT, path).header("if-match", etag);
        request.json(&json!({"access": "write"})).answer()
    };
    put(&share, first.header("etag")).await.problem(412, "precondition-failed");
    put(&share, changed.header("etag")).await.expect(200);
    let unshared = format!("{path}/shares/{}", house.member().await.id);
    put(&unshared, "*").await.problem(412, "precondition-failed");
    owner.get(&unshared).await.problem(404, "not-found");
    let anew = owner.request(Method::PUT, &unshared).header("if-none-match", "*").json(&json!({"access": "write"}));
    let made = anew.answer().await.expect(201);
    assert_eq!(made.header("location"), unshared);
    assert_eq!(owner.get(&unshared).await.expect(200).header("etag"), made.header("etag"));

    let stale = user.request(Method::DELETE, &share).header("if-match", first.header("etag"));
    stale.answer().await.problem(412, "precondition-failed");
    user.delete(&share).await.expect(204);
    user.get(&path).await.problem(404, "not-found");
    owner.delete(&share).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_note_is_shared_with_members_of_the_tenant_alone() {
    let (house, other) = (House::new(), House::new());
    let (owner, elsewhere): (Member, Member) = (house.member().await, other.member().await);
    let path = owner.note(json!({"title": "a"})).await;
    let share = owner.put(&format!("{path}/shares/{}", elsewhere.id), &json!({"access": "read"})).await;
    share.problem(404, "not-found");
}
