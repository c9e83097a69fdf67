//! The command line: words become settings, a command runs, its end becomes an exit code.
//!
//! [`main`] reads as the story of every command: parse, log, resolve, run, say how it ended. Only this room knows clap,
//! stdout and exit codes.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

mod args;
mod exit;
mod plan;
mod prompt;
mod run;
mod status;
mod streams;
mod survey;
mod verify;

use crate::config::{self, Layer, Settings, Whereabouts, env, file};
use crate::migrate::Signals;
use args::{Command, CommandLine, Output};
use exit::{Exit, Failure, FailureDoc};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(answer) => {
            // Help and version end here as well; a closed stdout is no failure.
            let _ = answer.print();
            return misread(&answer).into();
        }
    };
    streams::log(&line.common);
    let layers = layers(&line);
    // A document carries the name wherever it was set, as far as the settings can be read.
    let name = layers.as_ref().ok().and_then(|layers| config::name_of(layers)).unwrap_or("default").to_owned();
    let ended = layers.and_then(|layers| command(&line, layers)).or_else(|failure| fail(&line, name, &failure));
    ended.unwrap_or_else(|failure: Failure| failure.exit()).into()
}

/// The end of a command line that clap answered itself. Where its words ask for a document, a mistake gets one as well.
fn misread(answer: &clap::Error) -> Exit {
    if !answer.use_stderr() {
        return Exit::Done;
    }
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(document) = FailureDoc::misread(&words, &answer.to_string()) {
        let _ = streams::document(&document);
    }
    Exit::Usage
}

fn command(line: &CommandLine, layers: Vec<Layer>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start)?;
    let ended = runtime.block_on(async {
        // From here on a signal ends the command with its document and its last line.
        let mut signals = Signals::new().map_err(Failure::Start)?;
        let common = &line.common;
        match &line.command {
            Command::Plan(args) => {
                let settings = Settings::resolve(layers)?;
                signals.end(plan::plan(common, args, &settings)).await
            }
            Command::Run(args) => run::run(common, args, &Settings::resolve(layers)?, &mut signals).await,
            Command::Verify(args) => verify::verify(common, args, &Settings::resolve(layers)?, &mut signals).await,
            Command::Status => {
                let whereabouts = Whereabouts::resolve(layers)?;
                signals.end(status::status(common, &whereabouts)).await
            }
        }
    });
    // A name that is still being looked up must not keep the process from ending.
    runtime.shutdown_background();
    ended
}

/// All that was said about the settings, the strongest layer first.
fn layers(line: &CommandLine) -> Result<Vec<Layer>, Failure> {
    let mut layers = vec![line.layer(), env::read(std::env::vars_os())?];
    let default = Path::new(file::DEFAULT_FILE);
    match &line.common.config {
        Some(named) => layers.push(file::load(named)?),
        None if default.exists() => layers.push(file::load(default)?),
        None => {}
    }
    Ok(layers)
}

/// Says why the command failed: to a program on stdout, to a person as the last line on stderr.
fn fail(line: &CommandLine, name: String, failure: &Failure) -> Result<Exit, Failure> {
    let printed = match line.common.output {
        Output::Json => streams::document(&failure.document(&line.command, name)),
        Output::Text => Ok(()),
    };
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let typed: Vec<String> = std::iter::once("kferry".to_owned()).chain(words).collect();
    streams::say(&failure.last_line(&typed));
    printed.map(|()| failure.exit())
}
