//! Lambda's Runtime API and Extensions API, as far as a function and its internal extensions use them, so that a
//! deployed binary can be run as Lambda runs it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>).

use std::collections::{HashMap, VecDeque};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::Value;
use shared::time::Clock;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::server::{Answered, serve};
use crate::stack;

/// A deployed binary that runs under an emulated Lambda. Killed when dropped.
pub struct LambdaProcess {
    child: Child,
    platform: Arc<Platform>,
}

/// The state of the emulated platform.
#[derive(Default)]
struct Platform {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Invocations that the function has not taken yet: id and event.
    waiting: VecDeque<(String, String)>,
    /// Answers by invocation.
    answered: HashMap<String, Result<Value, Value>>,
    /// Extensions by name, which is their id here.
    extensions: HashMap<String, Extension>,
    /// Whether the function has asked for its first invocation.
    started: bool,
    invocations: u64,
}

struct Extension {
    /// Whether it is told of invocations.
    invoked: bool,
    /// Events that it has not taken yet.
    waiting: u64,
    /// Whether it waits for the next event.
    resting: bool,
}

impl Platform {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `look` finds something in the state.
    async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }
}

impl LambdaProcess {
    /// Starts `binary` as the function `handler`, with the stack's environment for it and `changes`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(binary: &str, handler: &str, changes: &[(&str, &str)]) -> Self {
        let platform = Arc::<Platform>::default();
        let serving = platform.clone();
        let address = serve(move |request| {
            let platform = serving.clone();
            async move { answer(&platform, request).await }
        })
        .await;
        let environment = stack().environment(handler).expect("the template has the function");
        let child = Command::new(binary)
            .env_clear()
            .envs(environment.iter())
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .envs(changes.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        // Lambda invokes an instance when the function and all extensions have asked for their first event.
        let ready =
            |state: &mut State| (state.started && state.extensions.values().all(|one| one.resting)).then_some(());
        platform.until(ready).await;
        Self { child, platform }
    }

    /// Invokes the function and waits for its answer; the error is what it reported.
    pub async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        let id = self.platform.change(|state| {
            state.invocations += 1;
            let id = format!("invocation-{}", state.invocations);
            state.waiting.push_back((id.clone(), event.to_string()));
            for extension in state.extensions.values_mut().filter(|extension| extension.invoked) {
                extension.waiting += 1;
                extension.resting = false;
            }
            id
        });
        self.platform.until(|state| state.answered.remove(&id)).await
    }

    /// Waits until all extensions rest: only now would Lambda freeze the instance.
    pub async fn rest(&self) {
        let resting = |state: &mut State| {
            let told: Vec<_> = state.extensions.values().filter(|extension| extension.invoked).collect();
            (!told.is_empty() && told.iter().all(|extension| extension.resting && extension.waiting == 0)).then_some(())
        };
        self.platform.until(resting).await;
    }

    /// Sends SIGTERM, as Lambda does before it ends an instance that has an extension, and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::TERM).expect("it takes signals");
        self.child.wait().await.expect("it ends")
    }
}

async fn answer(platform: &Platform, request: hyper::Request<Incoming>) -> Answered {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path: Vec<_> = parts.uri.path().trim_start_matches('/').split('/').collect();
    match (&parts.method, path.as_slice()) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => next_invocation(platform).await,
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, outcome]) => {
            let value: Value = serde_json::from_slice(&body)?;
            let answer = if *outcome == "response" { Ok(value) } else { Err(value) };
            platform.change(|state| state.answered.insert((*id).to_owned(), answer));
            Ok(hyper::Response::builder().status(StatusCode::ACCEPTED).body(Full::default())?)
        }
        (&Method::POST, ["2020-01-01", "extension", "register"]) => {
            register(platform, header("lambda-extension-name"), &serde_json::from_slice(&body)?)
        }
        (&Method::GET, ["2020-01-01", "extension", "event", "next"]) => {
            next_event(platform, header("lambda-extension-identifier")).await
        }
        _ => Ok(hyper::Response::builder().status(StatusCode::NOT_FOUND).body(Full::default())?),
    }
}

async fn next_invocation(platform: &Platform) -> Answered {
    platform.change(|state| state.started = true);
    let (id, event) = platform.until(|state| state.waiting.pop_front()).await;
    let deadline = Clock::system().now() + shared::time::SignedDuration::from_secs(10);
    Ok(hyper::Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline.as_millisecond())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:function")
        .body(Full::new(event.into()))?)
}

fn register(platform: &Platform, name: &str, body: &Value) -> Answered {
    let invoked = body["events"].as_array().is_some_and(|events| events.iter().any(|event| event == "INVOKE"));
    let extension = Extension { invoked, waiting: 0, resting: false };
    platform.change(|state| state.extensions.insert(name.to_owned(), extension));
    let answer = r#"{"functionName": "function", "functionVersion": "$LATEST", "handler": "function"}"#;
    Ok(hyper::Response::builder().header("lambda-extension-identifier", name).body(Full::new(answer.into()))?)
}

async fn next_event(platform: &Platform, id: &str) -> Answered {
    platform.change(|state| {
        if let Some(extension) = state.extensions.get_mut(id) {
            extension.resting = true;
        }
    });
    platform
        .until(|state| {
            let extension = state.extensions.get_mut(id)?;
            extension.waiting = extension.waiting.checked_sub(1)?;
            extension.resting = false;
            Some(())
        })
        .await;
    let deadline = Clock::system().now() + shared::time::SignedDuration::from_secs(10);
    let event = serde_json::json!({
        "eventType": "INVOKE",
        "deadlineMs": deadline.as_millisecond(),
        "requestId": "invocation",
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:function",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-0-0"}
    });
    Ok(hyper::Response::builder().body(Full::new(event.to_string().into()))?)
}

impl std::fmt::Debug for LambdaProcess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LambdaProcess").field("child", &self.child).finish_non_exhaustive()
    }
}
