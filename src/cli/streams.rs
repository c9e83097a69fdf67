//! stdout for results, stderr for all else. Either may be closed at any time: `kferry plan | head` is no failure.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use super::args::{Color, Common, Output};
use super::exit::Failure;

/// Bytes that are handed over at a time.
const PIECE: usize = 64 << 10;

/// Hands `document` over on stdout, as one line.
pub(super) fn document(document: &impl Serialize) -> Result<(), Failure> {
    hand_over(|stdout| {
        serde_json::to_writer(&mut *stdout, document)?;
        writeln!(stdout)
    })
}

/// Hands `text` over on stdout.
pub(super) fn result(text: &dyn Display) -> Result<(), Failure> {
    hand_over(|stdout| write!(stdout, "{text}"))
}

/// Has stdout written; a reader that went away has seen enough.
fn hand_over(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    // Larger pieces than lines, which is how stdout itself hands over.
    let mut stdout = BufWriter::with_capacity(PIECE, io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Stdout(error)),
        _ => Ok(()),
    }
}

/// Says a line on stderr. Where nobody listens there is nobody to complain to either.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Shows a text that ends with a line feed on stderr.
pub(super) fn show(text: &dyn Display) {
    let mut stderr = BufWriter::new(io::stderr().lock());
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
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
