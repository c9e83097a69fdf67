//! A run as a person sees it: a bar on a terminal, a line now and then elsewhere. Both go to stderr.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::table::many;
use crate::copy::{Lanes, Progress};
use crate::kafka::units::{Bytes, Count, Span};
use crate::migrate::{Observer, Recorded, Step};
use crate::state::News;
use crate::verify::{self, Level};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a run on stderr.
#[derive(Debug)]
pub struct Screen {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { next: Duration },
}

impl Screen {
    /// A bar where `terminal` says that stderr is one, lines elsewhere, nothing where `quiet`.
    pub fn new(terminal: bool, quiet: bool) -> Self {
        let shown = match (quiet, terminal) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())),
            (false, false) => Shown::Lines { next: LINE_EVERY },
        };
        Self { shown }
    }

    fn compared(&mut self, progress: &verify::Progress) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_message(format!("compared {} of {} records", Count(progress.done), Count(progress.total)));
        }
    }

    fn say(&self, text: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.suspend(|| line(text)),
            Shown::Lines { .. } => line(text),
        }
    }
}

/// A closed stderr does not end a copy.
fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Observer for Screen {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Lock(News::Waiting { holder, most }) => self.say(&format!(
                "{holder} runs this migration, or did until lately: waiting up to {} s for it to end",
                most.as_secs()
            )),
            Step::Lock(News::Fenced { holder }) => self.say(&format!("fenced {holder}")),
            Step::Resuming(recorded) => self.say(&resuming(recorded)),
            Step::Groups(groups) => {
                self.say(&format!("committing the offsets of {} on the target", many(groups, "group")));
            }
            Step::Creating(topics) => {
                let names: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
                self.say(&format!("creating {} on the target: {}", many(topics.len(), "topic"), names.join(", ")));
            }
            Step::Copying { lanes, records } => {
                self.say(&format!("copying up to {} records of {}", Count(records), many(lanes, "partition")));
                if let Shown::Bar(bar) = &self.shown {
                    bar.set_length(records.unsigned_abs());
                    let template = "{bar:32} {percent:>3}%  {msg}";
                    bar.set_style(
                        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
                    );
                }
            }
            Step::Compared(progress) => self.compared(progress),
            Step::Verifying(level) => {
                if let Shown::Bar(bar) = &self.shown {
                    bar.finish_and_clear();
                }
                self.say(match level {
                    Level::Offsets => "verifying against the target's offsets",
                    Level::Digest | Level::Records => "verifying: both sides are read again",
                });
            }
        }
    }

    fn progress(&mut self, progress: &Progress, _lanes: Lanes<'_>) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_position(progress.done.unsigned_abs());
                bar.set_message(describe(progress));
            }
            Shown::Lines { next } => {
                if progress.elapsed >= *next {
                    *next = progress.elapsed + LINE_EVERY;
                    line(&describe(progress));
                }
            }
        }
    }
}

/// What an earlier run has left.
fn resuming(recorded: &Recorded) -> String {
    let lanes = || recorded.values().filter(|checkpoint| !checkpoint.span.is_empty());
    let done = lanes().filter(|checkpoint| checkpoint.is_finished()).count();
    let records = lanes().map(|checkpoint| checkpoint.records).sum();
    let last = lanes().max_by_key(|checkpoint| checkpoint.at_ms);
    // A report does not say who wrote last.
    let host = last.map(|checkpoint| checkpoint.host.as_str()).filter(|host| !host.is_empty());
    let host = host.map(|host| format!(", last from host {host}")).unwrap_or_default();
    format!(
        "going on: {} records are on the target, {done} of {} complete{host}",
        Count(records),
        many(lanes().count(), "partition")
    )
}

/// One line about how far the copy is.
fn describe(progress: &Progress) -> String {
    let seconds = progress.elapsed.as_secs_f64().max(0.001);
    let rate = Bytes((progress.bytes as f64 / seconds) as u64);
    let left = match (progress.total - progress.done, progress.done) {
        (0, _) | (_, 0) => String::new(),
        (left, done) => {
            let left = Duration::from_secs_f64(seconds * left as f64 / done as f64);
            format!(", about {} left", Span(left))
        }
    };
    let failed = match progress.lanes_failed {
        0 => String::new(),
        failed => format!(", {} stopped", many(failed, "partition")),
    };
    format!("{} of {} records, {rate}/s{left}{failed}", Count(progress.done), Count(progress.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_far_how_fast_and_how_long() {
        let progress = Progress {
            done: 25_000,
            total: 100_000,
            bytes: 50 << 20,
            lanes_done: 0,
            lanes_failed: 1,
            lanes: 3,
            elapsed: Duration::from_secs(10),
        };
        assert_eq!(describe(&progress), "25,000 of 100,000 records, 5.0 MiB/s, about 30 s left, 1 partition stopped");
    }

    #[test]
    fn nothing_copied_yet_gives_no_estimate() {
        let progress = Progress { total: 100, ..Progress::default() };
        assert_eq!(describe(&progress), "0 of 100 records, 0 B/s");
    }
}
