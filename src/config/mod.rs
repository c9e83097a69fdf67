//! The config room: to come.
