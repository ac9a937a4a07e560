//! The tables as Markdown.

use std::fmt::Write;

use super::{
    Basis,
    prices::{Price, Region},
    usage::{Fixed, Usage},
};

/// The language of a page.
#[derive(Clone, Copy)]
pub enum Language {
    English,
    Chinese,
}

impl Language {
    fn of(self, english: &str, chinese: &str) -> String {
        let text = match self {
            Self::English => english,
            Self::Chinese => chinese,
        };
        text.to_owned()
    }
}

/// A billed thing.
struct Line {
    /// What it is called in [`NAMES`].
    name: &'static str,
    /// What is billed: the name of its price.
    unit: &'static str,
    /// Of one request or one part.
    each: String,
    /// In the price's unit.
    amount: f64,
}

const MILLION: f64 = 1e6;
const GB: f64 = 1e9;

/// Each table with the name of its place.
pub fn all(basis: &Basis, language: Language) -> Vec<(String, String)> {
    let mut tables: Vec<_> = basis
        .requests
        .iter()
        .map(|usage| {
            let lines = of_a_million(usage);
            let head = language.of("of one request | of a million", "每次请求 | 每百万次");
            (
                usage.request.clone(),
                table(&lines, &head, &basis.regions, language),
            )
        })
        .collect();
    let head = language.of("how many | a month", "数量 | 每月");
    let fixed = fixed(&basis.fixed);
    tables.push((
        "fixed".to_owned(),
        table(&fixed, &head, &basis.regions, language),
    ));
    tables.push(("logs".to_owned(), logs(basis, language)));
    tables.push(("prices".to_owned(), prices(&basis.regions, language)));
    tables
}

/// What the rows are called, by what is billed.
const NAMES: [(&str, &str, &str); 16] = [
    ("api-requests", "API Gateway", "API Gateway"),
    ("lambda-requests", "Lambda, requests", "Lambda 请求"),
    (
        "lambda-gb-seconds",
        "Lambda, GB-seconds",
        "Lambda 时长（GB-秒）",
    ),
    ("dynamodb-writes", "DynamoDB, writes", "DynamoDB 写入"),
    ("dynamodb-reads", "DynamoDB, reads", "DynamoDB 读取"),
    ("redis-ecpu", "Redis, ECPU", "Redis（ECPU）"),
    ("log-gb", "logs, GB", "日志（GB）"),
    ("out-gb", "data out, GB", "流出流量（GB）"),
    ("nat-gb", "through NAT, GB", "经 NAT 流量（GB）"),
    ("secrets", "secrets", "Secrets Manager 密钥"),
    ("alarm-metrics", "metrics of alarms", "告警的指标"),
    (
        "canary-metrics",
        "metrics of the alarms of canaries",
        "灰度发布告警的指标",
    ),
    (
        "metric-series",
        "metrics, `METRICS=lean`, at most",
        "自定义指标（`METRICS=lean`，至多）",
    ),
    ("nat-hours", "NAT gateway, one", "NAT 网关（1 个）"),
    ("address-hours", "its address", "NAT 的公网地址"),
    (
        "redis-gb-hours",
        "ElastiCache Serverless, least",
        "ElastiCache Serverless 最低计费",
    ),
];

fn name_of(name: &str, language: Language) -> String {
    let (_, english, chinese) = NAMES.iter().find(|(known, ..)| *known == name).unwrap();
    language.of(english, chinese)
}

fn of_a_million(usage: &Usage) -> Vec<Line> {
    let line = |unit, each: String, amount: f64| Line {
        name: unit,
        unit,
        each,
        amount: amount * MILLION,
    };
    let bytes = |unit, bytes: f64| line(unit, format!("{bytes} B"), bytes / GB);
    let commands = |unit, commands: &[String]| {
        let units = u32::try_from(commands.len()).unwrap();
        line(unit, commands.join(", "), f64::from(units))
    };
    let time = format!("{} ms × {} MB", usage.billed_ms(), usage.memory_mb);
    let lines = [
        line("api-requests", "1".to_owned(), 1.0),
        line("lambda-requests", "1".to_owned(), 1.0),
        line("lambda-gb-seconds", time, usage.gb_seconds()),
        commands("dynamodb-writes", &usage.writes),
        commands("dynamodb-reads", &usage.reads),
        line("redis-ecpu", format!("{}", usage.ecpu), usage.ecpu),
        bytes("log-gb", usage.log.sum()),
        bytes("out-gb", usage.response_bytes),
        bytes("nat-gb", usage.wechat_bytes),
    ];
    lines.into_iter().filter(|line| line.amount > 0.0).collect()
}

