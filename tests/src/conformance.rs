//! Holds what the tests send and get to the OpenAPI documents: a body that was taken is one that the document allows, and
//! every answer in JSON is one that it describes. So each test that asks anything also tests the documents.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use http::StatusCode;
use jsonschema::Validator;
use platform::documents::openapi::{V1, V2};
use serde_json::Value;

use crate::{Answer, openapi};

/// The schemas of one document. What is not described is not checked: the sandbox, and paths that no route has.
struct Described {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The older version first: a path of both is the same in both.
static DESCRIBED: LazyLock<[Described; 2]> = LazyLock::new(|| {
    [V1, V2].map(|text| Described {
        document: serde_json::from_str(text).expect("the document is JSON"),
        validators: Mutex::default(),
    })
});

/// What was sent.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// Checks what was sent, if it was taken, and what was answered.
///
/// # Panics
/// When one of them is not as the document says.
#[track_caller]
pub(crate) fn check(asked: &Asked<'_>, answer: &Answer) {
    let method = asked.method.to_lowercase();
    let Some((described, pointer)) =
        DESCRIBED.iter().find_map(|described| Some((described, described.operation(&method, asked.path)?)))
    else {
        return;
    };
    let operation = described.document.pointer(&pointer).expect("it was found there");
    if answer.status.is_success() && !asked.body.is_empty() {
        described.hold(
            &format!("{pointer}/requestBody"),
            &operation["requestBody"],
            asked.body,
            "the body that was taken",
        );
    }
    // What the gateway refuses reaches no function.
    let is_ours = answer.headers.contains_key("x-request-id");
    if method == "head" || answer.body.is_empty() || answer.status == StatusCode::NOT_MODIFIED || !is_ours {
        return;
    }
    let status = answer.status.as_str();
    let status = if operation["responses"][status].is_object() { status } else { "default" };
    let response = &operation["responses"][status];
    described.hold(&format!("{pointer}/responses/{status}"), response, &answer.body, "the answer");
}

impl Described {
    /// Where the operation stands in the document.
    fn operation(&self, method: &str, path: &str) -> Option<String> {
        let asked: Vec<_> = path.split('?').next()?.split('/').collect();
        let paths = self.document["paths"].as_object()?.iter();
        let fits = |template: &str| {
            let parts: Vec<_> = template.split('/').collect();
            let variables = parts.iter().filter(|part| part.starts_with('{')).count();
            let same = |(part, asked): (&&str, &&str)| part.starts_with('{') || part == asked;
            (parts.len() == asked.len() && parts.iter().zip(&asked).all(same)).then_some(variables)
        };
        let fitting = paths.filter(|(_, item)| item[method].is_object());
        // The most literal one, as the router takes it.
        let (_, template) = fitting.filter_map(|(path, _)| Some((fits(path)?, path))).min()?;
        Some(format!("/paths/{}/{method}", template.replace('~', "~0").replace('/', "~1")))
    }

    /// Holds a body to the JSON schema of a request or response, if it has one and the body is JSON.
    #[track_caller]
    fn hold(&self, pointer: &str, described: &Value, body: &[u8], what: &str) {
        let described = match described["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap_or(described),
            None => described,
        };
        let content = described["content"].as_object().into_iter().flatten();
        let Some((_, media)) = content.into_iter().find(|(kind, _)| kind.ends_with("json")) else { return };
        let Ok(instance) = serde_json::from_slice::<Value>(body) else { return };
        let validator = self.validator(pointer, &media["schema"]);
        let faults: Vec<_> =
            validator.iter_errors(&instance).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{what} is not as {pointer} describes it:\n{}\n{instance}", faults.join("\n"));
    }

    fn validator(&self, pointer: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no check panics in here");
        if let Some(known) = validators.get(pointer) {
            return Arc::clone(known);
        }
        let validator = Arc::new(openapi::validator(&self.document, schema));
        validators.insert(pointer.to_owned(), Arc::clone(&validator));
        validator
    }
}
