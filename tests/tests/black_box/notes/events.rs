//! What is told of notes: each change, at least once, whatever happens between the database and the relay.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::events::identity::{MemberRemoved, UserDeleted};
use shared::time::{Clock, SignedDuration};
use sqlx::{Connection as _, PgConnection};
use tests::{Answer, Ask as _, Fault, FaultProxy, Instance, Tenant, http_event};

use super::{House, tell};
use crate::postgres::migrated_database;
use crate::postgres::outages::Road;
use crate::resources::Subscriber;

pub(super) fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// `notes.outbox` of the stack's own database, a minute ahead: it finds what was left behind just now.
async fn sweep() {
    let clock = Clock::manual(Clock::system().now() + SignedDuration::from_mins(1));
    let outbox = Instance::with(&notes::SERVICE, "notes.outbox", clock, |environment| environment).await;
    outbox.invoke(&json!({})).await.unwrap();
}

#[tokio::test]
async fn a_subscriber_learns_of_each_change_of_a_note_and_of_nothing_that_it_says() {
    let house = House::new();
    let mut subscriber = Subscriber::of(&house.tenant).await;
    let (ada, bob) = (house.member().await, house.member().await);
    let path = ada.note(json!({"title": "secret", "content": "secret", "tags": ["secret"]})).await;
    ada.share(&path, &bob, "write").await;
    bob.patch(&path, &json!({"content": "more secrets"})).await.expect(200);
    bob.patch(&path, &json!({"content": "more secrets"})).await.expect(200);
    bob.delete(&path).await.problem(403, "forbidden");
    ada.delete(&path).await.expect(204);
    ada.request(http::Method::POST, &format!("{path}/restore")).answer().await.expect(200);
    for (kind, version) in [("note.created", 1), ("note.updated", 2), ("note.deleted", 3), ("note.restored", 4)] {
        let event = subscriber.await_event(kind, id(&path)).await;
        assert_eq!(event["data"], json!({"note_id": id(&path), "owner": ada.id, "version": version}), "{kind}");
        assert_eq!(event["source"], "/tenfold/notes");
    }
    assert_eq!(subscriber.events.len(), 4, "{:?}", subscriber.events);
    assert!(!format!("{:?}", subscriber.events).contains("secret"));
}

#[tokio::test]
async fn of_a_request_in_bulk_each_note_is_told_once_with_its_last_version() {
    let house = House::new();
    let mut subscriber = Subscriber::of(&house.tenant).await;
    let ada = house.member().await;
    let (one, two) = (ada.note(json!({"title": "one"})).await, ada.note(json!({"title": "two"})).await);
    let operations = json!({"operations": [
        {"op": "create", "note": {"title": "three"}},
        {"op": "tag", "id": id(&one), "add": ["x"]},
        {"op": "update", "id": id(&one), "patch": {"title": "ONE"}},
        {"op": "delete", "id": id(&two)},
    ]});
    let done = ada.post("/v2/notes/bulk", &operations).await.expect(200).json();
    let made = done["results"][0]["id"].as_str().unwrap();
    for (kind, note, version) in
        [("note.created", made, 1), ("note.updated", id(&one), 3), ("note.deleted", id(&two), 2)]
    {
        assert_eq!(subscriber.await_event(kind, note).await["data"]["version"], json!(version), "{kind}");
    }
    assert_eq!(subscriber.about("note.updated", id(&one)).len(), 1);
}

#[tokio::test]
async fn who_goes_is_told_by_their_notes() {
    let house = House::new();
    let mut subscriber = Subscriber::of(&house.tenant).await;
    let (ada, bob) = (house.member().await, house.member().await);
    let (of_ada, of_bob) = (ada.note(json!({"title": "a"})).await, bob.note(json!({"title": "b"})).await);
    let now = Clock::system().now() + SignedDuration::from_secs(1);
    let gone = UserDeleted { user_id: ada.id.clone(), tenant_ids: vec![house.tenant] };
    tell(&house.event(&ada, gone, now)).await;
    tell(&house.event(&bob, MemberRemoved { user_id: bob.id.clone() }, now)).await;
    sweep().await;
    let purged = subscriber.await_event("note.purged", id(&of_ada)).await;
    assert_eq!(purged["data"], json!({"note_id": id(&of_ada), "owner": ada.id, "version": 1}));
    let given = subscriber.await_event("note.updated", id(&of_bob)).await;
    assert_eq!(given["data"], json!({"note_id": id(&of_bob), "owner": house.tenant, "version": 1}));
}

