//! Mails that jobs send, and who may ask for them.

use http::Method;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use shared::identity::Role;
use tests::account::{fresh_email, mails_to};
use tests::{Answer, Ask as _, Tenant, client, eventually, stack};

use crate::jobs::{act, ended, job, leased, path_of};
use crate::link::faults;

fn mail_to(email: &str) -> Value {
    json!({"type": "mail.send", "payload": {"to": [email], "subject": "Hello", "text": "Hello."}})
}

#[tokio::test]
async fn a_mail_reaches_its_recipients_as_it_was_asked_for() {
    let tenant = Tenant::new().await;
    let (first, second) = (fresh_email(), fresh_email());
    let payload = json!({
        "to": [first, second], "subject": "Grüße: your report", "text": "All is well.\n", "html": "<p>All is <b>well</b>.</p>",
        "reply_to": "desk@example.org",
    });
    let done = ended(&tenant, &job(&tenant, json!({"type": "mail.send", "payload": payload})).await).await;
    assert_eq!((&done["state"], &done["result"]["recipients"]), (&json!("succeeded"), &json!(2)), "{done}");
    let mails = mails_to(&first);
    assert_eq!(mails.len(), 1);
    let bytes = std::fs::read(&mails[0].0).unwrap();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.subject(), Some("Grüße: your report"));
    let to: Vec<_> = mail.to().unwrap().as_list().unwrap().iter().map(|one| one.address().unwrap()).collect();
    assert_eq!(to, [first.as_str(), second.as_str()]);
    assert_eq!(mail.reply_to().unwrap().first().unwrap().address(), Some("desk@example.org"));
    // The sender is the deployment's, whoever asked.
    assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("no-reply@tenfold.test"));
    assert_eq!(mail.message_id(), Some(format!("{}@tenfold.test", done["id"].as_str().unwrap()).as_str()));
    assert_eq!(mail.body_text(0).unwrap().trim_end(), "All is well.");
    assert!(mail.body_html(0).unwrap().contains("<b>well</b>"));
    assert!(mail.bcc().is_none() && mail.cc().is_none());
}

#[tokio::test]
async fn asking_for_a_mail_needs_a_permission_of_its_own() {
    let tenant = Tenant::new().await;
    let as_key = async |scopes: &str| tenant.key_with(scopes).await;
    let (without, with) = (as_key("jobs:read jobs:write").await, as_key("jobs:write mail:send").await);
    let send = async |key: &str, path: &str, body: &Value| -> Answer {
        client().post(format!("{}{path}", stack().url())).bearer_auth(key).json(body).answer().await
    };
    let refused = |answer: Answer| {
        let challenge = answer.header("www-authenticate").to_owned();
        assert!(challenge.contains("insufficient_scope") && challenge.contains("mail:send"), "{challenge}");
        answer.problem(403, "forbidden");
    };
    let email = fresh_email();
    let mail = mail_to(&email);
    let follows = json!({"type": "own", "on_done": {"job": mail.clone()}});
    let scheduled = json!({"name": "Mail", "cron": "0 3 * * *", "job": mail});
    refused(send(&without, "/v1/jobs", &mail).await);
    refused(send(&without, "/v1/jobs", &follows).await);
    refused(send(&without, "/v1/jobs/batch", &json!({"jobs": [{"type": "noop"}, mail]})).await);
    refused(send(&without, "/v1/schedules", &scheduled).await);
    assert_eq!(tenant.get("/v1/jobs").await.expect(200).json()["data"], json!([]));

    let made = send(&with, "/v1/jobs", &mail).await.expect(201).json();
    ended(&tenant, &made).await;
    assert_eq!(mails_to(&email).len(), 1);
    // To have it sent again is to ask for it.
    refused(send(&without, &format!("{}/retry", path_of(&made)), &json!({})).await);
    send(&with, "/v1/schedules", &scheduled).await.expect(201);
    let granted: Vec<_> = Role::ALL.into_iter().filter(|role| role.grants("mail:send")).collect();
    assert_eq!(granted, [Role::Owner, Role::Admin]);
}

#[tokio::test]
async fn a_dead_mail_is_redriven_by_those_who_may_ask_for_it_alone() {
    let tenant = Tenant::new().await;
    // Its result becomes the payload of the mail, which nobody has checked before.
    let first = json!({"type": "own", "on_done": {"job": {"type": "mail.send", "queue": "mails"}}});
    job(&tenant, first).await;
    let email = fresh_email();
    let result = json!({"to": [email], "subject": "Hello\r\nBcc: eve@example.org", "text": "Hello."});
    act(&tenant, &leased(&tenant).await, "complete", json!({"claim": 1, "result": result})).await.expect(200);
    let dead = eventually("the mail to be dead", || async {
        let page = tenant.get("/v1/jobs?queue=mails&state=dead").await.expect(200).json();
        page["data"].get(0).cloned()
    })
    .await;
    let failure = &dead["attempts"][0]["failure"];
    assert_eq!((&failure["class"], &dead["attempt"]), (&json!("payload"), &json!(1)), "{dead}");
    assert!(failure["message"].as_str().unwrap().contains("/subject"), "{failure}");
    assert!(mails_to(&email).is_empty());

    let key = tenant.key_with("jobs:read jobs:write").await;
    let redrive = async |key: &str| {
        let request = client().post(format!("{}/v1/queues/mails/redrive", stack().url())).bearer_auth(key);
        request.json(&json!({})).answer().await.expect(200).json()
    };
    assert_eq!(redrive(&key).await, json!({"matched": 1, "redriven": 0}));
    assert_eq!(redrive(&tenant.api_key).await, json!({"matched": 1, "redriven": 1}));
}

#[tokio::test]
async fn what_is_asked_is_checked_at_once() {
    let tenant = Tenant::new().await;
    for (payload, expected) in [
        (
            json!({}),
            vec![
                ("/payload/subject", "missing_field"),
                ("/payload/text", "missing_field"),
                ("/payload/to", "missing_field"),
            ],
        ),
        (
            json!({"to": ["nobody", "a@example.org\r\nBcc: b@example.org"], "subject": "a\nb", "text": "", "reply_to": "c"}),
            vec![
                ("/payload/reply_to", "invalid"),
                ("/payload/subject", "control_character"),
                ("/payload/to/0", "invalid"),
                ("/payload/to/1", "invalid"),
            ],
        ),
        (
            json!({"to": ["a@example.org"], "subject": "a", "text": "", "from": "boss@example.org"}),
            vec![("/payload/from", "unknown_field")],
        ),
    ] {
        let body = json!({"type": "mail.send", "payload": payload});
        let problem = tenant.request(Method::POST, "/v1/jobs").json(&body).answer().await.problem(422, "validation");
        assert_eq!(faults(&problem), expected, "{body}");
    }
}
