//! Notes: what is different between version 1 and 2.
//!
//! Version 1 knows notes alone: to make, read, list, change, delete and restore them. Revisions, shares, bulk operations and
//! settings came with version 2.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Family;
use super::change::{Asked, Change, Operation, Request};
use super::document::{rename_property, schema};
use super::members::Members;
use crate::http::FieldError;
use crate::time::{Timestamp, rfc3339_millis};

/// Notes.
pub static FAMILY: Family =
    Family { roots: &["notes"], changes: &[&Cursors, &Content, &TagList, &Times, &FormatName], is_new };

/// Where the OpenAPI document describes the parameters of the list.
const LIST_PARAMETERS: &str = "/paths/~1v1~1notes/get/parameters";

/// The last row that a numbered page can have.
const LAST_ROW: u32 = 10_000;

/// The page of a list that version 1 asks for, as an extension of the request: the head pages by cursors alone, and answers
/// a request with this by number and with the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberedPage {
    /// From 1. The page ends at row 10,000 at the latest: the change refuses what lies behind.
    pub page: u32,
    /// Rows in a page, 1 to 200.
    pub per_page: u16,
}

impl Default for NumberedPage {
    fn default() -> Self {
        Self { page: 1, per_page: 20 }
    }
}

impl NumberedPage {
    /// How many rows lie before the page.
    pub const fn offset(self) -> u32 {
        (self.page - 1) * self.per_page as u32
    }
}

fn is_new(operation: &Operation<'_>) -> bool {
    matches!(operation.segments, ["notes", "bulk" | "settings"] | ["notes", _, "revisions" | "shares", ..])
}

/// Whether the request's body is a note, or a part of one.
fn writes(operation: &Operation<'_>) -> bool {
    matches!((operation.method.as_str(), operation.segments), ("POST", ["notes"]) | ("PUT" | "PATCH", ["notes", _]))
}

fn is_list(operation: &Operation<'_>) -> bool {
    matches!((operation.method.as_str(), operation.segments), ("GET", ["notes"]))
}

/// Changes each note of an answer.
fn each_note(asked: &Asked<'_>, body: &mut Members<'_>, change: impl Fn(&mut Members<'_>)) {
    if is_list(&asked.operation) { body.each("data", change) } else { change(body) }
}

/// The text of a note is its content.
struct Content;

impl Change for Content {
    fn name(&self) -> &'static str {
        "notes-content"
    }

    fn changelog(&self) -> &'static str {
        "`body` of a note is called `content`, and `body_bytes` in lists `content_bytes`: a body is what a request has. Send and \
         read `content`."
    }

    fn request(&self, request: &mut Request<'_>) {
        if writes(&request.operation) {
            request.refuse_newer("content", Some("body"));
            if let Some(body) = &mut request.body {
                body.rename("body", "content");
            }
        }
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        each_note(asked, body, |note| {
            note.rename("content", "body");
            note.rename("content_bytes", "body_bytes");
        });
    }

    fn pointer<'p>(&self, pointer: &'p str) -> Cow<'p, str> {
        Cow::Borrowed(if pointer == "/content" { "/body" } else { pointer })
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        rename_property(document, "NewNote", "content", "body");
        rename_property(document, "NoteDetail", "content", "body");
        rename_property(document, "NoteSummary", "content_bytes", "body_bytes");
    }
}

/// Tags are a list.
struct TagList;

