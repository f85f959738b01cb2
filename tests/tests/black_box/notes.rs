//! Notes: who may see and do what, and that nothing is lost.

mod bad_input;
mod bulk;
mod events;
mod faults;
mod history;
mod isolation;
mod lists;
mod numbered;
mod purge;
mod reminders;
mod settings;
mod sharing;
mod statements;
mod users;

use auth::signer::Signer;
use http::Method;
use serde_json::{Value, json};
use shared::events::identity::UserCreated;
use shared::events::{Event, EventData};
use shared::id::TenantId;
use shared::identity::Role;
use shared::identity::token::Claims;
use shared::random::Random;
use shared::time::{Clock, Timestamp};
use tests::{Answer, Ask as _, Instance, anonymous, queue_event, token};

/// A tenant whose members are known to notes.
pub(crate) struct House {
    pub(crate) tenant: TenantId,
    signer: Signer,
    clock: Clock,
    random: Random,
}

/// A member of a house, with an access token.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl House {
    pub(crate) fn new() -> Self {
        let (clock, random) = (Clock::system(), Random::system());
        Self { tenant: TenantId::new(clock.now(), &random), signer: token::signer(), clock, random }
    }

    /// A member of whom identity has told.
    pub(crate) async fn member(&self) -> Member {
        self.member_as(Role::Member).await
    }

    /// The same with another role.
    pub(crate) async fn member_as(&self, role: Role) -> Member {
        let member = self.stranger_as(role).await;
        let email = format!("{}@example.com", member.id);
        let data = UserCreated { user_id: member.id.clone(), email, name: Some("Ada".to_owned()), verified: false };
        tell(&self.event(&member, data, self.clock.now())).await;
        member
    }

    /// A member of whom identity has not told yet.
    pub(crate) async fn stranger(&self) -> Member {
        self.stranger_as(Role::Member).await
    }

    async fn stranger_as(&self, role: Role) -> Member {
        let user = token::claims(self.tenant, self.clock.now(), &self.random);
        let claims = Claims { roles: vec![role.to_string()], ..user };
        Member { token: self.signer.sign(&claims).await.unwrap(), id: claims.sub }
    }

    /// An event of identity about a member.
    pub(crate) fn event<D: EventData>(&self, member: &Member, data: D, at: Timestamp) -> Value {
        serde_json::to_value(Event::new(self.tenant, &member.id, data, at, &self.random)).unwrap()
    }
}

/// Hands an event to `notes.users`.
pub(crate) async fn tell(event: &Value) {
    let users = Instance::of(&notes::SERVICE, "notes.users").await;
    let answer = users.invoke(&queue_event([("m", event.to_string())])).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]), "{event}");
}

impl Member {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        anonymous(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).answer().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).answer().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path).json(body).answer().await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path).json(body).answer().await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PATCH, path).json(body).answer().await
    }

    /// Makes a note: its path.
    pub(crate) async fn note(&self, body: Value) -> String {
        self.post("/v2/notes", &body).await.expect(201).header("location").to_owned()
    }

    /// Shares a note.
    pub(crate) async fn share(&self, path: &str, with: &Self, access: &str) {
        let answer = self.put(&format!("{path}/shares/{}", with.id), &json!({"access": access})).await;
        assert!([200, 201].contains(&answer.status.as_u16()), "{answer:?}");
    }

    /// The titles of a list.
    pub(crate) async fn titles(&self, query: &str) -> Vec<String> {
        titles(&self.get(&format!("/v2/notes{query}")).await.expect(200).json())
    }
}

pub(crate) fn titles(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["title"].as_str().unwrap().to_owned()).collect()
}

