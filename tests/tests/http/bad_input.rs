//! What a broken or hostile client may send: a clear envelope each time, nothing written, and the
//! process lives on.

mod answers;
mod bodies;
mod fixture;
mod tokens;
