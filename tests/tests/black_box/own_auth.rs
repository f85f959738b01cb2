//! An `auth.api` of a test's own: its clock stands until the test moves it, and its requests come from a network that no
//! other test has, so that tries are counted for this test alone. And a user of it, as a browser would hold one.

use auth::SERVICE;
use http::StatusCode;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tests::account::{PASSWORD, fresh_email};
use tests::{Answer, Instance, http_event};
use totp_rs::Totp;

/// The function.
pub(crate) struct OwnAuth {
    api: Instance,
    /// Begins at the machine's time.
    pub(crate) clock: Clock,
    network: String,
}

/// A user who is signed in.
pub(crate) struct Person<'a> {
    auth: &'a OwnAuth,
    pub(crate) email: String,
    pub(crate) id: String,
    pub(crate) access_token: String,
    refresh_token: String,
}

impl OwnAuth {
    pub(crate) async fn new() -> Self {
        Self::with(|environment| environment).await
    }

    /// The same with a changed environment.
    pub(crate) async fn with(change: impl FnOnce(Environment) -> Environment) -> Self {
        Self::at(Clock::manual(Clock::system().now()), change).await
    }

    /// The same with a clock that is there.
    pub(crate) async fn at(clock: Clock, change: impl FnOnce(Environment) -> Environment) -> Self {
        let api = Instance::with(&SERVICE, "auth.api", clock.clone(), change).await;
        let [a, b, c] = Random::system().bytes();
        Self { api, clock, network: format!("10.{a}.{b}.{c}") }
    }

    pub(crate) fn wait(&self, time: SignedDuration) {
        self.clock.advance(time);
    }

    /// Sends a request; an empty token is none.
    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        self.send_with(method, path, if token.is_empty() { &[] } else { &headers }, body).await
    }

    async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let mut event = http_event(method, path, headers, body.map(ToString::to_string).as_deref());
        event["requestContext"]["http"]["sourceIp"] = json!(self.network);
        self.api.http_in(&event, Context::default()).await
    }

    /// Sends an anonymous `POST`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "", Some(body)).await
    }

    /// A log-in with a password.
    pub(crate) async fn log_in(&self, email: &str) -> Answer {
        self.post("/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await
    }

    /// A new user with a verified address, signed in with the password.
    pub(crate) async fn person(&self) -> Person<'_> {
        let email = fresh_email();
        let admin = Instance::with(&SERVICE, "auth.admin", self.clock.clone(), |environment| environment).await;
        admin.invoke(&json!({"email": email, "password": PASSWORD})).await.expect("an owner is made");
        let answer = self.log_in(&email).await.expect(200).json();
        // What is done to the account is done later than it was made.
        self.wait(SignedDuration::from_millis(1));
        Person::of(self, &email, &answer)
    }
}

