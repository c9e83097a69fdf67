//! The one question that kferry asks.

use std::io::{self, BufRead, Write};
use std::thread;

use tokio::sync::oneshot;

/// Asks the person at the terminal. Whoever waits for the answer may leave: a read can't be given up, so it has a thread of
/// its own, which ends with the process.
pub(super) async fn ask() -> io::Result<bool> {
    let (answer, answered) = oneshot::channel();
    // stderr is not locked meanwhile: what ends the process has something to say there.
    let asking = move || answer.send(proceed(&mut io::stdin().lock(), &mut io::stderr()));
    thread::Builder::new().spawn(asking)?;
    answered.await.unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

/// Asks on `screen` and reads one line from `keyboard`: only `y` or `yes` is a yes.
fn proceed(keyboard: &mut impl BufRead, screen: &mut impl Write) -> io::Result<bool> {
    write!(screen, "Proceed? [y/N] ")?;
    screen.flush()?;
    let mut answer = String::new();
    keyboard.read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for (answer, expected) in [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("yep\n", false)] {
            let mut screen = Vec::new();
            assert_eq!(proceed(&mut answer.as_bytes(), &mut screen).expect("an answer"), expected, "{answer:?}");
            assert_eq!(screen, b"Proceed? [y/N] ");
        }
    }
}
