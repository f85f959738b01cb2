//! The outbox of an item: the events that a write put into it.

use serde_json::value::RawValue;
use shared::dynamo::{AttributeValue, Item};
use shared::events::{Event, OUTBOX};
use shared::lambda::unreadable;

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
    // What was unreadable before is no reason to keep back what is new.
    let known = entries(old).unwrap_or_default();
    let mut found = NewEvents::default();
    let entries = match entries(new) {
        Ok(entries) => entries,
        Err(undecodable) => return NewEvents { undecodable: vec![undecodable], ..found },
    };
    for text in entries.into_iter().filter(|entry| !known.contains(entry)) {
        match serde_json::from_str(&text) {
            Ok(event) => found.events.push((event, text.len())),
            Err(error) => found.undecodable.push((text, unreadable(&error))),
        }
    }
    found
}

/// The entries of an outbox as JSON texts; for one that is no JSON array, its text and what is wrong with it.
fn entries(item: &Item) -> Result<Vec<String>, (String, String)> {
    match item.get(OUTBOX) {
        None | Some(AttributeValue::Null(_)) => Ok(Vec::new()),
        Some(AttributeValue::S(text)) => serde_json::from_str::<Vec<Box<RawValue>>>(text)
            .map(|entries| entries.iter().map(|entry| entry.get().to_owned()).collect())
            .map_err(|error| (text.clone(), unreadable(&error))),
        Some(other) => Err((format!("{other:?}"), "it is not a text".to_owned())),
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

    fn event(seed: u64) -> String {
        let random = Random::seeded(seed);
        let tenant = TenantId::new(Timestamp::UNIX_EPOCH, &random);
        let data = LinkCreated { link_id: "link_1".into(), slug: "a".into(), target: "https://example.com".into() };
        let event = Event::new(tenant, "link_1", data, Timestamp::UNIX_EPOCH, &random);
        serde_json::to_string(&event).unwrap()
    }

    fn item(outbox: AttributeValue) -> Item {
        [(OUTBOX.to_owned(), outbox)].into()
    }

    fn list(entries: &[String]) -> Item {
        item(s(format!("[{}]", entries.join(","))))
    }

    #[test]
    fn only_what_the_change_added_is_new() {
        let of = |seeds: &[u64]| list(&seeds.iter().copied().map(event).collect::<Vec<_>>());
        let count = |old: &Item, new: &Item| new_events(old, new).events.len();
        assert_eq!(count(&Item::new(), &of(&[1, 2])), 2);
        assert_eq!(count(&of(&[1]), &of(&[1, 2])), 1);
        assert_eq!(count(&of(&[1]), &of(&[2])), 1);
        assert_eq!(count(&of(&[1]), &of(&[1])), 0);
        assert_eq!(count(&of(&[1]), &Item::new()), 0);
        assert_eq!(count(&item(s("[")), &of(&[1])), 1);
    }

    #[test]
    fn what_an_event_puts_into_an_outbox_is_read_back() {
        let data = LinkCreated { link_id: "link_1".into(), slug: "a".into(), target: "https://example.com".into() };
        let random = Random::seeded(1);
        let tenant = TenantId::new(Timestamp::UNIX_EPOCH, &random);
        let event = Event::new(tenant, "link_1", data, Timestamp::UNIX_EPOCH, &random);
        let found = new_events(&Item::new(), &item(event.outbox().unwrap()));
        assert_eq!(found.events.first().unwrap().0.id, event.id);
    }

    #[test]
    fn what_cannot_be_read_is_told_apart_and_the_rest_is_kept() {
        let found = new_events(&Item::new(), &list(&["7".to_owned(), event(1), "{\"id\": 1}".to_owned()]));
        assert_eq!((found.events.len(), found.undecodable.len()), (1, 2));
        assert_eq!(found.undecodable[0].0, "7");
        for outbox in [s("text"), n(7), AttributeValue::L(Vec::new())] {
            assert_eq!(new_events(&Item::new(), &item(outbox)).undecodable.len(), 1);
        }
    }
}
