//! What a function says of one method of one route.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::api::{Input, Reason};

/// Makes the schema of a type; named types are added to the generator's definitions.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// Logins, tokens and sessions.
    Sessions,
    /// A user's own profile.
    Profile,
    /// The user's phone number.
    Phone,
    /// The user's picture.
    Avatar,
    /// A user's own account.
    Account,
    /// What WeChat encrypted.
    UserData,
    /// What opens the mini-program.
    Codes,
    /// Switches and texts.
    Config,
    /// For administrators.
    Users,
    /// Deletions and merges, for administrators.
    Sagas,
    /// Webhooks, for administrators.
    Webhooks,
    /// Messages to users.
    Messages,
    /// Public keys.
    Keys,
    /// Whether it runs.
    Health,
    /// For WeChat's servers.
    WeChat,
}

impl Tag {
    pub(super) const ALL: [Self; 15] = [
        Self::Sessions,
        Self::Profile,
        Self::Phone,
        Self::Avatar,
        Self::Account,
        Self::UserData,
        Self::Codes,
        Self::Config,
        Self::Users,
        Self::Sagas,
        Self::Webhooks,
        Self::Messages,
        Self::Keys,
        Self::Health,
        Self::WeChat,
    ];

    /// Its name and its description.
    pub(super) fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Sessions => ("sessions", "Logins, tokens and sessions"),
            Self::Profile => ("profile", "A user's own profile"),
            Self::Phone => ("phone", "A user's phone number"),
            Self::Avatar => ("avatar", "A user's uploaded picture"),
            Self::Account => (
                "account",
                "A user's own account: consents, export and deletion",
            ),
            Self::UserData => ("user data", "What WeChat encrypts for this server"),
            Self::Codes => ("codes", "Mini-program codes and URL links"),
            Self::Config => ("config", "Remote configuration of a mini-program"),
            Self::Users => ("users", "Users, for administrators"),
            Self::Sagas => ("sagas", "Deletions and merges, for administrators"),
            Self::Webhooks => ("webhooks", "Webhooks, for administrators"),
            Self::Messages => (
                "messages",
                "Messages to users: what they agreed to receive, and for administrators, sending",
            ),
            Self::Keys => ("keys", "Public keys"),
            Self::Health => ("health", "Whether the service is up"),
            Self::WeChat => ("wechat", "For WeChat's servers only"),
        }
    }
}

/// Who may call an operation. The extractor of the handler decides; this says what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// The bearer of an access token of a living session (`Authenticated`).
    Session,
    /// The same, unless the user is disabled (`AuthenticatedUser`).
    User,
    /// An administrator (`Administrator`).
    Administrator,
}

impl Access {
    /// The failures of callers who are not let in, and of those who ask too often.
    pub(super) fn reasons(self) -> &'static [Reason] {
        const ADMINISTRATOR: &[Reason] = &[
            Reason::TokenMissing,
            Reason::TokenInvalid,
            Reason::TokenExpired,
            Reason::SessionRevoked,
            Reason::RateLimited,
            Reason::UserDisabled,
            Reason::Forbidden,
        ];
        match self {
            Self::Anyone => &[],
            Self::Session => &ADMINISTRATOR[..5],
            Self::User => &ADMINISTRATOR[..6],
            Self::Administrator => ADMINISTRATOR,
        }
    }
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

pub(super) struct Parameter {
    pub(super) place: Place,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) required: bool,
    pub(super) schema: SchemaOf,
}

pub(super) struct Body {
    pub(super) schema: SchemaOf,
    pub(super) required: bool,
    /// In bytes.
    pub(super) max_size: usize,
    pub(super) example: Value,
}

/// A success.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) content: Content,
    /// The headers that only this operation sends.
    pub(super) headers: Vec<&'static str>,
    pub(super) example: Value,
}

pub(super) enum Content {
    /// The `data` of an envelope.
    Data(SchemaOf),
    /// Of this content type, without the envelope.
    Plain(&'static str, SchemaOf),
    /// No body.
    Nothing,
}

/// One method of one route. Made with [`Operation::new`] and what follows it.
pub struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: Tag,
    pub(super) summary: &'static str,
    pub(super) details: &'static str,
    pub(super) access: Access,
    pub(super) parameters: Vec<Parameter>,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) reasons: Vec<Reason>,
    pub(super) explained: Vec<(Reason, SchemaOf)>,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Of a query, whose fields become parameters one by one.
fn fields_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

impl Operation {
    /// `method` is in upper case, `path` as in the router, `id` in camelCase: a client's generated
    /// method is called so.
    #[must_use]
    pub fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        tag: Tag,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary,
            details: "",
            access: Access::Anyone,
            parameters: Vec::new(),
            query: None,
            body: None,
            answers: Vec::new(),
            reasons: Vec::new(),
            explained: Vec::new(),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// What the summary leaves out.
    #[must_use]
    pub fn details(self, details: &'static str) -> Self {
        Self { details, ..self }
    }

