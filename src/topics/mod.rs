//! The topics room: to come.
