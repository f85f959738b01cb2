//! An `auth.api` of a test's own, with the mails that it causes: its clock stands until the test moves it, its requests come
//! from a network that no other test has, and its mails are written when the test asks for them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;

use auth::SERVICE;
use auth::membership::{MemberStatus, Membership, RoleName};
use auth::store::WriteError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tempfile::TempDir;
use tests::account::{PASSWORD, SentMail, fresh_email, mails_in};
use tests::{Answer, Instance, http_event};
use tokio::sync::OnceCell;

use crate::own_tenant::accounts;
use crate::resources::{Queue, due_table, failures, received_event, table};

/// The function, its mail worker and what lies between them.
pub(crate) struct OwnAccounts {
    api: Instance,
    worker: Instance,
    /// Begins at the machine's time.
    pub(crate) clock: Clock,
    pub(crate) queue: Queue,
    folder: TempDir,
    seen: Mutex<HashSet<PathBuf>>,
    network: Mutex<String>,
    /// Tables of the test's own, by the variables that name them.
    tables: Vec<(&'static str, String)>,
}

/// A user who is signed in.
pub(crate) struct Person<'a> {
    accounts: &'a OwnAccounts,
    pub(crate) email: String,
    pub(crate) id: String,
    pub(crate) tenant_id: String,
    pub(crate) session_id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Empty after a refresh.
    pub(crate) device_token: String,
}

/// A network that no other test has.
pub(crate) fn network() -> String {
    let [a, b, c] = Random::system().bytes();
    format!("10.{a}.{b}.{c}")
}

