//! A map that forgets what was not touched for longest once it is full.

use std::borrow::Borrow;
use std::hash::Hash;

use lru::LruCache;

/// How many entries of a kind are kept: a long load test must not fill the machine.
pub(crate) const MOST: usize = 100_000;

pub(crate) struct Bounded<K: Hash + Eq, V> {
    entries: LruCache<K, V>,
    most: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        // Unbounded, because `LruCache::new` reserves room for all entries at once.
        Self {
            entries: LruCache::unbounded(),
            most,
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.entries.put(key, value);
        while self.entries.len() > self.most {
            self.entries.pop_lru();
        }
    }

    /// Reads without a touch.
    pub(crate) fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.peek(key)
    }

    /// Touches the entry.
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
    fn the_longest_untouched_entry_goes_first() {
        let mut map = Bounded::new(2);
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
