//! A tenant's members: who sees and changes them, and when it takes effect.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::{Ask as _, Instance, anonymous, eventually};

use crate::own_tenant::{Member, OwnTenant, accounts, column, statuses};
use crate::resources::Subscriber;

#[tokio::test]
async fn administrators_see_the_members_in_pages_and_by_filter() {
    let tenant = OwnTenant::new().await;
    let mut members = vec![tenant.owner.clone()];
    for role in ["admin", "member", "viewer"] {
        members.push(tenant.member(&[role]).await);
    }
    members.sort_by(|one, other| one.id.cmp(&other.id));
    let all = tenant.get(&tenant.owner, "/v1/users").await.expect(200);
    assert_eq!(column(&all, "id"), members.iter().map(|member| member.id.clone()).collect::<Vec<_>>());
    assert_eq!(column(&all, "email"), members.iter().map(|member| member.email.clone()).collect::<Vec<_>>());

    let (mut path, mut seen) = ("/v1/users?limit=3".to_owned(), Vec::new());
    loop {
        let page = tenant.get(&tenant.owner, &path).await.expect(200);
        seen.extend(column(&page, "id"));
        let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        assert!(page.header("link").contains(&cursor));
        path = format!("/v1/users?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, column(&all, "id"));

    let filtered =
        async |query: &str| column(&tenant.get(&tenant.owner, &format!("/v1/users?{query}")).await.expect(200), "id");
    let viewer = filtered("role=viewer").await;
    assert_eq!(viewer.len(), 1);
    tenant.patch(&tenant.owner, &format!("/v1/users/{}", viewer[0]), &json!({"status": "suspended"})).await.expect(200);
    assert_eq!(filtered("status=suspended").await, viewer);
    assert_eq!(filtered("status=active").await.len(), 3);
    assert_eq!(filtered("status=active&role=owner").await, [tenant.owner.id.as_str()]);
    assert!(filtered("role=nobody-has-this").await.is_empty());
    for bad in ["limit=0", "status=gone", "role=Not%20a%20role", "unknown=1"] {
        tenant.get(&tenant.owner, &format!("/v1/users?{bad}")).await.problem(422, "validation");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_tenant_and_query() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    tenant.member(&["viewer"]).await;
    let page = tenant.get(&tenant.owner, "/v1/users?limit=1").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for (tenant, path) in [
        (&other, format!("/v1/users?limit=1&cursor={cursor}")),
        (&tenant, format!("/v1/users?limit=1&role=viewer&cursor={cursor}")),
        (&tenant, format!("/v1/audit?limit=1&cursor={cursor}")),
        (&tenant, "/v1/users?cursor=nonsense".to_owned()),
    ] {
        tenant.get(&tenant.owner, &path).await.problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn a_member_is_changed_by_a_merge_patch_that_may_name_the_version() {
    let tenant = OwnTenant::new().await;
    let subscriber = Subscriber::of(&tenant.id.parse().unwrap()).await;
    let member = tenant.member(&["viewer"]).await;
    let path = member.path();
    let seen = tenant.get(&tenant.owner, &path).await.expect(200);
    let etag = seen.header("etag").to_owned();
    let conditional = [("if-none-match", etag.as_str())];
    tenant.send_with("GET", &path, &tenant.owner.access_token, &conditional, None).await.expect(304);
    let change = async |tag: &str, body: Value| {
        let headers = [("if-match", tag)];
        tenant.send_with("PATCH", &path, &tenant.owner.access_token, &headers, Some(&body)).await
    };
    // A change that changes nothing is no version.
    let same = change(&etag, json!({"roles": ["viewer", "viewer"]})).await.expect(200);
    assert_eq!(same.header("etag"), etag);
    let changed = change(&etag, json!({"roles": ["member", "viewer"]})).await.expect(200);
    assert_eq!(changed.json()["roles"], json!(["member", "viewer"]));
    assert_eq!(tenant.get(&tenant.owner, &path).await.header("etag"), changed.header("etag"));
    change(&etag, json!({"roles": ["admin"]})).await.problem(412, "precondition-failed");
    change(changed.header("etag"), json!({"roles": ["viewer"], "status": "suspended"})).await.expect(200);

    let told = tokio::sync::Mutex::new(subscriber);
    let event = eventually("the suspension to be told", || async {
        let mut subscriber = told.lock().await;
        subscriber.look().await;
        let events = subscriber.about("member.changed", &member.id);
        events.into_iter().find(|event| event["data"]["suspended"] == true).cloned()
    })
    .await;
    assert_eq!(event["data"], json!({"user_id": member.id, "roles": ["viewer"], "suspended": true}));
    assert_eq!(event["source"], "/tenfold/auth");
    let trail: Vec<_> = tenant.audit().await.into_iter().filter(|(_, target)| *target == member.id).collect();
    let actions: Vec<_> = trail.iter().map(|(action, _)| action.as_str()).collect();
    let by_owner: Vec<_> = actions.iter().filter(|action| action.starts_with("member.")).collect();
    assert_eq!(by_owner.len(), 4, "{actions:?}");
    assert!(actions.contains(&"member.suspended"));
}

#[tokio::test]
async fn bad_changes_are_refused_with_a_pointer() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["viewer"]).await;
    let eleven: Vec<_> = (0..11).map(|number| format!("role{number}")).collect();
    for (body, pointer) in [
        (json!({"roles": []}), "/roles"),
        (json!({"roles": eleven}), "/roles"),
        (json!({"roles": ["viewer", "nobody-made-this"]}), "/roles/1"),
        (json!({"roles": ["viewer", "Not a role"]}), "/roles/1"),
        (json!({"roles": "viewer"}), "/roles"),
        (json!({"roles": null}), "/roles"),
        (json!({"roles": ["\u{0}\u{202e}"]}), "/roles/0"),
        (json!({"roles": ["v".repeat(100_000)]}), "/roles/0"),
        (json!({"status": "gone"}), "/status"),
        (json!({"email": "eve@example.com"}), "/email"),
        (json!({"id": null, "nme": null}), "/id"),
    ] {
        let problem = tenant.patch(&tenant.owner, &member.path(), &body).await.problem(422, "validation");
        let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
        assert!(pointers.iter().any(|found| **found == pointer || **found == ""), "{body}: {problem}");
    }
    assert_eq!(tenant.get(&tenant.owner, &member.path()).await.expect(200).json()["roles"], json!(["viewer"]));
}

#[tokio::test]
async fn only_an_owner_makes_changes_or_removes_an_owner() {
    let tenant = OwnTenant::new().await;
    let (admin, second) = (tenant.member(&["admin"]).await, tenant.member(&["owner"]).await);
    let viewer = tenant.member(&["viewer"]).await;
    let (key, _) = tenant.api_key(&["*"]).await;
    for credential in [&admin.access_token, &key] {
        for (method, path, body) in [
            ("PATCH", viewer.path(), Some(json!({"roles": ["owner"]}))),
            ("PATCH", admin.path(), Some(json!({"roles": ["admin", "owner"]}))),
            ("PATCH", second.path(), Some(json!({"roles": ["viewer"]}))),
            ("PATCH", second.path(), Some(json!({"status": "suspended"}))),
            ("DELETE", second.path(), None),
            ("DELETE", second.path() + "/sessions", None),
        ] {
            tenant.send(method, &path, credential, body.as_ref()).await.problem(403, "forbidden");
        }
        // Others they do change.
        let roles = json!({"roles": if *credential == key { ["viewer"] } else { ["admin"] }});
        tenant.send("PATCH", &viewer.path(), credential, Some(&roles)).await.expect(200);
    }
    tenant.patch(&second, &viewer.path(), &json!({"roles": ["owner"]})).await.expect(200);
    tenant.delete(&second, &viewer.path()).await.expect(204);
}

#[tokio::test]
async fn nobody_gives_a_role_that_grants_more_than_they_have() {
    let tenant = OwnTenant::new().await;
    for (name, permissions) in [
        ("helper", json!(["users:manage", "links:read"])),
        ("reader", json!(["links:read"])),
        ("writer", json!(["links:read", "links:write"])),
        ("heir", json!(["tenant:own"])),
    ] {
        let body = json!({"name": name, "permissions": permissions});
        tenant.post(&tenant.owner, "/v1/roles", &body).await.expect(201);
    }
    let (helper, target) = (tenant.member(&["helper"]).await, tenant.member(&["reader"]).await);
    let give = async |credential: &str, roles: Value| {
        tenant.send("PATCH", &target.path(), credential, Some(&json!({"roles": roles}))).await
    };
    for wider in ["writer", "viewer", "admin", "heir"] {
        give(&helper.access_token, json!(["reader", wider])).await.problem(403, "forbidden");
    }
    give(&helper.access_token, json!(["helper"])).await.expect(200);
    give(&helper.access_token, json!(["reader"])).await.expect(200);
    // Nor to themselves.
    tenant.patch(&helper, &helper.path(), &json!({"roles": ["helper", "admin"]})).await.problem(403, "forbidden");
    // What a member has already may stay, but who was kept out is let in by somebody who has as much.
    give(&tenant.owner.access_token, json!(["admin"])).await.expect(200);
    give(&helper.access_token, json!(["admin", "reader"])).await.expect(200);
    let suspend = |status: &str| json!({"status": status});
    tenant.patch(&helper, &target.path(), &suspend("suspended")).await.expect(200);
    tenant.patch(&helper, &target.path(), &suspend("active")).await.problem(403, "forbidden");
    tenant.patch(&tenant.owner, &target.path(), &suspend("active")).await.expect(200);

    let (wide, _) = tenant.api_key(&["*"]).await;
    let (narrow, _) = tenant.api_key(&["users:manage"]).await;
    give(&wide, json!(["heir"])).await.problem(403, "forbidden");
    give(&wide, json!(["writer"])).await.expect(200);
    give(&narrow, json!(["reader"])).await.problem(403, "forbidden");
    give(&tenant.owner.access_token, json!(["heir"])).await.expect(200);
}

#[tokio::test]
async fn the_last_owner_who_can_act_stays() {
    let tenant = OwnTenant::new().await;
    let owner = &tenant.owner;
    let last = async || {
        for body in [json!({"roles": ["admin"]}), json!({"status": "suspended"})] {
            tenant.patch(owner, &owner.path(), &body).await.problem(409, "last-owner");
        }
        tenant.delete(owner, &owner.path()).await.problem(409, "last-owner");
    };
    last().await;
    // An owner who is kept out does not count.
    let second = tenant.member(&["owner"]).await;
    tenant.patch(owner, &second.path(), &json!({"status": "suspended"})).await.expect(200);
    last().await;
    tenant.patch(owner, &second.path(), &json!({"status": "active"})).await.expect(200);
    tenant.patch(owner, &second.path(), &json!({"roles": ["owner", "viewer"]})).await.expect(200);
    tenant.delete(owner, &owner.path()).await.expect(204);
    tenant.wait(1);
    let second = tenant.log_in(&second.email).await;
    tenant.delete(&second, &second.path()).await.problem(409, "last-owner");
}

#[tokio::test]
async fn two_owners_who_demote_each_other_at_once_leave_one() {
    for round in 0..4 {
        let tenant = OwnTenant::new().await;
        let (first, second) = (tenant.owner.clone(), tenant.member(&["owner"]).await);
        let body = json!({"roles": ["admin"]});
        let demote = async |by: &str, path: String| match round % 2 {
            0 => tenant.send("PATCH", &path, by, Some(&body)).await,
            _ => tenant.send("DELETE", &path, by, None).await,
        };
        let (one, other) =
            tokio::join!(demote(&first.access_token, second.path()), demote(&second.access_token, first.path()));
        let done = [&one, &other].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(done, 1, "{one:?} {other:?}");
        for answer in [one, other] {
            // Who comes second is not an owner any more, or is told that they would leave none.
            assert!([200, 204, 401, 409].contains(&answer.status.as_u16()), "{answer:?}");
        }
        assert_eq!(owners(&tenant).await.len(), 1);
    }
}

async fn owners(tenant: &OwnTenant) -> Vec<String> {
    let (members, _) = accounts().members(&tenant.id.parse().unwrap(), None, 100).await.unwrap();
    members
        .iter()
        .filter(|member| member.is_owner() && member.is_active())
        .map(|member| member.user_id.to_string())
        .collect()
}

#[tokio::test]
async fn the_same_demotion_twice_at_once_is_done_once_and_answered_twice() {
    let tenant = OwnTenant::new().await;
    let second = tenant.member(&["owner"]).await;
    let (path, body) = (second.path(), json!({"roles": ["viewer"]}));
    let answers = join_all((0..4).map(|_| tenant.patch(&tenant.owner, &path, &body))).await;
    assert_eq!(statuses(&answers), [200, 200, 200, 200]);
    assert_eq!(owners(&tenant).await, [tenant.owner.id.as_str()]);
}

#[tokio::test]
async fn a_change_of_roles_ends_the_tokens_with_the_old_ones() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["admin"]).await;
    tenant.get(&member, "/v1/links").await.expect(200);
    tenant.get(&member, "/v1/users").await.expect(200);
    tenant.patch(&tenant.owner, &member.path(), &json!({"roles": ["viewer"]})).await.expect(200);
    // At once where it matters most, elsewhere within half a minute.
    let new = json!({"name": "x", "permissions": ["links:read"]});
    tenant.post(&member, "/v1/roles", &new).await.problem(401, "unauthenticated");
    tenant.wait(30);
    tenant.get(&member, "/v1/links").await.problem(401, "unauthenticated");
    let member = tenant.refreshed(&member).await;
    tenant.get(&member, "/v1/links").await.expect(200);
    tenant.get(&member, "/v1/users").await.problem(403, "forbidden");
}

#[tokio::test]
async fn who_signs_in_or_refreshes_right_after_a_change_of_roles_has_good_tokens_with_the_new_ones() {
    let tenant = OwnTenant::new().await;
    let mut member = tenant.member(&["admin"]).await;
    let role = json!({"name": "support", "permissions": ["links:read", "jobs:read"]});
    tenant.post(&tenant.owner, "/v1/roles", &role).await.expect(201);
    let narrower = json!({"permissions": ["links:read"]});
    for (path, change) in [
        (member.path(), json!({"roles": ["viewer"]})),
        (member.path(), json!({"roles": ["viewer", "support"]})),
        ("/v1/roles/support".to_owned(), narrower),
    ] {
        let owner = tenant.log_in(&tenant.owner.email).await;
        tenant.patch(&owner, &path, &change).await.expect(200);
        member = tenant.refreshed(&member).await;
        for after in [&member, &tenant.log_in(&member.email).await] {
            tenant.get(after, "/v1/auth/sessions").await.expect(200);
            tenant
                .post(after, "/v1/roles", &json!({"name": "x", "permissions": ["links:read"]}))
                .await
                .problem(403, "forbidden");
            tenant.get(after, "/v1/links").await.expect(200);
        }
        tenant.wait(20);
    }
}

#[tokio::test]
async fn a_suspended_member_is_kept_out_until_let_in_again() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    tenant.patch(&tenant.owner, &member.path(), &json!({"status": "suspended"})).await.expect(200);
    tenant.wait(30);
    tenant.get(&member, "/v1/links").await.problem(401, "unauthenticated");
    tenant.refresh(&member).await.problem(403, "forbidden");
    tenant.patch(&tenant.owner, &member.path(), &json!({"status": "active"})).await.expect(200);
    let member = tenant.refreshed(&member).await;
    tenant.get(&member, "/v1/links").await.expect(200);
}

