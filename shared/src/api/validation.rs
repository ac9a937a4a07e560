//! The rules of request bodies, in one list.

use std::{borrow::Cow, fmt};

use serde::Serialize;

use crate::request::Language;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $chinese:literal $english:literal;)*) => {
        /// The rules that a field can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// The names of all of them.
            #[cfg(feature = "openapi")]
            const NAMES: &[&str] = &[$($name,)*];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn message(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$variant, Language::Chinese) => $chinese,
                      (Self::$variant, Language::English) => $english,)*
                }
            }
        }
    };
}

rules! {
    /// The body is not JSON.
    Json = "json" "不是合法的 JSON" "not valid JSON";
    /// A required field is missing.
    Required = "required" "必填" "required";
    /// The value has the wrong type.
    Type = "type" "类型不正确" "wrong type";
    /// There is no such field.
    Unknown = "unknown_field" "未知字段" "unknown field";
    /// The field occurs twice.
    Duplicate = "duplicate_field" "字段重复" "given twice";
    /// A `wx.login` code.
    Code = "code" "长度 1 到 256 的登录凭证，不含空白" "a code of 1 to 256 characters without blanks";
    /// A code of the phone number button.
    PhoneCode = "phone_code" "长度 1 到 256 的手机号授权凭证，不含空白" "a phone code of 1 to 256 characters without blanks";
    /// A mini-program that is configured here.
    AppId = "app_id" "未配置的小程序 AppID" "not an AppID of this service";
    /// A WeChat user within one mini-program.
    OpenId = "open_id" "不是合法的 openid" "not an openid";
    /// A WeChat user across mini-programs.
    UnionId = "union_id" "不是合法的 unionid" "not a unionid";
    /// The identities of a user.
    Identities = "identities" "1 到 20 个，每个小程序最多一个" "1 to 20 identities, one for each mini-program at most";
    /// A phone number.
    Phone = "phone" "11 位手机号，或 + 加国家（地区）代码和号码" "11 digits, or + with country code and number";
    /// How a conflict about a phone number is resolved.
    Choice = "choice" "merge 或 take" "merge or take";
    /// A role.
    Role = "role" "user 或 admin" "user or admin";
    /// A status.
    Status = "status" "active 或 disabled" "active or disabled";
    /// A version of a user.
    Version = "version" "与要修改的版本一致的正整数；If-Match 为带引号的版本号" "the positive number of one version, in If-Match between quotes";
    /// The ids of users.
    UserIds = "user_ids" "1 到 100 个用户 ID" "1 to 100 user ids";
    /// A key of remote configuration.
    ConfigKey = "config_key" "1 到 64 个小写字母、数字、点、下划线或连字符，以字母或数字开头" "1 to 64 lower-case letters, digits, dots, underscores and hyphens, a letter or digit first";
    /// The length of a page.
    Limit = "limit" "1 到 100" "1 to 100";
    /// A refresh token.
    RefreshToken = "refresh_token" "长度 1 到 256 的刷新凭据" "a refresh token of 1 to 256 characters";
    /// `NICKNAME_MIN_CHARACTERS` to 32 characters.
    Nickname = "nickname" "{min} 到 32 个可见字符" "{min} to 32 visible characters";
    /// An https URL.
    HttpsUrl = "https_url" "不超过 1024 字节的 https 地址" "an https URL of at most 1024 bytes";
    /// An address that users may set as their avatar's.
    AvatarHost = "avatar_host" "只能使用微信头像地址或通过本服务上传的头像" "only addresses of WeChat's avatars, or an avatar that was uploaded here";
    /// A file of the phone.
    AvatarTemporary = "avatar_temporary" "这是手机上的临时文件，请先通过 POST /api/v1/user/avatar 上传" "a temporary file of the phone; upload it with POST /api/v1/user/avatar";
    /// The content type of an avatar.
    AvatarType = "avatar_type" "image/jpeg、image/png、image/webp 或 image/gif" "image/jpeg, image/png, image/webp or image/gif";
    /// The content type of an avatar that WeChat checks.
    AvatarCheckedType = "avatar_checked_type" "image/jpeg、image/png 或 image/gif，微信无法检测其他格式" "image/jpeg, image/png or image/gif: WeChat can't check others";
    /// The size of an avatar: 1 byte to `AVATAR_MAX_BYTES`.
    AvatarSize = "avatar_size" "图片大小，单位字节，不为 0 且不超过上限" "the picture's size in bytes, not 0 and not above the limit";
    /// The key of an upload.
    AvatarKey = "avatar_key" "不是上传表单返回的 key" "not the key that came with a form";
    /// WeChat's numbers for genders.
    Gender = "gender" "0 未知，1 男，2 女" "0 unknown, 1 male, 2 female";
    /// Where a page of a list begins, as the page before it said.
    Cursor = "cursor" "不是此列表返回的游标，请从头读取" "not a cursor of this list; start again without one";
    /// What names a request.
    IdempotencyKey = "idempotency_key" "8 到 64 个字母、数字或 _ - . :" "8 to 64 letters, digits, _ - . and :";
    /// The id of a user.
    UserId = "user_id" "不是用户 ID" "not a user id";
    /// The kind of a message.
    MessageType = "message_type" "subscribe 或 customer_service" "subscribe or customer_service";
    /// A template of subscribe messages that is used here.
    TemplateId = "template_id" "不是可用的订阅消息模板 ID" "not the id of a template that is used here";
    /// The fields of a subscribe message.
    TemplateData = "template_data" "1 到 20 个字段" "1 to 20 fields";
    /// A field of a subscribe message.
    TemplateField = "template_field" "字段名形如 thing1，内容不为空且不超过微信对该类型的长度限制" "a name such as thing1, and a text that is not empty and no longer than WeChat takes this kind";
    /// A page of the mini-program.
    Page = "page" "1 到 1024 个字符的页面路径，不含空格" "the path of a page, of 1 to 1024 characters without blanks";
    /// The text of a reply.
    MessageText = "message_text" "不为空且不超过 2048 字节" "not empty, and at most 2048 bytes";
    /// The title of a reply.
    MessageTitle = "message_title" "1 到 64 个字符" "1 to 64 characters";
    /// The description of a reply.
    MessageDescription = "message_description" "1 到 512 个字符" "1 to 512 characters";
    /// A picture, as WeChat names it.
    MediaId = "media_id" "1 到 128 个字符的微信素材 ID" "WeChat's id of a picture, of 1 to 128 characters";
    /// What a user chose for templates.
    SubscriptionResults = "subscription_results" "1 到 5 个模板及用户的选择" "1 to 5 templates, with the user's choice";
    /// A version of a document that users can agree to.
    ConsentVersion = "consent_version" "从 1 到当前要求的版本" "from 1 up to the version that is required now";
    /// What the page of a mini-program code gets.
    CodeScene = "code_scene" "1 到 32 个字母、数字或 !#$&'()*+,/:;=?@-._~" "1 to 32 letters, digits and !#$&'()*+,/:;=?@-._~";
    /// A page of the mini-program.
    PagePath = "page_path" "页面路径，如 pages/index/index，开头不加 /，不带参数，最长 128 个字符" "the path of a page, such as pages/index/index, without a leading slash or a query, of at most 128 characters";
    /// The width of a mini-program code.
    CodeWidth = "code_width" "280 到 1280" "280 to 1280";
    /// A version of the mini-program.
    EnvVersion = "env_version" "release、trial 或 develop" "release, trial or develop";
    /// The query of a URL link.
    LinkQuery = "link_query" "1 到 1024 个字母、数字或 !#$&'()*+,/:;=?@-._~%" "1 to 1024 letters, digits and !#$&'()*+,/:;=?@-._~%";
    /// How long a URL link is valid.
    ExpireDays = "expire_days" "1 到 30" "1 to 30";
    /// A change that changes nothing.
    NoChange = "no_change" "至少修改一个字段" "name at least one field to change";
}

