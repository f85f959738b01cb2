//! The gateway with functions of the tests' own behind it, over real connections.

use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::lambda::{Deferred, Function};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::*;
use crate::loopback::{self, Reply};
use crate::running::Running;
use crate::schedules::Schedules;
use crate::template::{DeclaredFunction, Route};

const TOKEN: &str = "token";

struct Served {
    base: String,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    running: Running,
}

/// Serves `handler` at `/x` with a time-out of a second.
async fn serve<H, F>(deferred: Deferred, handler: H) -> Served
where
    H: Fn(Value, Context) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, shared::BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let declared = DeclaredFunction {
        logical_id: "X".to_owned(),
        handler: "x.api".to_owned(),
        timeout: Duration::from_secs(1),
        memory: 128,
        variables: std::collections::BTreeMap::new(),
        triggers: Vec::new(),
    };
    let running = Running::new();
    let function = Function::event(deferred, handler);
    let instance = Arc::new(Instance::of(declared, Environment::default(), function, running.clone()));
    let route = Route { method: None, path: "/x".to_owned() };
    let schedules = Arc::new(Schedules::of(&[]).unwrap());
    let control = Control { token: TOKEN.to_owned(), schedules, functions: vec![instance.clone()] };
    let gateway = Arc::new(Gateway { routes: Routes::new([(route, instance)]), control, port });
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(gateway.serve(listener, stopping));
    Served { base: format!("http://127.0.0.1:{port}"), stop, serving, running }
}

impl Served {
    async fn get(&self, path: &str) -> Reply {
        loopback::send(Method::GET, &self.base, path, None, None).await.unwrap()
    }

    /// Sends bytes as they are and returns all that comes until the connection is closed.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.base.strip_prefix("http://").unwrap()).await.unwrap();
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn message(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_unknown_route_is_not_found_as_api_gateway_says_it() {
    let served = serve(Deferred::default(), |_, _| async { Ok(json!({"statusCode": 204})) }).await;
    assert_eq!(served.get("/x").await.status, 204);
    assert_eq!(message(&served.get("/y").await), (404, "Not Found".to_owned()));
}

#[tokio::test]
async fn a_function_that_fails_panics_or_hangs_is_an_internal_error_and_the_next_request_is_served() {
    let served = serve(Deferred::default(), |event, _| async move {
        match event["rawQueryString"].as_str() {
            Some("fail") => Err("no".into()),
            Some("panic") => panic!("on purpose"),
            Some("hang") => std::future::pending().await,
            Some("large") => Ok(json!({"statusCode": 200, "body": "x".repeat(6 * 1024 * 1024)})),
            _ => Ok(json!({"statusCode": 200})),
        }
    })
    .await;
    for case in ["fail", "panic", "hang", "large"] {
        let reply = served.get(&format!("/x?{case}")).await;
        assert_eq!(message(&reply), (500, "Internal Server Error".to_owned()), "{case}");
        assert_eq!(served.get("/x").await.status, 200);
    }
}

#[tokio::test]
async fn the_deadline_is_the_functions_timeout() {
    let served = serve(Deferred::default(), |_, context| async move {
        Ok(json!({"remaining": shared::lambda::remaining(&context).as_millis(), "arn": context.invoked_function_arn}))
    })
    .await;
    let answer = served.get("/x").await.json();
    let remaining = answer["remaining"].as_u64().unwrap();
    assert!((500..=1_000).contains(&remaining), "{remaining}");
    assert_eq!(answer["arn"], json!("arn:aws:lambda:us-east-1:000000000000:function:X"));
}

#[tokio::test]
async fn bodies_over_the_limits_of_lambda_and_of_the_gateway_are_refused() {
    let served = serve(Deferred::default(), |event, _| async move {
        Ok(json!({"statusCode": 200, "body": event["body"].as_str().unwrap_or_default().len().to_string()}))
    })
    .await;
    for (size, status) in [(1_000, "200"), (6 * 1024 * 1024, "413"), (10 * 1024 * 1024 + 1, "413")] {
        let mut request = format!(
            "POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
        )
        .into_bytes();
        // What is refused by its declared length alone is not sent.
        if size <= 10 * 1024 * 1024 {
            request.resize(request.len() + size, b'a');
        }
        let answer = served.raw(&request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{size}: {}",
            answer.lines().next().unwrap_or_default()
        );
    }
}

#[tokio::test]
async fn a_request_without_one_valid_host_is_refused_and_head_has_no_body() {
    let served = serve(Deferred::default(), |_, _| async { Ok(json!({"statusCode": 200, "body": "hello"})) }).await;
    for host in ["", "Host: a b\r\n", "Host: a\r\nHost: a\r\n"] {
        let answer = served.raw(format!("GET /x HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{host:?}: {answer}");
    }
    let answer = served.raw(b"HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 5"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn deferred_work_is_done_after_the_answer_and_before_the_end() {
    let deferred = Deferred::default();
    let done = Arc::new(AtomicBool::new(false));
    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let held = Arc::new(tokio::sync::Mutex::new(Some(held)));
    let (list, mark) = (deferred.clone(), done.clone());
    let served = serve(deferred, move |_, _| {
        let (list, mark, held) = (list.clone(), mark.clone(), held.clone());
        async move {
            let held = held.lock().await.take().unwrap();
            let work = async move {
                let _ = held.await;
                mark.store(true, Ordering::SeqCst);
            };
            list.defer(Box::pin(work)).await;
            Ok(json!({"statusCode": 200}))
        }
    })
    .await;
    assert_eq!(served.get("/x").await.status, 200);
    assert!(!done.load(Ordering::SeqCst));
    release.send(()).unwrap();
    served.stop.send_replace(true);
    served.serving.await.unwrap();
    served.running.idle().await;
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn the_control_endpoints_want_their_token() {
    let served = serve(Deferred::default(), |_, _| async { Ok(json!({"statusCode": 200})) }).await;
    for token in [None, Some("wrong"), Some("")] {
        let reply = loopback::send(Method::GET, &served.base, "/_tenfold/functions", token, None).await.unwrap();
        assert_eq!(reply.status, 403, "{token:?}");
    }
    let reply = loopback::send(Method::GET, &served.base, "/_tenfold/functions", Some(TOKEN), None).await.unwrap();
    assert_eq!(reply.json(), json!({"functions": ["x.api"], "schedules": []}));
    let reply = loopback::send(Method::POST, &served.base, "/_tenfold/tick/none", Some(TOKEN), None).await.unwrap();
    assert_eq!(reply.status, 404);
}
