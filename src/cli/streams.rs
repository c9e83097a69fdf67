//! stdout for results, stderr for all else. Either may be closed at any time: `kferry plan | head` is no failure.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use super::args::{Color, Common, Output};
use super::exit::Failure;

/// Hands `document` over on stdout, as one line.
pub(super) fn document(document: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(document).map_err(|error| Failure::Stdout(error.into()))?;
    result(&(json + "\n"))
}

/// Hands `text` over on stdout; a reader that went away has seen enough.
pub(super) fn result(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Stdout(error)),
        _ => Ok(()),
    }
}

/// Says a line on stderr. Where nobody listens there is nobody to complain to either.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Sends the library's log to stderr as the user wants it.
pub(super) fn log(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .log_internal_errors(false) // it would panic where stderr is closed
        .with_ansi(colored(common.color))
        .with_target(false);
    // A second call in one process, as in a test, keeps the first.
    let _ = match common.log_format {
        Output::Text => builder.try_init(),
        Output::Json => builder.json().try_init(),
    };
}

fn colored(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
