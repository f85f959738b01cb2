//! Access tokens that end before their time: everywhere within half a minute, and at once where it matters most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use futures::future::join_all;
use serde_json::json;
use shared::dynamo::Dynamo;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::permission::WriteLinks;
use shared::identity::store::{ApiKeyRecord, IdentityStore};
use shared::identity::{Authenticator, Caller, PrincipalKind, Revoked, Scopes, Sensitive};
use shared::lambda::Function;
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};
use tests::{Answer, Fault, FaultProxy, Instance, Tenant, identity, stack};

use crate::resources::{aws, table};
use crate::tokens::{Door, Signer, signer};

fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

async fn revoke(revoked: &[Revoked], clock: &Clock) {
    identity().revoke(revoked, clock.now()).await.unwrap();
}

fn session_of(door: &Door) -> Revoked {
    Revoked::Session(door.claims().sid.unwrap())
}

#[tokio::test]
async fn a_revoked_sessions_token_is_refused_everywhere_within_thirty_seconds() {
    let door = Door::new().await;
    let token = door.token_with(json!({})).await;
    door.knock(&token).await.expect(200);
    revoke(&[session_of(&door)], &door.clock).await;
    // An instance that starts now knows at once.
    let other = Instance::with(&links::SERVICE, "links.api", door.clock.clone(), |environment| environment).await;
    let bearer = format!("Bearer {token}");
    let answer = other.http("GET", "/v1/links", &[("authorization", &bearer)], None).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    answer.problem(401, "unauthenticated");
    door.clock.advance(seconds(30));
    door.knock(&token).await.problem(401, "unauthenticated");
    // Another session of the same user goes on.
    door.knock(&door.token_with(json!({"sid": "another"})).await).await.expect(200);
}