fn with_all(environment: Environment, variables: &[(&'static str, String)]) -> Environment {
    variables.iter().fold(environment, |environment, (name, value)| environment.with(name, value))
}

/// An environment whose mails go to `queue`, and not through the stack's scheduler.
pub(crate) async fn mailing(environment: Environment, queue: &Queue) -> Environment {
    static DUE: OnceCell<String> = OnceCell::const_new();
    let due = DUE.get_or_init(due_table).await;
    environment.with("MAIL_QUEUE_URL", &queue.url).with("DUE_TABLE", due)
}

impl OwnAccounts {
    pub(crate) async fn new() -> Self {
        Self::with(|environment| environment).await
    }

    /// The same with tables that no other test has: what a sweeper sees is this test's.
    pub(crate) async fn alone() -> Self {
        let mut tables = Vec::new();
        for name in ["ACCOUNTS_TABLE", "IDENTITY_TABLE"] {
            tables.push((name, table("accounts", &["pk", "sk"]).await));
        }
        Self::build(tables, |environment| environment).await
    }

    /// The same with a changed environment of `auth.api`.
    pub(crate) async fn with(change: impl FnOnce(Environment) -> Environment) -> Self {
        Self::build(Vec::new(), change).await
    }

    async fn build(tables: Vec<(&'static str, String)>, change: impl FnOnce(Environment) -> Environment) -> Self {
        let (clock, queue) = (Clock::manual(Clock::system().now()), Queue::new().await);
        let folder = tempfile::tempdir().unwrap();
        let mail_url = url::Url::from_file_path(folder.path()).unwrap();
        let of = |name: &str| with_all(tests::stack().environment(name).unwrap(), &tables);
        let api = mailing(of("auth.api"), &queue).await;
        let worker = mailing(of("auth.mail"), &queue).await.with("MAIL_URL", mail_url.as_str());
        Self {
            api: Instance::with(&SERVICE, "auth.api", clock.clone(), |_| change(api)).await,
            worker: Instance::with(&SERVICE, "auth.mail", clock.clone(), |_| worker).await,
            clock,
            queue,
            folder,
            seen: Mutex::default(),
            network: Mutex::new(network()),
            tables,
        }
    }

    pub(crate) fn wait(&self, time: SignedDuration) {
        self.clock.advance(time);
    }

    /// Requests come from another network from now on.
    pub(crate) fn move_away(&self) {
        *self.network.lock().unwrap() = network();
    }

    /// Another function of the service on the same clock.
    pub(crate) async fn instance(&self, name: &str) -> Instance {
        self.instance_with(name, |environment| environment).await
    }

    /// The same with a changed environment; its mails go the same way.
    pub(crate) async fn instance_with(&self, name: &str, change: impl FnOnce(Environment) -> Environment) -> Instance {
        let environment = with_all(tests::stack().environment(name).unwrap(), &self.tables);
        let environment = mailing(environment, &self.queue).await;
        Instance::with(&SERVICE, name, self.clock.clone(), |_| change(environment)).await
    }

    /// The name of a table.
    pub(crate) fn table(&self, variable: &str) -> String {
        let own = self.tables.iter().find(|(name, _)| *name == variable).map(|(_, table)| table.clone());
        own.unwrap_or_else(|| tests::stack().environment("auth.api").unwrap().get(variable).unwrap().to_owned())
    }

    /// The folder to which mails are written, as `MAIL_URL` names it.
    pub(crate) fn mail_url(&self) -> String {
        url::Url::from_file_path(self.folder.path()).unwrap().into()
    }

    /// The event of a request with these headers and this body, which is JSON unless a header says otherwise.
    pub(crate) fn event(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Value {
        let mut event = http_event(method, path, headers, body);
        event["requestContext"]["http"]["sourceIp"] = json!(*self.network.lock().unwrap());
        event
    }

    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        self.api.http_in(&self.event(method, path, headers, body), Context::default()).await
    }

    /// The answer to an event, without what is done after it.
    pub(crate) async fn answer(&self, event: &Value) -> Answer {
        self.api.answer_in(event, Context::default()).await
    }

    /// Sends a request with an access token; an empty one is none.
    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let headers = if token.is_empty() { &headers[..0] } else { &headers[..] };
        self.call(method, path, headers, body.map(ToString::to_string).as_deref()).await
    }

    /// Sends an anonymous `POST`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "", Some(body)).await
    }

    pub(crate) async fn sign_up(&self, email: &str) {
        self.post("/v1/auth/signup", &json!({"email": email, "password": PASSWORD})).await.expect(202);
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/v1/auth/login", &json!({"email": email, "password": password})).await
    }

    pub(crate) async fn verify(&self, token: &str) -> Answer {
        self.post("/v1/auth/email/verify", &json!({"token": token})).await
    }

    /// Has the mails written that were asked for, and answers those to `email` that were not answered before.
    pub(crate) async fn mails(&self, email: &str) -> Vec<SentMail> {
        self.deliver().await;
        let mut seen = self.seen.lock().unwrap();
        let new = mails_in(self.folder.path()).into_iter().filter(|(_, mail)| mail.to == email);
        new.filter(|(path, _)| seen.insert(path.clone())).map(|(_, mail)| mail).collect()
    }

    /// The one new mail to `email`, whose subject has these words in it.
    #[track_caller]
    pub(crate) fn mail(&self, email: &str, subject: &str) -> impl Future<Output = SentMail> {
        let caller = std::panic::Location::caller();
        async move {
            let mut mails = self.mails(email).await;
            let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.clone()).collect();
            assert!(mails.len() == 1 && subjects[0].contains(subject), "{caller}: {subjects:?}");
            mails.remove(0)
        }
    }

    async fn deliver(&self) {
        loop {
            let messages = self.queue.take().await;
            if messages.is_empty() {
                return;
            }
            let answer = self.worker.invoke(&received_event(&messages)).await.unwrap();
            assert_eq!(failures(&answer), Vec::<String>::new());
        }
    }

    /// A new user with a tenant of their own, proved by the mail that came and signed in with the password.
    pub(crate) async fn person(&self) -> Person<'_> {
        self.person_with(json!({})).await
    }

    /// The same with further members of the sign-up's body.
    pub(crate) async fn person_with(&self, further: Value) -> Person<'_> {
        let email = fresh_email();
        let mut body = json!({"email": email, "password": PASSWORD});
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        self.post("/v1/auth/signup", &body).await.expect(202);
        let mail = self.mail(&email, "Confirm").await;
        self.verify(&mail.token()).await.expect(200);
        self.signed_in(&email).await
    }

    /// The user after another log-in with the password.
    pub(crate) async fn signed_in(&self, email: &str) -> Person<'_> {
        let answer = self.log_in(email, PASSWORD).await.expect(200).json();
        // What is done to the account is done later than it was made.
        self.wait(SignedDuration::from_millis(1));
        Person::of(self, email, &answer)
    }
}

