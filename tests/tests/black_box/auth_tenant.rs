//! The tenant's settings and its audit trail.

use serde_json::{Value, json};
use shared::time::rfc3339_millis;
use tests::Tenant;
use tests::account::PASSWORD;
use totp_rs::Totp;

use crate::own_tenant::{OwnTenant, column};

#[tokio::test]
async fn an_administrator_changes_the_settings_by_a_merge_patch() {
    let tenant = OwnTenant::new().await;
    let seen = tenant.get(&tenant.owner, "/v1/tenant").await.expect(200);
    assert_eq!((&seen.json()["id"], &seen.json()["settings"]["sign_up"]), (&json!(tenant.id), &json!("closed")));
    let owner = &tenant.owner.access_token;
    let tag = seen.header("etag").to_owned();
    tenant.send_with("GET", "/v1/tenant", owner, &[("if-none-match", &tag)], None).await.expect(304);
    let patch =
        async |body: Value| tenant.send_with("PATCH", "/v1/tenant", owner, &[("if-match", &tag)], Some(&body)).await;
    assert_eq!(patch(json!({"settings": {"sign_up": "closed"}})).await.expect(200).header("etag"), tag);
    let body =
        json!({"name": "Example Ltd", "settings": {"sign_up": "open", "allowed_email_domains": ["EXAMPLE.com"]}});
    let changed = patch(body.clone()).await.expect(200).json();
    assert_eq!(changed["name"], "Example Ltd");
    assert_eq!(changed["settings"]["allowed_email_domains"], json!(["example.com"]));
    assert_eq!(changed["settings"]["session_seconds"], 2_592_000);
    patch(body).await.problem(412, "precondition-failed");
    tenant.wait(1);
    let reset = tenant.patch(&tenant.owner, "/v1/tenant", &json!({"settings": {"sign_up": null}})).await.expect(200);
    assert_eq!(reset.json()["settings"]["sign_up"], "closed");

    let trail = tenant.get(&tenant.owner, "/v1/audit?action=tenant.settings_changed").await.expect(200);
    assert_eq!(column(&trail, "detail"), ["sign_up", "allowed_email_domains name sign_up"]);
    assert_eq!(trail.json()["data"][0]["actor"], tenant.owner.id);
}

