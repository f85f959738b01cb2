//! What serde finds wrong with a body, as field errors: all of them, each with its pointer and in words that a client
//! understands.

use serde_json::Value;

use super::problem::FieldError;

/// At most this many bad fields of one body are listed.
const FAULT_LIMIT: usize = 50;

/// Characters of a fault's detail.
const DETAIL_LIMIT: usize = 300;

/// What is wrong with a text that is JSON.
pub(super) fn first_fault(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let pointer = pointer_of(error.path());
    if error.inner().is_data() {
        fault(&pointer, &error.inner().to_string())
    } else {
        // serde_json calls what is neither a string nor an object, where it expects the name of a variant, a syntax error.
        FieldError::new(pointer, "invalid_type", "must be of another type")
    }
}

/// All bad fields after `first`, and that. serde stops at the first, so that one is taken out of the value, or replaced by
/// something that its type accepts when it cannot be absent, and the rest is read again: `read` tells the first fault.
pub(super) fn faults(value: Value, first: FieldError, read: &dyn Fn(&Value) -> Option<FieldError>) -> Vec<FieldError> {
    let mut last = first;
    let mut found = vec![last.clone()];
    let mut mending = Mending { value, taken_out: Vec::new() };
    // A field that was taken out may be asked for later, and is mended a second time then.
    for _ in 0..2 * FAULT_LIMIT {
        let Some(next) = mending.next_fault(&last, read) else { break };
        let pointer = mending.as_sent(&next.pointer);
        if found.iter().all(|known| known.pointer != pointer) {
            found.push(FieldError { pointer, ..next.clone() });
        }
        last = next;
    }
    found.truncate(FAULT_LIMIT);
    found
}

/// A body whose bad fields are mended one after the other.
struct Mending {
    value: Value,
    /// The elements that were taken out of arrays, in this order: the array's pointer, and the index.
    taken_out: Vec<(String, usize)>,
}

impl Mending {
    /// Mends what `last` is about and finds the next fault, if there is one.
    fn next_fault(&mut self, last: &FieldError, read: &dyn Fn(&Value) -> Option<FieldError>) -> Option<FieldError> {
        let stand_ins = [
            Value::from(1),
            Value::from("a"),
            Value::from(true),
            Value::from("https://example.com"),
            Value::from("2999-01-01T00:00:00Z"),
            Value::Array(Vec::new()),
            Value::Object(serde_json::Map::new()),
        ];
        let (parent, name) = last.pointer.rsplit_once('/')?;
        if let Some(Value::Array(elements)) = self.value.pointer_mut(parent) {
            let index = name.parse().ok().filter(|index| *index < elements.len())?;
            elements.remove(index);
            self.taken_out.push((parent.to_owned(), index));
            return read(&self.value).filter(|next| next.pointer != parent);
        }
        let mut known = a_known_value(last);
        let mut was_told = known.is_some();
        let mut stand_ins = std::iter::once(None).chain(stand_ins.map(Some));
        while let Some(stand_in) = known.take().map(Some).or_else(|| stand_ins.next()) {
            if !replace(&mut self.value, parent, name, stand_in) {
                return None;
            }
            match read(&self.value) {
                // The next stand-in is tried, of which one may tell what is known.
                Some(next) if next.pointer == last.pointer => {
                    known = if was_told { None } else { a_known_value(&next) };
                    was_told |= known.is_some();
                }
                next => return next,
            }
        }
        None
    }

    /// The pointer to the same in the body as it was sent.
    fn as_sent(&self, pointer: &str) -> String {
        self.taken_out.iter().rev().fold(pointer.to_owned(), |pointer, (array, index)| {
            let Some(below) = pointer.strip_prefix(array.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
                return pointer;
            };
            let (element, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
            match element.parse::<usize>() {
                Ok(element) if element >= *index => format!("{array}/{}{rest}", element + 1),
                _ => pointer,
            }
        })
    }
}

/// One of the values that are known, where another was sent.
fn a_known_value(fault: &FieldError) -> Option<Value> {
    (fault.code == "unknown_value").then(|| fault.detail.split('`').nth(1).map(Value::from)).flatten()
}

/// Sets or removes a member of the object at `parent`; `false` when there is no object.
fn replace(value: &mut Value, parent: &str, name: &str, stand_in: Option<Value>) -> bool {
    let name = name.replace("~1", "/").replace("~0", "~");
    let Some(Value::Object(members)) = value.pointer_mut(parent) else { return false };
    match stand_in {
        Some(stand_in) => members.insert(name, stand_in),
        None => members.remove(&name),
    };
    true
}

pub(super) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key } => pointer.push_str(&pointer_to(key)),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// The pointer to a member of an object (RFC 6901).
pub(super) fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Turns serde's message into a code and a detail. A type's own refusal may be written `code: detail`, with the code
/// in lower case and underscores; it is taken apart here.
pub(super) fn fault(pointer: &str, message: &str) -> FieldError {
    let message = match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(message),
        None => message,
    };
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    let under = |name: &str| format!("{pointer}{}", pointer_to(name));
    if message.starts_with("missing field") {
        return FieldError::new(under(quoted()), "missing_field", "is required");
    }
    if message.starts_with("unknown field") {
        // The path ends with the field already, and its name is the client's: it may have any characters.
        return FieldError::new(pointer, "unknown_field", "is not a field of this request");
    }
    if message.starts_with("duplicate field") {
        return FieldError::new(under(quoted()), "duplicate_field", "is there more than once");
    }
    for (prefix, code) in [
        ("invalid type", "invalid_type"),
        ("invalid value", "invalid_value"),
        ("unknown variant", "unknown_value"),
        ("invalid length", "invalid_length"),
    ] {
        if let Some(told) = message.strip_prefix(prefix) {
            let (given, expected) = told.rsplit_once(", expected ").unwrap_or((told, "another one"));
            let given = in_json(given.trim_start_matches(": ").trim());
            let detail = format!("must be {}, and is {given}", in_json(expected));
            return FieldError::new(pointer, code, shortened(&detail).to_owned());
        }
    }
    match message.split_once(": ") {
        Some((code, detail))
            if !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
        {
            FieldError {
                pointer: pointer.to_owned(),
                code: code.to_owned().into(),
                detail: shortened(detail).to_owned(),
            }
        }
        _ => FieldError::new(pointer, "invalid", in_general(message).unwrap_or_else(|| shortened(message)).to_owned()),
    }
}