#[tokio::test]
async fn the_running_stack_refuses_a_revoked_session_that_it_has_not_seen() {
    let door = Door::new().await;
    let token = door.token_with(json!({})).await;
    revoke(&[session_of(&door)], &Clock::system()).await;
    tests::eventually("the revocation to hold", || async {
        let request = tests::anonymous(http::Method::GET, "/v1/links").bearer_auth(&token);
        (tests::Ask::answer(request).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_user_member_client_or_tenant_got_so_far_ends_and_what_comes_after_is_good() {
    for kind in 0..4 {
        let door = Door::new().await;
        let claims = door.claims();
        let (tenant, user) = (claims.tid, claims.sub.clone());
        let revoked = match kind {
            0 => Revoked::User(user),
            1 => Revoked::Member { tenant, user },
            2 => Revoked::Client(claims.client_id.clone()),
            _ => Revoked::Tenant(tenant),
        };
        revoke(std::slice::from_ref(&revoked), &door.clock).await;
        // It may be written later than its time by two seconds: a token that was begun meanwhile may hold what was before.
        for (later, status) in [(-5000, 401), (0, 401), (2000, 401), (2001, 200)] {
            let token = door.token_with(json!({"as_of": claims.as_of + later})).await;
            let answer = door.knock(&token).await;
            assert_eq!(answer.status, status, "{revoked:?} {later}");
        }
        // Others than those who are meant go on.
        let elsewhere = Tenant::new().await.id;
        for (change, ends) in [
            (json!({"sub": "user_else"}), kind >= 2),
            (json!({"tid": elsewhere}), kind != 1 && kind != 3),
            (json!({"client_id": "app_else"}), kind != 2),
        ] {
            let status = if ends { 401 } else { 200 };
            let answer = door.knock(&door.token_with(change.clone()).await).await;
            assert_eq!(answer.status, status, "{revoked:?} {change}");
        }
    }
}

#[tokio::test]
async fn a_machine_clients_tokens_end_with_the_client() {
    let door = Door::new().await;
    let id = door.tenant.id.to_string().replace("tenant_", "client_");
    let machine = json!({"sub": id, "client_id": id, "sid": null, "auth_time": null, "roles": null});
    let token = door.token_with(machine).await;
    door.knock(&token).await.expect(200);
    revoke(&[Revoked::Client(id)], &door.clock).await;
    door.clock.advance(seconds(30));
    door.knock(&token).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_is_revoked_twice_in_one_go_is_revoked() {
    let door = Door::new().await;
    revoke(&[session_of(&door), session_of(&door)], &door.clock).await;
    door.knock(&door.token_with(json!({})).await).await.problem(401, "unauthenticated");
}

/// A door whose identity table is its own, so that what is in its list of revocations is up to the test.
async fn alone(endpoint: Option<&str>) -> (Door, IdentityStore) {
    let own = table("identity", &["pk", "sk"]).await;
    let store = IdentityStore::new(Dynamo::new(aws().dynamo), own.clone(), Random::system());
    signer().await;
    store.put_key_set(&identity().key_set().await.unwrap()).await.unwrap();
    let door = Door::at(Clock::system().now(), |environment| {
        let environment = environment.with("IDENTITY_TABLE", &own);
        endpoint.map_or(environment.clone(), |url| environment.with("AWS_ENDPOINT_URL", url))
    })
    .await;
    (door, store)
}

#[tokio::test]
async fn a_revocation_that_comes_late_or_beside_one_from_a_fast_clock_is_seen() {
    let (door, store) = alone(None).await;
    let token = async |session: &str| door.token_with(json!({"sid": session, "iat": door.claims().iat - 300})).await;
    let revoke = async |session: &str, at| store.revoke(&[Revoked::Session(session.to_owned())], at).await.unwrap();
    revoke("fast", door.clock.now() + seconds(600)).await;
    door.knock(&token("fast").await).await.problem(401, "unauthenticated");
    for (session, age) in [("prompt", 0), ("late", 50)] {
        door.knock(&token(session).await).await.expect(200);
        revoke(session, door.clock.now() - seconds(age)).await;
        door.clock.advance(seconds(15));
        door.knock(&token(session).await).await.problem(401, "unauthenticated");
    }
    for session in ["fast", "prompt", "late"] {
        door.knock(&token(session).await).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_long_list_of_revocations_is_read_to_its_end() {
    let proxy = FaultProxy::watching().await;
    let (door, store) = alone(Some(proxy.url())).await;
    let long = |number: usize| Revoked::Session(format!("{number:0>900}"));
    let all: Vec<_> = (0..1_300).map(long).collect();
    for written in join_all(all.chunks(50).map(|some| store.revoke(some, door.clock.now()))).await {
        written.unwrap();
    }
    store.revoke(&[session_of(&door)], door.clock.now() + seconds(1)).await.unwrap();
    door.knock(&door.token_with(json!({})).await).await.problem(401, "unauthenticated");
    // It is more than the megabyte that one page has.
    assert_eq!(reads_of(&proxy), 2);
}

/// How often the list was read.
fn reads_of(proxy: &FaultProxy) -> usize {
    proxy.calls().iter().filter(|call| *call == "Query").count()
}

#[tokio::test]
async fn the_list_is_read_once_in_fifteen_seconds_and_not_for_api_keys() {
    let proxy = FaultProxy::watching().await;
    let (door, _) = alone(Some(proxy.url())).await;
    let token = door.token_with(json!({})).await;
    let ask = || door.ask("GET", "/v1/links/blocklist", &token, None);
    for answer in join_all((0..20).map(|_| ask())).await {
        answer.expect(200);
    }
    door.clock.advance(SignedDuration::from_millis(14_999));
    ask().await.expect(200);
    assert_eq!(reads_of(&proxy), 1);
    door.clock.advance(SignedDuration::from_millis(1));
    ask().await.expect(200);
    assert_eq!(reads_of(&proxy), 2);
    let unknown = ApiKey::generate(KeyMode::Test, door.clock.now(), &Random::system());
    door.clock.advance(seconds(60));
    door.ask("GET", "/v1/links/blocklist", unknown.expose(), None).await.expect(401);
    assert_eq!(reads_of(&proxy), 2);
}

#[tokio::test]
async fn nobody_with_a_token_is_let_in_when_the_revocations_cannot_be_known() {
    let away = Arc::new(AtomicBool::new(true));
    let rule = away.clone();
    let down = move |operation: &str| operation == "Query" && rule.load(Ordering::SeqCst);
    let proxy = FaultProxy::start(move |operation| down(operation).then_some(Fault::ServerError)).await;
    let (door, _) = alone(Some(proxy.url())).await;
    let token = door.token_with(json!({})).await;
    let ask = || door.ask("GET", "/v1/links/blocklist", &token, None);

    let answer = ask().await;
    assert!(!answer.header("retry-after").is_empty());
    answer.problem(503, "unavailable");
    away.store(false, Ordering::SeqCst);
    ask().await.expect(200);
    away.store(true, Ordering::SeqCst);
    door.clock.advance(SignedDuration::from_millis(29_999));
    ask().await.expect(200);
    door.clock.advance(SignedDuration::from_millis(1));
    ask().await.problem(503, "unavailable");
    away.store(false, Ordering::SeqCst);
    ask().await.expect(200);
}

/// What the routes of the test's own function need.
#[derive(Clone)]
struct Desk(Authenticator);

impl FromRef<Desk> for Authenticator {
    fn from_ref(desk: &Desk) -> Self {
        desk.0.clone()
    }
}

async fn plain(caller: Caller<WriteLinks>) -> String {
    caller.subject.clone()
}

async fn sensitive(caller: Sensitive<WriteLinks>) -> String {
    caller.subject.clone()
}

/// A function with a plain route and a sensitive one.
struct Office {
    door: Door,
    authenticator: Authenticator,
    instance: Instance,
}

impl Office {
    async fn new() -> Self {
        let door = Door::new().await;
        let runtime = Instance::runtime().with_clock(door.clock.clone());
        let authenticator = Authenticator::new(&runtime).unwrap();
        let router = Router::new().route("/plain", get(plain)).route("/sensitive", get(sensitive));
        let function = Function::http(&runtime, router.with_state(Desk(authenticator.clone())));
        Self { door, authenticator, instance: Instance::from_function(function) }
    }

    async fn ask(&self, path: &str, credential: &str) -> Answer {
        self.instance.http("GET", path, &[("authorization", &format!("Bearer {credential}"))], None).await
    }

    /// A new key of the tenant, with its record.
    async fn key(&self) -> (ApiKey, ApiKeyRecord) {
        let key = ApiKey::generate(KeyMode::Live, self.door.clock.now(), &Random::system());
        let record = ApiKeyRecord::new(&key, self.door.tenant.id, "test", Scopes::all(), "test");
        Tenant::put_key(&record).await;
        (key, record)
    }
}

#[tokio::test]
async fn a_sensitive_route_refuses_a_revoked_token_at_once() {
    let office = Office::new().await;
    let (tenant, user) = (office.door.claims().tid, office.door.claims().sub);
    for (session, revoked) in [
        ("a", Revoked::Session("a".to_owned() + &user)),
        ("b", Revoked::User(user.clone())),
        ("c", Revoked::Member { tenant, user: user.clone() }),
        ("d", Revoked::Client(office.door.claims().client_id)),
        ("e", Revoked::Tenant(tenant)),
    ] {
        // Each issued after what was revoked before it.
        office.door.clock.advance(SignedDuration::from_millis(2500));
        let token = office.door.token_with(json!({"sid": session.to_owned() + &user})).await;
        office.ask("/plain", &token).await.expect(200);
        office.ask("/sensitive", &token).await.expect(200);
        revoke(std::slice::from_ref(&revoked), &office.door.clock).await;
        let answer = office.ask("/sensitive", &token).await;
        assert_eq!(answer.status, 401, "{revoked:?}");
        // The other knows within its bound.
        office.ask("/plain", &token).await.expect(200);
    }
}

#[tokio::test]
async fn a_sensitive_route_refuses_a_revoked_key_at_once() {
    let office = Office::new().await;
    let (key, record) = office.key().await;
    office.ask("/plain", key.expose()).await.expect(200);
    office.ask("/sensitive", key.expose()).await.expect(200);
    Tenant::put_key(&ApiKeyRecord { revoked_at: Some(office.door.clock.now()), ..record }).await;
    office.ask("/plain", key.expose()).await.expect(200);
    office.ask("/sensitive", key.expose()).await.problem(401, "unauthenticated");
    // And what it has learned holds for the other too.
    office.ask("/plain", key.expose()).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_sensitive_route_needs_a_sign_in_of_the_last_fifteen_minutes() {
    let office = Office::new().await;
    let now = office.door.clock.now().as_second();
    let token = async |change| office.door.token_with(change).await;
    office.ask("/sensitive", &token(json!({"auth_time": now - 899})).await).await.expect(200);
    for auth_time in [json!(now - 901), json!(null), json!(0)] {
        let old = token(json!({"auth_time": auth_time})).await;
        office.ask("/plain", &old).await.expect(200);
        let answer = office.ask("/sensitive", &old).await;
        let challenge = "Bearer error=\"insufficient_user_authentication\", max_age=900";
        assert_eq!(answer.header("www-authenticate"), challenge);
        answer.problem(401, "step-up-required");
    }
    // Who may not do it anyway is told so, and programs cannot sign in.
    let reader = token(json!({"scope": "links:read", "auth_time": null})).await;
    office.ask("/sensitive", &reader).await.problem(403, "forbidden");
    let machine = json!({"sub": "client_1", "client_id": "client_1", "sid": null, "auth_time": null});
    office.ask("/sensitive", &token(machine).await).await.expect(200);
    office.ask("/sensitive", office.key().await.0.expose()).await.expect(200);
}

#[tokio::test]
async fn an_introspected_credential_is_told_by_what_holds_at_this_moment() {
    let office = Office::new().await;
    let introspect = async |credential: &str| office.authenticator.introspect(credential).await.unwrap();
    let claims = office.door.claims();
    let token = office.door.token_with(json!({})).await;
    let user = introspect(&token).await.unwrap();
    assert_eq!((user.kind, &user.subject, user.tenant), (PrincipalKind::User, &claims.sub, claims.tid));
    assert_eq!((user.session, user.client, user.token_id), (claims.sid, Some(claims.client_id), Some(claims.jti)));
    let times = [user.issued_at, user.expires_at, user.authenticated_at].map(|at| at.map(Timestamp::as_second));
    assert_eq!(times, [Some(claims.iat), Some(claims.exp), claims.auth_time]);
    revoke(&[session_of(&office.door)], &office.door.clock).await;
    assert_eq!(introspect(&token).await, None);

    let (key, record) = office.key().await;
    let program = introspect(key.expose()).await.unwrap();
    assert_eq!((program.kind, program.subject), (PrincipalKind::ApiKey, key.id().to_string()));
    assert_eq!(program.issued_at.map(Timestamp::as_second), Some(office.door.clock.now().as_second()));
    Tenant::put_key(&ApiKeyRecord { revoked_at: Some(office.door.clock.now()), ..record }).await;
    assert_eq!(introspect(key.expose()).await, None);

    let forged = Signer::new().token(&crate::tokens::header(), &office.door.claims_with(json!({})));
    for nothing in ["", "x", "a.b.c", "tf_", "tf_live_x", &forged] {
        assert_eq!(introspect(nothing).await, None, "{nothing}");
    }
}

#[tokio::test]
async fn an_introspection_fails_when_the_store_is_down() {
    let proxy = FaultProxy::start(|_| Some(Fault::ServerError)).await;
    let environment = stack().environment("links.api").unwrap().with("AWS_ENDPOINT_URL", proxy.url());
    let runtime = shared::lambda::Runtime::new("links.api", environment).unwrap();
    let authenticator = Authenticator::new(&runtime).unwrap();
    let office = Office::new().await;
    let (token, key) = (office.door.token_with(json!({})).await, office.key().await.0);
    for credential in [token.as_str(), key.expose()] {
        let problem = authenticator.introspect(credential).await.unwrap_err();
        assert_eq!(problem.kind(), shared::http::ProblemType::Unavailable);
    }
}
