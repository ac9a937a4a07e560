//! The part of CloudWatch Logs Insights' query language that the documents use. Anything else is refused,
//! so that no query passes that was understood in another way than AWS understands it.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html>

use std::collections::BTreeSet;

use super::tokens::{Token, tokens};

/// Commands, in their order.
#[derive(Debug)]
pub struct Query(pub Vec<Command>);

#[derive(Debug)]
pub enum Command {
    Fields(Vec<String>),
    Filter(Condition),
    Stats(Vec<Aggregate>, Vec<Group>),
    /// A column, and whether its highest value comes first.
    Sort(String, bool),
    Limit(usize),
}

#[derive(Debug)]
pub enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    IsPresent(String),
    Compare(Operand, Comparison, Operand),
    /// One of these texts is in it.
    Like(Operand, Vec<String>),
    In(Operand, Vec<Operand>),
}

#[derive(Debug)]
pub enum Operand {
    Field(String),
    Text(String),
    Number(f64),
    /// The first one that there is.
    Coalesce(Vec<Self>),
}

#[derive(Debug, Clone, Copy)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Debug)]
pub struct Aggregate {
    pub function: Function,
    /// `*` is every line.
    pub field: String,
    /// Its column.
    pub name: String,
}

#[derive(Debug, Clone, Copy)]
pub enum Function {
    Count,
    Sum,
    Average,
    Least,
    Most,
    Percentile(f64),
}

#[derive(Debug)]
pub enum Group {
    Field(String),
    /// The time, in periods of this many seconds.
    Period(i64),
}

impl Group {
    /// Its column.
    pub fn name(&self) -> String {
        match self {
            Self::Field(name) => name.clone(),
            Self::Period(seconds) => format!("bin({seconds}s)"),
        }
    }
}

type Parsed<T> = Result<T, String>;

impl Query {
    /// Reads a query; what stands in front of it to name log groups is not part of it.
    pub fn parse(text: &str) -> Parsed<Self> {
        let tokens = tokens(text)?;
        let mut commands = Vec::new();
        let mut parser = Parser { tokens: &tokens };
        loop {
            if parser.word("SOURCE") {
                parser.text()?;
            } else {
                commands.push(parser.command()?);
            }
            if parser.tokens.is_empty() {
                break;
            }
            parser.expect("|")?;
        }
        let query = Self(commands);
        query.check_columns().map(|()| query)
    }

    /// The fields that it reads from lines, without those that AWS adds.
    pub fn fields(&self) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        for command in &self.0 {
            match command {
                Command::Fields(names) => fields.extend(names.iter().cloned()),
                Command::Filter(condition) => condition.fields(&mut fields),
                Command::Stats(aggregates, groups) => {
                    let names = aggregates.iter().map(|aggregate| aggregate.field.clone());
                    fields.extend(names.filter(|name| name != "*"));
                    let by = groups.iter().filter_map(|group| match group {
                        Group::Field(name) => Some(name.clone()),
                        Group::Period(_) => None,
                    });
                    fields.extend(by);
                    // What comes after this reads the columns.
                    break;
                }
                Command::Sort(column, _) => fields.extend([column.clone()]),
                Command::Limit(_) => {}
            }
        }
        fields.retain(|name| !name.starts_with('@'));
        fields
    }

    /// After `stats` there are its columns only.
    fn check_columns(&self) -> Parsed<()> {
        let mut columns = None;
        for command in &self.0 {
            match (command, &columns) {
                (Command::Stats(aggregates, groups), None) => {
                    let names = aggregates.iter().map(|aggregate| aggregate.name.clone());
                    let by = groups.iter().map(Group::name);
                    columns = Some(names.chain(by).collect::<Vec<_>>());
                }
                (Command::Sort(column, _), Some(known)) if !known.contains(column) => {
                    return Err(format!("stats makes no column {column}"));
                }
                (Command::Sort(..) | Command::Limit(_), _) | (_, None) => {}
                (other, Some(_)) => return Err(format!("after stats: {other:?}")),
            }
        }
        Ok(())
    }
}