/// What is asked for, where a library tells at which step of its reading it failed.
fn in_general(message: &str) -> Option<&'static str> {
    // Parts of what jiff says of times and days, and of what the standard library says of numbers in a query.
    const OF_TIMES: [&str; 8] =
        ["failed to", "cannot parse civil", " digit ", "unparsed input", "parsed ", "offset", "datetime", "date "];
    const OF_NUMBERS: [&str; 4] = ["invalid digit found", "number too", "from empty string", "invalid float literal"];
    if OF_NUMBERS.iter().any(|part| message.contains(part)) {
        return Some("must be a number in range");
    }
    if message.contains("`true` or `false`") {
        return Some("must be true or false");
    }
    OF_TIMES.iter().any(|part| message.contains(part)).then_some(
        "must be a time by RFC 3339 such as `2026-05-04T09:30:00Z`, before 9999-12-31, or where a day is asked for, one such \
         as `2026-05-04`; in a query `+` is written `%2B`",
    )
}

/// A detail may quote the value, which has any length.
fn shortened(detail: &str) -> &str {
    detail.char_indices().nth(DETAIL_LIMIT).map_or(detail, |(end, _)| detail.split_at(end).0)
}

/// What serde expected, in the words of JSON instead of Rust's.
fn in_json(expected: &str) -> &str {
    match expected.split(' ').next().unwrap_or_default() {
        "struct" | "map" | "internally" | "adjacently" => "an object",
        "sequence" => "an array",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "isize" => "a whole number in range",
        "f32" | "f64" => "a number",
        _ => match expected {
            "a map" => "an object",
            "a sequence" => "an array",
            "a boolean" => "true or false",
            _ => expected,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use jiff::civil::Date;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Shape {
        Round { _radius: u32 },
    }

    fn detail<T: DeserializeOwned + std::fmt::Debug>(value: impl Into<Value>) -> String {
        let error = serde_path_to_error::deserialize::<_, T>(value.into()).unwrap_err();
        first_fault(&error).detail
    }

    #[test]
    fn a_time_or_a_day_that_is_none_is_told_what_one_is() {
        let times =
            ["", "-1", "2027", "2027-02-30", "2027-01-01", "2026-11-23T10:00:00 02:00", "2026-05-04T09:30:00", "x"];
        let days = ["", "-2026-11-01", "2026-11-01T00:00:00Z", "2027-02-30", "2026-13-01", "x"];
        let details = times.map(detail::<Timestamp>).into_iter().chain(days.map(detail::<Date>));
        for detail in details {
            assert!(detail.starts_with("must be a time by RFC 3339 such as"), "{detail}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_told_in_words_of_json() {
        assert_eq!(detail::<Shape>("x"), "must be an object, and is string \"x\"");
        assert_eq!(detail::<Vec<u8>>(serde_json::json!({})), "must be an array, and is an object");
        assert_eq!(detail::<String>(serde_json::json!([])), "must be a string, and is an array");
    }

    #[test]
    fn what_a_query_cannot_be_read_as_is_told() {
        let of_text = |error: &dyn std::fmt::Display| fault("?x", &error.to_string()).detail;
        for text in ["-1", "1.5", "", "99999999999"] {
            assert_eq!(of_text(&text.parse::<u32>().unwrap_err()), "must be a number in range", "{text}");
        }
        assert_eq!(of_text(&"1".parse::<bool>().unwrap_err()), "must be true or false");
    }

    #[test]
    fn a_types_own_refusal_is_told_as_it_is() {
        let told = fault("/a", "too_long: must have at most 10 characters, as the date of an invoice");
        assert_eq!(
            (&*told.code, &*told.detail),
            ("too_long", "must have at most 10 characters, as the date of an invoice")
        );
    }
}
