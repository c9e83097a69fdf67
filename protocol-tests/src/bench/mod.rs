//! The benchmark: what a migration costs, beside what the wires, the brokers alone and other tools need for the same
//! bytes.
//!
//! [`sets`] says what is moved, [`load`] builds it and puts it on a broker. [`site`] starts a source and a target, real
//! brokers or [`embedded`] ones in processes of their own, and [`admin`] asks them. [`contestants`] says who moves it,
//! [`peers`] are other people's tools. [`process`] runs one as a child and measures it, while [`watch`] waits for its
//! records on the target; [`limits`] and [`wires`] are the two limits. [`rounds`] plays it all, interleaved; [`table`] and
//! [`record`] tell what came of it. [`child`] is any other process that serves it. [`check`] is the short version that counts only, [`latency`] the one over a long way, which is
//! [`mod@line`].

pub mod admin;
pub mod check;
pub mod child;
pub mod contestants;
pub mod embedded;
pub mod latency;
pub mod limits;
pub mod line;
pub mod load;
pub mod options;
pub mod peers;
pub mod process;
pub mod record;
pub mod rounds;
pub mod sets;
pub mod site;
pub mod table;
pub mod watch;
pub mod wires;

use crate::lab::probe::Failure;

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.to_string()
    }
}