/// How many entries went by.
pub(super) fn handed_over(watched: &FaultProxy) -> usize {
    let puts = watched.requests("PutItem").into_iter().filter(|put| put["Item"]["outbox"].is_object());
    puts.map(|put| put["Item"]["pk"]["S"].to_string()).collect::<BTreeSet<_>>().len()
}

/// Notes with a database and a clock of their own, so that nobody else hands over what they tell.
pub(super) struct Deployment {
    pub(super) database: String,
    pub(super) clock: Clock,
    pub(super) tenant: Tenant,
}

impl Deployment {
    pub(super) async fn new() -> Self {
        let clock = Clock::manual(Clock::system().now());
        Self { database: migrated_database().await, clock, tenant: Tenant::new().await }
    }

    pub(super) async fn instance(&self, handler: &str, variables: &[(&str, &str)]) -> Instance {
        Instance::with(&notes::SERVICE, handler, self.clock.clone(), |environment| {
            let own = environment.with("DATABASE_URL", &self.database);
            variables.iter().fold(own, |environment, (name, value)| environment.with(name, value))
        })
        .await
    }

    pub(super) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let authorization = format!("Bearer {}", self.tenant.api_key);
        http_event(method, path, &[("authorization", &authorization)], body.map(ToString::to_string).as_deref())
    }

    /// Makes a note, up to the answer.
    async fn note(&self, api: &Instance) -> Answer {
        let request = self.request("POST", "/v2/notes", Some(&json!({"title": "a"})));
        api.answer_in(&request, lambda_runtime::Context::default()).await.expect(201)
    }

    /// How many entries wait in the outbox.
    pub(super) async fn waiting(&self) -> i64 {
        self.waiting_with("").await
    }

    /// How many of them have an event of a type.
    pub(super) async fn waiting_with(&self, kind: &str) -> i64 {
        let mut owner = PgConnection::connect(&self.database).await.unwrap();
        let query = sqlx::query_scalar("SELECT count(*) FROM notes.outbox WHERE strpos(events, $1) > 0").bind(kind);
        query.fetch_one(&mut owner).await.unwrap()
    }

    /// Lets the sweep's grace pass, and sweeps.
    pub(super) async fn sweep(&self) {
        self.sweep_with(&[]).await;
    }

    pub(super) async fn sweep_with(&self, variables: &[(&str, &str)]) {
        self.clock.advance(SignedDuration::from_secs(31));
        self.instance("notes.outbox", variables).await.invoke(&json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn what_an_instance_did_not_hand_over_before_it_was_killed_is_told_by_the_sweep() {
    let deployment = Deployment::new().await;
    let mut subscriber = Subscriber::of(&deployment.tenant.id).await;
    let api = deployment.instance("notes.api", &[]).await;
    let made = deployment.note(&api).await;
    drop(api);
    let outbox = deployment.instance("notes.outbox", &[]).await;
    outbox.invoke(&json!({})).await.unwrap();
    assert_eq!(deployment.waiting().await, 1, "it may still be handed over by who wrote it");
    deployment.sweep().await;
    assert_eq!(deployment.waiting().await, 0);
    let event = subscriber.await_event("note.created", id(made.header("location"))).await;
    assert_eq!(event["data"]["owner"], deployment.tenant.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_twice_is_the_same_event() {
    let deployment = Deployment::new().await;
    let mut subscriber = Subscriber::of(&deployment.tenant.id).await;
    let road = Road::to(&deployment.database).await;
    let watched = FaultProxy::watching().await;
    let variables = [("DATABASE_URL", road.url.as_str()), ("AWS_ENDPOINT_URL", watched.url())];
    let api = deployment.instance("notes.api", &variables).await;
    let made = deployment.note(&api).await;
    // The database goes away after the answer, so that the entry is handed over and stays.
    road.close();
    api.http_in(&deployment.request("GET", "/v2/notes", None), lambda_runtime::Context::default()).await.expect(503);
    assert_eq!((handed_over(&watched), deployment.waiting().await), (1, 1));
    deployment.sweep().await;
    assert_eq!(deployment.waiting().await, 0);
    subscriber.await_event("note.created", id(made.header("location"))).await;
    assert_eq!(subscriber.events.len(), 1);
}

#[tokio::test]
async fn while_dynamodb_takes_nothing_the_change_is_made_and_told_later() {
    let deployment = Deployment::new().await;
    let mut subscriber = Subscriber::of(&deployment.tenant.id).await;
    let away = FaultProxy::start(|operation| (operation == "PutItem").then_some(Fault::ServerError)).await;
    let api = deployment.instance("notes.api", &[("AWS_ENDPOINT_URL", away.url())]).await;
    let request = deployment.request("POST", "/v2/notes", Some(&json!({"title": "a"})));
    let made = api.http_in(&request, lambda_runtime::Context::default()).await.expect(201);
    assert_eq!(deployment.waiting().await, 1);
    deployment.clock.advance(SignedDuration::from_secs(31));
    let outbox = deployment.instance("notes.outbox", &[("AWS_ENDPOINT_URL", away.url())]).await;
    outbox.invoke(&json!({})).await.unwrap_err();
    assert_eq!(deployment.waiting().await, 1);
    deployment.sweep().await;
    assert_eq!(deployment.waiting().await, 0);
    subscriber.await_event("note.created", id(made.header("location"))).await;
}

#[tokio::test]
async fn what_is_refused_or_changes_nothing_is_not_told() {
    let deployment = Deployment::new().await;
    let api = deployment.instance("notes.api", &[]).await;
    let path = deployment.note(&api).await.header("location").to_owned();
    let ask = async |method: &str, path: &str, body: Value| {
        let request = deployment.request(method, path, Some(&body));
        api.answer_in(&request, lambda_runtime::Context::default()).await.status.as_u16()
    };
    assert_eq!(ask("PATCH", &path, json!({"title": "a"})).await, 200);
    assert_eq!(ask("PATCH", &path, json!({"title": ""})).await, 422);
    let bulk = json!({"operations": [{"op": "create", "note": {"title": "b"}}, {"op": "delete", "id": "note_01k9z4n2y6e0qv3m8t5w7x9abc"}]});
    assert_eq!(ask("POST", "/v2/notes/bulk", bulk).await, 422);
    assert_eq!(deployment.waiting().await, 1, "the note was made, and nothing else happened");
}

#[tokio::test]
async fn a_note_that_is_gone_for_good_is_told() {
    let deployment = Deployment::new().await;
    let mut subscriber = Subscriber::of(&deployment.tenant.id).await;
    let api = deployment.instance("notes.api", &[]).await;
    let path = deployment.note(&api).await.header("location").to_owned();
    let delete = deployment.request("DELETE", &path, None);
    api.http_in(&delete, lambda_runtime::Context::default()).await.expect(204);
    deployment.clock.advance(SignedDuration::from_hours(30 * 24 + 1));
    let purge = deployment.instance("notes.purge", &[]).await;
    purge.invoke(&json!({})).await.unwrap();
    assert_eq!(deployment.waiting().await, 1);
    deployment.sweep().await;
    let event = subscriber.await_event("note.purged", id(&path)).await;
    let owner = deployment.tenant.id.to_string();
    assert_eq!(event["data"], json!({"note_id": id(&path), "owner": owner, "version": 2}));
}

#[tokio::test]
async fn more_than_one_batch_is_handed_over_in_one_tick() {
    let deployment = Deployment::new().await;
    let mut owner = PgConnection::connect(&deployment.database).await.unwrap();
    let planted = "INSERT INTO notes.outbox (tenant, id, events, reminders, written_at)
         SELECT $1, 'event_' || number, '[]', '[]', number FROM generate_series(1, 250) number";
    sqlx::query(planted).bind(deployment.tenant.id.to_string()).execute(&mut owner).await.unwrap();
    deployment.sweep().await;
    assert_eq!(deployment.waiting().await, 0);
}

#[tokio::test]
async fn where_there_is_no_postgres_there_is_nothing_to_hand_over() {
    let deployment = Deployment::new().await;
    let outbox = deployment.instance("notes.outbox", &[("DATABASE_URL", "")]).await;
    outbox.invoke(&json!({})).await.unwrap();
}
