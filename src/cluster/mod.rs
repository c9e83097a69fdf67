//! The cluster room: to come.
