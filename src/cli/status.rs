//! `kferry status`: how far a migration is, asked from any host.

use jiff::Timestamp;

use super::args::{Common, Output};
use super::exit::{Exit, Failure};
use super::{streams, survey};
use crate::cluster::Options;
use crate::config::Whereabouts;
use crate::kafka::Side;
use crate::migrate;
use crate::report::json::status::StatusDoc;
use crate::report::status;

pub(super) async fn status(common: &Common, whereabouts: &Whereabouts) -> Result<Exit, Failure> {
    let target = survey::reach(Side::Target, &whereabouts.target, Options::default()).await?;
    let found = migrate::status(&target, whereabouts.name.as_str()).await?;
    match common.output {
        Output::Json => streams::document(&StatusDoc::from(&found))?,
        Output::Text => streams::result(&status::status(&found, Timestamp::now().as_millisecond()))?,
    }
    Ok(Exit::Done)
}
