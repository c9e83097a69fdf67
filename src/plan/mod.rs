//! The plan room: to come.
