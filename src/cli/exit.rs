//! How a command ends: the only place that decides exit codes, and the last line on stderr.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use super::args::Command;
use super::verify::ClaimError;
use crate::cluster::ClusterError;
use crate::config::ConfigError;
use crate::kafka::units::Count;
use crate::migrate::{Ended, MigrateError, Outcome, Signal};
use crate::report::ReportError;
use crate::report::json::run::RunDoc;
use crate::report::json::verify::VerifyDoc;
use crate::report::verified::Verified;

/// How a command ended, as far as the shell is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    /// Done; also where there was nothing to do.
    Done,
    /// Failed, refused or declined.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Finished, but verification found a difference.
    Differs,
    /// Stopped by SIGINT after a clean checkpoint.
    Interrupted,
    /// Stopped by SIGTERM after a clean checkpoint.
    Terminated,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Differs => 3,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

/// The last signal that a run was told to stop by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Caught {
    pub(super) signal: Signal,
    /// Whether it was not the first one: nobody waited for the answers.
    pub(super) again: bool,
}

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A cluster did not answer, or answered with an error.
    #[error("{error}{advice}", error = .0, advice = advice(.0))]
    Cluster(#[from] ClusterError),
    /// The run did not get as far as copying, or could not prove what it copied.
    #[error("{error}{advice}", error = .0, advice = .0.advice().map_or_else(String::new, |advice| format!("; {advice}")))]
    Migrate(#[from] MigrateError),
    /// The report can't be kept.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The run came to an end that is not `done`, and perhaps was asked to.
    #[error("{}", ended(.0, *.1))]
    Ended(Box<Outcome>, Option<Caught>),
    /// What was moved is not known, so that it can't be verified.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A verification came to an end that is not `done`, and perhaps was asked to.
    #[error("{}", unverified(.0, *.1))]
    Verified(Box<Verified>, Option<Signal>),
    /// A signal came before anything was written.
    #[error("stopped by {}, nothing was written", name(*.0))]
    Stopped(Signal),
    /// Nobody can be asked whether to go on.
    #[error("this is not a terminal, so nobody can be asked whether to proceed: add --yes; nothing was written")]
    NeedsYes,
    /// The user said no.
    #[error("declined, nothing was written")]
    Declined,
    /// The operating system refused what every program needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// The user can't be asked.
    #[error("cannot ask whether to proceed: {0}; nothing was written")]
    Prompt(io::Error),
    /// The result could not be handed over.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
}

impl From<Signal> for Failure {
    fn from(signal: Signal) -> Self {
        Self::Stopped(signal)
    }
}

fn advice(error: &ClusterError) -> String {
    error.advice().map_or_else(String::new, |advice| format!("; {advice}"))
}

const fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Interrupt => "SIGINT",
        Signal::Terminate => "SIGTERM",
    }
}

fn ended(outcome: &Outcome, caught: Option<Caught>) -> String {
    let records = Count(outcome.records());
    match (outcome.ended(), caught) {
        (Ended::Stopped, Some(Caught { signal, again: true })) => {
            let on_its_way = "what was on its way may have arrived or not";
            format!("stopped at once by {}: {records} records are on the target; {on_its_way}", name(signal))
        }
        (Ended::Stopped, Some(Caught { signal, .. })) => {
            format!("stopped by {}: {records} records are on the target and stay", name(signal))
        }
        _ => outcome.problem().unwrap_or_else(|| format!("not finished: {records} records are on the target")),
    }
}

fn unverified(verified: &Verified, caught: Option<Signal>) -> String {
    match caught {
        Some(signal) => format!("stopped by {}: not everything was compared", name(signal)),
        None => verified.problem().unwrap_or_else(|| "not everything was compared".to_owned()),
    }
}

const fn exit_by(signal: Signal) -> Exit {
    match signal {
        Signal::Interrupt => Exit::Interrupted,
        Signal::Terminate => Exit::Terminated,
    }
}