#[tokio::test]
async fn a_removed_member_loses_the_tenant_and_keeps_the_account() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let mut subscriber = Subscriber::of(&tenant.id.parse().unwrap()).await;
    let member = tenant.member(&["member"]).await;
    let etag = tenant.get(&tenant.owner, &member.path()).await.header("etag").to_owned();
    let stale = [("if-match", "\"another\"")];
    tenant
        .send_with("DELETE", &member.path(), &tenant.owner.access_token, &stale, None)
        .await
        .problem(412, "precondition-failed");
    let current = [("if-match", etag.as_str())];
    tenant.send_with("DELETE", &member.path(), &tenant.owner.access_token, &current, None).await.expect(204);
    tenant.delete(&tenant.owner, &member.path()).await.problem(404, "not-found");
    tenant.get(&tenant.owner, &member.path()).await.problem(404, "not-found");
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/users").await, "id"), [tenant.owner.id.as_str()]);
    tenant.wait(30);
    tenant.get(&member, "/v1/links").await.problem(401, "unauthenticated");
    tenant.refresh(&member).await.problem(403, "forbidden");
    assert!(accounts().user(&member.id.parse().unwrap()).await.unwrap().is_some());
    let event = subscriber.await_event("member.removed", &member.id).await;
    assert_eq!(event["data"], json!({"user_id": member.id}));
    assert!(tenant.audit().await.contains(&("member.removed".to_owned(), member.id.clone())));
    assert!(other.audit().await.iter().all(|(_, target)| *target != member.id));
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let ids = [other.owner.id.clone(), other.id.clone(), "nonsense".to_owned(), "user_".to_owned()];
    for id in ids {
        let path = format!("/v1/users/{id}");
        for (method, path, body) in [
            ("GET", path.clone(), None),
            ("PATCH", path.clone(), Some(json!({"roles": ["viewer"]}))),
            ("DELETE", path.clone(), None),
            ("DELETE", path + "/sessions", None),
        ] {
            tenant.send(method, &path, &tenant.owner.access_token, body.as_ref()).await.problem(404, "not-found");
        }
    }
    other.get(&other.owner, &other.owner.path()).await.expect(200);
}

