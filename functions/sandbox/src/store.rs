//! The items in memory, bounded in number and in bytes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most items.
pub const MAX_ITEMS: usize = 1_000;

/// The most bytes of all items together. The list of them is one answer, which Lambda bounds at 6 MB, and JSON within
/// JSON may take twice its length.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The items of one instance. It is shared by reference; one lock is enough, as it is held for no longer than a copy.
#[derive(Debug)]
pub struct Store(Mutex<Shelf>);

#[derive(Debug)]
struct Shelf {
    /// By number, so the list is in the order of making. An item is kept as the JSON that it is answered with: what is
    /// written once for each change is read many times.
    items: BTreeMap<u64, String>,
    bytes: usize,
    last: u64,
}

/// The store is full; the text says of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full(pub &'static str);

impl Store {
    /// An empty store.
    pub const fn new() -> Self {
        Self(Mutex::new(Shelf { items: BTreeMap::new(), bytes: 0, last: 0 }))
    }

    /// A thread that panicked with the lock has changed nothing by halves: what may panic, the caller's `write`, comes
    /// before any change.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a new item, which `write` writes for its number; answers both.
    pub fn insert(&self, write: impl FnOnce(u64) -> String) -> Result<(u64, String), Full> {
        let mut held = self.shelf();
        if held.items.len() >= MAX_ITEMS {
            return Err(Full("the sandbox holds 1,000 items; remove one first"));
        }
        let number = held.last + 1;
        let text = write(number);
        held.make_room(text.len(), 0)?;
        held.last = number;
        held.items.insert(number, text.clone());
        Ok((number, text))
    }

    /// An item.
    pub fn get(&self, number: u64) -> Option<String> {
        self.shelf().items.get(&number).cloned()
    }

    /// Puts `text` in an item's place; `None` when there is no such item.
    pub fn replace(&self, number: u64, text: String) -> Option<Result<(), Full>> {
        let mut held = self.shelf();
        let before = held.items.get(&number)?.len();
        if let Err(full) = held.make_room(text.len(), before) {
            return Some(Err(full));
        }
        held.items.insert(number, text);
        Some(Ok(()))
    }

    /// Removes an item; whether it was there.
    pub fn remove(&self, number: u64) -> bool {
        let mut held = self.shelf();
        let Some(text) = held.items.remove(&number) else { return false };
        held.bytes -= text.len();
        true
    }

    /// All items, as the elements of a JSON array.
    pub fn list(&self) -> String {
        let held = self.shelf();
        let mut list = String::with_capacity(held.bytes + held.items.len());
        for text in held.items.values() {
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(text);
        }
        list
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Shelf {
    /// Counts `more` bytes that come in place of `fewer`, unless that is too much.
    fn make_room(&mut self, more: usize, fewer: usize) -> Result<(), Full> {
        let bytes = self.bytes - fewer + more;
        if bytes > MAX_BYTES {
            return Err(Full("the sandbox holds 2 MiB of items; remove one first"));
        }
        self.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_bytes_are_counted_through_every_change() {
        let store = Store::new();
        let large = "x".repeat(MAX_BYTES / 2);
        let (first, _) = store.insert(|_| large.clone()).unwrap();
        store.insert(|_| large.clone()).unwrap();
        assert!(store.insert(|_| "x".to_owned()).is_err());
        assert_eq!(
            store.replace(first, format!("{large}x")),
            Some(Err(Full("the sandbox holds 2 MiB of items; remove one first")))
        );
        assert_eq!(store.replace(first, "x".to_owned()), Some(Ok(())));
        store.insert(|_| "y".to_owned()).unwrap();
        assert!(store.remove(first) && !store.remove(first));
        assert_eq!(store.replace(first, "x".to_owned()), None);
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let store = Store::new();
        let (first, _) = store.insert(|number| number.to_string()).unwrap();
        store.remove(first);
        assert_ne!(store.insert(|number| number.to_string()).unwrap().0, first);
    }
}
