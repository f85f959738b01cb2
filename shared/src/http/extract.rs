//! Extractors whose refusals are problems with a pointer to each bad field.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::faults::{fault, faults, first_fault, pointer_of};
use super::objects::Objects;
use super::problem::{FieldError, Problem, ProblemType};
use super::sound::Sound;

/// The largest JSON body, in bytes, of a route that does not say otherwise.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Of a larger body only the first bad field is told: each further one costs reading the body again.
const ALL_FAULTS_LIMIT: usize = 16 * 1024;

/// A JSON body. A wrong content type is 415, a body over 1 MiB 413, a syntax error 400 with line and column, and
/// bad values 422 with an entry for each field. A POST without a body is one with `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        parse_json(&json_within(request, BODY_LIMIT).await?).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(&self.0)
    }
}

/// `value` as an `application/json` answer.
pub(super) fn json_response<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// The JSON text that a request carries, of `limit` bytes at most. A POST that carries nothing, and names no content type,
/// says `{}`: so what has no member that must be there may come without a body.
pub(super) async fn json_within(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let is_bare = request.method() == Method::POST && !request.headers().contains_key(CONTENT_TYPE);
    if is_bare && request.body().size_hint().exact() == Some(0) {
        return Ok(Bytes::from_static(b"{}"));
    }
    require_content_type(request.headers(), &["application/json"])?;
    body_within(request, limit).await
}

/// The whole body, refused with 413 when it is over `limit` bytes, and with 415 when it is encoded (RFC 9110, section
/// 15.5.16).
pub async fn body_within(request: Request, limit: usize) -> Result<Bytes, Problem> {
    if request.headers().get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
        return Err(Problem::new(ProblemType::UnsupportedMediaType, "send the body without a Content-Encoding"));
    }
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Problem::new(ProblemType::PayloadTooLarge, format!("the body may have {limit} bytes")))
        }
        Err(error) => Err(Problem::new(ProblemType::BadRequest, "the body could not be read").caused_by(error)),
    }
}

/// The `Content-Type` without its parameters, in whatever case it was sent; empty when there is none.
fn essence(headers: &HeaderMap) -> &str {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split(';').next().unwrap_or_default().trim()
}

/// Whether what is sent is JSON by its `Content-Type`, be it a merge patch.
pub(super) fn sends_json(headers: &HeaderMap) -> bool {
    let essence = essence(headers);
    ["application/json", "application/merge-patch+json"].iter().any(|json| essence.eq_ignore_ascii_case(json))
}

/// Refuses a request whose `Content-Type` is none of `accepted` (parameters are ignored).
pub fn require_content_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let essence = essence(headers);
    if accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    Err(Problem::new(ProblemType::UnsupportedMediaType, format!("send {}", accepted.join(" or "))))
}

/// Reads a JSON object into a `T`: what [`Json`] does, for a body that is at hand.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice::<Sound>(body).map_err(|error| malformed(&error))?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::validation(vec![FieldError::new("", "invalid_type", "must be a JSON object")]));
    }
    from_text(body)
}

/// Reads a `T` from a JSON value, with the same refusals as [`parse_json`].
pub(super) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    from_text(value.to_string().as_bytes())
}

/// Reads a `T` from sound JSON.
fn from_text<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let first = match parse(text) {
        Ok(parsed) => return Ok(parsed),
        Err(first) => first,
    };
    if text.len() > ALL_FAULTS_LIMIT {
        return Err(Problem::validation(vec![first]));
    }
    let value = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
    Err(Problem::validation(faults(value, first, &|value| parse::<T>(value.to_string().as_bytes()).err())))
}

/// Reads a `T`, or tells the first field that is bad. A type is read here and from a text only: what serde derives for it is
/// compiled anew for each kind of source.
fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(Objects(&mut serde_json::Deserializer::from_slice(text)))
        .map_err(|error| first_fault(&error))
}

/// A text that is not JSON, or none that every program can read.
fn malformed(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let what = if message.starts_with("recursion limit") {
        "is nested more than 127 levels deep"
    } else if message.starts_with("number out of range") {
        "has a number that is too large for a double"
    } else if message.contains("surrogate") || message.contains("hex escape") {
        "has a string that is not Unicode"
    } else {
        "is not valid JSON"
    };
    let detail = format!("the body {what}, at line {} column {}", error.line(), error.column());
    Problem::new(ProblemType::MalformedJson, detail)
}

/// Query parameters. Unknown or bad ones are 422 with `?name` for a pointer.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if let Some(fault) = fault_of_encoding(query) {
            return Err(Problem::validation(vec![fault]));
        }
        let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let mut fault = fault(&pointer_of(error.path()), &error.inner().to_string());
            fault.pointer = format!("?{}", fault.pointer.trim_start_matches('/'));
            Problem::validation(vec![fault])
        })
    }
}

