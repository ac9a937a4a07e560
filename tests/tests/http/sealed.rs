//! Sealed bodies, from outside: over HTTP, and by other people's JOSE libraries.

mod bodies;
mod clients;
