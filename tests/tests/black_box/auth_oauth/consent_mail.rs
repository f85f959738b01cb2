//! What a user is told by mail of an application that was let in.

use lambda_runtime::Context;
use serde_json::{Value, json};
use tests::account::SentMail;
use tests::{Answer, Instance};

use super::applications::{CALLBACK, text};
use crate::own_accounts::{OwnAccounts, Person};
use crate::own_oauth::{Registered, encoded};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A user, the application of their own tenant that asks, and where it asks.
pub(super) struct Asked<'a> {
    accounts: &'a OwnAccounts,
    oauth: Instance,
    client: Registered,
}

impl<'a> Asked<'a> {
    pub(super) async fn by_application(accounts: &'a OwnAccounts, owner: &Person<'_>) -> Self {
        let body = json!({"name": "Report Maker", "scopes": ["links:*", "notes:*"], "redirect_uris": [CALLBACK]});
        let made = owner.administer("POST", "/v1/oauth-clients", Some(&body)).await.expect(201).json();
        let client = Registered { id: text(&made, "id").to_owned(), secret: text(&made, "client_secret").to_owned() };
        Self { accounts, oauth: accounts.instance("auth.oauth").await, client }
    }

    /// The path at which a request for `scope` is decided.
    pub(super) async fn request(&self, scope: &str) -> String {
        let parameters = [
            ("response_type", "code"),
            ("client_id", self.client.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", scope),
        ];
        let path = format!("/oauth/authorize?{}", encoded(&parameters));
        let event = self.accounts.event("GET", &path, &[], None);
        let answer = self.oauth.http_in(&event, Context::default()).await.expect(303);
        let request = answer.header("location").strip_prefix("/auth/authorize?request=").unwrap();
        format!("/v1/auth/authorizations/{request}")
    }

    async fn decide(&self, person: &Person<'_>, scope: &str, decision: &Value) -> Answer {
        person.post(&self.request(scope).await, decision).await
    }
}

fn says(mail: &SentMail, words: &str) {
    assert!(mail.text.contains(words) && mail.html.contains(words), "{words}: {}", mail.text);
}

#[tokio::test]
async fn a_user_is_told_of_what_they_agree_to_for_the_first_time_and_how_to_take_it_back() {
    let accounts = OwnAccounts::new().await;
    let ann = accounts.person().await;
    let asked = Asked::by_application(&accounts, &ann).await;
    let allow = json!({"decision": "allow"});

    asked.decide(&ann, "openid links:read", &json!({"decision": "deny"})).await.expect(200);
    assert!(accounts.mails(&ann.email).await.is_empty(), "who refuses has given nothing");
    asked.decide(&ann, "openid links:read", &allow).await.expect(200);
    let mail = accounts.mail(&ann.email, "An application has access to your").await;
    for words in ["Report Maker", "See links and their statistics.", "Know who you are: your user id."] {
        says(&mail, words);
    }
    // Of two applications with one name the id says which it is, and by it the access is ended.
    says(&mail, &asked.client.id);
    says(&mail, "end its access");
    says(&mail, "10.");
    assert!(!mail.text.contains("notes") && !mail.text.contains("code="), "{}", mail.text);

    // The same again is a sign-in like others.
    asked.decide(&ann, "links:read", &allow).await.expect(200);
    assert!(accounts.mails(&ann.email).await.is_empty());
    // More is told of, by what it has in all.
    asked.decide(&ann, "notes:read", &allow).await.expect(200);
    let more = accounts.mail(&ann.email, "An application has access to your").await;
    for words in ["See links and their statistics.", "Report Maker"] {
        says(&more, words);
    }
    assert_ne!(mail.text, more.text);

    // What was taken back is given anew.
    ann.delete(&format!("/v1/auth/grants/{}", asked.client.id)).await.expect(204);
    asked.decide(&ann, "links:read", &allow).await.expect(200);
    accounts.mail(&ann.email, "An application has access to your").await;
}

#[tokio::test]
async fn a_decision_that_does_not_hold_is_not_told() {
    let accounts = OwnAccounts::new().await;
    let ann = accounts.person().await;
    let asked = Asked::by_application(&accounts, &ann).await;
    let path = asked.request("links:read").await;
    let refused = json!({"decision": "allow", "scopes": ["links:write"]});
    ann.post(&path, &refused).await.problem(422, "validation");
    assert!(accounts.mails(&ann.email).await.is_empty());
    // Of many at once one is taken, and told once.
    let allow = json!({"decision": "allow"});
    let answers = futures::future::join_all((0..4).map(|_| ann.post(&path, &allow))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    accounts.mail(&ann.email, "An application has access to your").await;
}
