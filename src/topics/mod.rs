//! What the target's topics must look like, and making them.
//!
//! [`mirror()`] turns the shape of a source topic and the target's defaults into a [`TopicSpec`], naming every
//! configuration that stays behind; it is pure, so `plan` predicts with the same words that `run` acts on.

mod configs;
mod mirror;

pub use configs::{ConfigOrigin, ConfigValue, Configs};
pub use mirror::{ConfigLeftOut, Defaults, LeftOutBecause, Mirrored, TopicSpec, mirror};
