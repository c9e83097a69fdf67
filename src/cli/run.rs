//! `kferry run`: move what the plan says.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::pin::pin;

use jiff::Timestamp;
use tokio::sync::watch;

use super::args::{Common, Output, RunArgs};
use super::exit::{Caught, Exit, Failure};
use super::survey::Surveyed;
use super::{prompt, streams};
use crate::config::Settings;
use crate::copy::{Lanes, Progress};
use crate::migrate::{self, Choices, Ended, Migration, Observer, Outcome, Recorded, Signals, Step, Stop};
use crate::plan::Permit;
use crate::report::json::run::RunDoc;
use crate::report::{ReportFile, Screen, TextLog, outcome};
use crate::state::Holder;

pub(super) async fn run(
    common: &Common,
    args: &RunArgs,
    settings: &Settings,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    // Before any cluster is asked: a job without a terminal must not wait for an answer that can't come.
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !asks {
        return Err(Failure::NeedsYes);
    }
    let surveyed = signals.end(Surveyed::new(settings)).await?;
    let report = args.report.as_deref().map(|file| ReportFile::open(file, settings.name.as_str(), &surveyed.plan));
    let (report, fallback) = report.transpose()?.unzip();
    let log = if args.no_log { None } else { surveyed.log("run") };
    let text = surveyed.text(log.as_ref());
    match common.output {
        Output::Json => streams::show(&text),
        Output::Text => streams::result(&text)?,
    }
    let choices = (choices(args, settings), fallback.unwrap_or_default());
    let migration = signals.end(begin(&surveyed, args, settings, choices)).await?;
    if !args.yes && !migration.is_idle() {
        let agreed = signals.end(agreed()).await;
        if let Err(Failure::Stopped(_)) = agreed {
            streams::say(""); // behind the question
        }
        agreed?;
    }
    let report = report.map(|place| place.begin(&migration)).transpose()?.flatten();
    let mut shown = Shown { screen: Screen::new(io::stderr().is_terminal(), common.quiet), report };
    let (outcome, caught) = until_signalled(migration, &mut shown, signals).await;
    tell(common, &outcome, shown.report, log)?;
    match outcome.ended() {
        Ended::Done => Ok(Exit::Done),
        _ => Err(Failure::Ended(Box::new(outcome), caught)),
    }
}

async fn begin<'a>(
    surveyed: &'a Surveyed,
    args: &RunArgs,
    settings: &'a Settings,
    choices: (Choices, Recorded),
) -> Result<Migration<'a>, Failure> {
    let clusters = (&surveyed.source, &surveyed.target);
    let (permits, now) = (permits(args, settings), Timestamp::now().as_millisecond());
    Ok(Migration::new(settings.name.as_str(), clusters, &surveyed.plan, &permits, choices, now).await?)
}

/// Asks whether to go on.
async fn agreed() -> Result<(), Failure> {
    match prompt::ask().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Declined),
        Err(error) => Err(Failure::Prompt(error)),
    }
}

/// What the operator decided about the copy.
fn choices(args: &RunArgs, settings: &Settings) -> Choices {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let holder = Holder { host, pid: std::process::id() };
    Choices { extend: args.extend, take_over: args.take_over, ..Choices::new(settings, holder) }
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

/// Runs the migration. The first signal lets it end cleanly, the second ends it where it stands.
async fn until_signalled(
    migration: Migration<'_>,
    shown: &mut Shown,
    signals: &mut Signals,
) -> (Outcome, Option<Caught>) {
    let (stop, stopped) = watch::channel(Stop::GoOn);
    let mut running = pin!(migrate::run(migration, stopped, shown));
    let mut caught = None;
    loop {
        tokio::select! {
            biased;
            outcome = &mut running => return (outcome, caught),
            signal = signals.next() => {
                let again = caught.is_some();
                caught = Some(Caught { signal, again });
                stop.send_replace(if again { Stop::AtOnce } else { Stop::Cleanly });
                if !again {
                    streams::say("stopping: waiting for the answers that are still owed (again to stop at once)");
                }
            }
        }
    }
}

/// Hands the result to everyone who wants it. A failed run's document is printed with its failure.
fn tell(common: &Common, outcome: &Outcome, report: Option<ReportFile>, log: Option<TextLog>) -> Result<(), Failure> {
    let text = outcome::outcome(outcome);
    let kept = report.map_or(Ok(()), |report| report.write(outcome));
    if let Some(mut log) = log {
        match log.add(&format_args!("\n{text}")) {
            Ok(()) => streams::say(&format!("text log: {}", log.path().display())),
            Err(error) => streams::say(&format!("warning: the text log ends early: {error}")),
        }
    }
    match common.output {
        Output::Text => streams::result(&format_args!("\n{text}"))?,
        Output::Json if outcome.ended() == Ended::Done => {
            // The document only shows what there is.
            if outcome.nothing_to_do && !common.quiet {
                streams::say(&outcome::headline(outcome));
            }
            streams::document(&RunDoc::from(outcome))?;
        }
        Output::Json => {}
    }
    if let Err(error) = kept {
        streams::say(&format!("warning: {error}"));
    }
    Ok(())
}

/// Everyone who watches a run.
struct Shown {
    screen: Screen,
    report: Option<ReportFile>,
}

impl Observer for Shown {
    fn step(&mut self, step: Step<'_>) {
        self.screen.step(step);
    }

    fn progress(&mut self, progress: &Progress, lanes: Lanes<'_>) {
        self.screen.progress(progress, lanes);
        let written = self.report.as_mut().map_or(Ok(()), |report| report.progress(progress, lanes));
        if let Err(error) = written {
            tracing::warn!(%error, "the report is not current; the copy goes on");
        }
    }
}
