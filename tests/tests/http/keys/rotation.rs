//! Keys are rotated step by step, instance by instance, under constant use, without a failed
//! request.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicBool, Ordering},
};

use e2e::{
    settings::Settings,
    test_app::{Api, SharedState, TestApp, Tokens},
    within_patience,
};
use futures_util::future::join_all;
use shared::crypto::KeyKind;
use tokio::{sync::watch, task::JoinHandle};

use super::NamedKey;

const INSTANCES: usize = 3;
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
const NEW_SECRET: &str = "rotated-jwt-secret-Zx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9";

/// A load balancer: each request goes to another instance.
#[derive(Clone)]
struct Fleet(Arc<RwLock<Vec<Api>>>);

impl Fleet {
    fn instance(&self, number: usize) -> Api {
        self.0.read().unwrap()[number % INSTANCES].clone()
    }

    /// Replaces one instance after the other, as a deployment does.
    async fn deploy(&self, app: &TestApp, settings: &[(&str, &str)], users: &mut Users) {
        for number in 0..INSTANCES {
            let instance = app.another_instance_with(settings).await;
            self.0.write().unwrap()[number] = instance;
            // Old and new instances work side by side for a while.
            users.have_refreshed(2).await;
        }
    }
}

/// Users who send requests until stopped. Any answer other than 200 fails the test.
struct Users {
    tasks: Vec<JoinHandle<Tokens>>,
    refreshes: Vec<watch::Receiver<usize>>,
    stop: Arc<AtomicBool>,
}

impl Users {
    fn arrive(app: &TestApp, fleet: &Fleet) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut tasks, mut refreshes) = (Vec::new(), Vec::new());
        for (number, user) in USERS.iter().enumerate() {
            let (sender, receiver) = watch::channel(0);
            let code = app.code(user);
            tasks.push(tokio::spawn(live(
                number,
                code,
                fleet.clone(),
                Arc::clone(&stop),
                sender,
            )));
            refreshes.push(receiver);
        }
        Self {
            tasks,
            refreshes,
            stop,
        }
    }

    /// Waits until every user has refreshed this often, so that all their tokens are newer than
    /// this call. Fails when a user's request failed.
    async fn have_refreshed(&mut self, times: usize) {
        for refreshes in &mut self.refreshes {
            let from = *refreshes.borrow();
            let refreshed = refreshes.wait_for(|count| *count >= from + times);
            within_patience("a refresh by every user", refreshed)
                .await
                .unwrap();
        }
    }

    async fn leave(self) -> Vec<Tokens> {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.tasks)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect()
    }
}

async fn live(
    number: usize,
    code: String,
    fleet: Fleet,
    stop: Arc<AtomicBool>,
    refreshes: watch::Sender<usize>,
) -> Tokens {
    let mut tokens = Tokens::of(&fleet.instance(number).login(&code).await);
    let mut turn = number;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..INSTANCES {
            turn += 1;
            fleet.instance(turn).info(&tokens.access).await.ok(200);
        }
        tokens = Tokens::of(&fleet.instance(turn + number).refresh(&tokens.refresh).await);
        refreshes.send_modify(|count| *count += 1);
    }
    tokens
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_valid_token_is_refused_during_key_rotation() {
    let limits = [
        "RATE_LIMIT_LOGIN",
        "RATE_LIMIT_USER",
        "RATE_LIMIT_REFRESH",
        "RATE_LIMIT_GUEST",
    ];
    let builder = limits
        .iter()
        .fold(TestApp::builder(SharedState::Redis), |builder, name| {
            builder.set(name, "off")
        });
    let app = builder.start().await;
    let fleet = Fleet(Arc::new(RwLock::new(Vec::new())));
    for _ in 0..INSTANCES {
        let instance = app.another_instance().await;
        fleet.0.write().unwrap().push(instance);
    }
    let mut users = Users::arrive(&app, &fleet);
    users.have_refreshed(1).await;

    let secret = Settings::secrets()[2].1;
    let (ed, es) = (
        NamedKey::new("ed", KeyKind::Ed25519),
        NamedKey::new("es", KeyKind::P256),
    );
    let (old_secret, both) = (secret.to_owned(), |first: &str, second: &str| {
        format!("{first},{second}")
    });
    let steps = [
        // From HS256 to Ed25519.
        (ed.public.clone(), old_secret.clone()),
        (ed.private.clone(), old_secret.clone()),
        // From there to P-256.
        (both(&ed.private, &es.private), old_secret.clone()),
        (both(&es.private, &ed.private), old_secret.clone()),
        (both(&es.private, &ed.public), old_secret.clone()),
        (es.private.clone(), old_secret.clone()),
        // The secret, of refresh tokens too.
        (es.private.clone(), both(secret, NEW_SECRET)),
        (es.private.clone(), both(NEW_SECRET, secret)),
        (es.private.clone(), NEW_SECRET.to_owned()),
    ];
    for (keys, secrets) in &steps {
        fleet
            .deploy(
                &app,
                &[("JWT_KEYS", keys), ("JWT_SECRETS", secrets)],
                &mut users,
            )
            .await;
        // No token from before this step is in use now.
        users.have_refreshed(2).await;
    }

    for tokens in users.leave().await {
        assert_eq!(tokens.header()["kid"], "es");
        // The first instance has its original settings and knows neither key.
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "token_invalid");
        app.api
            .refresh(&tokens.refresh)
            .await
            .fails(401, "refresh_invalid");
    }
}
