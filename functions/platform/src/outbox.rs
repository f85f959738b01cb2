//! The outbox of an item: the events that a write put into it.

use shared::dynamo::{AttributeValue, Item};
use shared::events::{Event, OUTBOX};

/// What a change put into an item's outbox.
#[derive(Debug, Default, PartialEq)]
pub struct NewEvents {
    /// The events, in their order, each with the length of its text in bytes.
    pub events: Vec<(Event, usize)>,
    /// What cannot be read as an event: its text, and what is wrong with it.
    pub undecodable: Vec<(String, String)>,
}

/// What is in the outbox of `new` and was not in that of `old`.
pub fn new_events(old: &Item, new: &Item) -> NewEvents {
    let known = entries(old);
    let mut found = NewEvents::default();
    for entry in entries(new).iter().filter(|entry| !known.contains(entry)) {
        let AttributeValue::S(text) = entry else {
            found.undecodable.push((format!("{entry:?}"), "it is not a text".to_owned()));
            continue;
        };
        match serde_json::from_str(text) {
            Ok(event) => found.events.push((event, text.len())),
            Err(error) => found.undecodable.push((text.clone(), error.to_string())),
        }
    }
    found
}

/// The entries of an outbox. One that is no list is taken for its only entry, which then cannot be read.
fn entries(item: &Item) -> &[AttributeValue] {
    match item.get(OUTBOX) {
        None | Some(AttributeValue::Null(_)) => &[],
        Some(AttributeValue::L(entries)) => entries,
        Some(other) => std::slice::from_ref(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use shared::dynamo::{n, s};
    use shared::events::links::LinkCreated;
    use shared::id::TenantId;
    use shared::random::Random;
    use shared::time::Timestamp;

    fn event(seed: u64) -> AttributeValue {
        let random = Random::seeded(seed);
        let tenant = TenantId::new(Timestamp::UNIX_EPOCH, &random);
        let data = LinkCreated { link_id: "link_1".into(), slug: "a".into(), target: "https://example.com".into() };
        let event = Event::new(tenant, "link_1", data, Timestamp::UNIX_EPOCH, &random);
        s(serde_json::to_string(&event).unwrap())
    }

    fn item(outbox: AttributeValue) -> Item {
        [(OUTBOX.to_owned(), outbox)].into()
    }

    #[test]
    fn only_what_the_change_added_is_new() {
        let list = |seeds: &[u64]| item(AttributeValue::L(seeds.iter().copied().map(event).collect()));
        let count = |old: &Item, new: &Item| new_events(old, new).events.len();
        assert_eq!(count(&Item::new(), &list(&[1, 2])), 2);
        assert_eq!(count(&list(&[1]), &list(&[1, 2])), 1);
        assert_eq!(count(&list(&[1]), &list(&[2])), 1);
        assert_eq!(count(&list(&[1]), &list(&[1])), 0);
        assert_eq!(count(&list(&[1]), &Item::new()), 0);
    }

    #[test]
    fn what_cannot_be_read_is_told_apart_and_the_rest_is_kept() {
        let outbox = AttributeValue::L(vec![s("{"), event(1), n(7), s("{\"id\": 1}")]);
        let found = new_events(&Item::new(), &item(outbox));
        assert_eq!((found.events.len(), found.undecodable.len()), (1, 3));
        assert_eq!(found.undecodable[0].0, "{");
        assert_eq!(new_events(&Item::new(), &item(s("text"))).undecodable.len(), 1);
    }
}
