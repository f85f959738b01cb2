//! What a request says of the user that it expects (OpenID Connect Core 1.0, section 3.1.2.1): hints.

use serde_json::{Value, json};
use url::Url;

use super::application_attacks::{returned_to, seen};
use super::applications::{answered, text};
use crate::own_oauth::{OwnOAuth, Registered};
use crate::own_tenant::Member;

const OPENID: (&str, &str) = ("scope", "openid");

/// The id token that an application has of a user.
async fn id_token(own: &OwnOAuth, member: &Member, client: &Registered) -> String {
    text(&own.let_in(member, client, "openid").await, "id_token").to_owned()
}

#[tokio::test]
async fn an_address_that_is_expected_goes_to_the_page_and_to_no_server() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], true).await;
    let fragment = async |own: &OwnOAuth, hint: &str| {
        let answer = own.authorize(&client, &[("login_hint", hint)]).await.expect(303);
        let to = answer.header("location").to_owned();
        let (query, fragment) = to.split_once('#').unwrap_or((&to, ""));
        assert!(!query.contains("hint"), "{to}");
        fragment.to_owned()
    };
    assert_eq!(fragment(&own, "ann@example.com").await, "login_hint=ann%40example.com");
    assert_eq!(fragment(&own, "\"><script>&x=1#é").await, "login_hint=%22%3E%3Cscript%3E%26x%3D1%23%C3%A9");
    // What is no address is no hint for the page.
    for none in ["", &"x".repeat(255)] {
        assert_eq!(fragment(&own, none).await, "", "{none}");
    }
    // A page of the owner's gets it likewise, unless it has a fragment of its own.
    for (page, hinted) in [("https://app.example.com/consent", true), ("https://app.example.com/#/consent", false)] {
        let own = OwnOAuth::with(|environment| environment.with("CONSENT_URL", page)).await;
        let client = own.application(&["links:*"], true).await;
        let answer = own.authorize(&client, &[("login_hint", "ann@example.com")]).await.expect(303);
        assert_eq!(answer.header("location").ends_with("#login_hint=ann%40example.com"), hinted);
    }
}

#[tokio::test]
async fn an_application_that_expects_one_user_gets_no_other() {
    let own = OwnOAuth::new().await;
    let (ann, ben) = (own.tenant.member(&["member"]).await, own.tenant.member(&["member"]).await);
    let client = own.application(&["links:*"], false).await;
    let token = id_token(&own, &ann, &client).await;
    // Both agreed before, so that it is not about consent.
    own.let_in(&ben, &client, "openid").await;
    let asked = [OPENID, ("id_token_hint", token.as_str())];

    let decided = async |member: &Member, path: &str, decision: &str| -> Url {
        let decided = own.tenant.post(member, path, &json!({"decision": decision})).await.expect(200).json();
        Url::parse(text(&decided, "redirect_to")).unwrap()
    };
    let view = async |member: &Member, path: &str| -> Value { own.tenant.get(member, path).await.expect(200).json() };
    let path = own.request(&client, &asked).await;
    let (anns, bens) = (view(&ann, &path).await, view(&ben, &path).await);
    assert_eq!((&anns["is_other_account"], &bens["is_other_account"]), (&json!(false), &json!(true)));
    // The page asks the one who is not expected, and lets nothing through without asking.
    assert_eq!((&anns["consented"], &bens["consented"]), (&json!(true), &json!(false)));
    let back = decided(&ben, &path, "allow").await;
    assert_eq!((answered(&back, "error").as_deref(), answered(&back, "code")), (Some("login_required"), None));
    assert_eq!(answered(&back, "state").as_deref(), Some("a state & more"));
    // It was decided.
    own.tenant.post(&ann, &path, &json!({"decision": "allow"})).await.problem(404, "not-found");

    let path = own.request(&client, &asked).await;
    assert_eq!(answered(&decided(&ben, &path, "deny").await, "error").as_deref(), Some("access_denied"));
    let path = own.request(&client, &asked).await;
    assert!(answered(&decided(&ann, &path, "allow").await, "code").is_some());
    // What a request without a hint shows.
    let path = own.request(&client, &[OPENID]).await;
    assert_eq!(view(&ben, &path).await["is_other_account"], false);

    // A token that has expired still says who it was: it is no proof of anything.
    own.tenant.wait(601);
    let path = own.request(&client, &asked).await;
    let ann = own.tenant.log_in(&ann.email).await;
    assert!(answered(&decided(&ann, &path, "allow").await, "code").is_some());
    let silent = own.authorize(&client, &[OPENID, asked[1], ("prompt", "none")]).await.expect(303);
    let back = Url::parse(silent.header("location")).unwrap();
    assert_eq!(answered(&back, "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_hint_is_an_id_token_of_ours_for_that_client() {
    let own = OwnOAuth::new().await;
    let ann = own.tenant.member(&["member"]).await;
    let (client, other) = (own.application(&["links:*"], false).await, own.application(&["links:*"], false).await);
    let tokens = own.let_in(&ann, &client, "openid links:read").await;
    let good = text(&tokens, "id_token");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let cut = signed.to_owned();
    let foreign = id_token(&own, &ann, &other).await;
    let long = "x".repeat(9000);
    for wrong in ["nonsense", "a.b.c", &forged, &cut, &foreign, text(&tokens, "access_token"), &ann.access_token, &long]
    {
        let answer = own.authorize_by_form(&client, &[OPENID, ("id_token_hint", wrong)]).await;
        assert!(!seen(&answer).contains(wrong), "{wrong}");
        let back = returned_to(answer);
        assert_eq!(answered(&back, "error").as_deref(), Some("invalid_request"), "{wrong}");
    }
    own.request(&client, &[OPENID, ("id_token_hint", good)]).await;
}