impl Change for TagList {
    fn name(&self) -> &'static str {
        "notes-tags"
    }

    fn changelog(&self) -> &'static str {
        "`tags` of a note is a list of texts. It was one text with commas between the tags. Send and read a list. Lists are filtered \
         by `tags_any` and `tags_all` instead of `tag`, and searched in by `text` instead of `q`."
    }

    fn request(&self, request: &mut Request<'_>) {
        if writes(&request.operation) {
            let Some(body) = &mut request.body else { return };
            let Some(tags) = body.get("tags").filter(|tags| tags.get() != "null") else { return };
            if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(tags.get()) {
                let list: Vec<_> =
                    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
                body.set("tags", &list);
            } else if tags.get().starts_with('[') {
                let detail = "a list is of version v2; in v1 tags are one text with commas between them";
                request.faults.push(FieldError::new("/tags", "other_version", detail));
            } else {
                request.faults.push(FieldError::new(
                    "/tags",
                    "invalid_type",
                    "must be a text with commas between the tags",
                ));
            }
        } else if is_list(&request.operation) {
            request.refuse_newer_parameter("tags_any", Some("tag"));
            request.refuse_newer_parameter("tags_all", Some("tag"));
            request.refuse_newer_parameter("text", Some("q"));
            for (name, _) in &mut request.query {
                match &**name {
                    "tag" => *name = "tags_all".into(),
                    "q" => *name = "text".into(),
                    _ => {}
                }
            }
        }
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        each_note(asked, body, |note| {
            if let Some(tags) = note.read::<Vec<String>>("tags") {
                note.set("tags", &tags.join(","));
            }
        });
    }

    fn pointer<'p>(&self, pointer: &'p str) -> Cow<'p, str> {
        Cow::Borrowed(match pointer {
            "?tags_all" => "?tag",
            "?text" => "?q",
            _ if pointer.starts_with("/tags/") => "/tags",
            _ => pointer,
        })
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        if let Some(tags) = schema(document, "NoteTags") {
            *tags = json!({
                "type": "string", "examples": ["home,work"],
                "description": "At most 20 tags with commas between them: each 1 to 50 characters, in lower case and in Unicode's form NFKC.",
            });
        }
        for parameter in list_parameters(document) {
            match parameter["name"].as_str() {
                Some("tags_all") => parameter["name"] = json!("tag"),
                Some("text") => parameter["name"] = json!("q"),
                _ => {}
            }
        }
        retain_list_parameters(document, |name| name != "tags_any");
    }
}

/// Times are texts by RFC 3339.
struct Times;

/// The times of a note that its writer sets, and those that are told.
const SET: [&str; 2] = ["due_at", "done_at"];
const TOLD: [&str; 5] = ["due_at", "done_at", "created_at", "updated_at", "deleted_at"];

impl Change for Times {
    fn name(&self) -> &'static str {
        "notes-times"
    }

    fn changelog(&self) -> &'static str {
        "The times of a note are texts by RFC 3339 with milliseconds, in UTC, as everywhere else. They were whole seconds since \
         1970. Lists are filtered by times, too."
    }

    fn request(&self, request: &mut Request<'_>) {
        if !writes(&request.operation) {
            return;
        }
        let Some(body) = &mut request.body else { return };
        for name in SET {
            let Some(value) = body.get(name).filter(|value| value.get() != "null") else { continue };
            match seconds(value) {
                Ok(at) => body.set(name, &rfc3339_millis(at)),
                Err((code, detail)) => request.faults.push(FieldError::new(format!("/{name}"), code, detail)),
            }
        }
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        each_note(asked, body, |note| {
            for name in TOLD {
                if let Some(at) = note.read::<Timestamp>(name) {
                    note.set(name, &at.as_millisecond().div_euclid(1000));
                }
            }
        });
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        for name in ["NewNote", "NoteDetail", "NoteSummary"] {
            let Some(properties) = schema(document, name).map(|schema| &mut schema["properties"]) else { continue };
            for name in TOLD {
                let Some(property) = properties.get_mut(name) else { continue };
                let nullable = property["type"].as_array().is_some();
                property["type"] = if nullable { json!(["integer", "null"]) } else { json!("integer") };
                property["format"] = json!("int64");
                let described = property["description"].as_str().unwrap_or_default();
                property["description"] = json!(format!("{described} In seconds since 1970."));
            }
        }
        retain_list_parameters(document, |name| !name.ends_with("_from") && !name.ends_with("_before"));
    }
}

/// A time of version 1.
fn seconds(value: &RawValue) -> Result<Timestamp, (&'static str, &'static str)> {
    if value.get().starts_with('"') {
        return Err(("other_version", "a text is of version v2; in v1 times are whole seconds since 1970"));
    }
    let seconds: i64 =
        serde_json::from_str(value.get()).map_err(|_| ("invalid_type", "must be whole seconds since 1970"))?;
    Timestamp::from_second(seconds).map_err(|_| ("out_of_range", "is no time before the year 10000"))
}

/// Markdown has one name.
struct FormatName;

impl Change for FormatName {
    fn name(&self) -> &'static str {
        "notes-format"
    }

    fn changelog(&self) -> &'static str {
        "The format `md` is called `markdown` alone. Version 1 takes both and answers `markdown`."
    }

    fn request(&self, request: &mut Request<'_>) {
        if !writes(&request.operation) {
            return;
        }
        let Some(body) = &mut request.body else { return };
        if body.read::<String>("format").is_some_and(|format| format == "md") {
            body.set("format", &"markdown");
            request.uses.push(("notes-format-md", "/format"));
        }
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        if let Some(Value::Array(names)) = schema(document, "NoteFormat").and_then(|schema| schema.get_mut("enum")) {
            names.push(json!("md"));
        }
    }
}

