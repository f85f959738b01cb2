//! Links: what is different between version 1 and 2.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Family;
use super::change::{Asked, Change, Request};
use super::document::{rename_property, schema};
use super::members::Members;

/// Links, which version 1 serves whole.
pub static FAMILY: Family = Family { roots: &["links"], changes: &[&StartsAt, &Referrers], is_new: |_| false };

/// The name of the host that stands for none, in version 1.
const DIRECT: &str = "direct";

/// The name of the host that stands for those that were added up, in version 1.
const OTHERS: &str = "(other)";

/// A link's beginning is called as a schedule's is.
struct StartsAt;

impl Change for StartsAt {
    fn name(&self) -> &'static str {
        "links-starts-at"
    }

    fn changelog(&self) -> &'static str {
        "`not_before` of a link is called `starts_at`. It was the one time of the API whose name did not end in `_at`, and \
         schedules said `starts_at` for the same. Send and read `starts_at` in its place."
    }

    fn request(&self, request: &mut Request<'_>) {
        if !matches!(
            (request.operation.method.as_str(), request.operation.segments),
            ("POST", ["links"]) | ("PATCH", ["links", _])
        ) {
            return;
        }
        request.refuse_newer("starts_at", Some("not_before"));
        if request.body.as_mut().is_some_and(|body| body.rename("not_before", "starts_at")) {
            request.uses.push(("links-not-before", "/not_before"));
        }
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        let older = |link: &mut Members<'_>| {
            link.rename("starts_at", "not_before");
        };
        match (asked.operation.method.as_str(), asked.operation.segments) {
            ("GET", ["links"]) => body.each("data", older),
            (_, ["links"] | ["links", _]) => older(body),
            _ => {}
        }
    }

    fn pointer<'p>(&self, pointer: &'p str) -> Cow<'p, str> {
        Cow::Borrowed(if pointer == "/starts_at" { "/not_before" } else { pointer })
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        for name in ["NewLink", "Editable", "Link"] {
            rename_property(document, name, "starts_at", "not_before");
        }
    }
}

/// Referrers are a list, and what is no host is not called like one.
struct Referrers;

/// The referrers of version 2.
#[derive(Serialize, Deserialize)]
struct Listed {
    hosts: Vec<Host>,
    direct: u64,
    other: u64,
}

#[derive(Serialize, Deserialize)]
struct Host {
    host: String,
    clicks: u64,
}

impl Change for Referrers {
    fn name(&self) -> &'static str {
        "links-referrers"
    }

    fn changelog(&self) -> &'static str {
        "`referrers` in the statistics of a link is `{\"hosts\": [{\"host\", \"clicks\"}], \"direct\", \"other\"}`, the host with the \
         most clicks first. It was an object by host in which `direct` and `(other)` were no hosts, and which had no order. Read \
         `hosts` for the hosts, and the two counts beside it for the rest."
    }

    fn answer(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        if !asked.operation.is("GET", "/links/{id}/stats") {
            return;
        }
        let Some(listed) = body.read::<Listed>("referrers") else { return };
        let counts = [(DIRECT, listed.direct), (OTHERS, listed.other)].into_iter().filter(|(_, clicks)| *clicks > 0);
        let hosts = listed.hosts.iter().map(|host| (host.host.as_str(), host.clicks));
        body.set("referrers", &hosts.chain(counts).collect::<BTreeMap<_, _>>());
    }

    #[allow(clippy::indexing_slicing)] // of the document that a test generates
    fn document(&self, document: &mut Value) {
        let Some(stats) = schema(document, "Stats") else { return };
        stats["properties"]["referrers"] = json!({
            "type": "object",
            "description": "Clicks by referring host, `direct` without one. The hundred with the most clicks; the rest, and what came \
                            past the\nhundredth host of a day, is `(other)`.",
            "additionalProperties": {"type": "integer", "format": "int64", "minimum": 0},
            "propertyNames": {"type": "string"},
        });
    }
}
