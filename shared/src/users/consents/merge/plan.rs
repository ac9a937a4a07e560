//! What becomes of the agreements to one document, without any I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Side;
use crate::{
    ids::AppId,
    users::consents::{Consent, KEPT, rows::ConsentRow},
};

/// The changes of rows, and the version that holds afterwards.
pub(super) struct Plan {
    /// Those that decide what holds come last: a plan that is made anew after some of the changes
    /// comes to the same end.
    pub(super) changes: Vec<Change>,
    pub(super) holds: Option<u32>,
}

/// A change of rows.
pub(super) enum Change {
    /// A row of the account that ends becomes one of the surviving account.
    Move { old: ConsentRow, new: ConsentRow },
    /// A row of the account that ends is one too many.
    Drop(ConsentRow),
    /// A row of the surviving account is one too many.
    Forget(ConsentRow),
    /// A row of the surviving account was withdrawn in the other one.
    Withdraw(ConsentRow),
}

/// The last thing that a person said about the document in one account.
enum Word {
    Agreed {
        version: u32,
        at: Timestamp,
    },
    Withdrew {
        at: Timestamp,
        app_id: Option<AppId>,
    },
}

impl Plan {
    pub(super) fn new(from: &Side, into: &Side) -> Self {
        let (from_word, into_word) = (from.last_word(), into.last_word());
        let kept = Kept::new(from, into);
        let surplus = into
            .rows
            .iter()
            .filter(|row| !kept.into.contains(&row.id()));
        let mut changes: Vec<_> = surplus.cloned().map(Change::Forget).collect();
        if let Some((at, app_id)) = into.ended_by(from_word.as_ref()) {
            let withdrawn = into.standing().map(|row| row.withdrawn(at, app_id));
            changes.extend(withdrawn.map(Change::Withdraw));
        }
        changes.extend(kept.moves(from, into, from.ended_by(into_word.as_ref())));
        Self {
            changes,
            holds: holds(from_word.as_ref(), into_word.as_ref()),
        }
    }
}

/// The later word counts; of two agreements that hold, the newer version.
fn holds(one: Option<&Word>, other: Option<&Word>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => match (one.version(), other.version()) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ if one.at() > other.at() => one.version(),
            _ => other.version(),
        },
        (one, other) => one.or(other).and_then(Word::version),
    }
}

impl Word {
    fn at(&self) -> Timestamp {
        match self {
            Self::Agreed { at, .. } | Self::Withdrew { at, .. } => *at,
        }
    }

    fn version(&self) -> Option<u32> {
        match self {
            Self::Agreed { version, .. } => Some(*version),
            Self::Withdrew { .. } => None,
        }
    }
}

impl Side {
    /// The agreements that hold: to the version that the account's row names.
    fn standing(&self) -> impl Iterator<Item = &ConsentRow> {
        let rows = self.rows.iter();
        rows.filter(|row| {
            let Consent {
                version,
                withdrawn_at,
                ..
            } = &row.consent;
            Some(*version) == self.version && withdrawn_at.is_none()
        })
    }

    fn ranks(&self, is_from: bool) -> impl Iterator<Item = Rank> {
        let standing: BTreeSet<_> = self.standing().map(ConsentRow::id).collect();
        self.rows.iter().map(move |row| Rank {
            is_standing: standing.contains(&row.id()),
            time: row.time(),
            is_from,
            id: row.id(),
        })
    }

    fn last_word(&self) -> Option<Word> {
        if let Some(version) = self.version {
            let at = self.standing().map(|row| row.consent.agreed_at).max();
            let at = at.unwrap_or(Timestamp::MIN);
            return Some(Word::Agreed { version, at });
        }
        let withdrawn = self.rows.iter().filter_map(|row| {
            let at = row.consent.withdrawn_at?;
            Some((at, row.consent.withdrawn_app_id.clone()))
        });
        let (at, app_id) = withdrawn.max_by_key(|(at, _)| *at)?;
        Some(Word::Withdrew { at, app_id })
    }

