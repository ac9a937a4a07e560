//! The fields of subscribe messages: their names say what their values may be.
//!
//! Source: developers.weixin.qq.com, sendMessage, "订阅消息参数值内容限制说明".

/// Whether a template can have a field of this name, and the field this value.
pub(crate) fn is_valid(name: &str, value: &str) -> bool {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if kind.len() == name.len() || value.trim().is_empty() {
        return false;
    }
    let length = value.chars().count();
    match kind {
        "thing" => length <= 20,
        "number" => length <= 32 && value.parse::<f64>().is_ok_and(f64::is_finite),
        "letter" => length <= 32 && value.chars().all(|c| c.is_ascii_alphabetic()),
        "symbol" => length <= 5 && !value.chars().any(char::is_alphanumeric),
        "character_string" => length <= 32 && value.chars().all(|c| c.is_ascii_graphic()),
        "time" | "date" => length <= 64 && value.chars().any(|c| c.is_ascii_digit()),
        "amount" => is_amount(value),
        "phone_number" => length <= 17 && value.chars().all(is_of_phone_number),
        "car_number" => length <= 8 && value.chars().all(char::is_alphanumeric),
        "name" => is_name(value, length),
        "phrase" => length <= 5 && value.chars().all(is_chinese),
        "enum" => length <= 32,
        _ => false,
    }
}

/// At most one currency symbol, at most ten digits, perhaps with a fraction, perhaps 元.
fn is_amount(value: &str) -> bool {
    let first_digit = value.find(|c: char| c.is_ascii_digit());
    let Some((symbol, rest)) = first_digit.map(|at| value.split_at(at)) else {
        return false;
    };
    let number = rest.strip_suffix('元').unwrap_or(rest);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    symbol.chars().count() <= 1
        && digits <= 10
        && number.chars().all(|c| c.is_ascii_digit() || c == '.')
        && number.parse::<f64>().is_ok()
}

/// At most ten Chinese characters, or twenty letters and symbols.
fn is_name(value: &str, length: usize) -> bool {
    let chinese = value.chars().all(is_chinese);
    let latin = !value.chars().any(|c| is_chinese(c) || c.is_ascii_digit());
    (chinese && length <= 10) || (latin && length <= 20)
}

fn is_of_phone_number(c: char) -> bool {
    c.is_ascii_digit() || "+-() ".contains(c)
}

const fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_kind() {
        let longest = "长".repeat(20);
        for (name, value) in [
            ("thing1", longest.as_str()),
            ("number2", "-3.5"),
            ("letter3", "abc"),
            ("symbol4", "!?"),
            ("character_string5", "SF-1029"),
            ("time6", "2019年10月1日 15:01"),
            ("date7", "2019-10-01"),
            ("amount8", "¥12.50元"),
            ("phone_number9", "+86-0766-66888866"),
            ("car_number10", "粤A8Z888挂"),
            ("name11", "李小明"),
            ("name12", "Ada Lovelace"),
            ("phrase13", "配送中"),
            ("enum14", "待付款"),
        ] {
            assert!(is_valid(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn other_values_and_names_are_rejected() {
        let too_long = "长".repeat(21);
        for (name, value) in [
            ("thing1", too_long.as_str()),
            ("thing1", ""),
            ("thing1", " "),
            ("thing", "a"),
            ("1", "a"),
            ("keyword1", "a"),
            ("number1", "three"),
            ("number1", "inf"),
            ("letter1", "a1"),
            ("symbol1", "a"),
            ("character_string1", "中"),
            ("time1", "soon"),
            ("amount1", "free"),
            ("amount1", "¥12345678901"),
            ("phone_number1", "call me"),
            ("car_number1", "ABC123456"),
            ("name1", "R2D2"),
            ("name1", "长长长长长长长长长长长"),
            ("phrase1", "配送中了吗啊"),
            ("phrase1", "sent"),
        ] {
            assert!(!is_valid(name, value), "{name}: {value}");
        }
    }
}
