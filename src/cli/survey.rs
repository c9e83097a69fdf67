//! What every command begins with that plans: connect to both clusters, look at them, make the plan and keep its text.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::exit::Failure;
use super::streams;
use crate::cluster::{Cluster, ClusterError, Options};
use crate::config::{Endpoint, Settings};
use crate::kafka::Side;
use crate::net::Tcp;
use crate::plan::survey::{Reached, survey};
use crate::plan::{Plan, Rules, plan};
use crate::report::TextLog;
use crate::report::table::{self, Detail};

/// Both clusters and what would be moved from one to the other.
pub(super) struct Surveyed {
    pub(super) source: Cluster,
    pub(super) target: Cluster,
    pub(super) plan: Plan,
}

impl Surveyed {
    pub(super) async fn new(settings: &Settings) -> Result<Self, Failure> {
        let (source, target) = tokio::join!(
            connect(Side::Source, &settings.source, settings),
            connect(Side::Target, &settings.target, settings)
        );
        let (source, target) = (source?, target?);
        let rules = Rules::from(settings);
        let seen = Box::pin(survey(
            Reached { cluster: &source, endpoint: &settings.source },
            Reached { cluster: &target, endpoint: &settings.target },
            &rules,
            Timestamp::now().as_millisecond(),
        ));
        let plan = plan(&seen.await?, &rules);
        Ok(Self { source, target, plan })
    }

    /// The plan as a screen shows it. What it leaves out for want of room is in the log; without a log nothing is.
    pub(super) fn text<'a>(&'a self, log: Option<&TextLog>) -> impl Display + use<'a> {
        let detail = if log.is_some() { Detail::for_screen(&self.plan) } else { Detail::Whole };
        table::plan(&self.plan, detail)
    }

    /// Opens the command's text log with the whole plan. A log that can't be written is a pity, not a failure.
    pub(super) fn log(&self, command: &str) -> Option<TextLog> {
        let now = Timestamp::now();
        let head = format!("kferry {} {command}, {}", env!("CARGO_PKG_VERSION"), now.strftime("%Y-%m-%d %H:%M:%S UTC"));
        let written = TextLog::create(Path::new("."), command, now).and_then(|mut log| {
            log.add(&format_args!("{head}\n\n{}", table::plan(&self.plan, Detail::Whole)))?;
            Ok(log)
        });
        written
            .inspect_err(|error| {
                streams::say(&format!("warning: no text log in this directory: {error} (or --no-log)"))
            })
            .ok()
    }
}

pub(super) async fn connect(side: Side, endpoint: &Endpoint, settings: &Settings) -> Result<Cluster, ClusterError> {
    // The seed only keeps several kferrys from asking again in step.
    let options = Options { memory: settings.memory, seed: u64::from(std::process::id()), ..Options::default() };
    reach(side, endpoint, options).await
}

pub(super) async fn reach(side: Side, endpoint: &Endpoint, options: Options) -> Result<Cluster, ClusterError> {
    Cluster::connect(side, Arc::new(Tcp), &endpoint.bootstrap, options).await
}
