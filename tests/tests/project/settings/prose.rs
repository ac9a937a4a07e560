//! What the pages say around their tables.

use shared::config::{Section, Translated};

pub const INTRODUCTION: Translated = Translated {
    en: "\
# Configuration

<!-- Made from the settings' declarations by `make generate`. -->

Settings are environment variables. `make run` also reads them from `.env` (see `.env.example`); the environment wins over `.env`. An empty value counts as not set. A process reports every invalid setting at once, and does not start until all are fixed; values are never shown, because they can be secrets. A misspelled name, such as `WECHAT_APPID`, stops `make run`; deployed functions log it (`no setting has this name`).

`.env` is UTF-8, or UTF-16 as Windows' Notepad writes it. A value goes to the end of its line and is taken as it is: nothing in it is replaced. Quotes around a whole value are removed; without them, a `#` behind a blank starts a comment. A name that is set twice is refused.

Lists are separated by commas. Where keys are listed, the first one issues (signs, encrypts, is offered to clients) and all are accepted; [runbook.md](runbook.md#rotating-keys) describes rotation.

On AWS, `make deploy` passes them to the stack, and `make configure` changes them there ([deploy.md](deploy.md#parameters)).
",
    zh: "\
# 配置

<!-- 由 `make generate` 根据代码中的声明生成。 -->

配置全部来自环境变量。`make run` 还会读取 `.env`（示例见 `.env.example`），环境变量优先。空值视为未设置。启动时一次列出全部配置错误，有错则不启动；错误信息只写变量名，不显示取值，因为可能是密钥。变量名拼写有误（如 `WECHAT_APPID`）时 `make run` 不启动，部署后的函数会记录日志（`no setting has this name`）。

`.env` 可以是 UTF-8，也可以是 Windows 记事本的 UTF-16。值一直到行尾，原样使用，不做任何替换。整个值外的引号会去掉；没有引号时，空格后的 `#` 开始注释。同一个名字设置两次会被拒绝。

列表用逗号分隔。密钥列表中第一个用于签发、加密或提供给客户端，全部都可用于验证、解密；更换步骤见[故障排查手册](runbook.md#更换密钥)。

在 AWS 上，`make deploy` 把它们作为参数传给堆栈，`make configure` 修改运行中的堆栈（见[部署](deploy.md#部署参数)）。
",
};

pub const FOOTNOTES: Translated = Translated {
    en: "
---

¹ `make run` has a value of its own for these: a mini-program, secrets and keys, which deployed functions reject. WeChat is simulated unless `WECHAT_SECRETS` or `WECHAT_BASE_URL` is set; DynamoDB is embedded unless `AWS_ENDPOINT_URL_DYNAMODB` is set.

² On Lambda, these settings, or single entries of these lists, may name where the value is kept instead: `ssm:/name` or `secretsmanager:name-or-arn`. `make keys` generates a set of keys and prints how to store it. See [encryption.md](encryption.md#keys).
",
    zh: "
---

¹ 使用 `make run` 时不必设置：它自带一个小程序和一套密钥，部署后的函数会拒绝这套密钥。`WECHAT_SECRETS` 和 `WECHAT_BASE_URL` 都未设置时使用微信模拟器；未设置 `AWS_ENDPOINT_URL_DYNAMODB` 时使用内嵌的 DynamoDB。

² 在 Lambda 上，这些配置（或列表中的某一项）可以只写存放位置：`ssm:/名称` 或 `secretsmanager:名称或 ARN`。`make keys` 生成一整套密钥，并打印存放命令。存放与更换见 [encryption.md](../encryption.md#keys)（英文）。
",
};

pub const TABLE: Translated = Translated {
    en: "| variable | default | values | meaning | read by |\n|---|---|---|---|---|\n",
    zh: "| 变量 | 默认值 | 取值 | 含义 | 使用者 |\n|---|---|---|---|---|\n",
};

/// What a table does not say.
pub fn note(section: Section) -> Option<Translated> {
    let (en, zh) = match section {
        Section::WeChat => (
            "`user-info` and `avatar` call WeChat, and read the settings for that, only with `CONTENT_CHECK=on`.",
            "`user-info` 和 `avatar` 仅在 `CONTENT_CHECK=on` 时调用微信并读取相关配置。",
        ),
        Section::RateLimits => (
            "A limit is `COUNT/PERIOD burst BURST`: COUNT requests in each PERIOD (`s`, `min` or `h`) on average, BURST at once. Append `shadow` to count without refusing; `off` is no limit.",
            "写法为 `次数/周期 burst 突发量`，周期为 `s`、`min` 或 `h`：平均每个周期允许的次数，以及一次允许的突发量。末尾加 `shadow` 只计数不拒绝；`off` 表示不限流。",
        ),
        _ => return None,
    };
    Some(Translated { en, zh })
}

pub const REQUIRED: Translated = Translated {
    en: "required",
    zh: "必填",
};
pub const NOT_SET: Translated = Translated {
    en: "not set",
    zh: "未设置",
};
pub const TO: Translated = Translated {
    en: " to ",
    zh: " 到 ",
};
pub const OR: Translated = Translated {
    en: " or ",
    zh: " 或 ",
};
pub const AND: Translated = Translated {
    en: ", ", zh: "、"
};
pub const PORT: Translated = Translated {
    en: "a port number",
    zh: "端口号",
};
pub const ALL: Translated = Translated {
    en: "all",
    zh: "全部",
};
