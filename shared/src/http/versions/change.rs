//! What a change between two versions is: the request is carried up, the answer down.

use std::borrow::Cow;

use http::{Extensions, Method};
use serde_json::Value;

use super::members::Members;
use crate::http::FieldError;

/// One difference between a version and the one before it, as rules that carry an older client's requests to the newer form
/// and the answers back. Its name and its text stand in the changelog, and are the guide for whoever migrates.
pub trait Change: Sync {
    /// Its name there: a heading's anchor.
    fn name(&self) -> &'static str;

    /// What is different, why, and what a client does about it, in Markdown.
    fn changelog(&self) -> &'static str;

    /// Carries a request from the older form to the newer. What the older version does not know is a fault.
    fn request(&self, _request: &mut Request<'_>) {}

    /// Carries the body of an answer from the newer form to the older.
    fn answer(&self, _asked: &Asked<'_>, _body: &mut Members<'_>) {}

    /// Where the older form has what a fault of the newer one points at: a JSON pointer, or `?name` of a parameter.
    fn pointer<'p>(&self, pointer: &'p str) -> Cow<'p, str> {
        Cow::Borrowed(pointer)
    }

    /// Carries the data of an event, or of a webhook of that type, from the newer form to the older.
    fn event(&self, _kind: &str, _data: &mut Members<'_>) {}

    /// Carries the OpenAPI document from the newer form to the older: schemas and parameters. Examples are carried by
    /// [`Self::answer`] and are no concern of it.
    fn document(&self, _document: &mut Value) {}
}

/// What a request asks for, whatever the version: a method, and the path's segments behind the version.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// The method.
    pub method: &'a Method,
    /// `["notes", "note_01…"]`.
    pub segments: &'a [&'a str],
}

impl Operation<'_> {
    /// Whether it is what `method` and `template` say, in which `{…}` is any one segment.
    pub fn is(&self, method: &str, template: &str) -> bool {
        let parts = template.split('/').skip(1);
        let same = |(own, part): (&&str, &str)| part.starts_with('{') || *own == part;
        self.method.as_str() == method
            && self.segments.len() == parts.clone().count()
            && self.segments.iter().zip(parts).all(same)
    }
}

/// What an answer is to.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What was asked for.
    pub operation: Operation<'a>,
    /// What the changes handed to the handler beside the request.
    pub extensions: &'a Extensions,
}

/// A request on its way up.
#[derive(Debug)]
pub struct Request<'a> {
    /// What it asks for. No change alters that.
    pub operation: Operation<'a>,
    /// The parameters of the query.
    pub query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The body, when it is a JSON object. Other bodies are for the handler to refuse.
    pub body: Option<Members<'a>>,
    /// What is handed to the handler beside the request.
    pub extensions: Extensions,
    /// What is wrong with it.
    pub faults: Vec<FieldError>,
    /// The deprecated fields and values that it uses: the name in the registry, and where.
    pub uses: Vec<(&'static str, &'static str)>,
}

impl<'a> Request<'a> {
    /// Refuses a member of the body that a newer version has and this one calls `own`.
    pub fn refuse_newer(&mut self, newer: &str, own: Option<&str>) {
        if self.body.as_ref().is_some_and(|body| body.has(newer)) {
            self.faults.push(FieldError::new(format!("/{newer}"), "other_version", of_newer(newer, own)));
        }
    }

    /// Refuses a parameter that a newer version has and this one does not.
    pub fn refuse_newer_parameter(&mut self, newer: &str, own: Option<&str>) {
        if self.query.iter().any(|(name, _)| name == newer) {
            self.faults.push(FieldError::new(format!("?{newer}"), "other_version", of_newer(newer, own)));
        }
    }

    /// Takes a parameter out of the query.
    pub fn take_parameter(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let index = self.query.iter().position(|(own, _)| own == name)?;
        Some(self.query.remove(index).1)
    }
}

fn of_newer(newer: &str, own: Option<&str>) -> String {
    match own {
        Some(own) => format!("`{newer}` is of version v2; in v1 it is `{own}`"),
        None => format!("`{newer}` is of version v2, which v1 does not know"),
    }
}
