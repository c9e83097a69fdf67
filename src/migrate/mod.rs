//! The migrate room: to come.
