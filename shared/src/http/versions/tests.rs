//! Each change carried up and down: nothing is lost that version 1 can say, and what comes of it is what version 2 says.

#![allow(clippy::unwrap_used)]

use http::{Extensions, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::change::{Asked, Operation};
use super::document::version_1;
use super::members::Members;
use super::notes::NumberedPage;
use super::preview::preview;
use super::{FAMILIES, Family, Version};
use crate::time::Timestamp;

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

/// What version 2 is asked in place of this: its path and its body.
fn raised(method: &str, path: &str, body: &Value) -> Result<(String, Value), Vec<(String, String)>> {
    let raw = serde_json::value::to_raw_value(body).unwrap();
    let carried = preview(&method.parse().unwrap(), path, Some(&raw), None, now());
    match carried {
        Ok(carried) => Ok((carried.path, serde_json::from_str(carried.body.unwrap().get()).unwrap())),
        Err(problem) => {
            let faults = problem.errors().iter();
            Err(faults.map(|fault| (fault.pointer.clone(), fault.code.to_string())).collect())
        }
    }
}

fn body_of(method: &str, path: &str, body: &Value) -> Value {
    raised(method, path, body).unwrap().1
}

/// What version 1 answers in place of this.
fn lowered(method: &str, path: &str, answer: &Value) -> Value {
    lowered_with(method, path, &Extensions::new(), answer)
}

fn lowered_with(method: &str, path: &str, extensions: &Extensions, answer: &Value) -> Value {
    let (family, _) = Family::of_path(path).unwrap();
    let (method, segments): (Method, Vec<_>) = (method.parse().unwrap(), path.split('/').skip(2).collect());
    let asked = Asked { operation: Operation { method: &method, segments: &segments }, extensions };
    let text = answer.to_string();
    let mut members: Members<'_> = serde_json::from_str(&text).unwrap();
    family.lower(&asked, &mut members);
    serde_json::to_value(&members).unwrap()
}

fn faults(method: &str, path: &str, body: &Value) -> Vec<(String, String)> {
    raised(method, path, body).unwrap_err()
}

fn one(pointer: &str, code: &str) -> Vec<(String, String)> {
    vec![(pointer.to_owned(), code.to_owned())]
}

#[test]
fn a_note_of_version_1_is_one_of_version_2() {
    let older =
        json!({"title": "Groceries", "body": "- milk", "tags": "home, work", "due_at": 1_777_887_000, "format": "md"});
    let newer = json!({"title": "Groceries", "content": "- milk", "tags": ["home", "work"],
                       "due_at": "2026-05-04T09:30:00.000Z", "format": "markdown"});
    for (method, path) in [("POST", "/v1/notes"), ("PUT", "/v1/notes/note_1"), ("PATCH", "/v1/notes/note_1")] {
        assert_eq!(raised(method, path, &older), Ok((path.replace("/v1/", "/v2/"), newer.clone())), "{method}");
    }
    // A merge patch takes away by null.
    let patch = json!({"body": "x", "tags": null, "due_at": null});
    assert_eq!(body_of("PATCH", "/v1/notes/note_1", &patch), json!({"content": "x", "tags": null, "due_at": null}));
    assert_eq!(body_of("POST", "/v1/notes", &json!({"tags": ""})), json!({"tags": []}));
}

#[test]
fn what_is_of_version_2_is_refused_by_its_name() {
    let other = "other_version";
    assert_eq!(faults("POST", "/v1/notes", &json!({"content": "x"})), one("/content", other));
    assert_eq!(faults("POST", "/v1/notes", &json!({"tags": ["home"]})), one("/tags", other));
    assert_eq!(faults("POST", "/v1/notes", &json!({"due_at": "2026-05-04T09:30:00Z"})), one("/due_at", other));
    assert_eq!(faults("POST", "/v1/links", &json!({"starts_at": null})), one("/starts_at", other));
    let callback = json!({"on_done": {"url": "https://example.com", "version": "v2"}});
    assert_eq!(faults("POST", "/v1/jobs", &callback), one("/on_done/version", other));
    for name in ["limit", "cursor", "owner", "tags_any", "tags_all", "text", "created_from", "due_before"] {
        assert_eq!(faults("GET", &format!("/v1/notes?page=2&{name}=1"), &json!({})), one(&format!("?{name}"), other));
    }
    let problem =
        preview(&Method::POST, "/v1/notes", Some(serde_json::from_str("{\"content\":1}").unwrap()), None, now());
    assert!(problem.unwrap_err().errors()[0].detail.contains("v2"));
    assert_eq!(faults("POST", "/v1/notes/bulk", &json!({})), one("/path", other));
    assert_eq!(faults("POST", "/v2/notes", &json!({})), one("/path", "newest_version"));
    assert_eq!(faults("POST", "/v1/me", &json!({})), one("/path", "one_version"));
}

#[test]
fn what_version_1_itself_does_not_know_is_refused() {
    assert_eq!(faults("POST", "/v1/notes", &json!({"tags": 5})), one("/tags", "invalid_type"));
    assert_eq!(faults("POST", "/v1/notes", &json!({"due_at": 1.5})), one("/due_at", "invalid_type"));
    assert_eq!(faults("POST", "/v1/notes", &json!({"due_at": i64::MAX})), one("/due_at", "out_of_range"));
    for bad in ["page=0", "page=x", "page=-1", "per_page=0", "per_page=201", "page=501", "per_page=200&page=51"] {
        assert_eq!(faults("GET", &format!("/v1/notes?{bad}"), &json!({}))[0].1, "out_of_range", "{bad}");
    }
}

#[test]
fn a_list_of_version_1_has_pages() {
    let (path, _) = raised("GET", "/v1/notes?tag=a%2Cb&q=x%20y&page=3&per_page=10&state=active", &json!({})).unwrap();
    assert_eq!(path, "/v2/notes?tags_all=a%2Cb&text=x+y&state=active");
    let newer = json!({"data": [{"id": "note_1", "tags": ["a", "b"], "content_bytes": 3, "due_at": null,
                                 "created_at": "2026-05-04T09:30:00.999Z"}],
                       "next_cursor": null, "has_more": false, "total": 21});
    let mut extensions = Extensions::new();
    extensions.insert(NumberedPage { page: 3, per_page: 10 });
    let older = lowered_with("GET", "/v1/notes", &extensions, &newer);
    assert_eq!(
        older,
        json!({"notes": [{"id": "note_1", "tags": "a,b", "body_bytes": 3, "due_at": null, "created_at": 1_777_887_000}],
               "page": 3, "per_page": 10, "total": 21})
    );
    assert_eq!(NumberedPage { page: 3, per_page: 10 }.offset(), 20);
}

#[test]
fn the_end_of_a_job_is_told_in_the_version_that_it_was_asked_for_in() {
    let asked = json!({"type": "a", "on_done": {"url": "https://example.com"}});
    let kept = json!({"type": "a", "on_done": {"url": "https://example.com", "version": "v1"}});
    assert_eq!(body_of("POST", "/v1/jobs", &asked), kept);
    assert_eq!(
        body_of("POST", "/v1/jobs/batch", &json!({"jobs": [asked, {"type": "b"}]}))["jobs"],
        json!([kept, {"type": "b"}])
    );
    assert_eq!(body_of("PATCH", "/v1/schedules/schedule_1", &json!({"job": asked}))["job"], kept);
    assert_eq!(lowered("GET", "/v1/schedules/schedule_1", &json!({"job": kept}))["job"], asked);
    let follow_up = json!({"on_done": {"job": {"type": "b"}}});
    assert_eq!(body_of("POST", "/v1/jobs", &follow_up), follow_up);

    let told = serde_json::from_str(r#"{"job_id":"job_1","attempts_begun":3}"#).unwrap();
    let family = &super::jobs::FAMILY;
    let data = |version| family.event(version, super::jobs::DONE, told).unwrap().get().to_owned();
    assert_eq!(data(Version::V1), r#"{"job_id":"job_1","attempts":3}"#);
    assert_eq!(data(Version::V2), told.get());
}

#[test]
fn jobs_are_carried_down_wherever_an_answer_has_them() {
    let newer =
        json!({"id": "job_1", "payload_bytes": 9000, "payload_omitted": true, "attempts_begun": 1, "attempts": []});
    let older = json!({"id": "job_1", "payload_bytes": 9000, "payload": null, "attempt": 1, "attempts": []});
    let whole = json!({"id": "job_1", "payload": null, "payload_omitted": false});
    for (method, path) in [
        ("GET", "/v1/jobs/job_1"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/jobs/job_1/cancel"),
        ("POST", "/v1/schedules/schedule_1/run"),
    ] {
        assert_eq!(lowered(method, path, &newer), older, "{method} {path}");
        assert_eq!(lowered(method, path, &whole), json!({"id": "job_1", "payload": null}), "{method} {path}");
    }
    assert_eq!(lowered("GET", "/v1/jobs", &json!({"data": [newer]})), json!({"data": [older]}));
    assert_eq!(lowered("POST", "/v1/queues/default/lease", &json!({"jobs": [newer]})), json!({"jobs": [older]}));
    let results =
        |job: &Value| json!({"results": [{"status": "created", "job": job}, {"status": "failed", "detail": "x"}]});
    assert_eq!(lowered("POST", "/v1/jobs/batch", &results(&newer)), results(&older));
}

#[test]
fn referrers_are_an_object_in_version_1() {
    let stats = |referrers: Value| json!({"link_id": "link_1", "referrers": referrers});
    let newer = json!({"hosts": [{"host": "news.example", "clicks": 2}, {"host": "a.example", "clicks": 1}], "direct": 4, "other": 0});
    let older = json!({"news.example": 2, "a.example": 1, "direct": 4});
    assert_eq!(lowered("GET", "/v1/links/link_1/stats", &stats(newer)), stats(older));
}

#[test]
fn every_change_is_told_of_under_a_name_of_its_own() {
    let mut names: Vec<_> = FAMILIES.iter().flat_map(|family| family.changes).map(|change| change.name()).collect();
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    let guide = super::guide::markdown();
    for change in FAMILIES.iter().flat_map(|family| family.changes) {
        assert!(guide.contains(change.changelog()) && guide.contains(&format!("{{#{}}}", change.name())));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), FAMILIES.iter().map(|family| family.changes.len()).sum::<usize>());
}

#[test]
fn a_document_of_version_1_has_the_older_paths_alone() {
    let operation = |id: &str| json!({"get": {"operationId": id, "responses": {}}});
    let newest = json!({
        "info": {"version": "2"}, "components": {"schemas": {}},
        "paths": {"/v2/links/{id}/stats": operation("stats"), "/v2/notes/{id}/revisions": operation("revisions"), "/v1/me": operation("me")},
    });
    let older = version_1(&newest);
    let paths: Vec<_> = older["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths, ["/v1/links/{id}/stats", "/v1/me"]);
    assert_eq!(older["paths"]["/v1/links/{id}/stats"]["get"]["deprecated"], true);
    assert_eq!(
        (&older["info"]["version"], &older["paths"]["/v1/me"]["get"]["deprecated"]),
        (&json!("1"), &Value::Null)
    );
}

/// A word that can be a tag of both versions.
fn tag() -> impl Strategy<Value = String> {
    "[a-zà-ü0-9][a-zà-ü0-9 _-]{0,10}[a-zà-ü0-9]"
}

/// Any JSON that a payload can be.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Reading others is not exact in serde_json, which this test compares by.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    /// What a client of version 1 writes, it reads again.
    #[test]
    fn a_note_of_version_1_comes_back_as_it_was_sent(
        title in any::<String>(),
        body in any::<String>(),
        tags in prop::collection::btree_set(tag(), 0..5),
        due in prop::option::of(0..253_402_207_200_i64),
        done in prop::option::of(0..253_402_207_200_i64),
        pinned in any::<bool>(),
    ) {
        let tags = tags.into_iter().collect::<Vec<_>>().join(",");
        let older = json!({"title": title, "body": body, "tags": tags, "due_at": due, "done_at": done, "pinned": pinned});
        let newer = body_of("PUT", "/v1/notes/note_1", &older);
        prop_assert!(newer["content"].is_string() && newer["tags"].is_array());
        prop_assert_eq!(lowered("PUT", "/v1/notes/note_1", &newer), older);
    }

    #[test]
    fn a_link_of_version_1_comes_back_as_it_was_sent(start in prop::option::of(any::<String>()), other in any_json()) {
        let older = json!({"target": "https://example.com/", "not_before": start, "title": other});
        let newer = body_of("POST", "/v1/links", &older);
        prop_assert!(newer.get("not_before").is_none());
        prop_assert_eq!(lowered("POST", "/v1/links", &newer), older);
    }

    /// The older form of statistics says as much as the newer.
    #[test]
    fn referrers_lose_nothing(
        hosts in prop::collection::btree_map("[a-z]{1,5}\\.example", 1..1000_u64, 0..6),
        direct in 0..1000_u64,
        other in 0..1000_u64,
    ) {
        let listed: Vec<_> = hosts.iter().map(|(host, clicks)| json!({"host": host, "clicks": clicks})).collect();
        let newer = json!({"referrers": {"hosts": listed, "direct": direct, "other": other}});
        let older = lowered("GET", "/v1/links/link_1/stats", &newer);
        let clicks = |name: &str| older["referrers"][name].as_u64().unwrap_or_default();
        prop_assert_eq!((clicks("direct"), clicks("(other)")), (direct, other));
        prop_assert!(hosts.iter().all(|(host, count)| clicks(host) == *count));
    }

    /// A job's payload goes through untouched, whatever it has, and so does a job that is told of.
    #[test]
    fn a_payload_is_nobodys_business(payload in any_json(), omitted in any::<bool>(), begun in any::<u32>()) {
        let asked = json!({"type": "a", "payload": payload});
        prop_assert_eq!(body_of("POST", "/v1/jobs", &asked), asked);
        let mut newer = json!({"payload_omitted": omitted, "attempts_begun": begun});
        if !omitted {
            newer["payload"] = payload.clone();
        }
        let older = lowered("GET", "/v1/jobs/job_1", &newer);
        let shown = if omitted { Value::Null } else { payload };
        prop_assert_eq!(older, json!({"payload": shown, "attempt": begun}));
    }

    /// No body and no answer makes a change panic, or touch what it does not know.
    #[test]
    fn any_body_and_any_answer_can_be_carried(
        body in prop::collection::btree_map("title|body|content|tags|due_at|format|on_done|jobs|job|data|referrers|not_before|payload", any_json(), 0..6),
        path in prop::sample::select(vec!["/v1/notes", "/v1/notes/note_1", "/v1/links", "/v1/links/link_1/stats", "/v1/jobs", "/v1/jobs/batch", "/v1/queues/a/lease", "/v1/schedules"]),
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH"]),
    ) {
        let body = json!(body);
        let _ = raised(method, path, &body);
        let _ = lowered(method, path, &body);
    }
}

#[test]
fn what_is_of_version_2_is_told_where_it_is() {
    let on_done = json!({"url": "https://example.com/", "version": "v2"});
    let job = json!({"type": "w", "on_done": on_done});
    let batch = json!({"jobs": [{"type": "w"}, job, {"type": "w", "on_done": {"queue": "q"}}, job]});
    let code = "other_version";
    assert_eq!(faults("POST", "/v1/jobs", &job), one("/on_done/version", code));
    assert_eq!(faults("POST", "/v1/schedules", &json!({"job": job})), one("/job/on_done/version", code));
    let both = [one("/jobs/1/on_done/version", code), one("/jobs/3/on_done/version", code)].concat();
    assert_eq!(faults("POST", "/v1/jobs/batch", &batch), both);
}