/// What stands on stdout where a program asked for a document and there is no result.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum FailureDoc {
    /// There is no plan, or no status.
    Plan { version: u32, error: String },
    /// The run's result, as far as it came.
    Run(Box<RunDoc>),
    /// The verification's result, as far as it came.
    Verify(Box<VerifyDoc>),
}

impl FailureDoc {
    /// The document of a command line that can't be read, if its `words` ask for JSON. `answer` is clap's.
    pub(super) fn misread(words: &[String], answer: &str) -> Option<Self> {
        let pair = |pair: &[String]| matches!(pair, [flag, value] if flag == "--output" && value == "json");
        if !words.windows(2).any(pair) && !words.iter().any(|word| word == "--output=json") {
            return None;
        }
        let error = answer.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Some(if words.iter().any(|word| word == "run") {
            Self::Run(Box::new(RunDoc::failed("default".to_owned(), error)))
        } else if words.iter().any(|word| word == "verify") {
            Self::Verify(Box::new(VerifyDoc::failed("default".to_owned(), error)))
        } else {
            Self::Plan { version: 1, error }
        })
    }
}

const fn exit_of(ended: Ended, caught: Option<Signal>) -> Exit {
    match (ended, caught) {
        (Ended::Stopped, Some(signal)) => exit_by(signal),
        (Ended::Differs, _) => Exit::Differs,
        (Ended::Done, _) => Exit::Done,
        (Ended::Failed | Ended::Stopped, _) => Exit::Failed,
    }
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Ended(outcome, caught) => exit_of(outcome.ended(), caught.map(|caught| caught.signal)),
            Self::Verified(verified, caught) => exit_of(verified.ended(), *caught),
            Self::Stopped(signal) => exit_by(*signal),
            Self::Config(_) | Self::NeedsYes => Exit::Usage,
            Self::Cluster(_)
            | Self::Migrate(_)
            | Self::Claim(_)
            | Self::Report(_)
            | Self::Declined
            | Self::Start(_)
            | Self::Prompt(_)
            | Self::Stdout(_) => Exit::Failed,
        }
    }

    pub(super) fn document(&self, command: &Command, name: String) -> FailureDoc {
        match (command, self) {
            (Command::Plan(_) | Command::Status, _) => FailureDoc::Plan { version: 1, error: self.to_string() },
            (Command::Run(_), Self::Ended(outcome, _)) => FailureDoc::Run(Box::new(RunDoc::from(&**outcome))),
            (Command::Run(_), Self::Stopped(_)) => FailureDoc::Run(Box::new(RunDoc::stopped(name))),
            (Command::Run(_), _) => FailureDoc::Run(Box::new(RunDoc::failed(name, self.to_string()))),
            (Command::Verify(_), Self::Verified(verified, _)) => {
                FailureDoc::Verify(Box::new(VerifyDoc::from(&**verified)))
            }
            (Command::Verify(_), _) => FailureDoc::Verify(Box::new(VerifyDoc::failed(name, self.to_string()))),
        }
    }

    /// The last line on stderr: what and where, and the command to type next.
    pub(super) fn last_line(&self, typed: &[String]) -> String {
        let yes = matches!(self, Self::NeedsYes).then_some(" --yes").unwrap_or_default();
        format!("error: {self} (next: {}{yes})", shell(typed))
    }
}

/// The command as a shell takes it.
fn shell(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_type_again_survives_the_shell() {
        let words = ["kferry", "plan", "--group", "audit-*", "--topic", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&words), r"kferry plan --group 'audit-*' --topic 'it'\''s' ''");
    }

    #[test]
    fn what_the_user_must_change_first_is_told_from_what_failed() {
        assert_eq!(Failure::NeedsYes.exit(), Exit::Usage);
        assert_eq!(Failure::Declined.exit(), Exit::Failed);
        assert_eq!(Failure::Stdout(io::Error::other("disk full")).exit(), Exit::Failed);
    }
}