    /// When and where the other account's last word withdrew what holds in this one.
    fn ended_by<'a>(&self, other: Option<&'a Word>) -> Option<(Timestamp, Option<&'a AppId>)> {
        match (self.last_word()?, other?) {
            (Word::Agreed { at: agreed, .. }, Word::Withdrew { at, app_id }) if *at > agreed => {
                Some((*at, app_id.as_ref()))
            }
            _ => None,
        }
    }
}

/// How long a row is kept: those that are greatest are kept longest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_standing: bool,
    time: (Timestamp, u32),
    is_from: bool,
    id: (u32, u32),
}

/// Which rows are among the newest that are kept, by version and number.
struct Kept {
    from: BTreeSet<(u32, u32)>,
    into: BTreeSet<(u32, u32)>,
}

impl Kept {
    /// The agreements that hold, and the newest of the others.
    fn new(from: &Side, into: &Side) -> Self {
        let mut ranks: Vec<_> = from.ranks(true).chain(into.ranks(false)).collect();
        ranks.sort_unstable();
        let newest = ranks.into_iter().rev().take(KEPT);
        let (from, into): (Vec<_>, Vec<_>) = newest.partition(|rank| rank.is_from);
        let ids = |ranks: Vec<Rank>| ranks.into_iter().map(|rank| rank.id).collect();
        Self {
            from: ids(from),
            into: ids(into),
        }
    }

    /// What becomes of the rows of the account that ends; those that say the last word come last.
    fn moves(
        &self,
        from: &Side,
        into: &Side,
        ended: Option<(Timestamp, Option<&AppId>)>,
    ) -> Vec<Change> {
        let standing: BTreeSet<_> = from.standing().map(ConsentRow::id).collect();
        let mut rows: Vec<_> = from.rows.iter().collect();
        rows.sort_by_key(|row| {
            let last = row.consent.withdrawn_at.max(Some(row.consent.agreed_at));
            (standing.contains(&row.id()), last, row.id())
        });
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        for (version, number) in into.rows.iter().map(ConsentRow::id) {
            let last = numbers.entry(version).or_default();
            *last = number.max(*last);
        }
        let change = |row: &ConsentRow| {
            if !self.from.contains(&row.id()) {
                return Change::Drop(row.clone());
            }
            let number = numbers.entry(row.consent.version).or_default();
            *number += 1;
            let moved = match ended {
                Some((at, app_id)) if standing.contains(&row.id()) => row.withdrawn(at, app_id),
                _ => row.clone(),
            };
            Change::Move {
                old: row.clone(),
                new: ConsentRow::new(moved.consent, *number),
            }
        };
        rows.into_iter().map(change).collect()
    }
}

