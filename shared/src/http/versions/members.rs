//! JSON objects whose members are moved about without being read.
//!
//! A change of version touches some members of a body. The others go through as the very bytes that they were: numbers keep
//! their digits, nested objects their order, and what is there twice stays for the handler to refuse.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The members of an object, in their order.
#[derive(Clone, Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> Members<'a> {
    /// Those of `json`, when it is an object.
    pub fn of(json: &'a RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Whether there is such a member.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a member, if it is a `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Gives a member another name. Whether there was one.
    pub fn rename(&mut self, from: &str, to: &'static str) -> bool {
        let mut found = false;
        for (name, _) in self.0.iter_mut().filter(|(name, _)| name == from) {
            *name = Cow::Borrowed(to);
            found = true;
        }
        found
    }

    /// Sets a member: in its place if there is one, else as the last.
    pub fn set(&mut self, name: &'static str, value: &impl Serialize) {
        // A value that has no form in JSON is none that a change makes; null says so.
        let value = Cow::Owned(to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()));
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((Cow::Borrowed(name), value)),
        }
    }

    /// Takes a member away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| own != name);
    }

    /// Changes each object of the list in the member `name`. What is no list stays as it is.
    pub fn each(&mut self, name: &'static str, change: impl Fn(&mut Members<'_>)) {
        let Some(list) = self.get(name) else { return };
        let Ok(mut rows) = serde_json::from_str::<Vec<Row<'_>>>(list.get()) else { return };
        for row in &mut rows {
            if let Row::Object(members) = row {
                change(members);
            }
        }
        let changed = to_raw_value(&rows);
        if let (Ok(changed), Some((_, own))) = (changed, self.0.iter_mut().find(|(own, _)| own == name)) {
            *own = Cow::Owned(changed);
        }
    }

    /// Changes the object in the member `name`, if there is one.
    pub fn within(&mut self, name: &'static str, change: impl FnOnce(&mut Members<'_>)) {
        let Some(mut members) = self.get(name).and_then(Members::of) else { return };
        change(&mut members);
        let changed = to_raw_value(&members);
        if let (Ok(changed), Some((_, own))) = (changed, self.0.iter_mut().find(|(own, _)| own == name)) {
            *own = Cow::Owned(changed);
        }
    }
}

/// An element of a list.
enum Row<'a> {
    Object(Members<'a>),
    Other(&'a RawValue),
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Members::of(raw).map_or(Self::Other(raw), Self::Object))
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => members.serialize(serializer),
            Self::Other(raw) => raw.serialize(serializer),
        }
    }
}

/// A name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name, Cow::Borrowed(value)));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn changed(json: &str, change: impl FnOnce(&mut Members<'_>)) -> String {
        let mut members: Members<'_> = serde_json::from_str(json).unwrap();
        change(&mut members);
        serde_json::to_string(&members).unwrap()
    }

    #[test]
    fn what_is_not_touched_goes_through_as_it_was_written() {
        let odd = r#"{"n":1.50000000000000000000001e3,"big":123456789012345678901234567890,"z":{"b":1,"a":2},"twice":1,"twice":2,"é\"":"\u00e9"}"#;
        let raw: &RawValue = serde_json::from_str(odd).unwrap();
        let members = Members::of(raw).unwrap();
        assert_eq!(members.get("big").unwrap().get(), "123456789012345678901234567890");
        assert_eq!(members.read::<String>("é\"").as_deref(), Some("é"));
        assert_eq!(serde_json::to_string(&members).unwrap(), odd);
    }

    #[test]
    fn members_are_renamed_set_and_taken_away_in_their_places() {
        assert_eq!(
            changed(r#"{"a":1,"b":2}"#, |all| assert!(all.rename("a", "c") && !all.rename("x", "y"))),
            r#"{"c":1,"b":2}"#
        );
        assert_eq!(changed(r#"{"a":1,"b":2}"#, |all| all.set("a", &[3])), r#"{"a":[3],"b":2}"#);
        assert_eq!(changed(r#"{"a":1}"#, |all| all.set("b", &"x")), r#"{"a":1,"b":"x"}"#);
        assert_eq!(changed(r#"{"a":1,"b":2,"a":3}"#, |all| all.remove("a")), r#"{"b":2}"#);
    }

    #[test]
    fn the_objects_of_a_list_are_changed_and_what_is_none_stays() {
        let rows = r#"{"data":[{"a":1},7,{"a":2},null]}"#;
        let rename = |row: &mut Members<'_>| {
            row.rename("a", "b");
        };
        assert_eq!(changed(rows, |all| all.each("data", rename)), r#"{"data":[{"b":1},7,{"b":2},null]}"#);
        assert_eq!(changed(r#"{"data":{"a":1}}"#, |all| all.each("data", rename)), r#"{"data":{"a":1}}"#);
        assert_eq!(changed(r#"{"job":{"a":1}}"#, |all| all.within("job", rename)), r#"{"job":{"b":1}}"#);
        assert_eq!(changed(r#"{"job":null}"#, |all| all.within("job", rename)), r#"{"job":null}"#);
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for other in ["[1]", "null", "\"a\"", "{"] {
            assert!(serde_json::from_str::<Members<'_>>(other).is_err(), "{other}");
        }
    }
}
