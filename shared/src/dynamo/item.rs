//! The items and keys of tables whose key is a text `pk` and a text `sk`, and their attributes.

use std::str::FromStr;

use serde::Serialize;

use super::{Item, Key, s};

/// The key of an item.
pub fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    [("pk", s(pk)), ("sk", s(sk))].into()
}

/// An item with its key and the attributes of `record`.
pub fn item<T: Serialize>(
    pk: impl Into<String>,
    sk: impl Into<String>,
    record: &T,
) -> Result<Item, serde_dynamo::Error> {
    let mut item: Item = serde_dynamo::to_item(record)?;
    item.extend(Item::from(key(pk, sk)));
    Ok(item)
}

/// A text attribute; none when it is absent or of another type.
pub fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A number attribute; none when it is absent, of another type, or no `T`.
pub fn number<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_item_has_its_key_and_its_attributes() {
        let item = item("a", "b", &serde_json::json!({"name": "c", "count": 7})).unwrap();
        assert_eq!((text(&item, "pk"), text(&item, "sk"), text(&item, "name")), (Some("a"), Some("b"), Some("c")));
        assert_eq!((number::<u8>(&item, "count"), number::<u8>(&item, "name")), (Some(7), None));
        assert_eq!((text(&item, "count"), text(&item, "other")), (None, None));
    }
}
