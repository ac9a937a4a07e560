//! Every endpoint with every kind of caller: what each of them is answered is `callers/table.txt`.

mod people;
mod requests;
mod table;

use std::{collections::BTreeSet, fmt::Write};

use e2e::test_app::SharedState::{self, InProcess, Redis};
use rstest::rstest;
use shared::{clock::Clock, instance::Instance, random::Random};

use people::{Caller, World};
use requests::{ensure_config, send};
use table::{ANY, Row, Whose, rows};

/// The endpoints that the functions have: `GET /api/v1/user/info`.
async fn endpoints(world: &World) -> BTreeSet<String> {
    let instance = Instance::new(world.app.env(), Clock::System, Random::System);
    let functions = local::FUNCTIONS.iter();
    let paths = functions.flat_map(|(_, routes)| routes(&instance).paths().to_vec());
    let mut endpoints = BTreeSet::new();
    for path in paths.collect::<BTreeSet<_>>() {
        // A method of no route: the answer names those that the path has.
        let request = world.api.request("TRACE", &path.replace(['{', '}'], ""));
        let answer = request.send().await;
        answer.fails(405, "method_not_allowed");
        let methods = answer.header("allow").unwrap().split(',');
        // HEAD is GET without a body.
        let methods = methods.filter(|method| *method != "HEAD");
        endpoints.extend(methods.map(|method| format!("{method} {path}")));
    }
    endpoints
}

/// A new endpoint needs its rows in the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_has_every_endpoint_and_no_other() {
    let world = World::start(InProcess).await;
    let endpoints = endpoints(&world).await;
    let rows = rows();
    let in_table: BTreeSet<_> = rows.iter().map(Row::endpoint).collect();
    let missing: Vec<_> = endpoints.difference(&in_table).collect();
    let unknown: Vec<_> = in_table.difference(&endpoints).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "callers/table.txt lacks {missing:?}, and has what there is not: {unknown:?}"
    );
    for endpoint in &endpoints {
        let rows = rows.iter().filter(|row| row.endpoint() == *endpoint);
        let found: Vec<_> = rows.map(|row| row.whose).collect();
        let wanted = if endpoint.contains("{id}") {
            ANY.to_vec()
        } else {
            vec![Whose::NoPart]
        };
        assert_eq!(found, wanted, "whose ids {endpoint} is called with");
    }
}

/// Each row as it is answered, to be compared with the table.
#[derive(Default)]
struct Differences {
    count: usize,
    text: String,
}

impl Differences {
    fn compare(&mut self, row: &Row, caller: Caller, found: &str) {
        let wanted = row.wanted(caller);
        if found != wanted {
            self.count += 1;
            let what = format!("{} {} by {caller:?}", row.endpoint(), row.whose.word());
            writeln!(self.text, "{what}: {found}, not {wanted}").unwrap();
        }
    }

    #[track_caller]
    fn assert_none(&self) {
        assert!(self.text.is_empty(), "{}:\n{}", self.count, self.text);
    }
}

/// Whether nothing may be written for this caller.
fn is_refused(row: &Row, caller: Caller) -> bool {
    // A login writes when somebody was here, before it is known what their account is.
    row.refuses(caller) && row.path != "/api/v1/user/login"
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_refused_as_the_table_says_and_nothing_is_written(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let mut differences = Differences::default();
    for caller in Caller::ALL {
        let person = world.person(caller).await;
        let others = [
            world.person(Caller::User).await,
            world.person(Caller::Barred).await,
        ];
        ensure_config(&world).await;
        let before = world.app.rows().await;
        for row in rows().iter().filter(|row| is_refused(row, caller)) {
            let other = others.iter().find(|other| other.kind == row.about());
            let found = send(&world, row, &person, other.unwrap()).await;
            differences.compare(row, caller, &found);
        }
        let is_same = world.app.rows().await == before;
        assert!(
            is_same,
            "rows were written for {caller:?}: {}",
            differences.text
        );
    }
    differences.assert_none();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_served_as_the_table_says(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let mut differences = Differences::default();
    for caller in Caller::ALL {
        for row in rows().iter().filter(|row| !is_refused(row, caller)) {
            // New ones for each request: it may end their sessions, or their accounts.
            let (person, other) = (world.person(caller).await, world.person(row.about()).await);
            let found = send(&world, row, &person, &other).await;
            differences.compare(row, caller, &found);
        }
    }
    differences.assert_none();
}
