//! Reads `table.txt`.

use super::people::Caller;

const TABLE: &str = include_str!("table.txt");

/// Whose id a path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The path has none.
    NoPart,
    /// The caller's, or their session's.
    Own,
    /// Another user's.
    Other,
    /// Of a form that ids have.
    Nobodys,
    /// Of no form that ids have.
    Malformed,
    /// Nothing stands where the id would.
    Missing,
}

/// An endpoint with an id is called with each of these.
pub const ANY: [Whose; 5] = [
    Whose::Own,
    Whose::Other,
    Whose::Nobodys,
    Whose::Malformed,
    Whose::Missing,
];

impl Whose {
    /// Its word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPart => "-",
            Self::Own => "own",
            Self::Other => "other",
            Self::Nobodys => "nobody's",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
        }
    }

    fn of(word: &str) -> Self {
        let mut all = ANY.into_iter().chain([Self::NoPart]);
        all.find(|whose| whose.word() == word)
            .unwrap_or_else(|| panic!("nobody is {word}"))
    }
}

/// A row of the table.
pub struct Row {
    pub method: &'static str,
    pub path: &'static str,
    pub whose: Whose,
    answers: Vec<&'static str>,
}

impl Row {
    pub fn endpoint(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// What kind of person [`Whose::Other`] is: one whose account is being deleted, where the id is
    /// that of a deletion.
    pub fn about(&self) -> Caller {
        if self.path.starts_with("/api/v1/sagas/") {
            Caller::Barred
        } else {
            Caller::User
        }
    }

    /// What the table says: `200`, or a status with a reason.
    pub fn wanted(&self, caller: Caller) -> String {
        let column = columns().iter().position(|word| *word == caller.word());
        let column = column.unwrap_or_else(|| panic!("no column {}", caller.word()));
        meaning(self.answers[column])
    }

    /// Whether the caller is answered a failure.
    pub fn refuses(&self, caller: Caller) -> bool {
        !self.wanted(caller).starts_with('2')
    }
}

/// The lines between two headings, without comments.
fn section(name: &str) -> Vec<&'static str> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let after = lines.skip_while(|line| *line != name).skip(1);
    let lines = after.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.trim().is_empty()).collect()
}

/// The answer that a word stands for.
fn meaning(word: &str) -> String {
    let known = section("[answers]").into_iter().find_map(|line| {
        let (name, meaning) = line.split_once(' ')?;
        (name == word).then(|| meaning.trim().to_owned())
    });
    known.unwrap_or_else(|| panic!("no answer is {word}"))
}

fn words(line: &'static str) -> Vec<&'static str> {
    let words = line.split_whitespace();
    words.filter(|word| *word != "|").collect()
}

/// The callers, by their words.
fn columns() -> Vec<&'static str> {
    words(section("[table]")[0])
}

/// The rows in their order.
pub fn rows() -> Vec<Row> {
    let columns = columns().len();
    let row = |line: &&'static str| {
        let words = words(line);
        let answers = words[3..].to_vec();
        assert_eq!(answers.len(), columns, "answers in {line}");
        Row {
            method: words[0],
            path: words[1],
            whose: Whose::of(words[2]),
            answers,
        }
    };
    section("[table]")[1..].iter().map(row).collect()
}
