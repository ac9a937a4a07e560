//! Bad input from broken or hostile clients: a clear error envelope each time, nothing written, and
//! the process keeps running.

mod answers;
mod bodies;
mod logged_in;
mod null;
mod tokens;
