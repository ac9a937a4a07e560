//! Random sequences of refreshes, replays, logouts, losses of shared state and passing time,
//! compared with a small model of the API's rules.

use e2e::{
    http::Answer,
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
    test_runner::{Config, TestRunner},
};
use rstest::rstest;
use tokio::{runtime::Handle, task::block_in_place};

const ACCESS_LIFETIME: i64 = 7200;
const LEEWAY: i64 = 30;
const REFRESH_LIFETIME: i64 = 2_592_000;
const GRACE: i64 = 60;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Presents the refresh token that was issued this many steps before the newest: 0 is the
    /// newest itself.
    Refresh(usize),
    /// Reads with the newest access token.
    Read,
    Logout,
    Pass(i64),
    LoseSharedState,
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        6 => Just(Step::Refresh(0)),
        4 => Just(Step::Refresh(1)),
        1 => (2usize..4).prop_map(Step::Refresh),
        3 => Just(Step::Read),
        1 => Just(Step::Logout),
        3 => prop_oneof![2 => Just(GRACE), 2 => Just(GRACE + 1), 1 => Just(1), 1 => Just(301)].prop_map(Step::Pass),
        1 => prop_oneof![Just(ACCESS_LIFETIME), Just(ACCESS_LIFETIME + 31), Just(REFRESH_LIFETIME)].prop_map(Step::Pass),
        1 => Just(Step::LoseSharedState),
    ];
    vec((step, proptest::bool::ANY), 1..14)
}

/// The rules, over a session whose tokens are known by the number of refreshes before them.
struct Model {
    now: i64,
    rotated_at: i64,
    revoked_at: Option<i64>,
    issued: Vec<Tokens>,
}

impl Model {
    fn newest(&self) -> &Tokens {
        self.issued.last().unwrap()
    }

    fn has_expired(&self) -> bool {
        self.now >= self.rotated_at + REFRESH_LIFETIME
    }

    /// Checks the answer to the refresh token `back` steps before the newest, and follows it.
    fn refreshed(&mut self, back: usize, answer: &Answer) {
        if let Some(at) = self.revoked_at {
            // Its row lives as long as its access tokens.
            let reason = if self.now < at + ACCESS_LIFETIME {
                "session_revoked"
            } else {
                "refresh_invalid"
            };
            answer.fails(401, reason);
        } else if self.has_expired() {
            answer.fails(401, "refresh_invalid");
        } else if back == 0 {
            let tokens = Tokens::of(answer);
            assert!(
                !self.issued.contains(&tokens),
                "tokens that were issued before"
            );
            self.issued.push(tokens);
            self.rotated_at = self.now;
        } else if back == 1 && self.now - self.rotated_at <= GRACE {
            assert_eq!(&Tokens::of(answer), self.newest());
        } else {
            answer.fails(401, "refresh_reused");
            self.revoked_at = Some(self.now);
        }
    }

    /// Checks the answer to a request with the newest access token. Says whether it was admitted.
    fn admitted(&self, answer: &Answer) -> bool {
        if self.now > self.rotated_at + ACCESS_LIFETIME + LEEWAY {
            answer.fails(401, "token_expired");
        } else if self.revoked_at.is_some() {
            answer.fails(401, "session_revoked");
        } else {
            answer.ok(200);
            return true;
        }
        false
    }
}

/// Two instances that share state; without Redis both are the same one.
struct Instances {
    app: TestApp,
    second: Option<Api>,
}

impl Instances {
    fn pick(&self, second: bool) -> &Api {
        self.second
            .as_ref()
            .filter(|_| second)
            .unwrap_or(&self.app.api)
    }
}

async fn play(instances: &mut Instances, steps: Vec<(Step, bool)>) {
    let first = instances.app.log_in("alice").await;
    let mut model = Model {
        now: 0,
        rotated_at: 0,
        revoked_at: None,
        issued: vec![first],
    };
    for (step, second) in steps {
        let api = instances.pick(second);
        match step {
            Step::Refresh(back) => {
                let Some(at) = model.issued.len().checked_sub(back + 1) else {
                    continue;
                };
                let answer = api.refresh(&model.issued[at].refresh).await;
                model.refreshed(back, &answer);
            }
            Step::Read => {
                model.admitted(&api.info(&model.newest().access).await);
            }
            Step::Logout => {
                let admitted = model.admitted(&api.logout(&model.newest().access).await);
                if admitted {
                    model.revoked_at = Some(model.now);
                }
            }
            Step::Pass(seconds) => {
                instances.app.clock.advance_seconds(seconds);
                model.now += seconds;
            }
            Step::LoseSharedState => instances.app.lose_shared_state().await,
        }
    }
    // WeChat allows a person 100 logins a minute.
    instances.app.clock.advance_seconds(60);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interleaving_follows_the_model(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state).own_redis().start().await;
    let second = if state == SharedState::Redis {
        Some(app.another_instance().await)
    } else {
        None
    };
    let instances = std::cell::RefCell::new(Instances { app, second });
    let config = Config {
        cases: 192,
        failure_persistence: None,
        ..Config::default()
    };
    let result = block_in_place(|| {
        TestRunner::new(config).run(&steps(), |steps| {
            Handle::current().block_on(play(&mut instances.borrow_mut(), steps));
            Ok(())
        })
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
