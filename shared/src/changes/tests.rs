//! Batches, with reactions that fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::request::deadline;

/// What becomes of a change: the last part of its id says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Handled,
    Failed,
    Refused,
    Panics,
    Hangs,
    Unreadable,
}

impl Fate {
    const ALL: [Self; 6] = [
        Self::Handled,
        Self::Failed,
        Self::Refused,
        Self::Panics,
        Self::Hangs,
        Self::Unreadable,
    ];

    fn of(id: &str) -> Self {
        let word = id.rsplit('-').next().unwrap();
        let found = Self::ALL
            .into_iter()
            .find(|fate| format!("{fate:?}") == word);
        found.unwrap()
    }
}

/// Notes the ids that it is given, and fails as they say.
#[derive(Default)]
struct Probe(Mutex<Vec<String>>);

impl Reaction for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>> {
        async {
            self.0.lock().unwrap().push(change.id.clone());
            match Fate::of(&change.id) {
                Fate::Failed => Err(ReactionError::Unavailable("away".to_owned())),
                Fate::Refused => Err(ReactionError::Refused("never".to_owned())),
                Fate::Panics => panic!("as told"),
                Fate::Hangs => std::future::pending().await,
                Fate::Handled | Fate::Unreadable => Ok(()),
            }
        }
        .boxed()
    }
}

/// A change of this value of remote configuration.
fn record(sequence: usize, key: u8, fate: Fate) -> Value {
    let sk = if fate == Fate::Unreadable {
        "LATER"
    } else {
        "CONFIG"
    };
    let keys = json!({"pk": {"S": format!("CONFIG#{key}")}, "sk": {"S": sk}});
    json!({
        "eventID": format!("{sequence}-{fate:?}"),
        "dynamodb": {"SequenceNumber": sequence.to_string(), "Keys": keys, "NewImage": keys},
    })
}

/// What a batch leaves: the sequence numbers to be delivered again, and the ids that the first and the
/// second reaction were given.
async fn handled(records: &[Value]) -> (Vec<String>, [Vec<String>; 2]) {
    let batch: Batch = serde_json::from_value(json!({ "Records": records })).unwrap();
    let probes: [Arc<Probe>; 2] = std::array::from_fn(|_| Arc::default());
    let list = probes
        .iter()
        .map(|probe| Arc::clone(probe) as Arc<dyn Reaction>);
    let reactions = Reactions::new(list.collect());
    let end = Instant::now() + Duration::from_secs(3);
    let failures = deadline::scope(Some(end), batch.handle(&reactions)).await;
    let failed = failures.sequences().map(str::to_owned).collect();
    let ids = probes.map(|probe| probe.0.lock().unwrap().clone());
    (failed, ids)
}

#[tokio::test(start_paused = true)]
async fn the_answer_names_what_failed_and_what_follows_under_the_same_key() {
    let records = [
        record(1, 0, Fate::Handled),
        record(2, 1, Fate::Failed),
        record(3, 0, Fate::Handled),
        record(4, 1, Fate::Handled),
    ];
    let (failed, [first, second]) = handled(&records).await;
    assert_eq!(failed, ["2", "4"]);
    assert_eq!(first.len(), 3, "{first:?}");
    assert_eq!(second.len(), 3, "the reactions are independent: {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_keeps_no_other_waiting() {
    for fate in [Fate::Refused, Fate::Panics, Fate::Unreadable] {
        let records = [record(1, 0, fate), record(2, 0, Fate::Handled)];
        let (failed, [first, _]) = handled(&records).await;
        assert_eq!(failed, [] as [&str; 0], "{fate:?}");
        assert_eq!(first.last().unwrap(), "2-Handled", "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reaction_that_hangs_ends_with_the_invocations_time() {
    let records = [
        record(1, 0, Fate::Hangs),
        record(2, 0, Fate::Handled),
        record(3, 1, Fate::Handled),
    ];
    let start = Instant::now();
    let (failed, [first, _]) = handled(&records).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(failed, ["1", "2"]);
    assert!(first.contains(&"3-Handled".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn garbage_in_a_batch_is_skipped() {
    let records = [
        json!(null),
        json!({"dynamodb": {"SequenceNumber": "7"}}),
        json!("text"),
        record(1, 0, Fate::Handled),
    ];
    let (failed, [first, _]) = handled(&records).await;
    assert_eq!(failed, [] as [&str; 0]);
    assert_eq!(first, ["1-Handled"]);
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Handled),
        1 => Just(Fate::Failed),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Panics),
        1 => Just(Fate::Unreadable),
    ]
}

proptest! {
    /// Of each key the changes are seen in their order, up to the first that fails; the answer has
    /// exactly the others, in the order of the batch.
    #[test]
    fn each_key_is_handled_in_order_up_to_its_first_failure(
        changes in proptest::collection::vec((0_u8..4, fate()), 0..40)
    ) {
        let records: Vec<_> = changes
            .iter()
            .enumerate()
            .map(|(at, (key, fate))| record(at, *key, *fate))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (failed, [seen, _]) = runtime.block_on(handled(&records));
        let mut stopped = BTreeMap::new();
        let (mut wanted_failed, mut wanted_seen) = (Vec::new(), BTreeMap::<u8, Vec<String>>::new());
        for (at, (key, fate)) in changes.iter().enumerate() {
            let is_behind = *stopped.entry(*key).or_insert(false);
            if is_behind || *fate == Fate::Failed {
                stopped.insert(*key, true);
                wanted_failed.push(at.to_string());
            }
            if !is_behind && *fate != Fate::Unreadable {
                wanted_seen.entry(*key).or_default().push(format!("{at}-{fate:?}"));
            }
        }
        prop_assert_eq!(failed, wanted_failed);
        for (key, wanted) in wanted_seen {
            let of_key = |id: &&String| {
                let at: usize = id.split('-').next().unwrap().parse().unwrap();
                changes[at].0 == key
            };
            let seen: Vec<_> = seen.iter().filter(of_key).cloned().collect();
            prop_assert_eq!(seen, wanted);
        }
    }
}