/// Lists are paged by cursors.
struct Cursors;

impl Change for Cursors {
    fn name(&self) -> &'static str {
        "notes-cursors"
    }

    fn changelog(&self) -> &'static str {
        "Lists of notes are paged by `limit` and `cursor`, as everywhere else, so that page 1,000 costs what page 1 costs, and notes that \
         are made meanwhile neither repeat nor hide others. They were paged by `page` and `per_page` (20 without it, 200 at most, up to \
         row 10,000), with the rows in `notes` and their count in `total`. Follow `next_cursor` until it is null; there is no total."
    }

    fn request(&self, request: &mut Request<'_>) {
        if !is_list(&request.operation) {
            return;
        }
        request.refuse_newer_parameter("limit", Some("per_page"));
        request.refuse_newer_parameter("cursor", Some("page"));
        request.refuse_newer_parameter("owner", None);
        for (name, _) in &request.query {
            if name.ends_with("_from") || name.ends_with("_before") {
                let detail = format!("`{name}` is of version v2, which v1 does not know");
                request.faults.push(FieldError::new(format!("?{name}"), "other_version", detail));
            }
        }
        let mut numbered = NumberedPage::default();
        let number = |request: &mut Request<'_>, name: &str, most: u32| {
            let text = request.take_parameter(name)?;
            let number = text.parse().ok().filter(|number| (1..=most).contains(number));
            if number.is_none() {
                let detail = format!("is a whole number from 1 to {most}");
                request.faults.push(FieldError::new(format!("?{name}"), "out_of_range", detail));
            }
            number
        };
        if let Some(per_page) = number(request, "per_page", 200) {
            numbered.per_page = u16::try_from(per_page).unwrap_or(numbered.per_page);
        }
        if let Some(page) = number(request, "page", LAST_ROW / u32::from(numbered.per_page)) {
            numbered.page = page;
        }
        request.extensions.insert(numbered);
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        if !is_list(&asked.operation) || !body.rename("data", "notes") {
            return;
        }
        let NumberedPage { page, per_page } = asked.extensions.get().copied().unwrap_or_default();
        // An example of version 2 has none; its rows are all there are then.
        let rows = || body.read::<Vec<IgnoredAny>>("notes").map_or(0, |rows| rows.len() as u64);
        let total = body.read::<u64>("total").unwrap_or_else(rows);
        for name in ["next_cursor", "has_more", "total"] {
            body.remove(name);
        }
        body.set("page", &page);
        body.set("per_page", &per_page);
        body.set("total", &total);
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        retain_list_parameters(document, |name| !matches!(name, "cursor" | "owner"));
        let number = |name: &str, text: &str, most: u32, default: u32| {
            json!({"name": name, "in": "query", "description": text, "required": false,
                   "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": most, "default": default}})
        };
        for parameter in list_parameters(document) {
            if parameter["name"] == "limit" {
                *parameter = number("per_page", "Rows in a page.", 200, 20);
            }
        }
        if let Some(parameters) = document.pointer_mut(LIST_PARAMETERS).and_then(Value::as_array_mut) {
            parameters.push(number("page", "Which page. Together with `per_page` up to row 10,000.", LAST_ROW, 1));
        }
        if let Some(Value::Object(responses)) = document.pointer_mut("/paths/~1v1~1notes/get/responses") {
            responses.shift_remove("400");
            if let Some(page) = responses.get_mut("200").and_then(Value::as_object_mut) {
                page.shift_remove("headers");
            }
        }
        if let Some(page) = schema(document, "Page_NoteSummary") {
            let rows = page["properties"]["data"].take();
            let count = |text: &str| json!({"type": "integer", "description": text, "minimum": 0});
            *page = json!({
                "type": "object", "description": "One page of a list.", "required": ["notes", "page", "per_page", "total"],
                "properties": {"notes": rows, "page": count("Which page it is."), "per_page": count("Rows in a page."),
                               "total": count("The rows of all pages.")},
            });
        }
    }
}

/// The parameters of the list.
fn list_parameters(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    document.pointer_mut(LIST_PARAMETERS).and_then(Value::as_array_mut).into_iter().flatten()
}

fn retain_list_parameters(document: &mut Value, keep: impl Fn(&str) -> bool) {
    if let Some(parameters) = document.pointer_mut(LIST_PARAMETERS).and_then(Value::as_array_mut) {
        parameters.retain(|parameter| parameter["name"].as_str().is_none_or(&keep));
    }
}
