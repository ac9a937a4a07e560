//! The callers, and the backend that they call.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{Api, SharedState, TestApp, Tokens},
};
use serde_json::json;
use shared::clock::Clock;
use wechat_simulator::UserChange;

use super::table::rows;

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Sends no token.
    Stranger,
    /// Sends what is no token.
    Garbage,
    /// A user whose token has expired.
    Expired,
    /// A user who has logged out.
    LoggedOut,
    /// A user of a mini-program that was one of the service's and is no longer.
    FormerApp,
    /// A user.
    User,
    /// A user of another mini-program of the service.
    OtherApp,
    /// An administrator by `ADMINS`.
    Named,
    /// An administrator by the role in the row.
    Admin,
    /// One whose token still says so, and whose row no longer does.
    FormerAdmin,
    /// A user whose account is barred, to be deleted after some days.
    Barred,
    /// A user whom an administrator has disabled.
    Disabled,
    /// The same before the sessions have ended: only the row says it.
    Disabling,
    /// A user whose account was deleted.
    Deleted,
    /// A user whose account was merged into another one.
    Merged,
}

impl Caller {
    pub const ALL: [Self; 15] = [
        Self::Stranger,
        Self::Garbage,
        Self::Expired,
        Self::LoggedOut,
        Self::FormerApp,
        Self::User,
        Self::OtherApp,
        Self::Named,
        Self::Admin,
        Self::FormerAdmin,
        Self::Barred,
        Self::Disabled,
        Self::Disabling,
        Self::Deleted,
        Self::Merged,
    ];

    /// The heading of its column.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stranger => "no-token",
            Self::Garbage => "garbage",
            Self::Expired => "expired",
            Self::LoggedOut => "logged-out",
            Self::FormerApp => "former-app",
            Self::User => "user",
            Self::OtherApp => "other-app",
            Self::Named => "ADMINS",
            Self::Admin => "admin",
            Self::FormerAdmin => "ex-admin",
            Self::Barred => "barred",
            Self::Disabled => "disabled",
            Self::Disabling => "disabling",
            Self::Deleted => "deleted",
            Self::Merged => "merged",
        }
    }
}

/// Somebody who calls, or whom a call is about.
pub struct Person {
    pub kind: Caller,
    /// For the simulated WeChat.
    pub name: String,
    pub app_id: &'static str,
    /// The access token that is sent.
    pub token: Option<String>,
    /// What the login gave.
    pub tokens: Option<Tokens>,
    /// The instance that is called.
    pub api: Api,
}

/// The backend, with a time in which deleted accounts can be called back.
pub struct World {
    pub app: TestApp,
    /// An instance.
    pub api: Api,
    /// One that knows only the first mini-program.
    narrow: Api,
    named: Mutex<Vec<String>>,
    root: tokio::sync::Mutex<Tokens>,
    number: AtomicUsize,
}

impl World {
    pub async fn start(state: SharedState) -> Self {
        let app = TestApp::builder(state)
            .avatars()
            .messages()
            .set("DELETION_COOLING_DAYS", "7")
            .set("CONSENTS", "privacy:3")
            .start()
            .await;
        // One for each request.
        let named: Vec<_> = (0..rows().len())
            .map(|number| format!("named{number}"))
            .collect();
        let mut ids = Vec::new();
        for name in &named {
            ids.push(app.log_in(name).await.user_id());
        }
        let admins = ids.join(",");
        let root = app.administrator("root").await.into();
        let narrow = app
            .another_instance_with(&of_one_app(&app.variables()))
            .await;
        let api = app.another_instance_with(&[("ADMINS", &admins)]).await;
        Self {
            app,
            api,
            narrow,
            root,
            named: Mutex::new(named),
            number: AtomicUsize::new(0),
        }
    }

