//! What the target's topics must look like, and making them.
//!
//! [`mirror()`] turns the shape of a source topic and the target's defaults into a [`NewTopic`](crate::cluster::NewTopic), naming every
//! configuration that stays behind; it is pure, so `plan` predicts with the same words that `run` acts on.

mod configs;
mod mirror;

pub use configs::Effective;
pub use mirror::{ConfigLeftOut, Defaults, LeftOutBecause, Mirrored, command, mirror};
