//! API keys that are pinned to one version of the API.

use http::Method;
use serde_json::{Value, json};
use shared::http::versions::Version;
use tests::{Answer, Ask as _, anonymous, identity};

use crate::own_tenant::OwnTenant;

/// Makes a key that may do everything, with these members besides.
async fn make(tenant: &OwnTenant, members: &Value) -> Answer {
    let mut body = json!({"name": "Website", "scopes": ["*"]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    tenant.post(&tenant.owner, "/v1/api-keys", &body).await
}

fn path(key: &Value) -> String {
    format!("/v1/api-keys/{}", key["id"].as_str().unwrap())
}

/// The version that the stored record of a key has.
async fn stored(key: &Value) -> Option<Version> {
    let id = key["id"].as_str().unwrap().parse().unwrap();
    identity().api_key_fresh(&id).await.unwrap().unwrap().api_version
}

#[tokio::test]
async fn a_key_is_made_for_one_version_or_for_all() {
    let tenant = OwnTenant::new().await;
    for (members, version) in [
        (json!({}), Value::Null),
        (json!({"api_version": null}), Value::Null),
        (json!({"api_version": "v1"}), json!("v1")),
        (json!({"api_version": "v2"}), json!("v2")),
    ] {
        let made = make(&tenant, &members).await.expect(201).json();
        let seen = tenant.get(&tenant.owner, &path(&made)).await.expect(200).json();
        assert_eq!((&made["api_version"], &seen["api_version"]), (&version, &version), "{members}");
    }
    let listed = tenant.get(&tenant.owner, "/v1/api-keys").await.expect(200).json();
    let mut versions: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|key| key["api_version"].to_string()).collect();
    versions.sort_unstable();
    assert_eq!(versions, ["\"v1\"", "\"v2\"", "null", "null"]);
}

#[tokio::test]
async fn a_key_is_pinned_and_unpinned_later_and_a_change_of_its_name_leaves_that() {
    let tenant = OwnTenant::new().await;
    let made = make(&tenant, &json!({})).await.expect(201).json();
    let path = path(&made);
    let mut tag = tenant.get(&tenant.owner, &path).await.header("etag").to_owned();
    for (patch, version) in [
        (json!({"api_version": "v1"}), Some(Version::V1)),
        (json!({"api_version": "v2"}), Some(Version::V2)),
        (json!({"name": "Mobile app"}), Some(Version::V2)),
        (json!({"api_version": null}), None),
        (json!({"name": "Website", "api_version": "v1"}), Some(Version::V1)),
    ] {
        let headers = [("if-match", &*tag)];
        let owner = &tenant.owner.access_token;
        let answer = tenant.send_with("PATCH", &path, owner, &headers, Some(&patch)).await.expect(200);
        let changed = tenant.get(&tenant.owner, &path).await.expect(200);
        assert_eq!(answer.json(), changed.json(), "{patch}");
        assert_eq!(changed.json()["api_version"], json!(version), "{patch}");
        assert_eq!(stored(&made).await, version, "{patch}");
        // Each change is one of the key's, so that nobody overwrites what they have not seen.
        tenant.send_with("PATCH", &path, owner, &headers, Some(&patch)).await.problem(412, "precondition-failed");
        changed.header("etag").clone_into(&mut tag);
    }
    let trail = tenant.get(&tenant.owner, "/v1/audit?action=api_key.changed").await.expect(200).json();
    let records = trail["data"].as_array().unwrap();
    let mut told: Vec<_> = records.iter().map(|record| record["detail"].as_str().unwrap()).collect();
    // All at one moment: they have no order.
    told.sort_unstable();
    assert_eq!(told, ["unpinned", "v1", "v1", "v2", "v2"]);
    assert!(records.iter().all(|record| record["target"] == made["id"]), "{trail}");
}

#[tokio::test]
async fn a_version_that_there_is_not_is_pointed_at() {
    let tenant = OwnTenant::new().await;
    let made = make(&tenant, &json!({"api_version": "v1"})).await.expect(201).json();
    for bad in [json!("v0"), json!("V1"), json!("1"), json!(""), json!(1), json!(["v1"])] {
        let members = json!({"api_version": bad});
        let patched = tenant.patch(&tenant.owner, &path(&made), &members).await;
        for answer in [make(&tenant, &members).await, patched] {
            let problem = answer.problem(422, "validation");
            assert_eq!(problem["errors"][0]["pointer"], "/api_version", "{problem}");
        }
    }
    assert_eq!(stored(&made).await, Some(Version::V1));
}

#[tokio::test]
async fn a_rotated_key_is_for_the_version_of_the_one_before() {
    let tenant = OwnTenant::new().await;
    let old = make(&tenant, &json!({"api_version": "v2"})).await.expect(201).json();
    let body = json!({"overlap_seconds": 60});
    let new = tenant.post(&tenant.owner, &format!("{}/rotate", path(&old)), &body).await.expect(201).json();
    assert_eq!((&new["api_version"], stored(&new).await), (&json!("v2"), Some(Version::V2)));
    // Unpinning one leaves the other.
    tenant.patch(&tenant.owner, &path(&new), &json!({"api_version": null})).await.expect(200);
    assert_eq!((stored(&old).await, stored(&new).await), (Some(Version::V2), None));
}

#[tokio::test]
async fn a_pinned_key_is_refused_where_another_version_is_asked_for() {
    let tenant = OwnTenant::new().await;
    for (own, other) in [("v1", "v2"), ("v2", "v1")] {
        let made = make(&tenant, &json!({"api_version": own})).await.expect(201).json();
        let key = made["api_key"].as_str().unwrap();
        tenant.send("GET", &format!("/{own}/links"), key, None).await.expect(200);
        let target = json!({"target": "https://example.com/"});
        for (method, path, body) in
            [("GET", "links", None), ("POST", "links", Some(&target)), ("DELETE", "links/x", None)]
        {
            let refused = tenant.send(method, &format!("/{other}/{path}"), key, body).await;
            let problem = refused.problem(403, "version-pinned");
            assert_eq!(problem["detail"], format!("the API key is pinned to {own}, and this is {other}"));
        }
        let links = tenant.send("GET", &format!("/{own}/links"), key, None).await.expect(200).json();
        assert_eq!(links["data"], json!([]));
        // What was remembered of the key holds for 30 seconds.
        tenant.patch(&tenant.owner, &path(&made), &json!({"api_version": null})).await.expect(200);
        tenant.wait(30);
        for version in [own, other] {
            tenant.send("GET", &format!("/{version}/links"), key, None).await.expect(200);
        }
    }
}

#[tokio::test]
async fn who_has_no_pin_may_use_each_version() {
    let tenant = OwnTenant::new().await;
    let (key, _) = tenant.api_key(&["links:read"]).await;
    for version in ["v1", "v2"] {
        for credential in [&key, &tenant.owner.access_token] {
            tenant.send("GET", &format!("/{version}/links"), credential, None).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_running_stack_refuses_a_pinned_key_on_every_family_of_another_version() {
    let tenant = OwnTenant::new().await;
    let made = make(&tenant, &json!({"api_version": "v2"})).await.expect(201).json();
    let key = made["api_key"].as_str().unwrap();
    for family in ["links", "jobs", "queues", "schedules", "notes"] {
        let ask = |version| anonymous(Method::GET, &format!("/{version}/{family}")).bearer_auth(key).answer();
        ask("v2").await.expect(200);
        ask("v1").await.problem(403, "version-pinned");
    }
}

#[tokio::test]
async fn a_pinned_key_is_good_on_routes_that_there_are_in_one_version_alone() {
    let tenant = OwnTenant::new().await;
    for version in ["v1", "v2"] {
        let made = make(&tenant, &json!({"api_version": version})).await.expect(201).json();
        tenant.send("GET", "/v1/api-keys", made["api_key"].as_str().unwrap(), None).await.expect(200);
    }
}