    /// A number that was not used before.
    pub fn next(&self) -> usize {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The token of an administrator who is nobody else here.
    pub async fn root(&self) -> String {
        let mut root = self.root.lock().await;
        let expires = root.claims()["exp"].as_i64().unwrap();
        if expires < Clock::Manual(self.app.clock.clone()).now_seconds() {
            *root = self.app.log_in("root").await;
        }
        root.access.clone()
    }

    /// Merges the person's account into that of another one, who has the same number.
    async fn merge(&self, person: &Person, tokens: &Tokens) {
        let number = format!("139{:08}", self.next());
        let owner = format!("{}-owner", person.name);
        for name in [&owner, &person.name] {
            let change = UserChange {
                phone: Some(number.clone()),
                ..UserChange::default()
            };
            self.app.wechat.change_user(name, change).unwrap();
        }
        let owner_tokens = self.app.log_in(&owner).await;
        let bind = async |name: &str, tokens: &Tokens| {
            let code = self.app.wechat.phone_code(name, Some(APP_ID)).unwrap();
            self.api.bind_phone(&tokens.access, &code).await
        };
        bind(&owner, &owner_tokens).await.ok(200);
        let taken = bind(&person.name, tokens).await;
        let ticket = taken.fails(409, "phone_taken")["ticket"].as_str();
        let resolve = self
            .api
            .resolve_phone(&tokens.access, ticket.unwrap(), "merge");
        assert_eq!(resolve.await.ok(200)["user"]["id"], owner_tokens.user_id());
    }

    /// Somebody of this kind who was not here before.
    pub async fn person(&self, caller: Caller) -> Person {
        let name = match caller {
            Caller::Named => self.named.lock().unwrap().pop().unwrap(),
            _ => format!("{}{}", caller.word(), self.next()),
        };
        let app_id = match caller {
            Caller::OtherApp | Caller::FormerApp => OTHER_APP_ID,
            _ => APP_ID,
        };
        let mut person = Person {
            kind: caller,
            name,
            app_id,
            token: None,
            tokens: None,
            api: self.api.clone(),
        };
        match caller {
            Caller::Stranger => return person,
            Caller::Garbage => {
                person.token = Some("x".to_owned());
                return person;
            }
            _ => {}
        }
        let mut tokens = self.log_in(&person).await;
        let id = tokens.user_id();
        let root = self.root().await;
        match caller {
            Caller::Expired => self.app.clock.advance_seconds(7200 + 31),
            Caller::LoggedOut => drop(self.api.logout(&tokens.access).await.ok(200).clone()),
            Caller::FormerApp => person.api = self.narrow.clone(),
            Caller::Admin => self.set(&root, &id, "role", "admin").await,
            Caller::FormerAdmin => {
                self.set(&root, &id, "role", "admin").await;
                tokens = self.log_in(&person).await;
                assert_eq!(tokens.claims()["role"], "admin");
                self.set(&root, &id, "role", "user").await;
            }
            Caller::Barred => {
                let barred = self.api.delete_account(&tokens.access).await;
                assert_eq!(barred.ok(202)["status"], "barred");
            }
            Caller::Disabled => self.set(&root, &id, "status", "disabled").await,
            Caller::Disabling => self.app.disable(&id).await,
            Caller::Deleted => {
                let deleted = self.api.delete_user(&root, &id).await;
                assert_eq!(deleted.ok(200)["status"], "deleted");
            }
            Caller::Merged => self.merge(&person, &tokens).await,
            Caller::User | Caller::OtherApp | Caller::Named => {}
            Caller::Stranger | Caller::Garbage => unreachable!("they have no account"),
        }
        person.token = Some(tokens.access.clone());
        person.tokens = Some(tokens);
        person
    }

    async fn log_in(&self, person: &Person) -> Tokens {
        let code = self.app.code_in(person.app_id, &person.name);
        Tokens::of(&self.api.login_in(person.app_id, &code).await)
    }

    /// An administrator changes a user.
    async fn set(&self, root: &str, id: &str, field: &str, value: &str) {
        let user = self.api.user(root, id).await;
        let change = json!({"version": user.ok(200)["version"], field: value});
        self.api.change_user(root, id, &change).await.ok(200);
    }
}

/// The settings of an instance that knows only the first mini-program: where there is something for
/// each, separated by commas.
fn of_one_app(variables: &[(String, String)]) -> Vec<(&'static str, &str)> {
    let first = |name: &'static str| {
        let (_, value) = variables.iter().find(|(known, _)| known == name).unwrap();
        (name, value.split_once(',').unwrap().0)
    };
    ["WECHAT_APPIDS", "WECHAT_SECRETS", "MESSAGE_PUSH"]
        .map(first)
        .to_vec()
}
