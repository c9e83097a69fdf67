//! The wire room: to come.
