//! Comparing two JSON Schemas, as far as the documents use them: references, `allOf`, `oneOf`, `anyOf`, types (also as
//! lists), enumerations, properties, items, maps and bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr;

use serde_json::Value;

use super::{elements, members};

/// Which way a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the service: it must take what the old schema allows.
    Sent,
    /// To the client: it must be what the old schema allows.
    Answered,
}

/// The schema that allows everything.
static ANYTHING: Value = Value::Null;

/// The lower and upper bounds of what is sent.
const LOWER: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const UPPER: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// What must stay as it is in what is sent; the first may also go.
const FIXED: [&str; 2] = ["pattern", "default"];

/// What a reference leads to, or the part itself.
pub(super) fn follow<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    let target = part["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
    target.unwrap_or(part)
}

/// One of the forms that a value may have: references are followed, and what holds together is in one place.
#[derive(Clone, Default)]
struct Form<'a> {
    /// Any when none.
    types: Option<BTreeSet<&'a str>>,
    values: Option<&'a [Value]>,
    properties: BTreeMap<&'a str, &'a Value>,
    required: BTreeSet<&'a str>,
    items: Option<&'a Value>,
    /// The schema of further members, or `false`.
    others: Option<&'a Value>,
    rules: BTreeMap<&'static str, &'a Value>,
}

impl<'a> Form<'a> {
    /// What a schema says itself.
    fn of(schema: &'a Value) -> Self {
        let types = match &schema["type"] {
            Value::String(only) => Some([&**only].into()),
            Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
            _ => None,
        };
        let rules = LOWER.into_iter().chain(UPPER).chain(FIXED);
        Self {
            types,
            values: schema["enum"].as_array().map(Vec::as_slice),
            properties: members(&schema["properties"]).collect(),
            required: elements(&schema["required"]).iter().filter_map(Value::as_str).collect(),
            items: schema.get("items"),
            others: schema.get("additionalProperties").filter(|others| **others != true),
            rules: rules.filter_map(|rule| Some((rule, schema.get(rule)?))).collect(),
        }
    }

    /// What is of both forms.
    fn and(mut self, other: &Self) -> Self {
        self.types = match (self.types, &other.types) {
            (Some(own), Some(theirs)) => Some(own.intersection(theirs).copied().collect()),
            (own, theirs) => own.or_else(|| theirs.clone()),
        };
        self.values = self.values.or(other.values);
        self.properties.extend(&other.properties);
        self.required.extend(&other.required);
        self.items = self.items.or(other.items);
        self.others = self.others.or(other.others);
        self.rules.extend(&other.rules);
        self
    }

    fn is_closed(&self) -> bool {
        self.others.is_some_and(|others| *others == false)
    }

    fn types(&self) -> String {
        let types = self.types.as_ref().map(|types| types.iter().copied().collect::<Vec<_>>().join(" or "));
        types.unwrap_or_else(|| "anything".to_owned())
    }

    fn has_types_of(&self, other: &Self) -> bool {
        match (&self.types, &other.types) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(all)) => {
                own.iter().all(|kind| all.contains(kind) || *kind == "integer" && all.contains("number"))
            }
        }
    }
}

/// The forms that a schema allows.
fn forms<'a>(document: &'a Value, schema: &'a Value) -> Vec<Form<'a>> {
    let mut all = vec![Form::of(schema)];
    let mut narrow = |choices: Vec<Form<'a>>| {
        all = all.iter().flat_map(|form| choices.iter().map(|choice| form.clone().and(choice))).collect();
    };
    if schema.get("$ref").is_some() {
        narrow(forms(document, follow(document, schema)));
    }
    for part in elements(&schema["allOf"]) {
        narrow(forms(document, part));
    }
    for kind in ["oneOf", "anyOf"].into_iter().filter(|kind| schema.get(kind).is_some()) {
        let choices = elements(&schema[kind]).iter();
        let (nulls, others): (Vec<_>, Vec<_>) = choices.partition(|choice| choice["type"] == "null");
        let mut choices: Vec<_> = others.into_iter().flat_map(|choice| forms(document, choice)).collect();
        if !nulls.is_empty() {
            choices.iter_mut().filter_map(|form| form.types.as_mut()).for_each(|types| types.extend(["null"]));
        }
        narrow(choices);
    }
    all
}

/// The name of a schema that is a reference, also one that may be null or has a description of its own.
fn name(schema: &Value) -> Option<&str> {
    let only = |kind: &str| {
        let mut parts = elements(&schema[kind]).iter().filter(|part| part["type"] != "null");
        parts.next().filter(|_| parts.next().is_none()).and_then(name)
    };
    let direct = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    direct.or_else(|| ["allOf", "oneOf", "anyOf"].into_iter().find_map(only))
}

/// Two documents whose schemas are compared, in one way.
pub(super) struct Schemas<'a> {
    old: &'a Value,
    new: &'a Value,
    way: Way,
    /// The pairs that are being compared: a schema that contains itself is compared once.
    begun: Vec<(*const Value, *const Value)>,
}

