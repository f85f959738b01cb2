//! The page that signs users in and asks them: what it offers, and the calls that it makes.

use std::collections::BTreeSet;

use auth::SERVICE;
use http::Method;
use serde_json::json;
use tests::{Ask as _, Instance, anonymous};
use url::Url;

use super::applications::{answered, text};
use super::consent_mail::Asked;
use crate::own_accounts::{OwnAccounts, Person};

/// The page, and its policy.
async fn page() -> (String, String) {
    let pages = Instance::of(&SERVICE, "auth.pages").await;
    let answer = pages.http("GET", "/auth/authorize?request=x", &[], None).await.expect(200);
    let policy = answer.header("content-security-policy").to_owned();
    (String::from_utf8_lossy(&answer.body).into_owned(), policy)
}

/// What a part of the page is hidden by, or what it is otherwise.
fn tag<'a>(html: &'a str, id: &str) -> &'a str {
    let place = html.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let begin = html[..place].rfind('<').unwrap();
    &html[begin..begin + html[begin..].find('>').unwrap()]
}

#[tokio::test]
async fn the_page_offers_a_password_a_code_by_mail_and_a_passkey() {
    let (html, policy) = page().await;
    assert!(tag(&html, "email").contains("autocomplete=\"username\""));
    // The one button that the keyboard's return key presses is that of the password.
    for id in ["by-mail", "by-passkey", "factor-passkey", "allow", "deny", "leave", "switch"] {
        assert!(tag(&html, id).starts_with("<button") && tag(&html, id).contains("type=\"button\""), "{id}");
    }
    // A browser that has no passkeys is offered none, and nothing is shown before its time.
    for id in ["by-passkey", "factor-passkey", "code-step", "consent", "other-account"] {
        assert!(tag(&html, id).contains(" hidden"), "{id}");
    }
    let called: BTreeSet<_> = html.split('"').filter(|part| part.starts_with("/v1/")).collect();
    for path in [
        "/v1/auth/login",
        "/v1/auth/second-factor",
        "/v1/auth/second-factor/passkey",
        "/v1/auth/passkeys/login/begin",
        "/v1/auth/passkeys/login/finish",
        "/v1/auth/passwordless/start",
        "/v1/auth/passwordless/verify",
        "/v1/auth/logout",
    ] {
        assert!(called.contains(path), "{path}: {called:?}");
    }
    // Whatever others chose is put in as text, and the policy knows the page's own script alone.
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "javascript:"] {
        assert!(!html.contains(sink), "{sink}");
    }
    assert!(policy.contains("script-src 'sha256-") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn what_the_page_calls_is_there() {
    let (html, _) = page().await;
    let document = anonymous(Method::GET, "/openapi/v1.json").answer().await.expect(200).json();
    for path in html.split('"').filter(|part| part.starts_with("/v1/")) {
        assert!(document["paths"][path]["post"].is_object(), "{path}");
    }
    assert!(html.contains("`/v1/auth/authorizations/${"));
    assert!(document["paths"]["/v1/auth/authorizations/{id}"]["post"].is_object());
}

#[tokio::test]
async fn who_is_sent_back_without_having_agreed_says_so() {
    let (html, _) = page().await;
    // RFC 9700, section 4.11.2: only who allowed it is sent on without pressing another button.
    assert_eq!(html.matches("location.replace(").count(), 1);
    assert!(html.contains("if (decision === \"allow\" && !refused) location.replace("), "{html}");
}

#[tokio::test]
async fn a_user_signs_in_by_a_code_of_a_mail_and_decides() {
    let accounts = OwnAccounts::new().await;
    let ann = accounts.person().await;
    let asked = Asked::by_application(&accounts, &ann).await;
    let path = asked.request("openid links:read").await;
    let begun = accounts.post("/v1/auth/passwordless/start", &json!({"email": ann.email})).await.expect(202).json();
    let code = accounts.mail(&ann.email, "Sign in").await.code();
    let finish = json!({"ticket": begun["ticket"], "code": code});
    let signed_in = accounts.post("/v1/auth/passwordless/verify", &finish).await.expect(200).json();
    let by_mail = Person::of(&accounts, &ann.email, &signed_in);
    assert_eq!(by_mail.get(&path).await.expect(200).json()["is_other_account"], false);
    let decided = by_mail.post(&path, &json!({"decision": "allow"})).await.expect(200).json();
    assert!(answered(&Url::parse(text(&decided, "redirect_to")).unwrap(), "code").is_some());
    by_mail.post("/v1/auth/logout", &json!({})).await.expect(204);
}
