//! A user of a test's own: signed up, verified by the mail that came, and signed in.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use http::Method;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use shared::random::Random;

use crate::tenant::{Answer, Ask, anonymous, client};
use crate::{eventually, stack};

/// A password that may be chosen.
pub const PASSWORD: &str = "walnut-harbour-sixteen";

/// A signed-in user.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// The id.
    pub user_id: String,
    /// The tenant of the tokens.
    pub tenant_id: String,
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
    /// The session.
    pub session_id: String,
    http: reqwest::Client,
}

/// A mail that was sent.
#[derive(Clone, Debug)]
pub struct SentMail {
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The HTML.
    pub html: String,
}

impl SentMail {
    /// The one-time token of its link.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn token(&self) -> String {
        let start = self.text.find("tf_ot_").unwrap_or_else(|| panic!("no token in {}", self.text));
        let allowed = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        self.text[start..].chars().take_while(allowed).collect()
    }

    /// The code that may be typed instead.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn code(&self) -> String {
        let after = self.text.split("code: ").nth(1).unwrap_or_else(|| panic!("no code in {}", self.text));
        after.chars().take_while(|character| !character.is_control()).filter(char::is_ascii_digit).collect()
    }
}

/// An address that no other test has.
pub fn fresh_email() -> String {
    static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);
    format!("{}@example.com", RANDOM.text(b"abcdefghijklmnopqrstuvwxyz", 16))
}

/// Waits for a mail to `email` whose subject contains `subject`, and which was not returned before.
///
/// # Panics
/// When none comes.
pub async fn mail_to(email: &str, subject: &str) -> SentMail {
    static SEEN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);
    eventually(&format!("a mail to {email} about {subject}"), || async {
        for (path, mail) in mails_to(email) {
            let mut seen = SEEN.lock().expect("no test panics here");
            if mail.subject.contains(subject) && seen.insert(path) {
                return Some(mail);
            }
        }
        None
    })
    .await
}

/// The mails that were sent to `email` until now, the oldest first.
pub fn mails_to(email: &str) -> Vec<(PathBuf, SentMail)> {
    let mails = mails_in(Path::new(&stack().dev().mail_dir)).into_iter();
    mails.filter(|(_, mail)| mail.to.eq_ignore_ascii_case(email)).collect()
}

/// The mails in a folder, the oldest first.
///
/// # Panics
/// When there is no such folder.
pub fn mails_in(folder: &Path) -> Vec<(PathBuf, SentMail)> {
    let entries = std::fs::read_dir(folder).expect("the folder of mails is there");
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    let mails = paths.into_iter().filter_map(|path| {
        let bytes = std::fs::read(&path).ok()?;
        let parsed = MessageParser::default().parse(&bytes)?;
        let mail = SentMail {
            to: parsed.to()?.first()?.address()?.to_owned(),
            subject: parsed.subject().unwrap_or_default().to_owned(),
            text: parsed.body_text(0).unwrap_or_default().into_owned(),
            html: parsed.body_html(0).unwrap_or_default().into_owned(),
        };
        Some((path, mail))
    });
    mails.collect()
}

/// Sends an anonymous `POST` with a JSON body.
pub async fn post(path: &str, body: &Value) -> Answer {
    anonymous(Method::POST, path).json(body).answer().await
}

impl Account {
    /// Signs a new user up with a tenant of their own, verifies the address, and signs in.
    pub async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// The same with further members of the sign-up's body.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn with(further: Value) -> Self {
        let email = fresh_email();
        let mut body = json!({"email": email, "password": PASSWORD});
        for (name, value) in further.as_object().expect("an object").clone() {
            body[name] = value;
        }
        post("/v1/auth/signup", &body).await.expect(202);
        Self::verify(&email).await;
        Self::log_in(&email, body["password"].as_str().expect("a password")).await
    }

    /// Proves an address by the mail that came.
    pub async fn verify(email: &str) {
        let mail = mail_to(email, "Confirm").await;
        post("/v1/auth/email/verify", &json!({"token": mail.token()})).await.expect(200);
    }

    /// Signs in with a password.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn log_in(email: &str, password: &str) -> Self {
        let answer = post("/v1/auth/login", &json!({"email": email, "password": password})).await.expect(200).json();
        assert_eq!(answer["status"], "signed_in", "{answer}");
        Self::signed_in(email, password, &answer)
    }

    /// The account that an answer with tokens is about.
    pub fn signed_in(email: &str, password: &str, answer: &Value) -> Self {
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            email: email.to_owned(),
            password: password.to_owned(),
            user_id: text("/user/id"),
            tenant_id: text("/tenant_id"),
            access_token: text("/access_token"),
            refresh_token: text("/refresh_token"),
            session_id: text("/session_id"),
            http: client(),
        }
    }

    /// A request with the access token. `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", stack().url())).bearer_auth(&self.access_token)
    }

    /// Refreshes the tokens; the answer's are this account's from now on.
    pub async fn refresh(&mut self) -> Value {
        let answer = post("/v1/auth/refresh", &json!({"refresh_token": self.refresh_token})).await.expect(200).json();
        *self = Self::signed_in(&self.email, &self.password, &answer);
        answer
    }
}

methods!(Account);