fn code(problem: &Value) -> (&str, &str) {
    let error = &problem["errors"][0];
    (error["pointer"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_note_is_made_read_replaced_edited_deleted_and_restored() {
    let ada = House::new().member().await;
    let body = json!({
        "title": " Groceries ", "content": "- milk\n", "tags": ["Home", "food", "home"], "due_at": "2999-01-01T00:00:00.123456Z",
    });
    let made = ada.post("/v2/notes", &body).await.expect(201);
    let (path, note) = (made.header("location").to_owned(), made.json());
    assert_eq!(path, format!("/v2/notes/{}", note["id"].as_str().unwrap()));
    assert_eq!((&note["title"], &note["tags"]), (&json!("Groceries"), &json!(["food", "home"])));
    assert_eq!((&note["format"], &note["due_at"]), (&json!("markdown"), &json!("2999-01-01T00:00:00.123Z")));
    assert_eq!(
        (&note["owner"], &note["created_by"], &note["access"]),
        (&json!(ada.id), &json!(ada.id), &json!("owner"))
    );
    let read = ada.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (note.clone(), made.header("etag")));
    let known = ada.request(Method::GET, &path).header("if-none-match", made.header("etag")).answer().await;
    known.expect(304);

    let replaced = ada.put(&path, &json!({"title": "Shopping", "pinned": true})).await.expect(200).json();
    assert_eq!((&replaced["content"], &replaced["tags"], &replaced["due_at"]), (&json!(""), &json!([]), &json!(null)));
    let edited = ada.patch(&path, &json!({"content": "- salt", "pinned": null})).await.expect(200).json();
    assert_eq!(
        (&edited["title"], &edited["pinned"], &edited["version"]),
        (&json!("Shopping"), &json!(false), &json!(3))
    );
    let same = ada.patch(&path, &json!({"content": "- salt"})).await.expect(200).json();
    assert_eq!(same, edited, "an edit that changes nothing makes no version");

    ada.delete(&path).await.expect(204);
    for gone in ["", "/revisions", "/revisions/1", "/revisions/2/diff", "/shares"] {
        ada.get(&format!("{path}{gone}")).await.problem(404, "not-found");
    }
    ada.delete(&path).await.problem(404, "not-found");
    ada.patch(&path, &json!({"title": "x"})).await.problem(404, "not-found");
    assert!(ada.titles("").await.is_empty());
    assert_eq!(ada.titles("?state=deleted").await, ["Shopping"]);
    let restored = ada.request(Method::POST, &format!("{path}/restore")).answer().await.expect(200).json();
    assert_eq!((&restored["content"], &restored["version"]), (&json!("- salt"), &json!(5)));
    let again = ada.request(Method::POST, &format!("{path}/restore")).answer().await.expect(200).json();
    assert_eq!(again, restored, "it may be sent again");
    assert_eq!(ada.titles("").await, ["Shopping"]);
}

#[tokio::test]
async fn a_post_that_is_sent_again_makes_one_note_and_is_its_senders_own() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let send = async |who: &Member, body: Value| {
        who.request(Method::POST, "/v2/notes").header("idempotency-key", "k").json(&body).answer().await
    };
    let first = send(&ada, json!({"title": "Once"})).await.expect(201);
    ada.patch(first.header("location"), &json!({"title": "Changed"})).await.expect(200);
    let again = send(&ada, json!({"title": "Once"})).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    assert_eq!((again.header("location"), again.header("etag")), (first.header("location"), first.header("etag")));
    send(&ada, json!({"title": "Other"})).await.problem(422, "idempotency-key-reused");
    let other = send(&bob, json!({"title": "Once"})).await.expect(201);
    assert_ne!(other.header("location"), first.header("location"), "another's key is another key");

    let at_once = (0..10).map(|_| async {
        let request = ada.request(Method::POST, "/v2/notes").header("idempotency-key", "k2");
        request.json(&json!({"title": "At once"})).answer().await.expect(201).header("location").to_owned()
    });
    let made = futures::future::join_all(at_once).await;
    assert!(made.iter().all(|path| *path == made[0]), "{made:?}");
    assert_eq!(ada.titles("").await, ["At once", "Changed"]);
}

#[tokio::test]
async fn what_programs_make_is_the_tenants_and_no_users_note_is_theirs() {
    let house = House::new();
    let ada = house.member().await;
    let tenant = tests::Tenant::new().await;
    let other_key = tenant.key_with("notes:read").await;
    let made = tenant.post("/v2/notes", &json!({"title": "By a program"})).await.expect(201).json();
    assert_eq!(made["owner"], tenant.id.to_string());
    assert!(made["created_by"].as_str().unwrap().starts_with("key_"), "{made}");
    let seen = anonymous(Method::GET, "/v2/notes").bearer_auth(&other_key).answer().await.expect(200).json();
    assert_eq!(titles(&seen), ["By a program"]);
    let refused = anonymous(Method::POST, "/v2/notes").bearer_auth(&other_key).json(&json!({"title": "x"}));
    refused.answer().await.problem(403, "forbidden");
    ada.note(json!({"title": "Ada's"})).await;
    let seen = tenant.get("/v2/notes").await.expect(200).json();
    assert_eq!(titles(&seen), ["By a program"]);
}
