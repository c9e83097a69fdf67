//! What the user asked for: flags, environment and file become one [`Settings`].
//!
//! Each of the three places is read into a [`Layer`], in which every key may be missing and every value remembers the
//! place it came from: [`file::load`] and [`env::read`] here, the flags in the room `cli`. [`Settings::resolve`] is the
//! only merge. It parses every value, so nobody behind it checks one again. All keys stand in one table, [`keys`]: their
//! names, kinds, defaults and explanations.

pub mod env;
pub mod file;
pub mod keys;

mod error;
mod layer;
mod resolve;
mod select;

pub use error::{ConfigError, Problem};
pub use layer::{Layer, Place, Value, name_of};
pub use resolve::{
    Endpoint, MigrationName, Recompress, Settings, TopicSettings, Undecided, Ungrouped, Verify, Whereabouts,
};
pub use select::{Filter, Selection};