fn fixed(fixed: &Fixed) -> Vec<Line> {
    let line = |unit, each: String, amount: f64| Line {
        name: unit,
        unit,
        each,
        amount,
    };
    let number = |unit, amount: f64| line(unit, format!("{amount}"), amount);
    let canary = fixed.canary_metrics;
    let (hours, cache) = (fixed.hours, fixed.cache_gb);
    vec![
        number("secrets", fixed.secrets),
        number("alarm-metrics", fixed.alarm_metrics),
        Line {
            name: "canary-metrics",
            ..number("alarm-metrics", canary)
        },
        number("metric-series", fixed.metric_series),
        line("nat-hours", format!("1 × {hours} h"), hours),
        line("address-hours", format!("1 × {hours} h"), hours),
        line(
            "redis-gb-hours",
            format!("{cache} GB × {hours} h"),
            cache * hours,
        ),
    ]
}

fn table(lines: &[Line], head: &str, regions: &[Region], language: Language) -> String {
    let mut text = format!("| {} | {head} |", language.of("what", "项目"));
    for Region { name, currency, .. } in regions {
        write!(text, " {name}, {currency} |").unwrap();
    }
    write!(text, "\n|---|---|--:|{}\n", "--:|".repeat(regions.len())).unwrap();
    for line in lines {
        let costs = regions
            .iter()
            .map(|region| cost(region, line))
            .collect::<Vec<_>>();
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            name_of(line.name, language),
            line.each,
            amount(line.amount),
            costs.join(" | ")
        )
        .unwrap();
    }
    let sums = regions
        .iter()
        .map(|region| format!("**{}**", sum(region, lines)))
        .collect::<Vec<_>>();
    text + &format!(
        "| **{}** | | | {} |\n",
        language.of("together", "合计"),
        sums.join(" | ")
    )
}

/// What a million requests cost in logs, by what can be set.
fn logs(basis: &Basis, language: Language) -> String {
    let mut text = format!(
        "| {} | {} |",
        language.of("request", "请求"),
        language.of("setting", "设置")
    );
    text += &language.of(" bytes of one request |", " 每次请求字节数 |");
    for Region { name, currency, .. } in &basis.regions {
        write!(text, " {name}, {currency} |").unwrap();
    }
    write!(
        text,
        "\n|---|---|--:|{}\n",
        "--:|".repeat(basis.regions.len())
    )
    .unwrap();
    let default = language.of("as it is by default", "默认");
    for Usage { request, log, .. } in &basis.requests {
        for (setting, bytes) in [
            (default.as_str(), log.sum()),
            ("`METRICS=emf`", log.sum() - log.own + log.own_with_emf),
            ("`PLATFORM_LOGS=off`", log.sum() - log.platform),
            ("`LOG_LEVEL=warn`", log.platform + log.access),
        ] {
            let costs = basis.regions.iter().map(|region| {
                let cost = region.cost("log-gb", bytes * MILLION / GB);
                cost.map_or_else(|| "?".to_owned(), |cost| format!("{cost:.2}"))
            });
            let costs = costs.collect::<Vec<_>>().join(" | ");
            writeln!(text, "| `{request}` | {setting} | {bytes:.0} | {costs} |").unwrap();
        }
    }
    text
}

fn cost(region: &Region, line: &Line) -> String {
    let Some(cost) = region.cost(line.unit, line.amount) else {
        return "?".to_owned();
    };
    let at_most = region.prices[line.unit].at_most.is_some();
    format!("{}{cost:.2}", if at_most { "≤ " } else { "" })
}

/// What is known, and whether something is not.
fn sum(region: &Region, lines: &[Line]) -> String {
    let costs: Vec<_> = lines
        .iter()
        .map(|line| region.cost(line.unit, line.amount))
        .collect();
    let known: f64 = costs.iter().flatten().sum();
    let rest = if costs.contains(&None) { " + ?" } else { "" };
    format!("{known:.2}{rest}")
}

/// With commas where it is large.
fn amount(amount: f64) -> String {
    if amount < 1e3 {
        return format!("{amount:.2}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned();
    }
    let digits = format!("{amount:.0}");
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}

/// Every price with its source.
fn prices(regions: &[Region], language: Language) -> String {
    let mut text = language.of(
        "| region | price of | price | for | page | of |\n|---|---|--:|--:|---|---|\n",
        "| 区域 | 项目 | 单价 | 单位 | 页面 | 页面日期 |\n|---|---|--:|--:|---|---|\n",
    );
    for Region {
        name,
        currency,
        prices,
    } in regions
    {
        for (unit, price) in prices {
            let Price {
                amount: price,
                per,
                source,
                of,
                at_most,
            } = price;
            let note = at_most
                .as_ref()
                .map(|why| format!(" (≤: {why})"))
                .unwrap_or_default();
            let page = source.split('/').nth(2).unwrap_or(source);
            writeln!(
                text,
                "| {name} | `{unit}`{note} | {price} {currency} | {} | [{page}]({source}) | {of} |",
                amount(*per)
            )
            .unwrap();
        }
    }
    text
}
