//! The words of a query.

/// A word, a value or a sign.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A command, a function or a field.
    Word(String),
    Number(f64),
    /// In quotes.
    Text(String),
    /// Between slashes: texts, one of which is looked for.
    Pattern(Vec<String>),
    Symbol(String),
}

/// Longer ones first.
const SYMBOLS: [&str; 13] = [
    "!=", "<=", ">=", "=", "<", ">", "|", ",", "(", ")", "[", "]", "*",
];

/// What means something else in a regular expression than itself, beside `|`.
const SPECIAL: &str = "\\^$.*+?()[]{}";

/// The tokens of a query.
pub fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, after) = first(rest)?;
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn first(text: &str) -> Result<(Token, &str), String> {
    let start = text.chars().next().unwrap_or_default();
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
        let token = Token::Symbol((*symbol).to_owned());
        return Ok((token, &text[symbol.len()..]));
    }
    if ['"', '\'', '/'].contains(&start) {
        let inside = text[1..].split_once(start);
        let (inside, after) = inside.ok_or_else(|| format!("no end: {text}"))?;
        let token = if start == '/' {
            Token::Pattern(pattern(inside)?)
        } else {
            Token::Text(inside.to_owned())
        };
        return Ok((token, after));
    }
    let is_number = start.is_ascii_digit();
    let belongs = |c: char| {
        if is_number {
            c.is_ascii_digit() || c == '.'
        } else {
            c.is_ascii_alphanumeric() || "_@.".contains(c)
        }
    };
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    if word.is_empty() {
        return Err(format!("{start} is not known here"));
    }
    let number = word.parse().map(Token::Number);
    let token = if is_number {
        number.map_err(|_| format!("{word} is no number"))?
    } else {
        Token::Word(word.to_owned())
    };
    Ok((token, after))
}

/// The alternatives of a regular expression of plain texts.
fn pattern(text: &str) -> Result<Vec<String>, String> {
    if let Some(special) = text.chars().find(|c| SPECIAL.contains(*c)) {
        return Err(format!("{special} in a pattern is not known here"));
    }
    Ok(text.split('|').map(str::to_owned).collect())
}
