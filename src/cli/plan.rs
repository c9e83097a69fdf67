//! `kferry plan`: what would be moved and why. Changes nothing on either cluster.

use super::args::{Common, Output, PlanArgs};
use super::exit::{Exit, Failure};
use super::streams;
use super::survey::Surveyed;
use crate::config::Settings;
use crate::migrate;
use crate::report::json::plan::PlanDoc;

pub(super) async fn plan(common: &Common, args: &PlanArgs, settings: &Settings) -> Result<Exit, Failure> {
    let mut surveyed = Surveyed::new(settings).await?;
    let clusters = (&surveyed.source, &surveyed.target);
    match migrate::foresee(&surveyed.plan, clusters, settings.name.as_str()).await {
        Ok(changes) => surveyed.plan = surveyed.plan.warned(changes),
        Err(error) => streams::say(&format!("warning: not looked for plan_changed: {error}")),
    }
    let log = if args.no_log { None } else { surveyed.log("plan") };
    match common.output {
        Output::Json => streams::document(&PlanDoc::from(&surveyed.plan))?,
        Output::Text => streams::result(&surveyed.text(log.as_ref()))?,
    }
    if let Some(log) = log {
        streams::say(&format!("text log: {}", log.path().display()));
    }
    Ok(Exit::Done)
}