/// The first parameter whose bytes are no UTF-8: the parser would put other characters in their place.
fn fault_of_encoding(query: &str) -> Option<FieldError> {
    let is_text = |part: &str| percent_decode_str(part).decode_utf8().is_ok();
    let pair = query.split('&').find(|pair| !is_text(pair))?;
    let name = pair.split('=').next().unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8_lossy();
    Some(FieldError::new(format!("?{name}"), "invalid", "must be UTF-8, percent-encoded"))
}

/// Parameters of the path. What does not parse names nothing that exists: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    #[allow(clippy::disallowed_types)] // the one place that turns axum's refusals into problems
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Problem::not_found()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Order {
        count: u8,
        name: String,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code)]
    struct Line {
        price: u32,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Small,
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code)]
    struct Parcel {
        kind: Kind,
    }

    #[test]
    fn a_number_in_the_place_of_a_variant_is_a_bad_field() {
        let refused = |body: &str| parse_json::<Parcel>(body.as_bytes()).unwrap_err();
        for wrong in ["3", "true", "null", "[]"] {
            let problem = refused(&format!(r#"{{"kind": {wrong}}}"#));
            let told: Vec<_> = problem.errors().iter().map(|error| (&*error.pointer, &*error.code)).collect();
            assert_eq!(told, [("/kind", "invalid_type")], "{wrong}");
        }
        assert_eq!(refused(r#"{"kind": 3"#).kind(), ProblemType::MalformedJson);
        assert!(matches!(parse_json::<Parcel>(br#"{"kind": "small"}"#).unwrap().kind, Kind::Small));
    }

    #[tokio::test]
    async fn a_post_without_a_body_says_an_empty_object() {
        let carried = async |method: &str, kind: Option<&str>, body: &'static str| {
            let request = http::Request::builder().method(method);
            let request = kind.into_iter().fold(request, |request, kind| request.header(CONTENT_TYPE, kind));
            let read = json_within(request.body(body.into()).unwrap(), BODY_LIMIT).await;
            read.map_err(|problem| problem.kind())
        };
        let unsupported = Err(ProblemType::UnsupportedMediaType);
        assert_eq!(carried("POST", None, "").await, Ok(Bytes::from_static(b"{}")));
        assert_eq!(carried("POST", None, "{}").await, unsupported);
        assert_eq!(carried("POST", Some("text/plain"), "").await, unsupported);
        assert_eq!(carried("POST", Some("application/json"), "").await, Ok(Bytes::new()));
        assert_eq!(carried("PUT", None, "").await, unsupported);
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Search {
        search: String,
    }

    #[tokio::test]
    async fn a_query_is_text() {
        let asked = async |query: &str| {
            let request = http::Request::builder().uri(format!("/?{query}")).body(()).unwrap();
            let read = Query::<Search>::from_request_parts(&mut request.into_parts().0, &()).await;
            read.map(|Query(search)| search.search).map_err(|problem| problem.errors()[0].pointer.clone())
        };
        assert_eq!(asked("search=%C3%A9+%26").await, Ok("é &".to_owned()));
        assert_eq!(asked("search=%C3&limit=2").await, Err("?search".to_owned()));
        assert_eq!(asked("search=a&%C3b=2").await, Err("?\u{fffd}b".to_owned()));
    }

    fn refused(body: &str) -> Problem {
        parse_json::<Order>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_bad_field_is_listed_with_its_pointer() {
        let problem = refused(r#"{"count": 300, "naem": "x", "lines": [{"price": 1}, {"price": -1}]}"#);
        let mut found: Vec<_> = problem.errors().iter().map(|error| (error.pointer.as_str(), &*error.code)).collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("/count", "invalid_value"),
                ("/lines/1/price", "invalid_value"),
                ("/naem", "unknown_field"),
                ("/name", "missing_field")
            ]
        );
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Load {
        parcels: Vec<Parcel>,
        slots: Vec<u8>,
        depths: Vec<Vec<u8>>,
        after: u8,
    }

    #[test]
    fn a_bad_element_hides_no_other_fault() {
        let body = r#"{"parcels": [{"kind": "large"}, {"kind": "small"}, 1, {"kind": 7}, 2], "slots": [300, 1, "a"],
                       "depths": [[1, 300], 5, [2, 300]], "after": "x", "more": 1}"#;
        let found = |problem: Problem| {
            let mut found: Vec<_> =
                problem.errors().iter().map(|error| (error.pointer.clone(), error.code.clone())).collect();
            found.sort_unstable();
            found
        };
        let expected = [
            ("/after", "invalid_type"),
            ("/depths/0/1", "invalid_value"),
            ("/depths/1", "invalid_type"),
            ("/depths/2/1", "invalid_value"),
            ("/more", "unknown_field"),
            ("/parcels/0/kind", "unknown_value"),
            ("/parcels/2", "invalid_type"),
            ("/parcels/3/kind", "invalid_type"),
            ("/parcels/4", "invalid_type"),
            ("/slots/0", "invalid_value"),
            ("/slots/2", "invalid_type"),
        ]
        .map(|(pointer, code)| (pointer.to_owned(), code.into()));
        assert_eq!(found(parse_json::<Load>(body.as_bytes()).unwrap_err()), expected);
    }

    #[test]
    fn a_syntax_error_says_where_it_is() {
        let problem = refused("{\"count\": 1,\n \"name\": }");
        assert_eq!(problem.kind(), ProblemType::MalformedJson);
        assert!(problem.to_string().contains("line 2 column 10"), "{problem}");
    }

    #[test]
    fn a_syntax_error_goes_before_bad_values_and_after_the_end() {
        assert_eq!(refused(r#"{"count": "x", "name": ]"#).kind(), ProblemType::MalformedJson);
        assert_eq!(refused(r#"{"count": 1, "name": "x"} {}"#).kind(), ProblemType::MalformedJson);
        assert_eq!(refused("").kind(), ProblemType::MalformedJson);
    }

    #[test]
    fn an_array_is_no_object_however_well_its_order_fits() {
        let problem = refused(r#" [1, "name", []]"#);
        assert_eq!((&*problem.errors()[0].code, problem.errors()[0].pointer.as_str()), ("invalid_type", ""));
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    #[allow(dead_code)]
    enum Wrapping {
        Paper { sheets: u8 },
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Gift {
        line: Option<Line>,
        lines: Option<Vec<Line>>,
        wrapping: Option<Wrapping>,
        point: Option<(i8, i8)>,
        any: Option<Value>,
        raw: Option<Box<serde_json::value::RawValue>>,
        by_name: Option<std::collections::BTreeMap<String, Line>>,
    }

    #[test]
    fn nor_is_one_at_any_depth() {
        for (body, pointer) in [
            (r#"{"line": [1]}"#, "/line"),
            (r#"{"lines": [{"price": 1}, [2]]}"#, "/lines/1"),
            (r#"{"wrapping": ["paper", 1]}"#, "/wrapping"),
            (r#"{"by_name": {"a": [1]}}"#, "/by_name/a"),
            (r#"{"by_name": {"a": {"price": 1}}, "line": []}"#, "/line"),
        ] {
            let whole = parse_json::<Gift>(body.as_bytes()).unwrap_err();
            let value = from_value::<Gift>(&serde_json::from_str(body).unwrap()).unwrap_err();
            for problem in [whole, value] {
                let told: Vec<_> = problem.errors().iter().map(|error| (&*error.pointer, &*error.code)).collect();
                assert_eq!(told, [(pointer, "invalid_type")], "{body}");
            }
        }
        let body =
            r#"{"point": [1, 2], "any": [[1]], "raw": [1], "lines": [], "wrapping": {"kind": "paper", "sheets": 1}}"#;
        assert!(parse_json::<Gift>(body.as_bytes()).is_ok());
        assert!(from_value::<Gift>(&serde_json::from_str(body).unwrap()).is_ok());
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        inner: u8,
    }

    #[test]
    fn a_field_is_told_from_the_one_of_its_name_around_it() {
        for body in [r#"{"inner": {}}"#, r#"{"inner": {"inner": 1, "inner": 2}}"#] {
            let problem = parse_json::<Outer>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.errors()[0].pointer, "/inner/inner", "{body}");
        }
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let problem = refused(r#"{"count": 1, "count": 2, "name": "x"}"#);
        assert_eq!(problem.errors()[0].code, "duplicate_field");
    }

    #[test]
    fn a_refusal_does_not_repeat_a_long_value() {
        let problem = refused(&format!(r#"{{"count": "{}", "name": "x"}}"#, "é".repeat(10_000)));
        assert_eq!((&*problem.errors()[0].code, problem.errors()[0].detail.chars().count()), ("invalid_type", 300));
    }

    #[test]
    fn a_types_own_refusal_keeps_its_code() {
        assert_eq!(fault("/alias", "reserved: is reserved").code, "reserved");
        assert_eq!(fault("/alias", "Not a code: text").code, "invalid");
    }
}
