//! Whether a client of one OpenAPI document can go on with another: what a client may send must still be taken, and what
//! it is answered must be what it was told.
//!
//! Enumerations are open, as the documents say: a further value in an answer breaks nobody. What is added breaks nobody
//! either, as long as it need not be sent. Descriptions, examples, ids of operations and refusals are not compared; nor are
//! lengths, bounds and patterns of what is answered.

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::schema::{Schemas, Way, follow};

/// The breaking differences of `new` from `old`, each as `where: what`. What lies in a schema with a name is told once, by
/// that name, however many operations have it.
pub fn differences(old: &Value, new: &Value) -> BTreeSet<String> {
    let comparison = Comparison { old, new };
    let present: BTreeMap<_, _> = operations(new).map(|(method, path, now)| ((method, unnamed(path)), now)).collect();
    let each = operations(old).flat_map(|(method, path, before)| {
        let at = format!("{} {path}", method.to_uppercase());
        match present.get(&(method, unnamed(path))) {
            Some(now) => comparison.operation(&at, before, now),
            None => vec![format!("{at}: is removed")],
        }
    });
    each.collect()
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    const METHODS: [&str; 7] = ["get", "put", "post", "patch", "delete", "head", "options"];
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, item)| members(item).map(move |(method, operation)| (method, &**path, operation)));
    all.filter(|(method, ..)| METHODS.contains(method))
}

/// A path without the names of its parameters, which no client sends.
fn unnamed(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (&**name, value))
}

fn elements(array: &Value) -> &[Value] {
    array.as_array().map_or(&[], Vec::as_slice)
}

/// The parameters of an operation but for those of its path, by where they are and what they are called.
fn parameters<'a>(document: &'a Value, operation: &'a Value) -> BTreeMap<String, &'a Value> {
    let all = elements(&operation["parameters"]).iter().map(|parameter| follow(document, parameter));
    let named = all.filter_map(|parameter| {
        let name = parameter["name"].as_str()?;
        match parameter["in"].as_str()? {
            "path" => None,
            "query" => Some((format!("?{name}"), parameter)),
            "header" => Some((format!("header {}", name.to_lowercase()), parameter)),
            elsewhere => Some((format!("{elsewhere} {name}"), parameter)),
        }
    });
    named.collect()
}

impl Comparison<'_> {
    fn operation(&self, at: &str, old: &Value, new: &Value) -> Vec<String> {
        let mut found = self.parameters(at, old, new);
        found.extend(self.body(at, follow(self.old, &old["requestBody"]), follow(self.new, &new["requestBody"])));
        for (status, before) in members(&old["responses"]) {
            match new["responses"].get(status) {
                Some(now) => {
                    let at = format!("{at} {status}");
                    found.extend(self.answer(&at, follow(self.old, before), follow(self.new, now)));
                }
                None if status.starts_with(['2', '3']) => {
                    found.push(format!("{at}: does not answer {status} any more"));
                }
                None => {}
            }
        }
        for way in elements(&old["security"]) {
            if !elements(&new["security"]).iter().any(|now| asks_no_more(way, now)) {
                found.push(format!("{at}: {way} is not enough any more"));
            }
        }
        found
    }

    fn parameters(&self, at: &str, old: &Value, new: &Value) -> Vec<String> {
        let (before, now) = (parameters(self.old, old), parameters(self.new, new));
        let mut found = Vec::new();
        for (name, parameter) in &before {
            match now.get(name) {
                Some(now) => {
                    found.extend(self.schema(Way::Sent, &format!("{at} {name}"), &parameter["schema"], &now["schema"]));
                }
                None => found.push(format!("{at} {name}: is not taken any more")),
            }
        }
        let is_required = |parameter: &Value| parameter["required"] == true;
        let required = now.iter().filter(|(_, parameter)| is_required(parameter));
        let further = required.filter(|(name, _)| !before.get(*name).is_some_and(|before| is_required(before)));
        found.extend(further.map(|(name, _)| format!("{at} {name}: is required now")));
        found
    }

    fn body(&self, at: &str, old: &Value, new: &Value) -> Vec<String> {
        let mut found = self.content(Way::Sent, &format!("{at} body"), old, new);
        if new["required"] == true && old["required"] != true {
            found.push(format!("{at} body: is required now"));
        }
        found
    }

    fn answer(&self, at: &str, old: &Value, new: &Value) -> Vec<String> {
        let mut found = self.content(Way::Answered, at, old, new);
        let sent: BTreeSet<_> = members(&new["headers"]).map(|(name, _)| name.to_lowercase()).collect();
        let gone = members(&old["headers"]).filter(|(name, _)| !sent.contains(&name.to_lowercase()));
        found.extend(gone.map(|(name, _)| format!("{at}: the header {name} is not sent any more")));
        found
    }

    /// What there is of each type of content.
    fn content(&self, way: Way, at: &str, old: &Value, new: &Value) -> Vec<String> {
        let each = members(&old["content"]).flat_map(|(kind, before)| match new["content"].get(kind) {
            Some(now) => self.schema(way, at, &before["schema"], &now["schema"]),
            None => vec![format!("{at}: is not {kind} any more")],
        });
        each.collect()
    }

    fn schema(&self, way: Way, at: &str, old: &Value, new: &Value) -> Vec<String> {
        Schemas::new(self.old, self.new, way).differences(at, old, new)
    }
}

/// Whether a caller who has what `old` asks for (schemes with scopes) has what `new` asks for.
fn asks_no_more(old: &Value, new: &Value) -> bool {
    members(new).all(|(scheme, scopes)| {
        let had = old.get(scheme).map(elements);
        had.is_some_and(|had| elements(scopes).iter().all(|scope| had.contains(scope)))
    })
}

#[cfg(test)]
#[path = "breaking_tests.rs"]
mod tests;
