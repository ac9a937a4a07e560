//! Merges the partitions of the index into one page, without I/O.
//!
//! Of each partition it is known down to which key it was read. What was found above the highest of
//! these keys is complete and in order: no partition can have anything else there.

/// A partition to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Its number.
    pub(super) partition: usize,
    /// Read what is below this key; `None`: from the highest one on.
    pub(super) below: Option<String>,
}

/// What was read of a partition.
pub(super) struct Read<T> {
    /// Its number.
    pub(super) partition: usize,
    /// The entries that the filter takes, with their keys.
    pub(super) found: Vec<(String, T)>,
    /// Down to which key it was read, this one included; `None`: to its end.
    pub(super) reached: Option<String>,
}

/// Down to where a partition was read.
enum Reach {
    /// Nothing of it: entries can have any key.
    Top,
    /// Down to this key.
    Key(String),
    /// To its end.
    End,
}

/// The partitions as far as they were read for a page of at most `limit` entries.
pub(super) struct Merge<T> {
    limit: usize,
    reaches: Vec<Reach>,
    /// In no order.
    found: Vec<(String, T)>,
}

impl Reach {
    /// Whether entries above `key` can be unread.
    fn is_above(&self, key: &str) -> bool {
        match self {
            Self::Top => true,
            Self::Key(reached) => reached.as_str() > key,
            Self::End => false,
        }
    }
}

impl<T> Merge<T> {
    /// Nothing is read yet; the page begins below `after`.
    pub(super) fn new(partitions: usize, limit: usize, after: Option<&str>) -> Self {
        let reach = || after.map_or(Reach::Top, |key| Reach::Key(key.to_owned()));
        Self {
            limit,
            reaches: std::iter::repeat_with(reach).take(partitions).collect(),
            found: Vec::new(),
        }
    }

    /// The partitions that can have entries of the page which are not read yet. None: the page is
    /// complete.
    pub(super) fn due(&self) -> Vec<Due> {
        let mut keys: Vec<&str> = self.found.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable_by(|one, other| other.cmp(one));
        // With enough entries found, only what is above the last of them matters.
        let last = self.limit.checked_sub(1).and_then(|last| keys.get(last));
        let reaches = self.reaches.iter().enumerate();
        let due = reaches.filter_map(|(partition, reach)| {
            let below = match reach {
                Reach::Top => None,
                Reach::Key(key) => Some(key.clone()),
                Reach::End => return None,
            };
            let matters = last.is_none_or(|last| reach.is_above(last));
            matters.then_some(Due { partition, below })
        });
        due.collect()
    }

    /// Takes in what was read.
    pub(super) fn add(&mut self, read: Read<T>) {
        let Read {
            partition,
            found,
            reached,
        } = read;
        if let Some(reach) = self.reaches.get_mut(partition) {
            *reach = reached.map_or(Reach::End, Reach::Key);
        }
        self.found.extend(found);
    }

    /// The entries that are certain, in order, and the key below which the next page begins; `None` at
    /// the end.
    pub(super) fn into_page(self) -> (Vec<T>, Option<String>) {
        let Self {
            limit,
            reaches,
            mut found,
        } = self;
        found.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let is_certain = |key: &str| !reaches.iter().any(|reach| reach.is_above(key));
        let certain = found.iter().take_while(|(key, _)| is_certain(key)).count();
        let taken = certain.min(limit);
        let is_end =
            taken == found.len() && reaches.iter().all(|reach| matches!(reach, Reach::End));
        let next = if is_end {
            None
        } else if taken == limit {
            // `limit` is not 0, so there is a last one.
            found
                .get(taken.saturating_sub(1))
                .map(|(key, _)| key.clone())
        } else {
            lowest_certain(&reaches)
        };
        found.truncate(taken);
        (found.into_iter().map(|(_, entry)| entry).collect(), next)
    }
}

