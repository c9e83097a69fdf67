//! What the target's topics must look like, and making them.
//!
//! [`mirror()`] turns the shape of a source topic and the target's defaults into a [`Mirrored`] topic, naming every
//! configuration that stays behind; it is pure, so `plan` predicts with the same words that `run` acts on. [`create()`]
//! makes these topics before the copy, and [`finish()`] sets what they get behind it. [`codecs()`]
//! says in which codecs records may arrive at all.

mod codecs;
mod configs;
mod create;
mod mirror;

pub use codecs::{codecs, release};
pub use configs::{AFTER, BEFORE, DIFFERENCE, Effective, timestamp_limit};
pub use create::{Made, TopicsError, create, finish};
pub use mirror::{ConfigLeftOut, Defaults, LeftOutBecause, Mirrored, command, mirror};