#[tokio::test]
async fn an_administrator_signs_a_member_out() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    let again = tenant.log_in(&member.email).await;
    tenant.delete(&tenant.owner, &format!("{}/sessions", member.path())).await.expect(204);
    for signed_in in [&member, &again] {
        tenant.refresh(signed_in).await.problem(401, "invalid-refresh-token");
    }
    tenant.wait(30);
    tenant.get(&member, "/v1/links").await.problem(401, "unauthenticated");
    let member = tenant.log_in(&member.email).await;
    tenant.get(&member, "/v1/links").await.expect(200);
    assert!(tenant.audit().await.contains(&("session.revoked".to_owned(), member.id)));
}

#[tokio::test]
async fn changes_need_a_recent_sign_in_and_looking_does_not() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["viewer"]).await;
    let (key, key_id) = tenant.api_key(&["*"]).await;
    tenant.wait(16 * 60);
    let owner = tenant.refreshed(&tenant.owner).await;
    for path in ["/v1/users", "/v1/roles", "/v1/tenant", "/v1/audit", "/v1/api-keys"] {
        tenant.get(&owner, path).await.expect(200);
    }
    let roles = json!({"roles": ["member"]});
    for (method, path, body) in [
        ("PATCH", member.path(), Some(roles.clone())),
        ("DELETE", member.path(), None),
        ("DELETE", member.path() + "/sessions", None),
        ("POST", "/v1/roles".to_owned(), Some(json!({"name": "x", "permissions": ["links:read"]}))),
        ("PATCH", "/v1/roles/x".to_owned(), Some(json!({"permissions": ["links:read"]}))),
        ("DELETE", "/v1/roles/x".to_owned(), None),
        ("PATCH", "/v1/tenant".to_owned(), Some(json!({"name": "x"}))),
        ("POST", "/v1/api-keys".to_owned(), Some(json!({"name": "x", "scopes": ["links:read"]}))),
        ("POST", format!("/v1/api-keys/{key_id}/rotate"), Some(json!({"overlap_seconds": 0}))),
        ("DELETE", format!("/v1/api-keys/{key_id}"), None),
    ] {
        let answer = tenant.send(method, &path, &owner.access_token, body.as_ref()).await;
        assert!(answer.header("www-authenticate").contains("max_age=900"), "{method} {path}: {answer:?}");
        answer.problem(401, "step-up-required");
    }
    // Programs prove themselves with each request.
    tenant.send("PATCH", &member.path(), &key, Some(&roles)).await.expect(200);
}