/// The key down to which all partitions were read: the highest one that a partition was read to.
fn lowest_certain(reaches: &[Reach]) -> Option<String> {
    let keys = reaches.iter().filter_map(|reach| match reach {
        Reach::Key(key) => Some(key),
        Reach::Top | Reach::End => None,
    });
    keys.max().cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Partitions of numbers, in the place of the index.
    #[derive(Debug)]
    struct Index(Vec<BTreeSet<u32>>);

    fn key(number: u32) -> String {
        format!("{number:010}")
    }

    impl Index {
        /// A query of `chunk` rows: what is even passes the filter, if there is one.
        fn read(&self, due: &Due, chunk: usize, filtered: bool) -> Read<u32> {
            let below = due
                .below
                .as_ref()
                .map_or(u32::MAX, |key| key.parse().unwrap());
            let rows = self.0[due.partition].range(..below).rev();
            let read: Vec<_> = rows.copied().take(chunk).collect();
            // DynamoDB says that there may be more whenever it has read as much as was asked for.
            let reached = (read.len() == chunk).then(|| key(*read.last().unwrap()));
            let found = read
                .into_iter()
                .filter(|number| !filtered || number % 2 == 0);
            Read {
                partition: due.partition,
                found: found.map(|number| (key(number), number)).collect(),
                reached,
            }
        }

        fn page(
            &self,
            limit: usize,
            after: Option<&str>,
            rounds: usize,
            filtered: bool,
        ) -> (Vec<u32>, Option<String>) {
            let mut merge = Merge::new(self.0.len(), limit, after);
            for _ in 0..rounds {
                for due in merge.due() {
                    merge.add(self.read(&due, 3, filtered));
                }
            }
            merge.into_page()
        }

        fn all(&self, filtered: bool) -> Vec<u32> {
            let mut all: Vec<_> = self.0.iter().flatten().copied().collect();
            all.retain(|number| !filtered || number % 2 == 0);
            all.sort_unstable_by(|one, other| other.cmp(one));
            all
        }
    }

    fn index() -> impl Strategy<Value = Index> {
        let numbers = prop::collection::btree_map(0_u32..10_000, 0_usize..4, 0..120);
        numbers.prop_map(|numbers| {
            let mut partitions = vec![BTreeSet::new(); 4];
            for (number, partition) in numbers {
                partitions[partition].insert(number);
            }
            Index(partitions)
        })
    }

    proptest! {
        #[test]
        fn the_pages_together_are_the_whole_list_in_order(
            index in index(), limit in 1_usize..12, rounds in 1_usize..5, filtered: bool,
        ) {
            let (mut listed, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let (page, next) = index.page(limit, after.as_deref(), rounds, filtered);
                prop_assert!(page.len() <= limit);
                listed.extend(page);
                let Some(next) = next else { break };
                // Each page goes on, so that a list ends.
                prop_assert!(after.as_ref().is_none_or(|after| next < *after));
                after = Some(next);
                pages += 1;
                prop_assert!(pages <= 200);
            }
            prop_assert_eq!(listed, index.all(filtered));
        }

        #[test]
        fn a_page_is_full_when_there_are_rounds_enough(index in index(), limit in 1_usize..12) {
            let (page, next) = index.page(limit, None, 50, false);
            let all = index.all(false);
            prop_assert_eq!(&page[..], &all[..limit.min(all.len())]);
            prop_assert!(next.is_some() || page.len() == all.len());
        }

        #[test]
        fn partitions_that_are_read_as_far_as_a_page_goes_are_not_read_again(
            index in index(), limit in 1_usize..12, after in prop::option::of(0_u32..10_000),
        ) {
            let after = after.map(key);
            let mut merge = Merge::new(4, limit, after.as_deref());
            for due in merge.due() {
                merge.add(index.read(&due, limit, false));
            }
            prop_assert_eq!(merge.due(), Vec::new());
        }
    }

    #[test]
    fn an_empty_list_has_one_empty_page() {
        let index = Index(vec![BTreeSet::new(); 4]);
        assert_eq!(index.page(10, None, 1, false), (Vec::new(), None));
    }
}