impl ConsentRow {
    fn withdrawn(&self, at: Timestamp, app_id: Option<&AppId>) -> Self {
        let consent = Consent {
            withdrawn_at: Some(at),
            withdrawn_app_id: app_id.cloned(),
            ..self.consent.clone()
        };
        Self::new(consent, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREED: &str = "2026-11-01T00:00:00Z";
    const LATER: &str = "2026-11-02T00:00:00Z";
    const LAST: &str = "2026-11-03T00:00:00Z";

    fn row(version: u32, number: u32, agreed: &str, withdrawn: Option<&str>) -> ConsentRow {
        let consent = Consent {
            document: "privacy".parse().unwrap(),
            version,
            agreed_at: agreed.parse().unwrap(),
            app_id: "wx1".parse().unwrap(),
            withdrawn_at: withdrawn.map(|time| time.parse().unwrap()),
            withdrawn_app_id: withdrawn.map(|_| "wx2".parse().unwrap()),
        };
        ConsentRow::new(consent, number)
    }

    fn side(version: Option<u32>, rows: Vec<ConsentRow>) -> Side {
        Side {
            version,
            has_map: version.is_some(),
            rows,
        }
    }

    /// Carries a plan out: the rows of the surviving account, and what is left of the other.
    fn carry_out(plan: &Plan, from: &mut Side, into: &mut Side, at_most: usize) {
        for change in plan.changes.iter().take(at_most) {
            match change {
                Change::Move { old, new } => {
                    from.rows.retain(|row| row.id() != old.id());
                    assert!(into.rows.iter().all(|row| row.id() != new.id()));
                    into.rows.push(new.clone());
                }
                Change::Drop(old) => from.rows.retain(|row| row.id() != old.id()),
                Change::Forget(old) => into.rows.retain(|row| row.id() != old.id()),
                Change::Withdraw(new) => {
                    into.rows.retain(|row| row.id() != new.id());
                    into.rows.push(new.clone());
                }
            }
        }
        into.rows.sort_by_key(ConsentRow::id);
    }

    fn merged(mut from: Side, mut into: Side) -> Side {
        let plan = Plan::new(&from, &into);
        carry_out(&plan, &mut from, &mut into, usize::MAX);
        assert!(from.rows.is_empty());
        into.version = plan.holds;
        into
    }

    #[test]
    fn what_the_survivor_lacks_is_taken_over() {
        let from = side(
            Some(3),
            vec![row(2, 1, AGREED, None), row(3, 1, LATER, None)],
        );
        let merged = merged(from, side(None, Vec::new()));
        assert_eq!(merged.version, Some(3));
        let ids: Vec<_> = merged.rows.iter().map(ConsentRow::id).collect();
        assert_eq!(ids, [(2, 1), (3, 1)]);
    }

    #[test]
    fn both_histories_are_kept_and_the_newer_version_holds() {
        let from = side(Some(3), vec![row(3, 1, AGREED, None)]);
        let into = side(Some(2), vec![row(2, 1, LATER, None)]);
        assert_eq!(merged(from, into).version, Some(3));
        let from = side(Some(3), vec![row(3, 1, AGREED, None)]);
        let into = side(Some(3), vec![row(3, 1, LATER, None)]);
        let merged = merged(from, into);
        assert_eq!(merged.version, Some(3));
        let times: Vec<_> = merged
            .rows
            .iter()
            .map(|row| row.consent.agreed_at)
            .collect();
        let wanted = [LATER, AGREED].map(|time| time.parse().unwrap());
        assert_eq!(times, wanted);
    }

    #[test]
    fn the_last_word_counts_in_whichever_account_it_was_said() {
        let agreed = || side(Some(3), vec![row(3, 1, AGREED, None)]);
        let withdrawn = |time| side(None, vec![row(3, 1, AGREED, Some(time))]);
        let later = || side(Some(3), vec![row(3, 1, LAST, None)]);
        for (from, into) in [(agreed(), withdrawn(LATER)), (withdrawn(LATER), agreed())] {
            let merged = merged(from, into);
            assert_eq!(merged.version, None);
            // Nothing looks as if it held.
            let ends: Vec<_> = merged
                .rows
                .iter()
                .map(|row| row.consent.withdrawn_at)
                .collect();
            assert_eq!(ends, [Some(LATER.parse().unwrap()); 2]);
        }
        for (from, into) in [(later(), withdrawn(LATER)), (withdrawn(LATER), later())] {
            let merged = merged(from, into);
            assert_eq!(merged.version, Some(3));
            assert_eq!(merged.standing().count(), 1);
        }
    }

    #[test]
    fn the_newest_hundred_are_kept_in_pieces_too() {
        let time = |second: usize| format!("2026-11-01T00:{:02}:{:02}Z", second / 60, second % 60);
        let history = |offset: usize, version: Option<u32>| {
            let rows = (0..KEPT).map(|at| {
                let number = u32::try_from(at).unwrap() + 1;
                let is_last = at + 1 == KEPT;
                let withdrawn = time(2 * at + offset + 1);
                let standing = is_last && version.is_some();
                row(
                    3,
                    number,
                    &time(2 * at + offset),
                    (!standing).then_some(&withdrawn),
                )
            });
            side(version, rows.collect())
        };
        for (from_version, into_version) in [(Some(3), None), (None, Some(3)), (None, None)] {
            let (mut from, mut into) = (history(1, from_version), history(0, into_version));
            let at_once = Plan::new(&from, &into).holds;
            loop {
                let plan = Plan::new(&from, &into);
                assert_eq!(plan.holds, at_once);
                carry_out(&plan, &mut from, &mut into, 45);
                if plan.changes.len() <= 45 {
                    break;
                }
            }
            assert_eq!((from.rows.len(), into.rows.len()), (0, KEPT));
        }
    }
}
