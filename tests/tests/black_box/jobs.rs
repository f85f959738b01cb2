//! Jobs made for a test, workers that lease them, and a server that they are sent to.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared::signing::{Verifier, VerifyError, VerifyingKey};
use shared::time::{Clock, Timestamp};
use tests::{Answer, Tenant, eventually};
use tokio::net::TcpListener;

/// What a [`Receiver`] answers.
pub(crate) type Response = hyper::Response<Full<Bytes>>;

/// The backoff of tests: a second.
pub(crate) fn soon() -> Value {
    json!({"kind": "fixed", "seconds": 1})
}

/// The answer to the request that makes a job.
pub(crate) async fn made(tenant: &Tenant, body: Value) -> Answer {
    tenant.post("/v1/jobs", &body).await.expect(201)
}

/// A new job.
pub(crate) async fn job(tenant: &Tenant, body: Value) -> Value {
    made(tenant, body).await.json()
}

/// The jobs of a new batch, in its order.
pub(crate) async fn batch(tenant: &Tenant, jobs: Vec<Value>) -> Vec<Value> {
    let answer = tenant.post("/v1/jobs/batch", &json!({"jobs": jobs})).await.expect(200).json();
    let results = answer["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| {
            assert_eq!(result["outcome"], "created", "{result}");
            result["job"].clone()
        })
        .collect()
}

/// The path of a job in the API.
pub(crate) fn path_of(job: &Value) -> String {
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

/// A job as it is now.
pub(crate) async fn read(tenant: &Tenant, job: &Value) -> Value {
    tenant.get(&path_of(job)).await.expect(200).json()
}

/// The job when it has ended.
pub(crate) async fn ended(tenant: &Tenant, job: &Value) -> Value {
    eventually(&format!("the end of {}", job["id"]), || async {
        let job = tenant.get(&format!("{}?wait=20", path_of(job))).await.expect(200).json();
        job["finished_at"].is_string().then_some(job)
    })
    .await
}

/// The job when it is in this state.
pub(crate) async fn in_state(tenant: &Tenant, job: &Value, state: &str) -> Value {
    eventually(&format!("{} to be {state}", job["id"]), || async {
        let job = read(tenant, job).await;
        (job["state"] == state).then_some(job)
    })
    .await
}

/// Sends what a client does with a job: `cancel`, `retry`, `complete`, …
pub(crate) async fn act(tenant: &Tenant, job: &Value, verb: &str, body: Value) -> Answer {
    tenant.post(&format!("{}/{verb}", path_of(job)), &body).await
}

/// Sets a queue.
pub(crate) async fn set_queue(tenant: &Tenant, name: &str, settings: Value) -> Value {
    let set = tenant.put(&format!("/v1/queues/{name}"), &settings).await;
    assert!(set.status.is_success(), "{set:?}");
    set.json()
}

/// What a worker gets that asks a queue once.
pub(crate) async fn lease(tenant: &Tenant, queue: &str, wanted: Value) -> Vec<Value> {
    let leased = tenant.post(&format!("/v1/queues/{queue}/lease"), &wanted).await.expect(200).json();
    leased["jobs"].as_array().unwrap().clone()
}

/// The one job that a worker of the default queue gets.
pub(crate) async fn leased(tenant: &Tenant) -> Value {
    let mut jobs = lease(tenant, "default", json!({"wait_seconds": 20})).await;
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

/// A time of an answer.
pub(crate) fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The ids of jobs.
pub(crate) fn ids(jobs: &[Value]) -> Vec<String> {
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// What was sent to a [`Receiver`].
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Delivery {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The id that its signature vouches for, with the secret that the tenant knows.
    pub(crate) fn verified(&self, secret: &str) -> Result<String, VerifyError> {
        let key: VerifyingKey = secret.parse().unwrap();
        let verifier = Verifier::new([key]).unwrap();
        let request = verifier.verify(&self.headers, &self.body, Clock::system().now())?;
        Ok(request.id.to_owned())
    }
}

/// A tenant's server on loopback, for as long as the test runs.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    address: String,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    /// A server that answers as `reply` says, which is told how many requests there were before.
    pub(crate) async fn start(reply: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> Self {
        Self::working(move |_, before| {
            let response = reply(before);
            async { response }
        })
        .await
    }

    /// The same with time for its answers.
    pub(crate) async fn working<F>(work: impl Fn(Delivery, usize) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), work)
    }

    /// The same at an address of the test's choice.
    pub(crate) fn on<F>(
        listener: TcpListener,
        work: impl Fn(Delivery, usize) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let receiver = Self { address: listener.local_addr().unwrap().to_string(), deliveries: Arc::default() };
        let (deliveries, serving) = (receiver.deliveries.clone(), hyper::server::conn::http1::Builder::new());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (deliveries, work) = (deliveries.clone(), work.clone());
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let (deliveries, work) = (deliveries.clone(), work.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let delivery = Delivery { path: head.uri.path().to_owned(), headers: head.headers, body };
                        let before = add(&deliveries, delivery.clone());
                        hyper::Result::Ok(work(delivery, before).await)
                    }
                });
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub(crate) async fn await_deliveries(&self, count: usize) -> Vec<Delivery> {
        eventually(&format!("{count} deliveries"), || async {
            let deliveries = self.deliveries();
            (deliveries.len() >= count).then_some(deliveries)
        })
        .await
    }
}

/// Adds one; says how many there were before.
fn add(deliveries: &Mutex<Vec<Delivery>>, delivery: Delivery) -> usize {
    let mut deliveries = deliveries.lock().unwrap();
    deliveries.push(delivery);
    deliveries.len() - 1
}

/// An answer without a body.
pub(crate) fn status(status: u16) -> Response {
    reply(status, &[], "")
}

/// An answer.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut response = Response::new(Full::new(body.to_owned().into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
