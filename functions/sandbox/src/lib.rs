//! A function without a framework: CRUD of items in memory, on the bare Lambda runtime.
//!
//! It shows what the other services leave to `shared` and axum. To Lambda, an HTTP API is JSON in and
//! JSON out. API Gateway turns a request into an event ([`request`] reads it) and the function's answer into a response
//! ([`response`] writes it); what lies between is a decision on method and path ([`items`]) and some state
//! ([`store`]). It is also the floor that the benchmarks compare the others with.
//!
//! | method and path | what it does |
//! |---|---|
//! | `GET /sandbox/items` | lists the items |
//! | `POST /sandbox/items` | makes one of `{"name": "…", "data": anything}` |
//! | `GET`, `PUT`, `DELETE /sandbox/items/{id}` | reads, replaces, removes one |
//!
//! The items live as long as the instance that holds them: Lambda ends an instance that nobody calls, and starts further
//! ones, each with items of its own, when many call at once. That is why the real services keep nothing in memory that
//! they cannot read again.
//!
//! What it leaves out: callers, tenants, pages, `ETag`, `Idempotency-Key`, CORS, logs.

pub mod base64;
pub mod items;
pub mod request;
pub mod response;
pub mod store;

use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;

use request::Request;
use store::Store;

/// What this instance holds. A `static` outlives the invocations: Lambda freezes the process between them and starts no
/// new one for each.
static STORE: Store = Store::new();

/// Answers one event of API Gateway's HTTP API (payload format 2.0) from this instance's items. It fails only when the
/// event is none.
#[allow(clippy::unused_async)] // the runtime wants a future, though there is nothing here to wait for
pub async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    respond(&STORE, event)
}

/// Answers one event from the items in `store`.
pub fn respond(store: &Store, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let request = Request::read(event.payload, &event.context.request_id)?;
    let answered = items::answer(store, &request);
    let response = answered.unwrap_or_else(|problem| problem.response(&request.path, &request.id));
    Ok(response.into_event(request.id, request.head))
}

#[cfg(test)]
mod tests;