/// A field that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    field: String,
    rule: Rule,
    /// The value of `{min}` in the rule's message.
    min: u32,
}

/// `data` of a body that broke rules.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(inline))]
pub(crate) struct ValidationReport<'a> {
    fields: Vec<Described<'a>>,
}

/// A field that broke a rule.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Violation"))]
struct Described<'a> {
    /// Its path; empty for the body as a whole.
    field: &'a str,
    /// The rule.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = Rule::NAMES)))]
    rule: &'static str,
    /// For people.
    message: Cow<'static, str>,
}

impl<'a> ValidationReport<'a> {
    pub(super) fn new(violations: &'a [Violation], language: Language) -> Self {
        let fields = violations.iter().map(|it| it.describe(language));
        Self {
            fields: fields.collect(),
        }
    }
}

impl Violation {
    /// `field` broke `rule`.
    #[must_use]
    pub fn new(field: impl Into<String>, rule: Rule) -> Self {
        Self {
            field: field.into(),
            rule,
            min: 1,
        }
    }

    /// The field's path.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The least length that the rule's message names.
    #[must_use]
    pub fn with_min(self, min: u32) -> Self {
        Self { min, ..self }
    }

    fn describe(&self, language: Language) -> Described<'_> {
        Described {
            field: &self.field,
            rule: self.rule.name(),
            message: self.message(language),
        }
    }
}

/// Field and rule, for logs.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.field, self.rule.name())
    }
}

impl Violation {
    fn message(&self, language: Language) -> Cow<'static, str> {
        let message = self.rule.message(language);
        if message.contains("{min}") {
            message.replace("{min}", &self.min.to_string()).into()
        } else {
            message.into()
        }
    }
}

/// Collects the violations of one body, so that a client sees all of them at once.
#[derive(Debug, Default)]
pub struct Checks(Vec<Violation>);

impl Checks {
    /// Passes a parsed value on; `None` is a violation of `rule`.
    pub fn field<T>(&mut self, field: &str, rule: Rule, parsed: Option<T>) -> Option<T> {
        self.parsed(parsed, || Violation::new(field, rule))
    }

    /// The same for a rule whose message names the least length.
    pub fn field_with_min<T>(
        &mut self,
        field: &str,
        rule: Rule,
        min: u32,
        parsed: Option<T>,
    ) -> Option<T> {
        self.parsed(parsed, || Violation::new(field, rule).with_min(min))
    }

    fn parsed<T>(&mut self, parsed: Option<T>, violation: impl FnOnce() -> Violation) -> Option<T> {
        if parsed.is_none() {
            self.0.push(violation());
        }
        parsed
    }

    /// Whether nothing was violated so far.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.0.is_empty()
    }

    /// The violations, if there are any.
    ///
    /// # Errors
    /// All of them.
    pub fn finish(self) -> Result<(), Vec<Violation>> {
        if self.is_ok() { Ok(()) } else { Err(self.0) }
    }
}
