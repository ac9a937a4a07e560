//! A map with a maximum size that evicts the least recently used entry.

use std::borrow::Borrow;
use std::hash::Hash;

use lru::LruCache;

/// The default capacity: a long load test must not exhaust the machine's memory.
pub(crate) const MAX_ENTRIES: usize = 100_000;

pub(crate) struct BoundedMap<K: Hash + Eq, V> {
    entries: LruCache<K, V>,
    capacity: usize,
}

impl<K: Hash + Eq, V> BoundedMap<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        // `LruCache::new` would allocate room for all entries at once.
        Self {
            entries: LruCache::unbounded(),
            capacity,
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.entries.put(key, value);
        while self.entries.len() > self.capacity {
            self.entries.pop_lru();
        }
    }

    /// Reads an entry; this does not count as a use.
    pub(crate) fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.peek(key)
    }

    /// Reads an entry to change it; this counts as a use.
    pub(crate) fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_is_evicted_first() {
        let mut map = BoundedMap::new(2);
        map.insert("a", 1);
        map.insert("b", 2);
        map.get_mut("a");
        map.insert("c", 3);
        assert_eq!(
            (map.peek("a"), map.peek("b"), map.peek("c")),
            (Some(&1), None, Some(&3))
        );
    }
}
