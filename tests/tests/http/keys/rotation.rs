//! Keys are changed step by step, instance by instance, while people use the backend: nobody
//! notices.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicBool, Ordering},
};

use e2e::{
    settings::Settings,
    within_patience,
    world::{Api, SharedState, Tokens, World},
};
use futures_util::future::join_all;
use shared::crypto::KeyKind;
use tokio::{sync::watch, task::JoinHandle};

use super::NamedKey;

const INSTANCES: usize = 3;
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];
const NEW_SECRET: &str = "rotated-jwt-secret-Zx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9";

/// What stands before the functions: each request goes to another instance.
#[derive(Clone)]
struct Fleet(Arc<RwLock<Vec<Api>>>);

impl Fleet {
    fn instance(&self, number: usize) -> Api {
        self.0.read().unwrap()[number % INSTANCES].clone()
    }

    /// Replaces one instance after the other, as a deployment does.
    async fn deploy(&self, world: &World, settings: &[(&str, &str)], people: &mut People) {
        for number in 0..INSTANCES {
            let instance = world.another_instance_with(settings).await;
            self.0.write().unwrap()[number] = instance;
            // Old and new instances work side by side for a while.
            people.have_refreshed(2).await;
        }
    }
}

/// People who use the backend until they are told to stop. A request that is not answered 200 fails
/// the test.
struct People {
    tasks: Vec<JoinHandle<Tokens>>,
    refreshes: Vec<watch::Receiver<usize>>,
    stop: Arc<AtomicBool>,
}

impl People {
    fn arrive(world: &World, fleet: &Fleet) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut tasks, mut refreshes) = (Vec::new(), Vec::new());
        for (number, person) in PEOPLE.iter().enumerate() {
            let (told, heard) = watch::channel(0);
            let code = world.code(person);
            tasks.push(tokio::spawn(live(
                number,
                code,
                fleet.clone(),
                Arc::clone(&stop),
                told,
            )));
            refreshes.push(heard);
        }
        Self {
            tasks,
            refreshes,
            stop,
        }
    }

    /// Waits until everybody has refreshed this often from now on: what they hold then was made
    /// after now. Fails with the client that failed.
    async fn have_refreshed(&mut self, times: usize) {
        for refreshes in &mut self.refreshes {
            let from = *refreshes.borrow();
            let refreshed = refreshes.wait_for(|count| *count >= from + times);
            within_patience("a refresh of everybody", refreshed)
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
async fn keys_change_and_no_valid_token_is_refused() {
    let limits = [
        "RATE_LIMIT_LOGIN",
        "RATE_LIMIT_USER",
        "RATE_LIMIT_REFRESH",
        "RATE_LIMIT_GUEST",
    ];
    let plan = limits
        .iter()
        .fold(World::with(SharedState::Redis), |plan, name| {
            plan.set(name, "off")
        });
    let world = plan.start().await;
    let fleet = Fleet(Arc::new(RwLock::new(Vec::new())));
    for _ in 0..INSTANCES {
        let instance = world.another_instance().await;
        fleet.0.write().unwrap().push(instance);
    }
    let mut people = People::arrive(&world, &fleet);
    people.have_refreshed(1).await;

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
                &world,
                &[("JWT_KEYS", keys), ("JWT_SECRETS", secrets)],
                &mut people,
            )
            .await;
        // The last of the tokens that were made before is used up.
        people.have_refreshed(2).await;
    }

    for tokens in people.leave().await {
        assert_eq!(tokens.header()["kid"], "es");
        // The first instance still lives as it did at first: it knows neither key.
        world
            .api
            .info(&tokens.access)
            .await
            .fails(401, "token_invalid");
        world
            .api
            .refresh(&tokens.refresh)
            .await
            .fails(401, "refresh_invalid");
    }
}
