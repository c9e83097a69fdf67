//! The batch room: to come.
