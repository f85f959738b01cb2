//! The endpoints: which method on which path does what.

use serde_json::{Map, Value};

use crate::request::Request;
use crate::response::{FieldError, Problem, Response};
use crate::store::{Full, Store};

/// The largest body, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
/// The longest name, in characters.
pub const NAME_LIMIT: usize = 200;

const COLLECTION: &str = "/sandbox/items";

/// Answers a request.
///
/// A router does no more than this: it takes the path apart, and tells a path that is unknown (404) from one that is
/// known and has not this method (405, with the methods that it has: RFC 9110, section 15.5.6).
pub fn answer(store: &Store, request: &Request) -> Result<Response, Problem> {
    let path = request.path.as_str();
    if path == COLLECTION {
        return match request.method.as_str() {
            "GET" => Ok(list(store)),
            "POST" => create(store, request),
            _ => Err(Problem::method_not_allowed("GET,HEAD,POST")),
        };
    }
    let Some(id) = path.strip_prefix(COLLECTION).and_then(|rest| rest.strip_prefix('/')) else {
        return Err(Problem::not_found("there is no such route"));
    };
    // An id that none of ours can be is an item that does not exist.
    let number = number_of(id);
    match request.method.as_str() {
        "GET" => read(store, number),
        "PUT" => replace(store, number, request),
        "DELETE" => remove(store, number),
        _ => Err(Problem::method_not_allowed("GET,HEAD,PUT,DELETE")),
    }
}

fn list(store: &Store) -> Response {
    let items = store.list();
    Response::json(200, format!(r#"{{"data":[{items}],"lives":"as long as this instance"}}"#))
}

fn create(store: &Store, request: &Request) -> Result<Response, Problem> {
    let item = Item::read(request)?;
    let (number, text) = store.insert(|number| item.write(number)).map_err(full)?;
    Ok(Response::json(201, text).header("location", format!("{COLLECTION}/{}", id_of(number))))
}

fn read(store: &Store, number: Option<u64>) -> Result<Response, Problem> {
    let text = number.and_then(|number| store.get(number)).ok_or_else(no_such_item)?;
    Ok(Response::json(200, text))
}

fn replace(store: &Store, number: Option<u64>, request: &Request) -> Result<Response, Problem> {
    let item = Item::read(request)?;
    let number = number.ok_or_else(no_such_item)?;
    let text = item.write(number);
    store.replace(number, text.clone()).ok_or_else(no_such_item)?.map_err(full)?;
    Ok(Response::json(200, text))
}

fn remove(store: &Store, number: Option<u64>) -> Result<Response, Problem> {
    if number.is_some_and(|number| store.remove(number)) { Ok(Response::no_content()) } else { Err(no_such_item()) }
}

fn no_such_item() -> Problem {
    Problem::not_found("there is no such item in this instance")
}

fn full(full: Full) -> Problem {
    Problem::conflict(full.0)
}

/// The id of an item: `item_` and its number, written in one way only.
fn id_of(number: u64) -> String {
    format!("item_{number}")
}

fn number_of(id: &str) -> Option<u64> {
    let number = id.strip_prefix("item_")?.parse().ok()?;
    (id_of(number) == id).then_some(number)
}

/// What a client sends.
struct Item {
    name: String,
    /// Anything.
    data: Value,
}

impl Item {
    /// Reads the body: is it JSON by its header (415), small enough (413), well-formed (400), and what it should be
    /// (422, with every fault at once)?
    fn read(request: &Request) -> Result<Self, Problem> {
        if request.media_type != "application/json" {
            return Err(Problem::unsupported_media_type());
        }
        let body = request.body.as_ref().ok_or_else(|| Problem::bad_request("the body is not valid base64"))?;
        if body.len() > BODY_LIMIT {
            return Err(Problem::payload_too_large(BODY_LIMIT));
        }
        let body = serde_json::from_slice(body).map_err(|error| Problem::malformed_json(&error))?;
        let Value::Object(fields) = body else {
            return Err(Problem::validation(vec![fault("", "invalid_type", "must be an object")]));
        };
        Self::of(fields)
    }

    fn of(mut fields: Map<String, Value>) -> Result<Self, Problem> {
        let mut faults = Vec::new();
        let name = match fields.remove("name") {
            Some(Value::String(name)) => {
                if !(1..=NAME_LIMIT).contains(&name.chars().count()) {
                    faults.push(fault("/name", "invalid_length", "must have 1 to 200 characters"));
                }
                name
            }
            Some(_) => {
                faults.push(fault("/name", "invalid_type", "must be a text"));
                String::new()
            }
            None => {
                faults.push(fault("/name", "missing_field", "is required"));
                String::new()
            }
        };
        let data = fields.remove("data").unwrap_or(Value::Null);
        // A misspelt field must not be ignored in silence.
        faults.extend(fields.keys().take(50).map(|unknown| {
            let pointer = format!("/{}", unknown.replace('~', "~0").replace('/', "~1"));
            FieldError { pointer, code: "unknown_field", detail: "is not a field of this request" }
        }));
        if faults.is_empty() { Ok(Self { name, data }) } else { Err(Problem::validation(faults)) }
    }

    /// The item as it is kept and answered.
    fn write(&self, number: u64) -> String {
        // `Display` of a JSON value writes JSON, so the name is quoted and escaped.
        format!(r#"{{"id":"{}","name":{},"data":{}}}"#, id_of(number), Value::from(self.name.as_str()), self.data)
    }
}

fn fault(pointer: &str, code: &'static str, detail: &'static str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), code, detail }
}
