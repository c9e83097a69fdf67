//! The report room: to come.
