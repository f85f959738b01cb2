//! Mails of jobs when the mail server refuses, when there is none, and when their tenant has sent enough for today.

use std::net::TcpListener as Port;

use serde_json::{Value, json};
use shared::dynamo::s;
use shared::time::SignedDuration;
use tests::account::{fresh_email, mails_to};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::own_jobs::OwnJobs;
use super::story_of;

/// An SMTP server (RFC 5321) that answers each recipient with the same line. The URL of it.
async fn smtp(to_recipients: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(BufReader::new(stream), to_recipients));
        }
    });
    url
}

async fn session(mut stream: BufReader<TcpStream>, to_recipients: &str) -> std::io::Result<()> {
    let mut answer = "220 here";
    loop {
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        answer = match line.split([' ', ':', '\r']).next().unwrap_or_default() {
            "RCPT" => to_recipients,
            "QUIT" => return Ok(()),
            _ => "250 so be it",
        };
    }
}

fn mail_to(recipients: &[&str]) -> Value {
    let payload = json!({"to": recipients, "subject": "Hello", "text": "Hello."});
    json!({"type": "mail.send", "payload": payload, "backoff": {"kind": "fixed", "seconds": 1}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_good_is_dead_at_once_and_its_reason_names_no_address() {
    let own = OwnJobs::new().await;
    let email = fresh_email();
    let worker = own.worker_with("MAIL_URL", &smtp("550 5.1.1 no such user").await).await;
    own.job(&mail_to(&[&email])).await;
    own.deliver(&worker).await;
    let job = own.until_it_has_ended().await;
    assert_eq!((&job["state"], story_of(&job)), (&json!("dead"), vec!["mail_refused".to_owned()]));
    let message = job["attempts"][0]["failure"]["message"].as_str().unwrap();
    assert!(message.contains("550") && !message.contains(&email), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cannot_be_sent_now_is_sent_later_and_is_known_again_by_its_id() {
    let own = OwnJobs::new().await;
    let email = fresh_email();
    let busy = own.worker_with("MAIL_URL", &smtp("451 4.7.1 later").await).await;
    let nobody = Port::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = own.worker_with("MAIL_URL", &format!("smtp://{nobody}")).await;
    let made = own.job(&mail_to(&[&email])).await;
    for worker in [&busy, &away] {
        own.clock.advance(SignedDuration::from_mins(5));
        own.sweep().await;
        own.deliver(worker).await;
    }
    let job = own.read(&made).await;
    assert_eq!(story_of(&job), ["mail_not_sent", "mail_not_sent"], "{job}");
    let job = own.until_it_has_ended().await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(job["result"]["message_id"], job["id"]);
    let mails = mails_to(&email);
    assert_eq!(mails.len(), 1);
    assert!(std::fs::read_to_string(&mails[0].0).unwrap().contains(&format!("<{}@", job["id"].as_str().unwrap())));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_a_mail_is_dead_at_once() {
    let own = OwnJobs::new().await;
    let worker = own.worker_with("MAIL_URL", "").await;
    own.job(&mail_to(&[&fresh_email()])).await;
    own.deliver(&worker).await;
    let job = own.until_it_has_ended().await;
    assert_eq!((&job["state"], story_of(&job)), (&json!("dead"), vec!["mail_is_off".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_writes_to_so_many_recipients_in_a_day_and_the_others_wait() {
    let own = OwnJobs::new().await;
    let worker = own.worker_with("TENANT_MAILS_PER_DAY", "3").await;
    let emails: [String; 4] = std::array::from_fn(|_| fresh_email());
    let [first, second, third, fourth] = emails.each_ref().map(String::as_str);
    own.job(&mail_to(&[first, second])).await;
    own.deliver(&worker).await;
    let waits = own.job(&mail_to(&[third, fourth])).await;
    own.deliver(&worker).await;
    assert_eq!((mails_to(first).len(), mails_to(third).len()), (1, 0));
    let waiting = own.read(&waits).await;
    // It has not failed: a third of the quota comes back in eight hours.
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("scheduled"), &json!([])), "{waiting}");
    let wait = crate::jobs::time(&waiting["run_at"]).duration_since(own.clock.now());
    assert!((wait - SignedDuration::from_hours(8)).abs() < SignedDuration::from_secs(5), "{wait}");
    own.clock.advance(SignedDuration::from_hours(8) + SignedDuration::from_mins(10));
    own.sweep().await;
    own.deliver(&worker).await;
    assert_eq!(own.read(&waits).await["state"], "succeeded");
    assert_eq!((mails_to(third).len(), mails_to(first).len()), (1, 1));

    let too_many = own.job(&mail_to(&[first, second, third, fourth])).await;
    own.deliver(&worker).await;
    assert_eq!(own.record(&too_many).await["phase"], s("dead"));
    assert_eq!(story_of(&own.read(&too_many).await), ["mail_quota"]);
}
