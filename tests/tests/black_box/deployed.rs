//! The binary that is deployed, run as Lambda runs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::{Fault, FaultProxy, LambdaProcess, Tenant, eventually, http_event};

use crate::link::{door_of, link, path_of};

const BINARY: &str = env!("CARGO_BIN_EXE_links-lambda");

#[tokio::test]
async fn the_redirect_answers_and_its_click_is_sent_before_the_instance_is_frozen() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({})).await;
    let network = FaultProxy::watching().await;
    let lambda = LambdaProcess::start(BINARY, "links.redirect", &[("AWS_ENDPOINT_URL", network.url())]).await;
    let answer = lambda.invoke(&http_event("GET", &door_of(&link), &[], None)).await.unwrap();
    assert_eq!((&answer["statusCode"], &answer["headers"]["location"]), (&json!(302), &json!("https://example.com/")));
    lambda.rest().await;
    // The first is that of the start, which opens the connection.
    assert_eq!(network.calls(), ["", "GetItem", "SendMessage"]);
    counted(&tenant, &link).await;
}

/// Waits until the one click of a link is counted.
async fn counted(tenant: &Tenant, link: &Value) {
    eventually("the click to be counted", || async {
        let stats = tenant.get(&format!("{}/stats", path_of(link))).await.json();
        (stats["total"]["clicks"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_does_not_answer_does_not_hold_up_the_redirect() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({})).await;
    let network = FaultProxy::start(|call| (call == "SendMessage").then_some(Fault::Silence)).await;
    let lambda = LambdaProcess::start(BINARY, "links.redirect", &[("AWS_ENDPOINT_URL", network.url())]).await;
    let answer = lambda.invoke(&http_event("GET", &door_of(&link), &[], None)).await.unwrap();
    assert_eq!(answer["statusCode"], 302);
    // An answer that waited for the queue would come when the client library has tried three times.
    let tried = || network.calls().iter().filter(|call| *call == "SendMessage").count();
    assert!(tried() <= 1, "the first try was not over yet");
    eventually("the first try", || async { (tried() == 1).then_some(()) }).await;
}

#[tokio::test]
async fn an_instance_ends_in_order_when_it_is_told_to() {
    let tenant = Tenant::new().await;
    let link = link(&tenant, json!({})).await;
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = refuses.clone();
    let network = FaultProxy::start(move |call| {
        (call == "SendMessage" && refusing.load(Ordering::SeqCst)).then_some(Fault::ServerError)
    })
    .await;
    let lambda = LambdaProcess::start(BINARY, "links.redirect", &[("AWS_ENDPOINT_URL", network.url())]).await;
    lambda.invoke(&http_event("GET", &door_of(&link), &[], None)).await.unwrap();
    lambda.rest().await;
    assert!(network.calls().contains(&"SendMessage".to_owned()), "it was tried, and is held");

    refuses.store(false, Ordering::SeqCst);
    assert_eq!(lambda.terminate().await.code(), Some(0));
    counted(&tenant, &link).await;
}

#[tokio::test]
async fn an_event_that_is_none_is_reported_and_the_instance_goes_on() {
    let lambda = LambdaProcess::start(BINARY, "links.redirect", &[]).await;
    lambda.invoke(&json!({"not": "an event"})).await.unwrap_err();
    lambda.rest().await;
    let answer = lambda.invoke(&http_event("GET", "/l/nothing-here", &[], None)).await.unwrap();
    assert_eq!(answer["statusCode"], 404);
}
