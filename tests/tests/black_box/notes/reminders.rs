//! Reminders: a note that is due is told, once, when its time has come, and not if it is done, deleted or put off by then.

use lambda_runtime::Context;
use notes::telling::Reminder;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration, Timestamp, rfc3339_millis};
use tests::{FaultProxy, Instance, eventually, queue_event, stack};

use super::House;
use super::events::{Deployment, handed_over, id};
use crate::postgres::outages::Road;
use crate::resources::{Subscriber, due_table, failures, items};

#[tokio::test]
async fn a_subscriber_learns_that_a_note_is_due_when_it_is() {
    let house = House::new();
    let subscriber = tokio::sync::Mutex::new(Subscriber::of(&house.tenant).await);
    let ada = house.member().await;
    // Long enough for it to be made before.
    let due_at = Clock::system().now() + SignedDuration::from_secs(8);
    let path = ada.note(json!({"title": "a", "due_at": rfc3339_millis(due_at)})).await;
    let event = eventually("note.due", || async {
        // The reminder is in the due index some time after the answer.
        stack().tick("platform.scheduler").await.unwrap();
        let mut subscriber = subscriber.lock().await;
        subscriber.look().await;
        subscriber.about("note.due", id(&path)).first().map(|event| (*event).clone())
    })
    .await;
    let told: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    assert!(told >= due_at, "never before its time: {told} {due_at}");
    let told_of: Timestamp = event["data"]["due_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(rfc3339_millis(told_of), rfc3339_millis(due_at));
    assert_eq!((&event["data"]["owner"], &event["data"]["version"]), (&json!(ada.id), &json!(1)));
}

/// A note that is due in an hour, in a deployment of its own.
struct Awaited {
    deployment: Deployment,
    api: Instance,
    path: String,
    due_at: Timestamp,
}

impl Awaited {
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        // Nobody sends from this due index.
        let api = deployment.instance("notes.api", &[("DUE_TABLE", &due_table().await)]).await;
        let now = Timestamp::from_millisecond(deployment.clock.now().as_millisecond()).unwrap();
        let due_at = now + SignedDuration::from_hours(1);
        let body = json!({"title": "a", "due_at": rfc3339_millis(due_at)});
        let request = deployment.request("POST", "/v2/notes", Some(&body));
        let path = api.http_in(&request, Context::default()).await.expect(201).header("location").to_owned();
        Self { deployment, api, path, due_at }
    }

    async fn ask(&self, method: &str, body: Option<Value>) {
        let request = self.deployment.request(method, &self.path, body.as_ref());
        let answer = self.api.http_in(&request, Context::default()).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// The message that comes when the note is due.
    fn message(&self) -> Value {
        let note_id = id(&self.path).parse().unwrap();
        let reminder = Reminder { tenant_id: self.deployment.tenant.id, note_id, due_at: self.due_at };
        queue_event([("m", serde_json::to_string(&reminder).unwrap())])
    }

    async fn reminders(&self) -> Instance {
        self.deployment.instance("notes.reminders", &[]).await
    }

    fn wait(&self) {
        self.deployment.clock.advance(SignedDuration::from_hours(1));
    }
}

#[tokio::test]
async fn a_reminder_that_comes_before_its_time_is_tried_again() {
    let awaited = Awaited::new().await;
    awaited.deployment.clock.advance(SignedDuration::from_secs(3_599));
    let answer = awaited.reminders().await.invoke(&awaited.message()).await.unwrap();
    assert_eq!(failures(&answer), ["m"]);
}

#[tokio::test]
async fn a_reminder_that_comes_several_times_is_told_once() {
    let awaited = Awaited::new().await;
    let mut subscriber = Subscriber::of(&awaited.deployment.tenant.id).await;
    awaited.wait();
    let watched = FaultProxy::watching().await;
    let variables = [("AWS_ENDPOINT_URL", watched.url())];
    let (one, two) = (
        awaited.deployment.instance("notes.reminders", &variables).await,
        awaited.deployment.instance("notes.reminders", &variables).await,
    );
    let message = awaited.message();
    for answer in futures::future::join_all([one.invoke(&message), two.invoke(&message)]).await {
        assert!(failures(&answer.unwrap()).is_empty());
    }
    one.invoke(&message).await.unwrap();
    assert_eq!(handed_over(&watched), 1);
    let event = subscriber.await_event("note.due", id(&awaited.path)).await;
    let owner = awaited.deployment.tenant.id.to_string();
    assert_eq!((&event["data"]["owner"], &event["data"]["version"]), (&json!(owner), &json!(1)));
}

#[tokio::test]
async fn a_reminder_whose_instance_was_killed_is_told_by_the_sweep() {
    let awaited = Awaited::new().await;
    let mut subscriber = Subscriber::of(&awaited.deployment.tenant.id).await;
    awaited.wait();
    awaited.reminders().await.invoke_and_kill(&awaited.message()).await.unwrap();
    // The message comes again, as nobody knows how far the first one came.
    awaited.reminders().await.invoke_and_kill(&awaited.message()).await.unwrap();
    assert_eq!(awaited.deployment.waiting_with("note.due").await, 1);
    awaited.deployment.sweep().await;
    assert_eq!(awaited.deployment.waiting().await, 0);
    subscriber.await_event("note.due", id(&awaited.path)).await;
}

#[tokio::test]
async fn what_is_done_deleted_or_put_off_is_not_told() {
    let later = json!({"due_at": "2999-01-01T00:00:00Z"});
    for (method, body) in [("PATCH", Some(later)), ("PATCH", Some(json!({"due_at": null}))), ("DELETE", None)] {
        let awaited = Awaited::new().await;
        awaited.ask(method, body).await;
        awaited.wait();
        awaited.reminders().await.invoke_and_kill(&awaited.message()).await.unwrap();
        assert_eq!(awaited.deployment.waiting_with("note.due").await, 0, "{method}");
    }
    let awaited = Awaited::new().await;
    awaited.ask("PATCH", Some(json!({"done_at": rfc3339_millis(awaited.deployment.clock.now())}))).await;
    awaited.wait();
    awaited.reminders().await.invoke_and_kill(&awaited.message()).await.unwrap();
    assert_eq!(awaited.deployment.waiting_with("note.due").await, 0, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_a_reminder_waits_in_its_queue() {
    let awaited = Awaited::new().await;
    awaited.wait();
    let road = Road::to(&awaited.deployment.database).await;
    let reminders = awaited.deployment.instance("notes.reminders", &[("DATABASE_URL", &road.url)]).await;
    road.close();
    assert_eq!(failures(&reminders.invoke(&awaited.message()).await.unwrap()), ["m"]);
    road.mend();
    reminders.invoke_and_kill(&awaited.message()).await.unwrap();
    assert_eq!(awaited.deployment.waiting_with("note.due").await, 1);
}

#[tokio::test]
async fn a_due_time_waits_in_the_due_index_once_however_often_it_is_handed_over() {
    let deployment = Deployment::new().await;
    let table = due_table().await;
    let api = deployment.instance("notes.api", &[("DUE_TABLE", &table)]).await;
    let ask = async |method: &str, path: &str, body: Value| {
        let request = deployment.request(method, path, Some(&body));
        api.http_in(&request, Context::default()).await
    };
    let made = ask("POST", "/v2/notes", json!({"title": "a", "due_at": "2999-01-01T00:00:00Z"})).await.expect(201);
    let path = made.header("location");
    for patch in [
        json!({"content": "the same time"}),
        json!({"due_at": "2020-01-01T00:00:00Z"}),
        json!({"due_at": "2999-01-01T00:00:00Z"}),
    ] {
        ask("PATCH", path, patch).await.expect(200);
    }
    // What was left behind, if anything was.
    deployment.sweep_with(&[("DUE_TABLE", &table)]).await;
    let waiting = items(&table).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let text = |name: &str| waiting[0][name].as_s().unwrap().clone();
    assert_eq!(text("queue_url"), stack().environment("notes.api").unwrap().get("REMINDERS_DUE_QUEUE_URL").unwrap());
    let reminder: Reminder = serde_json::from_str(&text("body")).unwrap();
    assert_eq!((reminder.note_id.to_string().as_str(), reminder.tenant_id), (id(path), deployment.tenant.id));

    let create = json!({"op": "create", "note": {"title": "b", "due_at": "2999-01-01T00:00:00Z"}});
    ask("POST", "/v2/notes/bulk", json!({"operations": vec![create; 100]})).await.expect(200);
    deployment.sweep_with(&[("DUE_TABLE", &table)]).await;
    assert_eq!(items(&table).await.len(), 101);
}