impl Condition {
    fn fields(&self, into: &mut BTreeSet<String>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.fields(into)),
            Self::Not(part) => part.fields(into),
            Self::IsPresent(name) => into.extend([name.clone()]),
            Self::Compare(left, _, right) => {
                left.fields(into);
                right.fields(into);
            }
            Self::Like(operand, _) | Self::In(operand, _) => operand.fields(into),
        }
    }
}

impl Operand {
    fn fields(&self, into: &mut BTreeSet<String>) {
        match self {
            Self::Field(name) => into.extend([name.clone()]),
            Self::Coalesce(operands) => operands.iter().for_each(|operand| operand.fields(into)),
            Self::Text(_) | Self::Number(_) => {}
        }
    }
}

/// What is still to be read.
struct Parser<'t> {
    tokens: &'t [Token],
}

impl Parser<'_> {
    fn next(&mut self) -> Parsed<Token> {
        let (first, rest) = self.tokens.split_first().ok_or("it ends too early")?;
        self.tokens = rest;
        Ok(first.clone())
    }

    /// Skips this symbol if it comes next.
    fn symbol(&mut self, symbol: &str) -> bool {
        self.skip(&Token::Symbol(symbol.to_owned()))
    }

    /// Skips this word if it comes next.
    fn word(&mut self, word: &str) -> bool {
        self.skip(&Token::Word(word.to_owned()))
    }

    fn skip(&mut self, token: &Token) -> bool {
        let comes = self.tokens.first() == Some(token);
        self.tokens = &self.tokens[usize::from(comes)..];
        comes
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        let found = self.symbol(symbol);
        found
            .then_some(())
            .ok_or_else(|| format!("no {symbol} before {:?}", self.tokens))
    }

    fn text(&mut self) -> Parsed<String> {
        match self.next()? {
            Token::Text(text) => Ok(text),
            other => Err(format!("{other:?} is no text")),
        }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.next()? {
            Token::Word(name) => Ok(name),
            other => Err(format!("{other:?} is no name")),
        }
    }

    fn number(&mut self) -> Parsed<f64> {
        match self.next()? {
            Token::Number(number) => Ok(number),
            other => Err(format!("{other:?} is no number")),
        }
    }

    /// One or more, separated by commas.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn command(&mut self) -> Parsed<Command> {
        match &*self.name()? {
            "fields" => Ok(Command::Fields(self.list(Self::name)?)),
            "filter" => Ok(Command::Filter(self.any()?)),
            "stats" => self.stats(),
            "sort" => {
                let column = self.name()?;
                match &*self.name()? {
                    "desc" => Ok(Command::Sort(column, true)),
                    "asc" => Ok(Command::Sort(column, false)),
                    other => Err(format!("sort {column} {other}")),
                }
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a number of rows"
            )]
            "limit" => Ok(Command::Limit(self.number()? as usize)),
            other => Err(format!("the command {other} is not known here")),
        }
    }

    fn any(&mut self) -> Parsed<Condition> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Ok(Condition::Any(parts))
    }

    fn all(&mut self) -> Parsed<Condition> {
        let mut parts = vec![self.condition()?];
        while self.word("and") {
            parts.push(self.condition()?);
        }
        Ok(Condition::All(parts))
    }

    fn condition(&mut self) -> Parsed<Condition> {
        if self.word("not") {
            return Ok(Condition::Not(Box::new(self.condition()?)));
        }
        if self.symbol("(") {
            let inner = self.any()?;
            return self.expect(")").map(|()| inner);
        }
        if self.word("ispresent") {
            self.expect("(")?;
            let name = self.name()?;
            return self.expect(")").map(|()| Condition::IsPresent(name));
        }
        let left = self.operand()?;
        if self.word("like") {
            return match self.next()? {
                Token::Pattern(texts) => Ok(Condition::Like(left, texts)),
                Token::Text(text) => Ok(Condition::Like(left, vec![text])),
                other => Err(format!("like {other:?}")),
            };
        }
        if self.word("in") {
            self.expect("[")?;
            let values = self.list(Self::operand)?;
            return self.expect("]").map(|()| Condition::In(left, values));
        }
        let comparison = self.comparison()?;
        Ok(Condition::Compare(left, comparison, self.operand()?))
    }

    fn comparison(&mut self) -> Parsed<Comparison> {
        match self.next()? {
            Token::Symbol(symbol) => match &*symbol {
                "=" => Ok(Comparison::Equal),
                "!=" => Ok(Comparison::NotEqual),
                "<" => Ok(Comparison::Less),
                "<=" => Ok(Comparison::AtMost),
                ">" => Ok(Comparison::Greater),
                ">=" => Ok(Comparison::AtLeast),
                other => Err(format!("{other} compares nothing")),
            },
            other => Err(format!("{other:?} compares nothing")),
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        match self.next()? {
            Token::Text(text) => Ok(Operand::Text(text)),
            Token::Number(number) => Ok(Operand::Number(number)),
            Token::Word(name) if name == "coalesce" => {
                self.expect("(")?;
                let operands = self.list(Self::operand)?;
                self.expect(")").map(|()| Operand::Coalesce(operands))
            }
            Token::Word(name) if self.tokens.first() == Some(&Token::Symbol("(".to_owned())) => {
                Err(format!("the function {name} is not known here"))
            }
            Token::Word(name) => Ok(Operand::Field(name)),
            other => Err(format!("{other:?} is no value")),
        }
    }

    fn stats(&mut self) -> Parsed<Command> {
        let aggregates = self.list(Self::aggregate)?;
        let groups = if self.word("by") {
            self.list(Self::group)?
        } else {
            Vec::new()
        };
        Ok(Command::Stats(aggregates, groups))
    }

    fn aggregate(&mut self) -> Parsed<Aggregate> {
        let name = self.name()?;
        self.expect("(")?;
        let field = if self.symbol("*") {
            "*".to_owned()
        } else {
            self.name()?
        };
        let function = match &*name {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "avg" => Function::Average,
            "min" => Function::Least,
            "max" => Function::Most,
            "pct" => {
                self.expect(",")?;
                Function::Percentile(self.number()?)
            }
            other => return Err(format!("the function {other} is not known here")),
        };
        self.expect(")")?;
        if field == "*" && !matches!(function, Function::Count) {
            return Err(format!("{name}(*)"));
        }
        if !self.word("as") {
            return Err(format!("{name}({field}) has no name"));
        }
        let name = self.name()?;
        Ok(Aggregate {
            function,
            field,
            name,
        })
    }

    fn group(&mut self) -> Parsed<Group> {
        let name = self.name()?;
        if name != "bin" {
            return Ok(Group::Field(name));
        }
        self.expect("(")?;
        let number = self.number()?;
        let seconds = match &*self.name()? {
            "m" => 60.0,
            "h" => 3600.0,
            unit => return Err(format!("bin: {unit} is no unit that is known here")),
        };
        self.expect(")")?;
        #[expect(clippy::cast_possible_truncation, reason = "some hours")]
        let seconds = (number * seconds) as i64;
        Ok(Group::Period(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_here_is_refused() {
        for text in [
            "",
            "filter",
            "filter a",
            "filter a = ",
            "filter a = 1 |",
            "filter strlen(a) = 1",
            "filter a like /b.c/",
            "filter a like /b",
            "filter a = \"b",
            "fields a, b as c",
            "parse @message /a/",
            "dedup a",
            "stats count(*)",
            "stats count(*) as c by bin(5d)",
            "stats avg(*) as c",
            "stats stddev(a) as c",
            "stats count(*) as c | sort d desc",
            "stats count(*) as c | filter c > 1",
            "sort a",
            "fields a filter b = 1",
        ] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_fields_are_those_of_lines() {
        let text = r#"SOURCE 'a' | SOURCE 'b' | fields @timestamp, e
            | filter a = "x" and (coalesce(b, c) >= 500 or not ispresent(d)) and f in ["1", "2"]
            | stats count(*) as n, pct(g, 99) as p by h, bin(5m)
            | sort n desc | limit 3"#;
        let fields = Query::parse(text).unwrap().fields();
        let wanted = ["a", "b", "c", "d", "e", "f", "g", "h"].map(str::to_owned);
        assert_eq!(fields, wanted.into());
    }
}
