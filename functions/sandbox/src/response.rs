//! Writing the answer that API Gateway turns into an HTTP response.
//!
//! ```json
//! {"statusCode": 201, "headers": {"content-type": "application/json", "location": "…"}, "body": "{\"id\": …",
//!  "isBase64Encoded": false}
//! ```

use serde_json::{Map, Value, json};

/// A response.
#[derive(Debug)]
pub struct Response {
    status: u16,
    /// The headers that not every response has.
    headers: Vec<(&'static str, String)>,
    /// The text and its content type.
    body: Option<(&'static str, String)>,
}

impl Response {
    /// A response with JSON that is written already.
    pub fn json(status: u16, text: String) -> Self {
        Self { status, headers: Vec::new(), body: Some(("application/json", text)) }
    }

    /// 204: done, and nothing to say.
    pub const fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: None }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer for API Gateway, with the headers that every response has; without the body when it is for a HEAD.
    pub fn into_event(self, request_id: String, head: bool) -> Value {
        let mut headers = Map::with_capacity(8);
        let mut insert = |name: &str, value: String| headers.insert(name.to_owned(), Value::String(value));
        insert("x-request-id", request_id);
        // A browser must not guess another type than the one that is said (<https://fetch.spec.whatwg.org/#x-content-type-options-header>).
        insert("x-content-type-options", "nosniff".to_owned());
        insert("strict-transport-security", "max-age=63072000; includeSubDomains".to_owned());
        insert("cache-control", "no-store".to_owned());
        for (name, value) in self.headers {
            insert(name, value);
        }
        let mut body = String::new();
        if let Some((content_type, text)) = self.body {
            insert("content-type", content_type.to_owned());
            if !head {
                body = text;
            }
        }
        let mut event = Map::with_capacity(4);
        event.insert("statusCode".to_owned(), self.status.into());
        event.insert("headers".to_owned(), Value::Object(headers));
        event.insert("body".to_owned(), Value::String(body));
        event.insert("isBase64Encoded".to_owned(), Value::Bool(false));
        Value::Object(event)
    }
}

/// A failure, as RFC 9457 has it. The types are those of all of Tenfold.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    slug: &'static str,
    title: &'static str,
    detail: String,
    /// The methods of a 405.
    allow: Option<&'static str>,
    errors: Vec<FieldError>,
}

/// A bad field of a body.
#[derive(Debug)]
pub struct FieldError {
    /// A JSON pointer into the body (RFC 6901).
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: &'static str,
}

impl FieldError {
    fn json(&self) -> Value {
        json!({"pointer": self.pointer, "code": self.code, "detail": self.detail})
    }
}

impl Problem {
    fn new(status: u16, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, slug, title, detail: detail.into(), allow: None, errors: Vec::new() }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: &str) -> Self {
        Self::new(400, "bad-request", "The request cannot be understood", detail)
    }

    /// 400: the body is not JSON; where is said, what is there is not.
    pub fn malformed_json(error: &serde_json::Error) -> Self {
        let detail = format!("the body is not valid JSON at line {} column {}", error.line(), error.column());
        Self::new(400, "malformed-json", "The body is not valid JSON", detail)
    }

    /// 404.
    pub fn not_found(detail: &str) -> Self {
        Self::new(404, "not-found", "There is nothing here", detail)
    }

    /// 405, with the methods that the path has.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let title = "The method is not offered here";
        Self { allow: Some(allow), ..Self::new(405, "method-not-allowed", title, "see the Allow header") }
    }

    /// 409: the state does not allow it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, "conflict", "The request conflicts with the present state", detail)
    }

    /// 413.
    pub fn payload_too_large(limit: usize) -> Self {
        let detail = format!("the body may have {limit} bytes");
        Self::new(413, "payload-too-large", "The body is too large", detail)
    }

    /// 415.
    pub fn unsupported_media_type() -> Self {
        Self::new(415, "unsupported-media-type", "The content type is not supported", "send application/json")
    }

    /// 422, with an entry for each bad field.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "1 field is invalid".to_owned(),
            count => format!("{count} fields are invalid"),
        };
        Self { errors, ..Self::new(422, "validation", "The request has invalid fields", detail) }
    }

    /// The document for the request with `request_id` on `path`.
    pub fn response(self, path: &str, request_id: &str) -> Response {
        let mut document = json!({
            "type": format!("https://tenfold.dev/problems/{}", self.slug),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
            "request_id": request_id,
        });
        if let (Value::Object(members), false) = (&mut document, self.errors.is_empty()) {
            members.insert("errors".to_owned(), self.errors.iter().map(FieldError::json).collect());
        }
        let headers = self.allow.map(|methods| ("allow", methods.to_owned())).into_iter().collect();
        Response { status: self.status, headers, body: Some(("application/problem+json", document.to_string())) }
    }
}
