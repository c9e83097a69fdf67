//! The net room: to come.