#[tokio::test]
async fn the_running_stack_refuses_a_demoted_members_token_on_every_service() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    let ask = |method: Method, path: &str, token: &str| anonymous(method, path).bearer_auth(token);
    // The tenant's clock was moved; a revocation ends what was issued before it.
    let issued = tenant.clock.now().as_second();
    eventually("the machine's clock", || async { (Clock::system().now().as_second() >= issued).then_some(()) }).await;
    ask(Method::GET, "/v1/links", &member.access_token).answer().await.expect(200);
    let seen = ask(Method::GET, &member.path(), &tenant.owner.access_token).answer().await.expect(200).json();
    assert_eq!(seen["roles"], json!(["member"]));
    let body = json!({"roles": ["viewer"]});
    let changed = ask(Method::PATCH, &member.path(), &tenant.owner.access_token).json(&body).answer().await;
    assert_eq!(changed.expect(200).json()["roles"], json!(["viewer"]));
    eventually("the token to be refused", || async {
        let answer = ask(Method::GET, "/v1/links", &member.access_token).answer().await;
        (answer.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_let_in_without_a_credential() {
    let users = Instance::of(&auth::SERVICE, "auth.users").await;
    for (method, path) in [
        ("GET", "/v1/users"),
        ("GET", "/v1/users/user_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("DELETE", "/v1/users/user_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("GET", "/v1/roles"),
        ("GET", "/v1/tenant"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/api-keys"),
    ] {
        users.http(method, path, &[], None).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn what_a_member_got_between_two_changes_in_one_moment_is_ended_by_the_second() {
    let tenant = OwnTenant::new().await;
    let role = json!({"name": "support", "permissions": ["links:read", "links:write"]});
    tenant.post(&tenant.owner, "/v1/roles", &role).await.expect(201);
    let [removed, suspended, demoted, narrowed] = [
        tenant.member(&["viewer", "support"]).await,
        tenant.member(&["viewer", "support"]).await,
        tenant.member(&["viewer", "support"]).await,
        tenant.member(&["viewer", "support"]).await,
    ];
    tenant.wait(10);
    // From here on the clock stands. A member changes the membership, too: by a name.
    let mut between = Vec::new();
    for member in [&removed, &suspended, &demoted, &narrowed] {
        tenant.patch(member, "/v1/me", &json!({"name": "Mallory"})).await.expect(200);
        between.push(tenant.refreshed(member).await);
    }
    tenant.delete(&tenant.owner, &removed.path()).await.expect(204);
    tenant.patch(&tenant.owner, &suspended.path(), &json!({"status": "suspended"})).await.expect(200);
    tenant.patch(&tenant.owner, &demoted.path(), &json!({"roles": ["viewer"]})).await.expect(200);
    let fewer = json!({"permissions": ["links:read"]});
    tenant.patch(&tenant.owner, "/v1/roles/support", &fewer).await.expect(200);
    // Who refreshes after it has what is left, and keeps it.
    let after = [tenant.refreshed(&between[2]).await, tenant.refreshed(&between[3]).await];
    tenant.wait(30);
    for member in &between {
        tenant.get(member, "/v1/links").await.problem(401, "unauthenticated");
    }
    for member in &after {
        tenant.get(member, "/v1/links").await.expect(200);
    }
}

#[tokio::test]
async fn a_member_who_takes_another_name_keeps_no_token_that_ends() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    tenant.wait(10);
    // A change that began before the member's and is written after it, as one of many that are tried at once.
    let begun = Clock::manual(tenant.clock.now() - SignedDuration::from_millis(1500));
    tenant.patch(&member, "/v1/me", &json!({"name": "Mallory"})).await.expect(200);
    let between = tenant.refreshed(&member).await;
    let users = Instance::with(&auth::SERVICE, "auth.users", begun, |environment| environment).await;
    let bearer = format!("Bearer {}", tenant.owner.access_token);
    let stricter = json!({"settings": {"second_factor_required": true}});
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/merge-patch+json")];
    users.http("PATCH", "/v1/tenant", &headers, Some(&stricter)).await.expect(200);
    tenant.wait(30);
    for token in [&member, &between] {
        tenant.get(token, "/v1/links").await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_name_that_a_slow_clock_wrote_makes_no_removal_look_older_than_what_it_ends() {
    let tenant = OwnTenant::new().await;
    let [removed, suspended] = [tenant.member(&["viewer"]).await, tenant.member(&["viewer"]).await];
    tenant.wait(10);
    let slow = Clock::manual(tenant.clock.now() - SignedDuration::from_millis(2500));
    for member in [&removed, &suspended] {
        tenant.patch(&tenant.owner, &member.path(), &json!({"roles": ["member"]})).await.expect(200);
    }
    let between = [tenant.refreshed(&removed).await, tenant.refreshed(&suspended).await];
    let api = Instance::with(&auth::SERVICE, "auth.api", slow.clone(), |environment| environment).await;
    let users = Instance::with(&auth::SERVICE, "auth.users", slow, |environment| environment).await;
    let send = async |function: &Instance, by: &Member, method: &str, path: &str, body: Option<Value>| {
        let bearer = format!("Bearer {}", by.access_token);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/merge-patch+json")];
        function.http(method, path, &headers, body.as_ref()).await
    };
    for member in &between {
        send(&api, member, "PATCH", "/v1/me", Some(json!({"name": "Mallory"}))).await.expect(200);
    }
    send(&users, &tenant.owner, "DELETE", &removed.path(), None).await.expect(204);
    let status = Some(json!({"status": "suspended"}));
    send(&users, &tenant.owner, "PATCH", &suspended.path(), status).await.expect(200);
    tenant.wait(30);
    for member in &between {
        tenant.get(member, "/v1/links").await.problem(401, "unauthenticated");
    }
}