impl<'a> Person<'a> {
    /// Whom an answer with tokens is about.
    pub(crate) fn of(auth: &'a OwnAuth, email: &str, answer: &Value) -> Self {
        assert_eq!(answer["status"], "signed_in", "{answer}");
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).expect(pointer).to_owned();
        Self {
            auth,
            email: email.to_owned(),
            id: text("/user/id"),
            access_token: text("/access_token"),
            refresh_token: text("/refresh_token"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.auth.send("GET", path, &self.access_token, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.auth.send("POST", path, &self.access_token, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.auth.send("PATCH", path, &self.access_token, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.auth.send("DELETE", path, &self.access_token, None).await
    }

    /// `DELETE`, if it has this `ETag` still.
    pub(crate) async fn delete_if(&self, path: &str, etag: &str) -> Answer {
        let bearer = format!("Bearer {}", self.access_token);
        self.auth.send_with("DELETE", path, &[("authorization", &bearer), ("if-match", etag)], None).await
    }

    pub(crate) async fn refresh(&mut self) {
        let answer = self.auth.post("/v1/auth/refresh", &json!({"refresh_token": self.refresh_token})).await;
        *self = Self::of(self.auth, &self.email, &answer.expect(200).json());
    }

    /// Proves themselves again, and uses the new access token from now on.
    pub(crate) async fn step_up(&mut self, body: &Value) {
        let answer = self.post("/v1/auth/step-up", body).await.expect(200).json();
        answer["access_token"].as_str().expect("a token").clone_into(&mut self.access_token);
    }

    /// The ticket for the second factor of a new log-in.
    pub(crate) async fn second_factor_ticket(&self) -> String {
        let answer = self.auth.log_in(&self.email).await.expect(200).json();
        assert_eq!(answer["status"], "second_factor_required", "{answer}");
        answer["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// What the session says of how it was begun.
    pub(crate) async fn methods(&self) -> Value {
        let sessions = self.get("/v1/auth/sessions").await.expect(200).json();
        let current = sessions["data"].as_array().expect("a list").iter().find(|session| session["current"] == true);
        current.expect("the session is there")["methods"].clone()
    }

    /// Sets an authenticator app up. Answers the app and the recovery codes.
    pub(crate) async fn with_app(&self) -> (App<'a>, Vec<String>) {
        let begun = self.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
        let app = App::scan(self.auth, begun["otpauth_uri"].as_str().expect("a URI"));
        let set_up = self.post("/v1/auth/factors/totp/confirm", &json!({"code": app.code()})).await.expect(200).json();
        let codes = set_up["recovery_codes"].as_array().into_iter().flatten();
        (app, codes.map(|code| code.as_str().expect("a code").to_owned()).collect())
    }

    /// The actions of the tenant's audit trail, newest first, each with its target and detail.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let users = Instance::with(&SERVICE, "auth.users", self.auth.clock.clone(), |environment| environment).await;
        let bearer = format!("Bearer {}", self.access_token);
        let page = users.http("GET", "/v1/audit?limit=100", &[("authorization", &bearer)], None).await.expect(200);
        let line = |record: &Value| {
            let member = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", member("action"), member("target"), member("detail")).trim_end().to_owned()
        };
        page.json()["data"].as_array().expect("a list").iter().map(line).collect()
    }

    /// Tries a factor with a ticket.
    pub(crate) async fn prove(&self, ticket: &str, factor: &str, value: &str) -> Answer {
        self.auth.post("/v1/auth/second-factor", &json!({"ticket": ticket, factor: value})).await
    }
}

/// An authenticator app, by another implementation than the service's.
pub(crate) struct App<'a> {
    auth: &'a OwnAuth,
    totp: Totp,
}

impl<'a> App<'a> {
    pub(crate) fn scan(auth: &'a OwnAuth, uri: &str) -> Self {
        Self { auth, totp: Totp::from_url(uri).expect("the app understands the URI") }
    }

    /// The code that it shows.
    pub(crate) fn code(&self) -> String {
        self.code_after(0)
    }

    /// The code that it shows so many seconds later.
    pub(crate) fn code_after(&self, seconds: i64) -> String {
        let time = self.auth.clock.now().as_second() + seconds;
        self.totp.generate(u64::try_from(time).expect("a time after 1970")).to_string()
    }

    /// The code that it shows once another one follows the present one: each is good for one use.
    pub(crate) fn next_code(&self) -> String {
        self.auth.wait(SignedDuration::from_secs(30));
        self.code()
    }

    /// Six digits that are wrong now, a step before and a step after.
    pub(crate) fn wrong_code(&self) -> String {
        let near: Vec<_> = [-30, 0, 30].map(|seconds| self.code_after(seconds)).into();
        (0..10)
            .map(|digit| digit.to_string().repeat(6))
            .find(|code| !near.contains(code))
            .expect("three of ten at most")
    }
}

/// How many of the answers have this status.
pub(crate) fn count(answers: &[Answer], status: StatusCode) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}
