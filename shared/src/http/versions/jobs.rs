//! Jobs, queues and schedules: what is different between version 1 and 2.

use std::cell::{Cell, RefCell};

use serde_json::{Value, json};

use super::change::{Asked, Change, Operation, Request};
use super::document::{rename_property, schema};
use super::members::Members;
use super::{Family, Version};
use crate::http::FieldError;

/// Jobs with their queues and schedules, which version 1 serves whole.
pub static FAMILY: Family = Family {
    roots: &["jobs", "queues", "schedules"],
    changes: &[&AttemptsBegun, &PayloadOmitted, &CallbackVersion],
    is_new: |_| false,
};

/// The type of the webhook that tells of a job's end.
pub const DONE: &str = "job.done";

/// Changes each job of an answer.
fn each_job(asked: &Asked<'_>, body: &mut Members<'_>, change: impl Fn(&mut Members<'_>)) {
    match (asked.operation.method.as_str(), asked.operation.segments) {
        ("GET", ["jobs"]) => body.each("data", change),
        ("POST", ["queues", _, "lease"]) => body.each("jobs", change),
        ("POST", ["jobs", "batch"]) => body.each("results", |result| result.within("job", &change)),
        (_, ["jobs", "signing-secret" | "signing-key", ..]) => {}
        (_, ["jobs"] | ["jobs", _] | ["jobs", _, _] | ["schedules", _, "run"]) => change(body),
        _ => {}
    }
}

/// How often a job was tried is not called nearly as the list of its attempts is.
struct AttemptsBegun;

impl Change for AttemptsBegun {
    fn name(&self) -> &'static str {
        "jobs-attempts-begun"
    }

    fn changelog(&self) -> &'static str {
        "How many attempts of a job were begun is `attempts_begun` everywhere. In a job it was `attempt`, one letter from `attempts`, \
         the list of those that ended; and in the webhook and the event that tell of an end the number itself was called `attempts`. \
         Read `attempts_begun` in their place."
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        each_job(asked, body, |job| {
            job.rename("attempts_begun", "attempt");
        });
    }

    fn event(&self, kind: &str, data: &mut Members<'_>) {
        if matches!(kind, DONE | "job.dead") {
            data.rename("attempts_begun", "attempts");
        }
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        rename_property(document, "Job", "attempts_begun", "attempt");
    }
}

/// A payload that is left out is not there, instead of being null.
struct PayloadOmitted;

impl Change for PayloadOmitted {
    fn name(&self) -> &'static str {
        "jobs-payload-omitted"
    }

    fn changelog(&self) -> &'static str {
        "Where the payload of a job is left out, as lists do with what is over 4 KB, the member `payload` is absent and \
         `payload_omitted` is true. It was `null`, which is what a payload can be as well. Ask for the job alone when \
         `payload_omitted` is true."
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        each_job(asked, body, |job| {
            if job.read("payload_omitted") == Some(true) {
                job.rename("payload_omitted", "payload");
                job.set("payload", &());
            } else {
                job.remove("payload_omitted");
            }
        });
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        let Some(job) = schema(document, "Job") else { return };
        if let Some(properties) = job.get_mut("properties").and_then(Value::as_object_mut) {
            properties.shift_remove("payload_omitted");
            let described = "What it is about, as it was written. Lists leave out what is over 4 KB.";
            properties["payload"]["description"] = json!(described);
        }
        if let Some(required) = job.get_mut("required").and_then(Value::as_array_mut) {
            for name in required.iter_mut().filter(|name| *name == "payload_omitted") {
                *name = Value::from("payload");
            }
        }
    }
}

/// The webhook that tells of an end has the version that its job names.
struct CallbackVersion;

/// Changes what follows the end of each job that a body asks for or tells of, with its place in the body, a JSON pointer.
fn each_on_done(operation: &Operation<'_>, body: &mut Members<'_>, change: impl Fn(&str, &mut Members<'_>)) {
    let at = |place: &str, job: &mut Members<'_>| {
        job.within("on_done", |on_done| change(&format!("{place}/on_done"), on_done));
    };
    let each = |body: &mut Members<'_>, list: &'static str, change: &dyn Fn(usize, &mut Members<'_>)| {
        let index = Cell::new(0);
        body.each(list, |member| change(index.replace(index.get() + 1), member));
    };
    match (operation.method.as_str(), operation.segments) {
        ("POST", ["jobs"]) => at("", body),
        ("POST", ["jobs", "batch"]) => each(body, "jobs", &|index, job| at(&format!("/jobs/{index}"), job)),
        ("GET", ["schedules"]) => each(body, "data", &|index, schedule| {
            schedule.within("job", |job| at(&format!("/data/{index}/job"), job));
        }),
        (_, ["schedules"] | ["schedules", _]) => body.within("job", |job| at("/job", job)),
        _ => {}
    }
}

impl Change for CallbackVersion {
    fn name(&self) -> &'static str {
        "jobs-callback-version"
    }

    fn changelog(&self) -> &'static str {
        "`on_done` with a `url` may name the `version` in which the URL is told of the end: `v1` or `v2`, which holds without it. \
         What is asked for in version 1 is told in version 1, as before."
    }

    fn request(&self, request: &mut Request<'_>) {
        let Some(body) = &mut request.body else { return };
        let newer = RefCell::new(Vec::new());
        each_on_done(&request.operation, body, |place, on_done| {
            if on_done.has("version") {
                newer.borrow_mut().push(format!("{place}/version"));
            }
            if on_done.has("url") {
                on_done.set("version", &Version::V1);
            }
        });
        let detail = "`version` of `on_done` is of version v2, which v1 does not know";
        let faults = newer.into_inner().into_iter().map(|place| FieldError::new(place, "other_version", detail));
        request.faults.extend(faults);
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        each_on_done(&asked.operation, body, |_, on_done| on_done.remove("version"));
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        let ways = schema(document, "JobOnDone").and_then(|schema| schema.get_mut("oneOf")?.as_array_mut());
        for way in ways.into_iter().flatten() {
            if let Some(properties) = way.get_mut("properties").and_then(Value::as_object_mut) {
                properties.shift_remove("version");
            }
        }
    }
}