impl<'a> Schemas<'a> {
    pub(super) const fn new(old: &'a Value, new: &'a Value, way: Way) -> Self {
        Self { old, new, way, begun: Vec::new() }
    }

    /// The differences that break a client, of a schema that lies at `at`.
    pub(super) fn differences(&mut self, at: &str, old: &'a Value, new: &'a Value) -> Vec<String> {
        let pair = (ptr::from_ref(old), ptr::from_ref(new));
        if self.begun.contains(&pair) {
            return Vec::new();
        }
        self.begun.push(pair);
        let word = if self.way == Way::Sent { "request" } else { "answer" };
        let at = name(old).map_or_else(|| at.to_owned(), |name| format!("{word} {name}"));
        let found = self.of_forms(&at, &forms(self.old, old), &forms(self.new, new));
        self.begun.pop();
        found
    }

    /// Each form that is given must be one that is taken. Of one that is not, the form in its place tells why.
    fn of_forms(&mut self, at: &str, old: &[Form<'a>], new: &[Form<'a>]) -> Vec<String> {
        if let ([old], [new]) = (old, new) {
            return self.of_form(at, old, new);
        }
        let (given, taken) = if self.way == Way::Sent { (old, new) } else { (new, old) };
        let mut found = Vec::new();
        for (place, form) in given.iter().enumerate() {
            let mut compare = |other| match self.way {
                Way::Sent => self.of_form(at, form, other),
                Way::Answered => self.of_form(at, other, form),
            };
            if !taken.iter().any(|other| compare(other).is_empty()) {
                match taken.get(place) {
                    Some(other) => found.extend(compare(other)),
                    None => found.push(format!("{at}: its form {} is new, or not taken any more", place + 1)),
                }
            }
        }
        found
    }

    fn of_form(&mut self, at: &str, old: &Form<'a>, new: &Form<'a>) -> Vec<String> {
        let mut found = Vec::new();
        let (given, taken) = if self.way == Way::Sent { (old, new) } else { (new, old) };
        if !given.has_types_of(taken) {
            found.push(format!("{at}: was {}, is {}", old.types(), new.types()));
        }
        if self.way == Way::Sent {
            found.extend(narrowed(at, old, new));
        }
        // What need not be sent and now must; what is always answered and now may lack.
        let (before, now) = (&old.required, &new.required);
        let further = if self.way == Way::Sent { now.difference(before) } else { before.difference(now) };
        let word = if self.way == Way::Sent { "is required now" } else { "may be absent now" };
        let further = further.filter(|name| self.way == Way::Sent || new.properties.contains_key(*name));
        found.extend(further.map(|name| format!("{at}/{name}: {word}")));
        for (name, before) in &old.properties {
            match new.properties.get(name) {
                Some(now) => found.extend(self.differences(&format!("{at}/{name}"), before, now)),
                None => found.push(format!("{at}/{name}: is removed")),
            }
        }
        if old.items.is_some() || new.items.is_some() {
            let [before, now] = [old.items, new.items].map(|items| items.unwrap_or(&ANYTHING));
            found.extend(self.differences(&format!("{at}/*"), before, now));
        }
        found.extend(self.of_others(at, old, new));
        found
    }

    /// The members that have no names of their own.
    fn of_others(&mut self, at: &str, old: &Form<'a>, new: &Form<'a>) -> Vec<String> {
        if old.is_closed() || (self.way == Way::Answered && old.others.is_none()) {
            return Vec::new();
        }
        if new.is_closed() {
            return vec![format!("{at}: has no members but those with names any more")];
        }
        let [before, now] = [old.others, new.others].map(|others| others.unwrap_or(&ANYTHING));
        self.differences(&format!("{at}/*"), before, now)
    }
}

/// What may not be sent any more.
fn narrowed(at: &str, old: &Form<'_>, new: &Form<'_>) -> Vec<String> {
    let mut found = Vec::new();
    match (old.values, new.values) {
        (Some(before), Some(now)) => {
            let gone = before.iter().filter(|value| !now.contains(value));
            found.extend(gone.map(|value| format!("{at}: {value} is not taken any more")));
        }
        (None, Some(_)) => found.push(format!("{at}: only some values are taken now")),
        (_, None) => {}
    }
    let narrower = |rule: &str, now: &Value| match old.rules.get(rule) {
        None => rule != "default",
        Some(before) if LOWER.contains(&rule) => before.as_f64() < now.as_f64(),
        Some(before) if UPPER.contains(&rule) => before.as_f64() > now.as_f64(),
        Some(before) => *before != now,
    };
    let rules = new.rules.iter().filter(|(rule, now)| narrower(rule, now));
    found.extend(rules.map(|(rule, now)| format!("{at}: its {rule} is {now} now")));
    found
}
