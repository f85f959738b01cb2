//! Many changes in one request: all or none.

use http::Method;
use serde_json::{Value, json};
use tests::{Ask as _, stack};

use super::{House, Member, code};

async fn bulk(member: &Member, operations: Value) -> tests::Answer {
    member.post("/v2/notes/bulk", &json!({"operations": operations})).await
}

fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn operations_are_done_in_their_order() {
    let ada = House::new().member().await;
    let (one, two) = (ada.note(json!({"title": "one", "tags": ["a"]})).await, ada.note(json!({"title": "two"})).await);
    let (one, two) = (id(&one), id(&two));
    let done = bulk(
        &ada,
        json!([
            {"op": "create", "note": {"title": "three", "content": "x"}},
            {"op": "tag", "id": one, "if_version": 1, "add": ["B"], "remove": ["A"]},
            {"op": "update", "id": one, "if_version": 2, "patch": {"title": "ONE"}},
            {"op": "update", "id": one, "patch": {"title": "ONE"}},
            {"op": "delete", "id": two},
        ]),
    );
    let done = done.await.expect(200).json();
    let versions: Vec<_> = done["results"].as_array().unwrap().iter().map(|result| result["version"].clone()).collect();
    assert_eq!(versions, [json!(1), json!(2), json!(3), json!(3), json!(2)]);
    assert_eq!(ada.titles("?sort=title").await, ["ONE", "three"]);
    let note = ada.get(&format!("/v2/notes/{one}")).await.expect(200).json();
    assert_eq!((&note["tags"], &note["version"]), (&json!(["b"]), &json!(3)));
    let revisions = ada.get(&format!("/v2/notes/{one}/revisions")).await.expect(200).json();
    assert_eq!(revisions["data"].as_array().unwrap().len(), 3);
    let made = done["results"][0]["id"].as_str().unwrap();
    assert_eq!(ada.get(&format!("/v2/notes/{made}/revisions/1")).await.expect(200).json()["content"], "x");
    assert_eq!(ada.titles("?state=deleted").await, ["two"]);
}

#[tokio::test]
async fn when_one_operation_cannot_be_done_none_is_and_each_fault_is_pointed_at() {
    let ada = House::new().member().await;
    let path = ada.note(json!({"title": "one"})).await;
    let refused = bulk(
        &ada,
        json!([
            {"op": "create", "note": {"title": "two"}},
            {"op": "update", "id": id(&path), "patch": {"title": "", "colour": 1}},
            {"op": "delete", "id": "note_01k9z4n2y6e0qv3m8t5w7x9abc"},
            {"op": "update", "id": id(&path), "if_version": 7, "patch": {"title": "x"}},
            {"op": "create", "note": {"title": "x", "done_at": "2999-01-01T00:00:00Z"}},
            {"op": "create", "id": id(&path), "note": {"title": "x"}},
            {"op": "tag", "id": id(&path)},
            {"op": "delete"},
        ]),
    );
    let problem = refused.await.problem(422, "validation");
    let found: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    for pointer in [
        "/operations/1/patch/title",
        "/operations/1/patch/colour",
        "/operations/2/id",
        "/operations/3/if_version",
        "/operations/4/note/done_at",
        "/operations/5/id",
        "/operations/6/add",
        "/operations/7/id",
    ] {
        assert!(found.contains(&json!(pointer)), "{pointer} in {problem}");
    }
    assert_eq!(ada.titles("").await, ["one"]);
    for (operations, pointer) in [
        (json!([]), "/operations"),
        (json!(vec![json!({"op": "create", "note": {"title": "x"}}); 101]), "/operations"),
        (json!([{"op": "create", "note": {"title": ""}}]), "/operations/0/note/title"),
        (json!([{"op": "copy", "id": id(&path)}]), "/operations/0/op"),
        (json!([{"op": "update", "id": "link_01k9z4n2y6e0qv3m8t5w7x9abc", "patch": {}}]), "/operations/0/id"),
        (json!([{"op": "update", "id": id(&path), "patch": []}]), "/operations/0/patch"),
    ] {
        let problem = bulk(&ada, operations).await.problem(422, "validation");
        assert_eq!(code(&problem).0, pointer, "{problem}");
    }
    assert_eq!(ada.titles("").await, ["one"]);
}

#[tokio::test]
async fn what_is_written_is_bounded_by_the_contents_and_not_by_the_request() {
    let ada = House::new().member().await;
    let content = "x".repeat(256 * 1024);
    let mut ids = Vec::new();
    for number in 0..17 {
        ids.push(ada.note(json!({"title": number.to_string(), "content": content})).await);
    }
    let tag = |ids: &[String]| {
        Value::Array(ids.iter().map(|path| json!({"op": "tag", "id": id(path), "add": ["b"]})).collect())
    };
    let problem = bulk(&ada, tag(&ids)).await.problem(422, "validation");
    assert_eq!(code(&problem), ("/operations/16", "too_large"), "{problem}");
    assert!(ada.titles("?tags_all=b").await.is_empty());
    bulk(&ada, tag(&ids[..16])).await.expect(200);
    // What changes nothing is not written.
    bulk(&ada, tag(&ids)).await.expect(200);
    assert_eq!(ada.titles("?tags_all=b&limit=50").await.len(), 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_with_one_key_is_told_that_the_first_is_under_way() {
    let house = House::new();
    let ada = house.member().await;
    let database = sqlx::PgPool::connect(&stack().dev().database_url).await.unwrap();
    let mut first = database.begin().await.unwrap();
    ada.note(json!({"title": "a"})).await;
    let claim = "INSERT INTO notes.idempotency_keys (tenant, actor, route, key, fingerprint, expires_at)
                 VALUES ($1, $2, 'POST /v2/notes', 'k', 'f', 9999999999)";
    let claim = sqlx::query(claim).bind(house.tenant.to_string()).bind(&ada.id);
    claim.execute(&mut *first).await.unwrap();
    let second = ada.request(Method::POST, "/v2/notes").header("idempotency-key", "k").json(&json!({"title": "b"}));
    second.answer().await.problem(409, "idempotency-in-progress");
    first.rollback().await.unwrap();
    assert_eq!(ada.titles("").await, ["a"]);
}

#[tokio::test]
async fn a_bulk_request_that_is_sent_again_is_done_once() {
    let ada = House::new().member().await;
    let body = json!({"operations": [{"op": "create", "note": {"title": "once"}}]});
    let send = async || {
        let request = ada.request(Method::POST, "/v2/notes/bulk").header("idempotency-key", "k");
        request.json(&body).answer().await.expect(200)
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    assert_eq!(ada.titles("").await, ["once"]);
}

#[tokio::test]
async fn two_who_change_the_same_notes_in_another_order_do_not_block_one_another() {
    let ada = House::new().member().await;
    let (one, two) = (ada.note(json!({"title": "1"})).await, ada.note(json!({"title": "2"})).await);
    let rounds = (0..6).map(|round| {
        let (first, second) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let operation = |path: &str| json!({"op": "tag", "id": id(path), "add": [format!("r{round}")]});
        bulk(&ada, json!([operation(first), operation(second)]))
    });
    for answer in futures::future::join_all(rounds).await {
        answer.expect(200);
    }
    for path in [&one, &two] {
        let note = ada.get(path).await.expect(200).json();
        assert_eq!(note["tags"].as_array().unwrap().len(), 6, "{note}");
    }
}
