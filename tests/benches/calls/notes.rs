//! Notes. What they ask of Postgres is counted elsewhere, by a test.

use ::auth::user::UserId;
use serde_json::{Value, json};
use shared::events::Event;
use shared::events::identity::UserCreated;
use shared::id::TenantId;
use shared::identity::Role;
use shared::identity::token::Claims;
use shared::random::Random;
use shared::time::Clock;
use tests::{queue_event, token};

use crate::Bench;
use crate::price::Door;

pub(crate) async fn notes(bench: &mut Bench) {
    let (clock, random) = (Clock::system(), Random::system());
    let now = clock.now();
    let tenant = TenantId::new(now, &random);
    let [ada, bob] = [(); 2].map(|()| UserId::new(now, &random).to_string());
    let users = bench.subject(&::notes::SERVICE, "notes.users", Door::Queue, Clock::system()).await;
    for user in [&ada, &bob] {
        let email = format!("{user}@example.com");
        let data = UserCreated { user_id: user.clone(), email, name: None, verified: true };
        let event = serde_json::to_string(&Event::new(tenant, user, data, now, &random)).unwrap();
        bench.invoke("tell notes of a user", &users, &queue_event([("user", event)])).await;
    }
    bench.forget();

    let api = bench.subject(&::notes::SERVICE, "notes.api", Door::Http, Clock::system()).await;
    let claims = Claims { sub: ada, roles: vec![Role::Member.to_string()], ..token::claims(tenant, now, &random) };
    let bearer = format!("Bearer {}", token::signer().sign(&claims).await.unwrap());
    let authorized = [("authorization", bearer.as_str())];
    let keyed = [("authorization", bearer.as_str()), ("idempotency-key", "bench")];
    let note = || json!({"title": "Groceries", "content": "- milk\n", "tags": ["home"]});
    // It learns the keys, and remembers the revocations.
    let list = || ("GET", "/v2/notes", &authorized[..], Value::Null);
    bench.http("the first request of an instance", &api, 200, list()).await;
    bench.forget();
    let made = bench.http("create a note", &api, 201, ("POST", "/v2/notes", &authorized, note())).await;
    bench.http("create a note with an Idempotency-Key", &api, 201, ("POST", "/v2/notes", &keyed, note())).await;
    bench.http("the same note again (replayed)", &api, 201, ("POST", "/v2/notes", &keyed, note())).await;
    bench.http("create a note, by version 1", &api, 201, ("POST", "/v1/notes", &authorized, older())).await;
    bench.http("a page of notes", &api, 200, list()).await;
    let path = format!("/v2/notes/{}", made["id"].as_str().unwrap());
    let due = json!({"due_at": (now + shared::time::SignedDuration::from_hours(24)).to_string()});
    let share = format!("{path}/shares/{bob}");
    let operations = json!({"operations": [{"op": "create", "note": note()}, {"op": "create", "note": note()}]});
    for (name, status, method, path, body) in [
        ("read a note", 200, "GET", path.clone(), Value::Null),
        ("read a note, by version 1", 200, "GET", path.replacen("v2", "v1", 1), Value::Null),
        ("replace a note", 200, "PUT", path.clone(), json!({"title": "Shopping"})),
        ("edit a note", 200, "PATCH", path.clone(), json!({"content": "- salt\n"})),
        ("edit a note so that it is due tomorrow", 200, "PATCH", path.clone(), due),
        ("the revisions of a note", 200, "GET", format!("{path}/revisions"), Value::Null),
        ("go back to a revision", 200, "POST", format!("{path}/revisions/1/restore"), Value::Null),
        ("share a note", 201, "PUT", share.clone(), json!({"access": "read"})),
        ("the shares of a note", 200, "GET", format!("{path}/shares"), Value::Null),
        ("share a note no longer", 204, "DELETE", share, Value::Null),
        ("two notes in bulk", 200, "POST", "/v2/notes/bulk".to_owned(), operations),
        ("delete a note", 204, "DELETE", path.clone(), Value::Null),
        ("restore a note", 200, "POST", format!("{path}/restore"), Value::Null),
    ] {
        bench.http(name, &api, status, (method, &path, &authorized, body)).await;
    }
}

/// A note as version 1 has it.
fn older() -> Value {
    json!({"title": "Groceries", "body": "- milk\n", "tags": "home"})
}
