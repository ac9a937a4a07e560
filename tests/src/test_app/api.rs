//! The API's routes by name.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::http::{Answer, Client, Request};

/// A client of one instance.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    /// Where it is, e.g. `http://127.0.0.1:34567`.
    pub url: String,
}

/// The tokens of a session, as a login or a refresh gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

impl Api {
    /// A client of the instance at `url`.
    pub fn new(url: &str) -> Self {
        Self {
            client: Client::new(url),
            url: url.to_owned(),
        }
    }

    /// Any request.
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.client.request(method, path)
    }

    /// Logs in with a code, in the default mini-program.
    pub async fn login(&self, code: &str) -> Answer {
        self.client
            .post("/api/v1/user/login", &json!({"code": code}))
            .send()
            .await
    }

    /// Logs in with a code, in a mini-program.
    pub async fn login_in(&self, app_id: &str, code: &str) -> Answer {
        self.client
            .post(
                "/api/v1/user/login",
                &json!({"code": code, "appId": app_id}),
            )
            .send()
            .await
    }

    /// Logs in with a code, and binds the number behind a code of the phone button.
    pub async fn login_with_phone(&self, code: &str, phone_code: &str) -> Answer {
        let body = json!({"code": code, "phoneCode": phone_code});
        self.client.post("/api/v1/user/login", &body).send().await
    }

    /// Asks for a form to upload an avatar with.
    pub async fn begin_avatar(
        &self,
        access_token: &str,
        content_type: &str,
        size: usize,
    ) -> Answer {
        let body = json!({"contentType": content_type, "size": size});
        let request = self.client.post("/api/v1/user/avatar", &body);
        request.bearer(access_token).send().await
    }

    /// Confirms an upload.
    pub async fn confirm_avatar(&self, access_token: &str, key: &str) -> Answer {
        let request = self.client.request("PUT", "/api/v1/user/avatar");
        let body = json!({"key": key});
        request.bearer(access_token).json(&body).send().await
    }

    /// The list of remote configuration, with this query.
    pub async fn list_config(&self, access_token: &str, query: &str) -> Answer {
        let path = format!("/api/v1/config{query}");
        self.client.get(&path).bearer(access_token).send().await
    }

    /// Logs in, and calls an account back that is being deleted.
    pub async fn call_back(&self, code: &str) -> Answer {
        let body = json!({"code": code, "cancelDeletion": true});
        self.client.post("/api/v1/user/login", &body).send().await
    }

    /// Refreshes.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.client
            .post(
                "/api/v1/user/refresh",
                &json!({"refreshToken": refresh_token}),
            )
            .send()
            .await
    }

    /// Ends the session, with no body.
    pub async fn logout(&self, access_token: &str) -> Answer {
        self.client
            .request("POST", "/api/v1/user/logout")
            .bearer(access_token)
            .send()
            .await
    }

    /// Ends the sessions that the body asks for.
    pub async fn logout_with(&self, access_token: &str, body: &Value) -> Answer {
        self.client
            .post("/api/v1/user/logout", body)
            .bearer(access_token)
            .send()
            .await
    }

    /// Lists the sessions.
    pub async fn sessions(&self, access_token: &str) -> Answer {
        self.client
            .get("/api/v1/user/sessions")
            .bearer(access_token)
            .send()
            .await
    }

    /// Ends one of the user's sessions.
    pub async fn end_session(&self, access_token: &str, id: &str) -> Answer {
        self.client
            .request("DELETE", &format!("/api/v1/user/sessions/{id}"))
            .bearer(access_token)
            .send()
            .await
    }

    /// Decrypts data from WeChat.
    pub async fn decrypt(&self, access_token: &str, body: &Value) -> Answer {
        self.client
            .post("/api/v1/user/decrypt", body)
            .bearer(access_token)
            .send()
            .await
    }

    /// Binds the number behind a code of the phone button.
    pub async fn bind_phone(&self, access_token: &str, code: &str) -> Answer {
        self.client
            .post("/api/v1/user/phone", &json!({"code": code}))
            .bearer(access_token)
            .send()
            .await
    }

    /// Resolves that another user has the caller's number.
    pub async fn resolve_phone(&self, access_token: &str, ticket: &str, choice: &str) -> Answer {
        let body = json!({"ticket": ticket, "choice": choice});
        self.client
            .post("/api/v1/user/phone/resolve", &body)
            .bearer(access_token)
            .send()
            .await
    }

    /// Decrypts a message from the mini-program.
    pub async fn message(&self, access_token: &str, body: &Value) -> Answer {
        self.client
            .post("/api/v1/user/message", body)
            .bearer(access_token)
            .send()
            .await
    }

    /// Has a mini-program code made.
    pub async fn code(&self, access_token: &str, body: &Value) -> Answer {
        self.request("POST", "/api/v1/wxacode")
            .bearer(access_token)
            .json(body)
            .send()
            .await
    }

    /// Has a URL link made.
    pub async fn url_link(&self, access_token: &str, body: &Value) -> Answer {
        self.request("POST", "/api/v1/url-links")
            .bearer(access_token)
            .json(body)
            .send()
            .await
    }

    /// Replaces the `session_key`.
    pub async fn reset_session_key(&self, access_token: &str) -> Answer {
        self.client
            .request("POST", "/api/v1/user/session-key/reset")
            .bearer(access_token)
            .send()
            .await
    }

    /// Lists users, for administrators; `query` is empty or begins with `?`.
    pub async fn users(&self, access_token: &str, query: &str) -> Answer {
        self.client
            .get(&format!("/api/v1/users{query}"))
            .bearer(access_token)
            .send()
            .await
    }

    /// Looks a user up by phone number.
    pub async fn search_users(&self, access_token: &str, phone: &str) -> Answer {
        self.client
            .post("/api/v1/users/search", &json!({"phone": phone}))
            .bearer(access_token)
            .send()
            .await
    }

    /// Moves a user in.
    pub async fn move_in(&self, access_token: &str, user: &Value) -> Answer {
        self.client
            .post("/api/v1/users", user)
            .bearer(access_token)
            .send()
            .await
    }

    /// Reads one user.
    pub async fn user(&self, access_token: &str, id: &str) -> Answer {
        self.client
            .get(&format!("/api/v1/users/{id}"))
            .bearer(access_token)
            .send()
            .await
    }

    /// Deletes a user's account.
    pub async fn delete_user(&self, access_token: &str, id: &str) -> Answer {
        let path = format!("/api/v1/users/{id}");
        let request = self.client.request("DELETE", &path);
        request.bearer(access_token).send().await
    }

    /// Deletes several users' accounts.
    pub async fn delete_users(&self, access_token: &str, ids: &[String]) -> Answer {
        let body = json!({"ids": ids});
        let request = self.client.post("/api/v1/users/batch-delete", &body);
        request.bearer(access_token).send().await
    }

    /// The sagas that have not ended.
    pub async fn sagas(&self, access_token: &str) -> Answer {
        let request = self.client.get("/api/v1/sagas");
        request.bearer(access_token).send().await
    }

    /// Continues a saga.
    pub async fn resume_saga(&self, access_token: &str, id: &str) -> Answer {
        let path = format!("/api/v1/sagas/{id}/resume");
        let request = self.client.request("POST", &path);
        request.bearer(access_token).send().await
    }

    /// Changes a user.
    pub async fn change_user(&self, access_token: &str, id: &str, body: &Value) -> Answer {
        self.client
            .request("PUT", &format!("/api/v1/users/{id}"))
            .bearer(access_token)
            .json(body)
            .send()
            .await
    }

    /// Reads remote configuration.
    pub async fn config(&self, key: &str) -> Answer {
        self.client
            .get(&format!("/api/v1/config/{key}"))
            .send()
            .await
    }

    /// Writes remote configuration.
    pub async fn put_config(&self, access_token: &str, key: &str, body: &Value) -> Answer {
        self.client
            .request("PUT", &format!("/api/v1/config/{key}"))
            .bearer(access_token)
            .json(body)
            .send()
            .await
    }

    /// Deletes remote configuration, whatever its version is.
    pub async fn delete_config(&self, access_token: &str, key: &str) -> Answer {
        self.client
            .request("DELETE", &format!("/api/v1/config/{key}"))
            .bearer(access_token)
            .send()
            .await
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions_of(&self, access_token: &str, id: &str) -> Answer {
        self.client
            .request("DELETE", &format!("/api/v1/users/{id}/sessions"))
            .bearer(access_token)
            .send()
            .await
    }

    /// Reads the profile.
    pub async fn info(&self, access_token: &str) -> Answer {
        self.client
            .get("/api/v1/user/info")
            .bearer(access_token)
            .send()
            .await
    }

    /// What the user agreed to.
    pub async fn consents(&self, access_token: &str) -> Answer {
        let request = self.client.get("/api/v1/user/consents");
        request.bearer(access_token).send().await
    }

    /// Agrees to a version of a document.
    pub async fn agree(&self, access_token: &str, document: &str, version: u32) -> Answer {
        let path = format!("/api/v1/user/consents/{document}");
        let request = self.client.request("PUT", &path).bearer(access_token);
        request.json(&json!({"version": version})).send().await
    }

    /// Withdraws the agreement to a document.
    pub async fn withdraw(&self, access_token: &str, document: &str) -> Answer {
        let path = format!("/api/v1/user/consents/{document}");
        let request = self.client.request("DELETE", &path);
        request.bearer(access_token).send().await
    }

    /// Deletes the account.
    pub async fn delete_account(&self, access_token: &str) -> Answer {
        let request = self.client.request("DELETE", "/api/v1/user");
        request.bearer(access_token).send().await
    }

    /// A page of an export: the first one, or that of a cursor.
    pub async fn export(&self, access_token: &str, cursor: Option<&str>) -> Answer {
        let query = cursor.map_or(String::new(), |cursor| format!("?cursor={cursor}"));
        let path = format!("/api/v1/user/export{query}");
        self.client.get(&path).bearer(access_token).send().await
    }

    /// Changes the profile.
    pub async fn change(&self, access_token: &str, body: &Value) -> Answer {
        self.client
            .request("PATCH", "/api/v1/user/info")
            .bearer(access_token)
            .json(body)
            .send()
            .await
    }
}

impl Tokens {
    /// Reads the tokens from the answer to a successful login or refresh.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let data = answer.ok(200);
        let text = |name: &str| {
            data[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name}: {data}"))
                .to_owned()
        };
        Self {
            access: text("token"),
            refresh: text("refreshToken"),
        }
    }

    /// The session's id.
    pub fn session_id(&self) -> String {
        self.claim("sid")
    }

    /// The user's id.
    pub fn user_id(&self) -> String {
        self.claim("sub")
    }

    /// The access token's claims, unverified.
    pub fn claims(&self) -> Value {
        part(&self.access, 1)
    }

    /// The access token's header.
    pub fn header(&self) -> Value {
        part(&self.access, 0)
    }

    fn claim(&self, name: &str) -> String {
        self.claims()[name].as_str().unwrap().to_owned()
    }
}

fn part(token: &str, at: usize) -> Value {
    let text = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
