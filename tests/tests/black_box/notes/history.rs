//! The history of a note: what it was, what changed, and back again.

use http::Method;
use serde_json::{Value, json};
use tests::Ask as _;

use super::House;

#[tokio::test]
async fn every_change_of_the_text_can_be_seen_compared_and_undone() {
    let ada = House::new().member().await;
    let path = ada.note(json!({"title": "List", "content": "milk\nbread\n", "tags": ["home"]})).await;
    ada.patch(&path, &json!({"content": "milk\nsalt\n"})).await.expect(200);
    ada.patch(&path, &json!({"pinned": true})).await.expect(200);
    ada.patch(&path, &json!({"title": "Shopping", "tags": ["food"], "content": ""})).await.expect(200);

    let revisions = ada.get(&format!("{path}/revisions")).await.expect(200).json();
    let versions: Vec<_> = revisions["data"].as_array().unwrap().iter().map(|row| row["version"].clone()).collect();
    assert_eq!(versions, [json!(4), json!(2), json!(1)], "what is pinned says nothing else");
    let first = ada.get(&format!("{path}/revisions/1")).await.expect(200);
    let known = ada.request(Method::GET, &format!("{path}/revisions/1")).header("if-none-match", first.header("etag"));
    known.answer().await.expect(304);
    let first = first.json();
    assert_eq!((&first["content"], &first["tags"]), (&json!("milk\nbread\n"), &json!(["home"])));

    let diff = async |query: &str| ada.get(&format!("{path}/revisions/{query}")).await.expect(200).json();
    assert_eq!(
        diff("2/diff").await,
        json!({
            "from": 1, "to": 2, "changed": ["content"],
            "diff": "--- revision 1\n+++ revision 2\n@@ -1,2 +1,2 @@\n milk\n-bread\n+salt\n",
        })
    );
    assert_eq!(diff("4/diff").await["changed"], json!(["title", "content", "tags"]));
    assert_eq!(diff("4/diff").await["from"], json!(2));
    assert_eq!(diff("1/diff?from=4").await["diff"], "--- revision 4\n+++ revision 1\n@@ -0,0 +1,2 @@\n+milk\n+bread\n");
    assert_eq!(diff("1/diff").await, json!({"from": null, "to": 1, "changed": [], "diff": ""}));
    assert_eq!(diff("2/diff?from=2").await["changed"], json!([]));

    let undone = ada.request(Method::POST, &format!("{path}/revisions/1/restore")).answer().await.expect(200).json();
    for field in ["title", "content", "tags"] {
        assert_eq!(undone[field], first[field]);
    }
    assert_eq!((&undone["pinned"], &undone["version"]), (&json!(true), &json!(5)), "it is put where it was left");
    assert_eq!(diff("5/diff?from=1").await["changed"], json!([]));
    assert_eq!(diff("5/diff").await["from"], json!(4));
}

#[tokio::test]
async fn of_a_long_history_a_hundred_revisions_are_kept() {
    let ada = House::new().member().await;
    let path = ada.note(json!({"title": "v1"})).await;
    let id = path.rsplit('/').next().unwrap();
    // Ninety-nine changes in one request, and three more.
    let edits: Vec<Value> =
        (2..=100).map(|version| json!({"op": "update", "id": id, "patch": {"title": format!("v{version}")}})).collect();
    ada.post("/v2/notes/bulk", &json!({"operations": edits})).await.expect(200);
    for version in 101..=103 {
        ada.patch(&path, &json!({"title": format!("v{version}")})).await.expect(200);
    }
    let revisions = ada.get(&format!("{path}/revisions")).await.expect(200).json();
    let revisions = revisions["data"].as_array().unwrap();
    assert_eq!(revisions.len(), 100);
    assert_eq!((&revisions[0]["title"], &revisions[99]["title"]), (&json!("v103"), &json!("v4")));
    ada.get(&format!("{path}/revisions/3")).await.problem(404, "not-found");
}

#[tokio::test]
async fn going_back_respects_what_others_did_meanwhile() {
    let ada = House::new().member().await;
    let made = ada.post("/v2/notes", &json!({"title": "one"})).await.expect(201);
    let path = made.header("location");
    ada.patch(path, &json!({"title": "two"})).await.expect(200);
    let restore = ada.request(Method::POST, &format!("{path}/revisions/1/restore"));
    restore.header("if-match", made.header("etag")).answer().await.problem(412, "precondition-failed");
    assert_eq!(ada.titles("").await, ["two"]);
}