#[tokio::test]
async fn bad_settings_are_named() {
    let tenant = OwnTenant::new().await;
    for (body, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"name": null}), "/name"),
        (json!({"name": "a\u{202e}b"}), "/name"),
        (json!({"settings": {"session_seconds": 1}}), "/settings/session_seconds"),
        (json!({"settings": {"session_seconds": "long"}}), "/settings/session_seconds"),
        (json!({"settings": {"sign_up": "never"}}), "/settings/sign_up"),
        (json!({"settings": {"allowed_email_domains": ["no domain"]}}), "/settings/allowed_email_domains"),
        (json!({"settings": {"unknown": 1}}), "/settings/unknown"),
        (json!({"id": "tenant_1"}), "/id"),
    ] {
        let problem = tenant.patch(&tenant.owner, "/v1/tenant", &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_second_factor_that_becomes_required_is_asked_of_everybody_within_half_a_minute() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    tenant.get(&member, "/v1/links").await.expect(200);
    let body = json!({"settings": {"second_factor_required": true}});
    tenant.patch(&tenant.owner, "/v1/tenant", &body).await.expect(200);
    tenant.wait(30);
    tenant.get(&member, "/v1/links").await.problem(401, "unauthenticated");
    let member = tenant.refreshed(&member).await;
    tenant.get(&member, "/v1/links").await.problem(403, "forbidden");
    tenant.get(&member, "/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_second_factor_that_is_required_is_proved_in_each_session() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    let elsewhere = tenant.log_in(&member.email).await;
    let body = json!({"settings": {"second_factor_required": true}});
    tenant.patch(&tenant.owner, "/v1/tenant", &body).await.expect(200);
    tenant.wait(30);

    // The session in which it is set up has proved it.
    let member = tenant.refreshed(&member).await;
    tenant.get(&member, "/v1/links").await.problem(403, "forbidden");
    let begun = tenant.post(&member, "/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let app = Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
    let code = |tenant: &OwnTenant| app.generate(tenant.clock.now().as_second().unsigned_abs()).to_string();
    let confirmation = json!({"code": code(&tenant)});
    tenant.post(&member, "/v1/auth/factors/totp/confirm", &confirmation).await.expect(200);
    let member = tenant.refreshed(&member).await;
    tenant.get(&member, "/v1/links").await.expect(200);

    // Whoever has another session of the same user has proved nothing by that.
    let elsewhere = tenant.refreshed(&elsewhere).await;
    tenant.get(&elsewhere, "/v1/links").await.problem(403, "forbidden");
    tenant.get(&elsewhere, "/v1/me").await.expect(200);
    tenant.wait(30);
    let proof = json!({"password": PASSWORD, "totp": code(&tenant)});
    let stepped_up = tenant.post(&elsewhere, "/v1/auth/step-up", &proof).await.expect(200).json();
    let token = stepped_up["access_token"].as_str().unwrap();
    tenant.send("GET", "/v1/links", token, None).await.expect(200);
    let elsewhere = tenant.refreshed(&elsewhere).await;
    tenant.get(&elsewhere, "/v1/links").await.expect(200);
}

#[tokio::test]
async fn a_tenant_to_which_nobody_signed_up_has_no_settings() {
    let tenant = Tenant::new().await;
    tenant.get("/v1/tenant").await.problem(404, "not-found");
    tenant.patch("/v1/tenant", &json!({"name": "x"})).await.problem(404, "not-found");
}

#[tokio::test]
async fn the_audit_trail_is_read_from_its_newest_record_on() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let owner = &tenant.owner;
    let before = tenant.clock.now();
    for number in 0..5 {
        tenant.wait(10);
        let body = json!({"name": format!("role{number}"), "permissions": ["links:read"]});
        tenant.post(owner, "/v1/roles", &body).await.expect(201);
    }
    let all = tenant.get(owner, "/v1/audit?action=role.created").await.expect(200);
    assert_eq!(column(&all, "target"), ["role4", "role3", "role2", "role1", "role0"]);
    let first = &all.json()["data"][0];
    assert!(
        first["id"].as_str().unwrap().starts_with("audit_") && first["network"].as_str().unwrap().ends_with(".0/24")
    );
    assert_eq!((&first["actor"], &first["detail"]), (&json!(owner.id), &json!("links:read")));

    for query in ["", "action=role.created&"] {
        let (mut path, mut seen) = (format!("/v1/audit?{query}limit=2"), Vec::new());
        loop {
            let page = tenant.get(owner, &path).await.expect(200);
            seen.extend(column(&page, "id"));
            let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
            path = format!("/v1/audit?{query}limit=2&cursor={cursor}");
        }
        let whole = tenant.get(owner, &format!("/v1/audit?{query}limit=200")).await.expect(200);
        assert_eq!(seen, column(&whole, "id"));
    }

    let at = |seconds: i64| rfc3339_millis(before + shared::time::SignedDuration::from_secs(seconds));
    let between =
        async |query: String| column(&tenant.get(owner, &format!("/v1/audit?{query}")).await.expect(200), "target");
    // From its time on, and before it.
    assert_eq!(between(format!("from={}", at(30))).await, ["role4", "role3", "role2"]);
    assert_eq!(between(format!("from={}&before={}", at(20), at(40))).await, ["role2", "role1"]);
    assert!(between(format!("from={}&before={}", at(40), at(20))).await.is_empty());
    assert_eq!(between(format!("actor={}&from={}", owner.id, at(50))).await, ["role4"]);
    assert!(between("actor=user_else".to_owned()).await.is_empty());
    for bad in ["action=unknown", "from=yesterday", "limit=201", "target=x"] {
        tenant.get(owner, &format!("/v1/audit?{bad}")).await.problem(422, "validation");
    }
    // Nothing of it is another tenant's to see.
    assert!(other.audit().await.iter().all(|(action, _)| action != "role.created"));
}
