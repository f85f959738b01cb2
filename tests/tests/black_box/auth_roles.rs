//! Roles: what the built-in ones may do on each route of `auth.users`, and the tenant's own.

use auth::membership::Membership;
use auth::store::Counted;
use auth::user::UserId;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::identity::Role;
use shared::identity::permission::ALL;
use shared::random::Random;

use crate::own_tenant::{Member, OwnTenant, accounts, column, statuses};

impl OwnTenant {
    /// Makes a role, as the owner.
    async fn role(&self, name: &str, permissions: &[&str]) {
        let body = json!({"name": name, "permissions": permissions});
        self.post(&self.owner, "/v1/roles", &body).await.expect(201);
    }
}

#[tokio::test]
async fn each_role_reaches_the_routes_that_its_permissions_name_and_no_other() {
    let tenant = OwnTenant::new().await;
    let user = "/v1/users/user_01k9z4n2y6e0qv3m8t5w7x9abc";
    let key = "/v1/api-keys/key_01k9z4n2y6e0qv3m8t5w7x9abc";
    let routes = [
        ("GET", "/v1/users".to_owned(), "users:manage"),
        ("GET", user.to_owned(), "users:manage"),
        ("PATCH", user.to_owned(), "users:manage"),
        ("DELETE", user.to_owned(), "users:manage"),
        ("DELETE", format!("{user}/sessions"), "users:manage"),
        ("GET", "/v1/roles".to_owned(), "roles:manage"),
        ("POST", "/v1/roles".to_owned(), "roles:manage"),
        ("GET", "/v1/roles/none".to_owned(), "roles:manage"),
        ("PATCH", "/v1/roles/none".to_owned(), "roles:manage"),
        ("DELETE", "/v1/roles/none".to_owned(), "roles:manage"),
        ("GET", "/v1/tenant".to_owned(), "tenant:manage"),
        ("PATCH", "/v1/tenant".to_owned(), "tenant:manage"),
        ("GET", "/v1/audit".to_owned(), "audit:view"),
        ("GET", "/v1/api-keys".to_owned(), "api_keys:read"),
        ("POST", "/v1/api-keys".to_owned(), "api_keys:write"),
        ("GET", key.to_owned(), "api_keys:read"),
        ("PATCH", key.to_owned(), "api_keys:write"),
        ("DELETE", key.to_owned(), "api_keys:write"),
        ("POST", format!("{key}/rotate"), "api_keys:write"),
    ];
    let permissions: std::collections::BTreeSet<_> = routes.iter().map(|(_, _, permission)| *permission).collect();

    // Each with what it may do.
    let mut callers = Vec::new();
    for role in Role::ALL {
        let member = tenant.member(&[&role.to_string()]).await;
        let may: Vec<_> = ALL.iter().copied().filter(|permission| role.grants(permission)).collect();
        callers.push((role.to_string(), member.access_token, may));
    }
    for (number, permission) in permissions.into_iter().enumerate() {
        let name = format!("custom{number}");
        tenant.role(&name, &[permission]).await;
        let member = tenant.member(&[&name]).await;
        callers.push((format!("only {permission}"), member.access_token, vec![permission]));
        let (key, _) = tenant.api_key(&[permission]).await;
        callers.push((format!("a key with {permission}"), key, vec![permission]));
    }
    for (name, credential, may) in &callers {
        for (method, path, permission) in &routes {
            // An empty body is refused, but only from whom is let in.
            let body = (*method != "GET" && *method != "DELETE").then(|| json!({}));
            let answer = tenant.send(method, path, credential, body.as_ref()).await;
            let refused = answer.status == 403;
            assert_eq!(!refused, may.contains(permission), "{name}: {method} {path}: {answer:?}");
            assert!(answer.status != 401, "{name}: {method} {path}: {answer:?}");
            if refused {
                let challenge = format!("scope=\"{permission}\"");
                assert!(answer.header("www-authenticate").contains(&challenge), "{name}: {method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn built_in_roles_are_listed_with_what_they_grant_and_stay_as_they_are() {
    let tenant = OwnTenant::new().await;
    tenant.role("support", &["links:*"]).await;
    let listed = tenant.get(&tenant.owner, "/v1/roles").await.expect(200);
    assert_eq!(column(&listed, "name"), ["owner", "admin", "member", "viewer", "support"]);
    assert_eq!(listed.json()["data"][0]["permissions"], json!(ALL));
    for role in ["owner", "admin", "member", "viewer"] {
        let path = format!("/v1/roles/{role}");
        let seen = tenant.get(&tenant.owner, &path).await.expect(200);
        assert_eq!(seen.json()["built_in"], true);
        let tag = [("if-none-match", seen.header("etag"))];
        tenant.send_with("GET", &path, &tenant.owner.access_token, &tag, None).await.expect(304);
        let wider = json!({"permissions": ["*"]});
        tenant.patch(&tenant.owner, &path, &wider).await.problem(409, "conflict");
        tenant.delete(&tenant.owner, &path).await.problem(409, "conflict");
        let taken = json!({"name": role, "permissions": ["links:read"]});
        tenant.post(&tenant.owner, "/v1/roles", &taken).await.problem(409, "conflict");
    }
    assert_eq!(
        tenant.get(&tenant.owner, "/v1/roles/support").await.expect(200).json()["permissions"],
        json!(["links:*"])
    );
}

#[tokio::test]
async fn a_role_is_made_once_changed_by_its_version_and_deleted() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let owner = &tenant.owner.access_token;
    let body =
        json!({"name": "support", "description": "Answers customers", "permissions": ["links:write", "links:read"]});
    let key = [("idempotency-key", "once")];
    let made = tenant.send_with("POST", "/v1/roles", owner, &key, Some(&body)).await.expect(201);
    assert_eq!(made.header("location"), "/v1/roles/support");
    assert_eq!(made.json()["permissions"], json!(["links:read", "links:write"]));
    let again = tenant.send_with("POST", "/v1/roles", owner, &key, Some(&body)).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", made.json()));
    tenant.post(&tenant.owner, "/v1/roles", &body).await.problem(409, "conflict");

    let seen = tenant.get(&tenant.owner, "/v1/roles/support").await.expect(200);
    assert_eq!((seen.json(), seen.header("etag")), (made.json(), made.header("etag")));
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"permissions": ["links:read"]}))), ("DELETE", None)] {
        let answer = other.send(method, "/v1/roles/support", &other.owner.access_token, body.as_ref()).await;
        answer.problem(404, "not-found");
    }
    let first = made.header("etag").to_owned();
    let patch = json!({"description": null, "permissions": ["links:read"]});
    let headers = [("if-match", first.as_str())];
    tenant.wait(1);
    let changed = tenant.send_with("PATCH", "/v1/roles/support", owner, &headers, Some(&patch)).await.expect(200);
    // Something was taken away, and from nobody: the owner's tokens stay good.
    let owner = tenant.owner.clone();
    let tagged = async |method: &str, tag: &str, body: Option<Value>| {
        tenant.send_with(method, "/v1/roles/support", &owner.access_token, &[("if-match", tag)], body.as_ref()).await
    };
    assert_eq!(
        (&changed.json()["description"], &changed.json()["permissions"]),
        (&Value::Null, &json!(["links:read"]))
    );
    tagged("PATCH", &first, Some(patch.clone())).await.problem(412, "precondition-failed");
    let same = tagged("PATCH", changed.header("etag"), Some(patch)).await.expect(200);
    assert_eq!(same.header("etag"), changed.header("etag"));
    tagged("DELETE", &first, None).await.problem(412, "precondition-failed");
    tenant.wait(1);
    tagged("DELETE", changed.header("etag"), None).await.expect(204);
    tenant.delete(&owner, "/v1/roles/support").await.problem(404, "not-found");
    // One that is made again is another.
    tenant.wait(1);
    let new = tenant.post(&owner, "/v1/roles", &body).await.expect(201);
    assert_eq!(new.json()["description"], "Answers customers");
    assert_ne!(new.header("etag"), first);

    let trail = tenant.get(&owner, "/v1/audit").await.expect(200);
    let rows = column(&trail, "action").into_iter().zip(column(&trail, "target"));
    let actions: Vec<_> = rows.filter(|(_, target)| target == "support").map(|(action, _)| action).collect();
    assert_eq!(actions, ["role.created", "role.deleted", "role.updated", "role.created"]);
}