impl<'a> Person<'a> {
    /// Whom an answer with tokens is about.
    #[track_caller]
    pub(crate) fn of(accounts: &'a OwnAccounts, email: &str, answer: &Value) -> Self {
        assert_eq!(answer["status"], "signed_in", "{answer}");
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            accounts,
            email: email.to_owned(),
            id: text("/user/id"),
            tenant_id: text("/tenant_id"),
            session_id: text("/session_id"),
            access_token: text("/access_token"),
            refresh_token: text("/refresh_token"),
            device_token: text("/device_token"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.accounts.send("GET", path, &self.access_token, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.accounts.send("POST", path, &self.access_token, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.accounts.send("PATCH", path, &self.access_token, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.accounts.send("DELETE", path, &self.access_token, None).await
    }

    /// Asks for new tokens.
    pub(crate) async fn refresh(&self) -> Answer {
        self.accounts.post("/v1/auth/refresh", &json!({"refresh_token": self.refresh_token})).await
    }

    /// The same user with new tokens.
    pub(crate) async fn refreshed(&self) -> Person<'a> {
        Person::of(self.accounts, &self.email, &self.refresh().await.expect(200).json())
    }

    /// The ids of the sessions that are there.
    pub(crate) async fn sessions(&self) -> Vec<String> {
        let sessions = accounts().sessions(&self.id.parse().unwrap(), self.accounts.clock.now()).await.unwrap();
        sessions.iter().map(|session| session.id.to_string()).collect()
    }

    /// Asks `auth.users`, which administers the tenant.
    pub(crate) async fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let users = self.accounts.instance("auth.users").await;
        users.http(method, path, &[("authorization", &format!("Bearer {}", self.access_token))], body).await
    }

    /// Makes the user a member of another tenant as well.
    pub(crate) async fn join(&self, tenant_id: &str, roles: &[&str]) {
        join(&self.id, tenant_id, roles).await.unwrap();
    }

    /// The audit trail of the user's own tenant, newest first.
    pub(crate) async fn trail(&self) -> Vec<Value> {
        let page = self.administer("GET", "/v1/audit?limit=200", None).await.expect(200).json();
        page["data"].as_array().unwrap().clone()
    }

    /// The actions of the trail, each with its target.
    pub(crate) async fn audit(&self) -> Vec<(String, String)> {
        let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        self.trail().await.iter().map(|record| (text(record, "action"), text(record, "target"))).collect()
    }
}

/// Makes a user a member of another tenant as well.
pub(crate) async fn join(user_id: &str, tenant_id: &str, roles: &[&str]) -> Result<(), WriteError> {
    let user = accounts().user(&user_id.parse().unwrap()).await.unwrap().unwrap();
    let membership = Membership {
        tenant_id: tenant_id.parse().unwrap(),
        user_id: user.id,
        roles: roles.iter().map(|role| RoleName::try_from((*role).to_owned()).unwrap()).collect(),
        status: MemberStatus::Active,
        email: user.email,
        name: user.name,
        created_at: user.created_at,
        updated_at: user.created_at,
        access_changed_at: None,
        revision: 1,
    };
    accounts().transact(accounts().member_added(&membership).unwrap()).await
}

/// What an access token says.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}