    /// Who may call it.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// A part of the path. One of another form is answered like one that nobody has.
    #[must_use]
    pub fn path_part<T: JsonSchema>(self, name: &'static str, description: &'static str) -> Self {
        self.parameter::<T>(Place::Path, name, description)
    }

    /// A header that may be sent.
    #[must_use]
    pub fn header<T: JsonSchema>(self, name: &'static str, description: &'static str) -> Self {
        self.parameter::<T>(Place::Header, name, description)
    }

    /// A parameter of the query that may be sent, of a handler that refuses no others.
    #[must_use]
    pub fn query_part<T: JsonSchema>(self, name: &'static str, description: &'static str) -> Self {
        self.parameter::<T>(Place::Query, name, description)
    }

    /// A parameter of the query that has to be sent.
    #[must_use]
    pub fn required_query_part<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        let mut with = self.parameter::<T>(Place::Query, name, description);
        if let Some(last) = with.parameters.last_mut() {
            last.required = true;
        }
        with
    }

    fn parameter<T: JsonSchema>(
        mut self,
        place: Place,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        self.parameters.push(Parameter {
            place,
            name,
            description,
            required: place == Place::Path,
            schema: schema_of::<T>,
        });
        self
    }

    /// The query that `T` is parsed from.
    #[must_use]
    pub fn query<T: Input<Raw: JsonSchema>>(self) -> Self {
        Self {
            query: Some(fields_of::<T::Raw>),
            ..self.fails(&[Reason::InvalidRequest])
        }
    }

    /// The JSON body that `T` is parsed from.
    #[must_use]
    pub fn body<T: Input<Raw: JsonSchema>>(self, example: Value) -> Self {
        let body = Body {
            schema: schema_of::<T::Raw>,
            required: !T::MAY_BE_EMPTY,
            max_size: T::MAX_SIZE,
            example,
        };
        Self {
            body: Some(body),
            ..self.fails(&[
                Reason::InvalidRequest,
                Reason::DecryptFailed,
                Reason::RequestTimeout,
                Reason::BodyTooLarge,
                Reason::UnsupportedMediaType,
            ])
        }
    }

    /// 200, with `T` as `data`. Several of them are alternatives.
    #[must_use]
    pub fn ok<T: JsonSchema>(self, description: &'static str, example: Value) -> Self {
        self.answer(200, description, Content::Data(schema_of::<T>), example)
    }

    /// 202, with `T` as `data`.
    #[must_use]
    pub fn accepted<T: JsonSchema>(self, description: &'static str, example: Value) -> Self {
        self.answer(202, description, Content::Data(schema_of::<T>), example)
    }

    /// 200, without the envelope.
    #[must_use]
    pub fn plain<T: JsonSchema>(
        self,
        content_type: &'static str,
        description: &'static str,
        example: Value,
    ) -> Self {
        let content = Content::Plain(content_type, schema_of::<T>);
        self.answer(200, description, content, example)
    }

    /// A success without a body.
    #[must_use]
    pub fn empty(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, Content::Nothing, Value::Null)
    }

    fn answer(
        mut self,
        status: u16,
        description: &'static str,
        content: Content,
        example: Value,
    ) -> Self {
        self.answers.push(Answer {
            status,
            description,
            content,
            headers: Vec::new(),
            example,
        });
        self
    }

    /// Headers that the last answer always has.
    #[must_use]
    pub fn with_headers(mut self, names: &[&'static str]) -> Self {
        if let Some(last) = self.answers.last_mut() {
            last.headers.extend(names);
        }
        self
    }

    /// Further failures.
    #[must_use]
    pub fn fails(mut self, reasons: &[Reason]) -> Self {
        self.reasons.extend(reasons);
        self
    }

    /// A failure whose `data` is a `T`, or `null`.
    #[must_use]
    pub fn explains<T: JsonSchema>(mut self, reason: Reason) -> Self {
        self.explained.push((reason, schema_of::<T>));
        self.fails(&[reason])
    }

    /// Every failure that it can answer, in the order of [`Reason::ALL`].
    pub(super) fn all_reasons(&self) -> Vec<Reason> {
        // Of the server, the deadline, the limit of concurrency, the guard against panics.
        const ALWAYS: [Reason; 5] = [
            Reason::UriTooLong,
            Reason::HeadersTooLarge,
            Reason::Internal,
            Reason::Unavailable,
            Reason::UpstreamTimeout,
        ];
        let access = self.access.reasons();
        let can = |reason: &&Reason| {
            [&ALWAYS[..], access, &self.reasons]
                .iter()
                .any(|list| list.contains(reason))
        };
        Reason::ALL.iter().filter(can).copied().collect()
    }
}
