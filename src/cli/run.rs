//! `kferry run`: move what the plan says; the same command again goes on where it stopped.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use super::args::{Common, Output, RunArgs};
use super::exit::{Exit, Failure};
use super::survey::Surveyed;
use super::{prompt, streams};
use crate::config::Settings;
use crate::plan::Permit;

pub(super) async fn run(common: &Common, args: &RunArgs, settings: &Settings) -> Result<Exit, Failure> {
    // Before any cluster is asked: a job without a terminal must not wait for an answer that can't come.
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !asks {
        return Err(Failure::NeedsYes);
    }
    let surveyed = Surveyed::new(settings).await?;
    let log = if args.no_log { None } else { surveyed.log("run") };
    let text = surveyed.text(log.as_ref());
    match common.output {
        Output::Json => streams::say(text.trim_end()),
        Output::Text => streams::result(&text)?,
    }
    let refusals = surveyed.plan.refusals(&permits(args, settings));
    if !refusals.is_empty() {
        return Err(Failure::Refused(refusals));
    }
    if !args.yes && !prompt::proceed(&mut io::stdin().lock(), &mut io::stderr().lock()).map_err(Failure::Prompt)? {
        return Err(Failure::Declined);
    }
    Ok(Exit::Done)
}

/// What the operator allows although it is usually a mistake.
fn permits(args: &RunArgs, settings: &Settings) -> BTreeSet<Permit> {
    let said = [
        (args.append, Permit::Append),
        (settings.allow_active, Permit::AllowActive),
        (args.allow_expiry, Permit::AllowExpiry),
    ];
    said.into_iter().filter_map(|(allowed, permit)| allowed.then_some(permit)).collect()
}
