//! How a command ends: the only place that decides exit codes, and the last line on stderr.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use super::args::Command;
use crate::cluster::ClusterError;
use crate::config::ConfigError;
use crate::plan::Refusal;

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
    #[expect(dead_code, reason = "the run command's, once it copies")]
    Differs,
    /// Stopped by SIGINT after a clean checkpoint.
    #[expect(dead_code, reason = "the run command's, once it copies")]
    Interrupted,
    /// Stopped by SIGTERM after a clean checkpoint.
    #[expect(dead_code, reason = "the run command's, once it copies")]
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

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A cluster did not answer, or answered with an error.
    #[error("{error}{advice}", error = .0, advice = advice(.0))]
    Cluster(#[from] ClusterError),
    /// The plan has warnings that a run must not pass by.
    #[error("refused, nothing was written: {}", list(.0))]
    Refused(Vec<Refusal>),
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

fn advice(error: &ClusterError) -> String {
    error.advice().map_or_else(String::new, |advice| format!("; {advice}"))
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What stands on stdout where a program asked for a document and there is no result.
#[derive(Serialize, Debug)]
pub(super) struct FailureDoc {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    error: String,
}

impl Failure {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::NeedsYes => Exit::Usage,
            Self::Cluster(_)
            | Self::Refused(_)
            | Self::Declined
            | Self::Start(_)
            | Self::Prompt(_)
            | Self::Stdout(_) => Exit::Failed,
        }
    }

    pub(super) fn document(&self, command: &Command) -> FailureDoc {
        let outcome = match command {
            Command::Plan(_) => None,
            Command::Run(_) => Some("failed"),
        };
        FailureDoc { version: 1, outcome, error: self.to_string() }
    }

    /// The last line on stderr: what and where, and the command to type next.
    pub(super) fn last_line(&self, typed: &[String]) -> String {
        format!("error: {self} (next: {})", shell(typed))
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