#[tokio::test]
async fn bad_roles_are_refused() {
    let tenant = OwnTenant::new().await;
    for (body, pointer) in [
        (json!({"name": "x"}), "/permissions"),
        (json!({"name": "x", "permissions": []}), "/permissions"),
        (json!({"name": "x", "permissions": ["links:fly"]}), "/permissions"),
        (json!({"name": "x", "permissions": ["links:read", "links:read links:write"]}), "/permissions"),
        (json!({"name": "x", "permissions": "links:read"}), "/permissions"),
        (json!({"name": "Ünknown", "permissions": ["links:read"]}), "/name"),
        (json!({"name": "a/b", "permissions": ["links:read"]}), "/name"),
        (json!({"name": "", "permissions": ["links:read"]}), "/name"),
        (json!({"name": "x", "permissions": ["links:read"], "description": ""}), "/description"),
        (json!({"name": "x", "permissions": ["links:read"], "description": "a\u{202e}b"}), "/description"),
        (json!({"name": "x", "permissions": ["links:read"], "built_in": true}), "/built_in"),
    ] {
        let problem = tenant.post(&tenant.owner, "/v1/roles", &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/roles").await, "name").len(), 4);
}

#[tokio::test]
async fn a_role_has_nothing_that_its_maker_may_not_do() {
    let tenant = OwnTenant::new().await;
    tenant.role("definer", &["roles:manage", "links:read"]).await;
    tenant.role("wide", &["links:*"]).await;
    let (definer, admin) = (tenant.member(&["definer"]).await, tenant.member(&["admin"]).await);
    let make = async |member: &Member, permissions: Value| {
        let body = json!({"name": "new", "permissions": permissions});
        tenant.post(member, "/v1/roles", &body).await
    };
    for wider in [json!(["links:write"]), json!(["links:*"]), json!(["*"]), json!(["links:read", "users:manage"])] {
        make(&definer, wider).await.problem(403, "forbidden");
    }
    for wider in [json!(["*"]), json!(["tenant:own"]), json!(["tenant:*"])] {
        make(&admin, wider).await.problem(403, "forbidden");
    }
    let (key, _) = tenant.api_key(&["*"]).await;
    let heir = json!({"name": "new", "permissions": ["tenant:own"]});
    tenant.send("POST", "/v1/roles", &key, Some(&heir)).await.problem(403, "forbidden");
    make(&definer, json!(["links:read"])).await.expect(201);
    let patch = async |member: &Member, body: Value| tenant.patch(member, "/v1/roles/wide", &body).await;
    patch(&definer, json!({"permissions": ["links:*", "users:manage"]})).await.problem(403, "forbidden");
    patch(&definer, json!({"description": "as wide as it was"})).await.expect(200);
    patch(&definer, json!({"permissions": ["links:write"]})).await.expect(200);
    let definer = tenant.refreshed(&definer).await;
    patch(&definer, json!({"permissions": ["links:*"]})).await.problem(403, "forbidden");
}

#[tokio::test]
async fn what_a_role_gains_is_there_after_a_refresh_and_what_it_loses_is_gone_within_half_a_minute() {
    let tenant = OwnTenant::new().await;
    tenant.role("support", &["links:read"]).await;
    let member = tenant.member(&["support"]).await;
    let new = json!({"target": "https://example.com/"});
    tenant.get(&member, "/v1/links").await.expect(200);
    tenant.post(&member, "/v1/links", &new).await.problem(403, "forbidden");

    let owner = tenant.owner.clone();
    let wide = json!({"permissions": ["links:read", "links:write"]});
    tenant.patch(&owner, "/v1/roles/support", &wide).await.expect(200);
    tenant.wait(30);
    tenant.get(&member, "/v1/links").await.expect(200);
    let member = tenant.refreshed(&member).await;
    tenant.post(&member, "/v1/links", &new).await.expect(201);

    tenant.patch(&owner, "/v1/roles/support", &json!({"permissions": ["links:read"]})).await.expect(200);
    tenant.wait(30);
    for path in ["/v1/links", "/v1/users"] {
        tenant.get(&member, path).await.problem(401, "unauthenticated");
    }
    let member = tenant.refreshed(&member).await;
    tenant.get(&member, "/v1/links").await.expect(200);
    tenant.post(&member, "/v1/links", &new).await.problem(403, "forbidden");
}

#[tokio::test]
async fn what_a_role_loses_ends_the_tokens_of_those_who_have_it_and_of_nobody_else() {
    let tenant = OwnTenant::new().await;
    for name in ["support", "sales"] {
        tenant.role(name, &["links:read", "links:write"]).await;
    }
    let holder = tenant.member(&["viewer", "support"]).await;
    let suspended = tenant.member(&["support"]).await;
    tenant.patch(&tenant.owner, &suspended.path(), &json!({"status": "suspended"})).await.expect(200);
    let others = [tenant.owner.clone(), tenant.member(&["sales"]).await, tenant.member(&["admin"]).await];
    tenant.wait(10);
    // Twice in one moment, by a clock that stands.
    for left in [json!(["links:read", "notes:read"]), json!(["links:read"])] {
        let narrower = json!({"permissions": left});
        tenant.patch(&tenant.owner, "/v1/roles/support", &narrower).await.expect(200);
    }
    // Who refreshes at once has what is left, and keeps it.
    let at_once = tenant.refreshed(&holder).await;
    tenant.wait(30);
    tenant.get(&holder, "/v1/links").await.problem(401, "unauthenticated");
    for other in &others {
        tenant.get(other, "/v1/links").await.expect(200);
    }
    let new = json!({"target": "https://example.com/"});
    tenant.get(&at_once, "/v1/links").await.expect(200);
    tenant.post(&at_once, "/v1/links", &new).await.problem(403, "forbidden");
    tenant.post(&others[1], "/v1/links", &new).await.expect(201);
    // Who is let in again has what the role has by now.
    tenant.patch(&tenant.owner, &suspended.path(), &json!({"status": "active"})).await.expect(200);
    let again = tenant.log_in(&suspended.email).await;
    tenant.post(&again, "/v1/links", &new).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_token_between_two_changes_of_a_role_in_one_moment_is_ended_by_the_second() {
    let tenant = OwnTenant::new().await;
    tenant.role("support", &["links:read", "links:write", "notes:read"]).await;
    let holder = tenant.member(&["support"]).await;
    tenant.wait(10);
    let narrow = async |permissions: Value| {
        tenant.patch(&tenant.owner, "/v1/roles/support", &json!({"permissions": permissions})).await.expect(200);
    };
    narrow(json!(["links:read", "links:write"])).await;
    let between = tenant.refreshed(&holder).await;
    narrow(json!(["links:read"])).await;
    tenant.wait(30);
    let new = json!({"target": "https://example.com/"});
    tenant.post(&between, "/v1/links", &new).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_role_that_very_many_have_ends_the_tokens_of_the_tenant_as_a_whole() {
    let tenant = OwnTenant::new().await;
    tenant.role("support", &["links:read", "links:write"]).await;
    let (holder, other) = (tenant.member(&["support"]).await, tenant.member(&["viewer"]).await);
    let (store, id) = (accounts(), holder.id.parse().unwrap());
    let known = store.membership(&tenant.id.parse().unwrap(), &id).await.unwrap().unwrap();
    for _ in 0..40 {
        let user_id = UserId::new(tenant.clock.now(), &Random::system());
        let member = Membership { user_id, revision: 1, ..known.clone() };
        store.transact(store.member_added(&member).unwrap()).await.unwrap();
    }
    tenant.wait(10);
    let narrower = json!({"permissions": ["links:read"]});
    tenant.patch(&tenant.owner, "/v1/roles/support", &narrower).await.expect(200);
    let at_once = [tenant.refreshed(&holder).await, tenant.refreshed(&other).await];
    tenant.wait(30);
    for member in [&holder, &other, &tenant.owner] {
        tenant.get(member, "/v1/links").await.problem(401, "unauthenticated");
    }
    for member in &at_once {
        tenant.get(member, "/v1/links").await.expect(200);
    }
}

#[tokio::test]
async fn a_role_that_somebody_has_is_not_deleted() {
    let tenant = OwnTenant::new().await;
    tenant.role("support", &["links:read"]).await;
    let member = tenant.member(&["viewer", "support"]).await;
    let held = async || tenant.delete(&tenant.owner, "/v1/roles/support").await;
    held().await.problem(409, "conflict");
    tenant.patch(&tenant.owner, &member.path(), &json!({"status": "suspended"})).await.expect(200);
    held().await.problem(409, "conflict");
    tenant.patch(&tenant.owner, &member.path(), &json!({"roles": ["viewer"]})).await.expect(200);
    held().await.expect(204);
    let gone = json!({"roles": ["support"]});
    tenant.patch(&tenant.owner, &member.path(), &gone).await.problem(422, "validation");
}

#[tokio::test]
async fn a_role_is_either_given_or_deleted_when_both_are_tried_at_once() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["viewer"]).await;
    for round in 0..6 {
        tenant.role("support", &["links:read"]).await;
        let (path, body) = (member.path(), json!({"roles": ["support"]}));
        let (given, deleted) =
            tokio::join!(tenant.patch(&tenant.owner, &path, &body), tenant.delete(&tenant.owner, "/v1/roles/support"),);
        let outcome = (given.status.as_u16(), deleted.status.as_u16());
        assert!([(200, 409), (422, 204)].contains(&outcome), "{round}: {given:?} {deleted:?}");
        if outcome.0 == 200 {
            tenant.patch(&tenant.owner, &member.path(), &json!({"roles": ["viewer"]})).await.expect(200);
            tenant.delete(&tenant.owner, "/v1/roles/support").await.expect(204);
        }
    }
}

#[tokio::test]
async fn a_tenant_has_fifty_roles_and_no_request_at_once_makes_more() {
    let tenant = OwnTenant::new().await;
    let many = accounts().counted_more(&tenant.id.parse().unwrap(), Counted::Roles, 48);
    accounts().transact(vec![many]).await.unwrap();
    let bodies: Vec<_> =
        (0..4).map(|number| json!({"name": format!("role{number}"), "permissions": ["links:read"]})).collect();
    let answers = join_all(bodies.iter().map(|body| tenant.post(&tenant.owner, "/v1/roles", body))).await;
    assert_eq!(statuses(&answers), [201, 201, 409, 409]);
    let made = column(&tenant.get(&tenant.owner, "/v1/roles").await, "name");
    assert_eq!(made.len(), 6);
    tenant.delete(&tenant.owner, &format!("/v1/roles/{}", made[4])).await.expect(204);
    tenant.role("another", &["links:read"]).await;
}
