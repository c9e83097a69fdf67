//! The copy room: to come.
