//! The words by which content is judged.

/// A text or a picture that contains this word is flagged as `risky`.
pub const RISKY_KEYWORD: &str = "simulator-risky";
/// A text or a picture that contains this word is flagged for `review`.
pub const REVIEW_KEYWORD: &str = "simulator-review";
