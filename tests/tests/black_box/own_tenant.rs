//! A tenant of a test's own, with members who are signed in: its functions have one clock, which stands until the test
//! moves it, and its requests come from a network that no other test has.

use auth::SERVICE;
use auth::store::AccountStore;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::dynamo::Dynamo;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tests::account::{PASSWORD, fresh_email};
use tests::{Answer, Instance, http_event, stack};

use crate::resources::aws;

/// The tenant and the functions that serve it.
pub(crate) struct OwnTenant {
    api: Instance,
    users: Instance,
    links: Instance,
    /// Begins at the machine's time.
    pub(crate) clock: Clock,
    network: String,
    pub(crate) id: String,
    /// Who made it.
    pub(crate) owner: Member,
}

/// A member who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Member {
    /// The path of the member.
    pub(crate) fn path(&self) -> String {
        format!("/v1/users/{}", self.id)
    }
}

impl OwnTenant {
    pub(crate) async fn new() -> Self {
        Self::with(|environment| environment).await
    }

    /// The same with a changed environment of `auth.users`.
    pub(crate) async fn with(change: impl FnOnce(Environment) -> Environment) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let [a, b, c] = Random::system().bytes();
        let same = |environment| environment;
        let api = Instance::with(&SERVICE, "auth.api", clock.clone(), same).await;
        let (email, made) = new_owner(&clock, &json!({})).await;
        let mut tenant = Self {
            users: Instance::with(&SERVICE, "auth.users", clock.clone(), change).await,
            links: Instance::with(&links::SERVICE, "links.api", clock.clone(), same).await,
            api,
            clock,
            network: format!("10.{a}.{b}.{c}"),
            id: made["tenant_id"].as_str().unwrap().to_owned(),
            owner: Member { id: String::new(), email, access_token: String::new(), refresh_token: String::new() },
        };
        tenant.owner = tenant.log_in(&tenant.owner.email).await;
        tenant
    }

    /// Sends a request to the function that serves its path; an empty credential is none.
    pub(crate) async fn send(&self, method: &str, path: &str, credential: &str, body: Option<&Value>) -> Answer {
        self.send_with(method, path, credential, &[], body).await
    }

    /// The same with more headers.
    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        credential: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let bearer = format!("Bearer {credential}");
        let mut all = headers.to_vec();
        if !credential.is_empty() {
            all.push(("authorization", &bearer));
        }
        let mut event = http_event(method, path, &all, body.map(ToString::to_string).as_deref());
        event["requestContext"]["http"]["sourceIp"] = json!(self.network);
        let function = match path.split(['/', '?']).nth(2) {
            Some("links") => &self.links,
            Some("auth" | "me") => &self.api,
            _ => &self.users,
        };
        function.http_in(&event, Context::default()).await
    }

    pub(crate) async fn get(&self, member: &Member, path: &str) -> Answer {
        self.send("GET", path, &member.access_token, None).await
    }

    pub(crate) async fn post(&self, member: &Member, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &member.access_token, Some(body)).await
    }

    pub(crate) async fn patch(&self, member: &Member, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, &member.access_token, Some(body)).await
    }

    pub(crate) async fn delete(&self, member: &Member, path: &str) -> Answer {
        self.send("DELETE", path, &member.access_token, None).await
    }

    /// A new member with these roles.
    pub(crate) async fn member(&self, roles: &[&str]) -> Member {
        let (email, made) = new_owner(&self.clock, &json!({"tenant_id": self.id})).await;
        if roles != ["owner"] {
            let path = format!("/v1/users/{}", made["user_id"].as_str().unwrap());
            self.patch(&self.owner, &path, &json!({"roles": roles})).await.expect(200);
            self.wait(1);
        }
        self.log_in(&email).await
    }

    pub(crate) async fn log_in(&self, email: &str) -> Member {
        let body = json!({"email": email, "password": PASSWORD, "tenant_id": self.id});
        let answer = self.send("POST", "/v1/auth/login", "", Some(&body)).await.expect(200).json();
        // What is done to the member is done later than they were made.
        self.clock.advance(SignedDuration::from_millis(1));
        signed_in(email, &answer)
    }

    /// Asks for new tokens.
    pub(crate) async fn refresh(&self, member: &Member) -> Answer {
        let body = json!({"refresh_token": member.refresh_token});
        self.send("POST", "/v1/auth/refresh", "", Some(&body)).await
    }

    /// The member with new tokens.
    pub(crate) async fn refreshed(&self, member: &Member) -> Member {
        signed_in(&member.email, &self.refresh(member).await.expect(200).json())
    }

    /// A new API key that the owner made, and its id.
    pub(crate) async fn api_key(&self, scopes: &[&str]) -> (String, String) {
        let body = json!({"name": "test", "scopes": scopes});
        let made = self.post(&self.owner, "/v1/api-keys", &body).await.expect(201).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("api_key"), text("id"))
    }

    /// The actions of the audit trail, newest first, each with its target.
    pub(crate) async fn audit(&self) -> Vec<(String, String)> {
        let page = self.get(&self.owner, "/v1/audit?limit=200").await.expect(200).json();
        let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        page["data"].as_array().unwrap().iter().map(|record| (text(record, "action"), text(record, "target"))).collect()
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }
}

/// Makes an owner of a tenant.
async fn new_owner(clock: &Clock, further: &Value) -> (String, Value) {
    let email = fresh_email();
    let mut event = json!({"email": email, "password": PASSWORD});
    event.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    let admin = Instance::with(&SERVICE, "auth.admin", clock.clone(), |environment| environment).await;
    let made = admin.invoke(&event).await.unwrap();
    (email, made)
}

fn signed_in(email: &str, answer: &Value) -> Member {
    let text = |pointer: &str| {
        answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    Member {
        id: text("/user/id"),
        email: email.to_owned(),
        access_token: text("/access_token"),
        refresh_token: text("/refresh_token"),
    }
}

/// The stack's accounts table.
pub(crate) fn accounts() -> AccountStore {
    let table = stack().environment("auth.users").unwrap().get("ACCOUNTS_TABLE").unwrap().to_owned();
    AccountStore::new(Dynamo::new(aws().dynamo), table)
}

/// The values of a member of a list's rows.
pub(crate) fn column(answer: &Answer, name: &str) -> Vec<String> {
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| row[name].as_str().unwrap_or_default().to_owned()).collect()
}

/// How often each status is among the answers, sorted.
pub(crate) fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut all: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    all.sort_unstable();
    all
}
