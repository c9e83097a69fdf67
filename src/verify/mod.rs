//! The verify room: to come.
