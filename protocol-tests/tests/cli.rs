//! What a person meets at the command line: help, mistakes in words and files, and addresses that lead nowhere. Each
//! mistake has one exit code and one last line on stderr that says what, where, and what to type next.
#![allow(clippy::expect_used, clippy::panic, reason = "all of this file is tests and their helpers")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Embedded, Version};
use protocol_tests::example;
use protocol_tests::lab::kferry::{Call, Kferry, Outcome};
use protocol_tests::lab::probe::Client;
use rustix::pty::OpenptFlags;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_kferry-under-test");

fn kferry(arguments: &[&str]) -> Call {
    Kferry::new(BINARY).call(arguments).within(Duration::from_secs(30))
}

/// The last line on stderr of a call that must end with `code` and leave stdout alone.
#[track_caller]
fn last_line(call: Call, code: i32) -> String {
    let outcome = call.run().expect_code(code);
    assert_eq!(outcome.stdout, "", "{outcome}");
    said_last(&outcome)
}

fn said_last(outcome: &Outcome) -> String {
    outcome.stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn help_shows_what_to_type_and_ends_with_success() {
    let help = kferry(&["--help"]).run().expect_code(0);
    assert!(help.stdout.contains("kferry plan --source old-1:9092"), "{help}");
    let version = kferry(&["--version"]).run().expect_code(0);
    assert!(version.stdout.starts_with("kferry 0."), "{version}");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let outcome = kferry(&["plan", "--tpoic", "orders"]).run().expect_code(2);
    assert!(outcome.stderr.contains("unexpected argument '--tpoic' found"), "{outcome}");
    assert!(outcome.stderr.contains("a similar argument exists: '--topic'"), "{outcome}");
    kferry(&[]).run().expect_code(2);
    kferry(&["plna"]).run().expect_code(2);
}

#[test]
fn both_addresses_are_needed() {
    assert_eq!(
        last_line(kferry(&["plan"]), 2),
        "error: no address of the source: pass --source host:port, or set `source.bootstrap` in kferry.toml or \
         KFERRY_SOURCE_BOOTSTRAP (next: kferry plan)"
    );
    assert_eq!(
        last_line(kferry(&["plan", "--source", "a:1"]), 2),
        "error: no address of the target: pass --target host:port, or set `target.bootstrap` in kferry.toml or \
         KFERRY_TARGET_BOOTSTRAP (next: kferry plan --source a:1)"
    );
}

#[test]
fn a_target_from_before_record_batches_is_refused() {
    let [source, target] =
        [Version::V2_8, Version::V0_10].map(|version| Embedded::start(version, 1).expect("a cluster"));
    let [source, target] = [source.bootstrap().join(","), target.bootstrap().join(",")];
    for command in [&["plan", "--no-log"][..], &["run", "--no-log", "--yes"]] {
        let call = kferry(&[command, &["--source", &source, "--target", &target]].concat());
        let said = last_line(call, 1);
        let why = format!(
            "error: cannot append to partitions on the target's broker 1 ({target}): Produce: the broker speaks versions 0 \
             to 2, kferry 3 to 8; kferry writes to Apache Kafka 0.11 and later"
        );
        assert!(said.starts_with(&why), "{said}");
    }
}

#[test]
fn a_misspelt_key_is_named_with_its_line_and_the_right_one() {
    let file = "[source]\nbootstrap = ['a:1']\n[target]\nbotstrap = ['b:1']\n";
    assert_eq!(
        last_line(kferry(&["plan"]).file("kferry.toml", file), 2),
        "error: kferry.toml, line 4: unknown key `target.botstrap`: did you mean `target.bootstrap`? (next: kferry plan)"
    );
    assert_eq!(
        last_line(kferry(&["plan"]).env("KFERRY_SELECT_TOPIC", "orders"), 2),
        "error: KFERRY_SELECT_TOPIC: unknown key `KFERRY_SELECT_TOPIC`: did you mean `KFERRY_SELECT_TOPICS`? \
         (next: kferry plan)"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    assert_eq!(
        last_line(kferry(&["plan", "--config", "no/such.toml"]), 2),
        "error: no/such.toml: cannot read the configuration file: No such file or directory (os error 2) \
         (next: kferry plan --config no/such.toml)"
    );
    let call = kferry(&["plan"]).file("kferry.toml", "[source\n");
    assert!(last_line(call, 2).starts_with("error: kferry.toml, line 1: not TOML: "));
}

#[test]
fn a_wish_that_this_version_cannot_fulfil_is_refused_rather_than_ignored() {
    let file = "[source]\nbootstrap = ['a:1']\n[source.tls]\n[target]\nbootstrap = ['b:1']\n";
    assert_eq!(
        last_line(kferry(&["plan"]).file("kferry.toml", file), 2),
        "error: kferry.toml, line 3: `source.tls` is not supported yet in this version of kferry: leave it out \
         (next: kferry plan)"
    );
}

#[test]
fn a_program_that_asked_for_json_gets_one_document_of_every_failure() {
    let (outcome, document) = kferry(&["plan"]).json();
    let outcome = outcome.expect_code(2);
    assert_eq!(document["version"], 1);
    let error = document["error"].as_str().expect("a text");
    assert!(error.starts_with("no address of the source"), "{error}");
    assert!(said_last(&outcome).contains(error), "{outcome}");
}

#[test]
fn a_command_line_that_cannot_be_read_gets_its_document_too() {
    let wrong = kferry(&["run", "--tpoic", "orders", "--output=json"]);
    let outcome = wrong.run().expect_code(2);
    assert_eq!(outcome.json()["outcome"], "failed", "{outcome}");
    let (outcome, document) = kferry(&["plan", "--tpoic", "orders"]).json();
    assert_eq!(document["error"], "unexpected argument '--tpoic' found");
    assert!(outcome.expect_code(2).stderr.contains("Usage: "));
}

#[test]
fn a_failed_run_s_document_has_the_name_wherever_it_was_set() {
    let run = ["run", "--yes", "--source", "127.0.0.1:1", "--target", "127.0.0.1:2"];
    let (_, document) = kferry(&run).env("KFERRY_NAME", "by-variable").json();
    assert_eq!(document["name"], "by-variable");
    let (_, document) = kferry(&run).file("kferry.toml", "name = 'by-file'\n").json();
    assert_eq!(document["name"], "by-file");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut process =
        Command::new(BINARY).arg("--help").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    drop(process.stdout.take());
    let outcome = process.wait_with_output().expect("its end");
    assert_eq!(outcome.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&outcome.stderr), "");
}

/// A port of this machine on which every caller gets `serve`.
fn port(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// Answers whatever is asked with `bytes`.
fn answers(bytes: &'static [u8]) -> String {
    port(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
    })
}

/// The failure of `plan` from `source`, with the address written as ADDRESS.
#[track_caller]
fn refusal(source: &str) -> String {
    // The target is never asked before the source has answered, so that one error names one side.
    let (outcome, document) = kferry(&["plan", "--source", source, "--target", "127.0.0.1:1"]).json();
    let outcome = outcome.expect_code(1);
    let error = document["error"].as_str().expect("a text").to_owned();
    let next = format!("(next: kferry plan --source {source} --target 127.0.0.1:1 --output json)");
    assert_eq!(said_last(&outcome), format!("error: {error} {next}"), "{outcome}");
    error.replace(source, "ADDRESS")
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    assert_eq!(
        refusal(&address),
        "cannot connect to the source: no bootstrap address answers; ADDRESS: Connection refused \
         (os error 111); check the source's address, and that a broker listens there"
    );
}

#[test]
fn a_port_that_says_nothing_is_given_up_in_time() {
    // Kept open until the test's process ends.
    let silent = port(std::mem::forget);
    assert_eq!(
        refusal(&silent),
        "cannot connect to the source: no bootstrap address answers; ADDRESS: no answer to ApiVersions and no \
         progress for 10 s; something takes connections there: check that the source's address is a Kafka listener"
    );
}

#[test]
fn a_port_that_closes_without_an_answer_is_named() {
    assert_eq!(
        refusal(&answers(b"")),
        "cannot connect to the source: no bootstrap address answers; ADDRESS: the connection was closed before \
         anything was answered (a TLS port, or a proxy in between?); check that the source's address is a plain \
         Kafka listener"
    );
}

#[test]
fn a_port_that_speaks_something_else_is_recognised_whatever_it_says() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let text = b"\0\0\0\x10garbage, garbage";
    let absurd_length = b"\x7f\xff\xff\xff\0\0\0\0";
    for (bytes, length) in [(&http[..], 47), (&[0xff; 64], 64), (text, 20), (absurd_length, 8)] {
        assert_eq!(
            refusal(&answers(bytes)),
            format!(
                "cannot connect to the source: no bootstrap address answers; ADDRESS: answered with {length} bytes \
                 that are not Kafka's protocol (a TLS or HTTP port?); check that the source's address is a plain \
                 Kafka listener"
            )
        );
    }
}

/// Answers each request with its own correlation id and then `body`, as a broker does.
fn broker(body: &'static [u8], announced: usize) -> String {
    port(move |mut stream| {
        let mut head = [0; 12];
        while stream.read_exact(&mut head).is_ok() {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let _ = stream.read_exact(&mut vec![0; length - 8]);
            let _ = stream.write_all(&u32::try_from(announced + 4).expect("a length").to_be_bytes());
            let _ = stream.write_all(&head[8..]);
            let _ = stream.write_all(body);
            if announced != body.len() {
                return;
            }
        }
    })
}

#[test]
fn an_answer_that_is_cut_short_or_counts_more_than_it_holds_is_named() {
    assert_eq!(
        refusal(&broker(b"\0\0\xff\xff\xff\xff\x0f", 7)),
        "cannot connect to the source: no bootstrap address answers; ADDRESS: the answer can't be read: api_keys is \
         4294967294 at byte 2; check that the source's address is a plain Kafka listener"
    );
    assert!(refusal(&broker(b"\0\0\x02", 500)).contains("ADDRESS: the connection was closed"));
}

#[test]
fn the_first_address_that_answers_is_enough_and_each_that_does_not_is_named() {
    let (closed, http) = (answers(b""), answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let (outcome, document) =
        kferry(&["plan", "--source", &format!("{closed},{http}"), "--target", "127.0.0.1:1"]).json();
    outcome.expect_code(1);
    let error = document["error"].as_str().expect("a text");
    assert!(error.contains(&format!("; {closed}: the connection was closed")), "{error}");
    assert!(error.contains(&format!("; {http}: answered with 28 bytes")), "{error}");
}

#[test]
fn a_command_that_waits_for_an_answer_ends_at_once_when_it_is_told_to() {
    let (called, calls) = mpsc::channel();
    let target = port(move |stream| {
        std::mem::forget(stream);
        called.send(()).expect("the test");
    });
    let source = port(std::mem::forget);
    let commands = ["plan", "run --yes", "verify", "status"].map(|words| words.split(' '));
    for command in commands {
        for (signal, name, code) in [("INT", "SIGINT", 130), ("TERM", "SIGTERM", 143)] {
            let call = kferry(&command.clone().collect::<Vec<_>>());
            let call = call.args(["--source", &source, "--target", &target, "--output", "json"]);
            let running = call.within(Duration::from_secs(2)).start();
            calls.recv_timeout(Duration::from_secs(30)).expect("a connection");
            running.signal(signal);
            let outcome = running.wait().expect_code(code);
            let document = outcome.json();
            match command.clone().next() {
                Some("run" | "verify") => assert_eq!(document["outcome"], "stopped", "{outcome}"),
                _ => assert_eq!(document["error"], format!("stopped by {name}, nothing was written"), "{outcome}"),
            }
            let last = said_last(&outcome);
            assert!(
                last.starts_with(&format!("error: stopped by {name}")) && last.contains("(next: kferry "),
                "{last}"
            );
        }
    }
}

#[test]
fn a_signal_at_the_question_ends_the_run() {
    let (_source, target, flags) = clusters();
    let (mut terminal, inside) = terminal();
    let mut command = Command::new(BINARY);
    command.args(["run", "--no-log", "--output", "json"]).args(&flags).stdout(Stdio::piped());
    command.stdin(inside.try_clone().expect("a terminal")).stderr(inside);
    let process = command.spawn().expect("the program");
    drop(command); // and with it the terminal's inside
    let mut shown = Vec::new();
    while !shown.ends_with(b"Proceed? [y/N] ") {
        let mut byte = [0];
        terminal.read_exact(&mut byte).expect("the question");
        shown.extend(byte);
    }
    let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let ended = process.wait_with_output().expect("its end");
    let mut rest = Vec::new();
    let _ = terminal.read_to_end(&mut rest); // the end of a terminal is an error
    let rest = String::from_utf8_lossy(&rest);
    assert_eq!(ended.status.code(), Some(130), "{rest}");
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("a document");
    assert_eq!(document["outcome"], "stopped");
    assert!(rest.starts_with("\r\nerror: stopped by SIGINT, nothing was written (next: kferry run "), "{rest:?}");
    assert!(target.with_core(|core| !core.topics.contains_key("test3")), "nothing was written");
}

/// A terminal, from the side of the person and from that of the program.
fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let person = rustix::pty::openpt(flags).expect("a terminal");
    rustix::pty::unlockpt(&person).expect("a terminal");
    let program = rustix::pty::ioctl_tiocgptpeer(&person, flags).expect("its other side");
    (person.into(), program)
}

#[test]
fn nobody_can_be_asked_without_a_terminal() {
    let run = kferry(&["run", "--source", "127.0.0.1:1", "--target", "127.0.0.1:2"]).typing("y\n");
    assert_eq!(
        last_line(run, 2),
        "error: this is not a terminal, so nobody can be asked whether to proceed: add --yes; nothing was written \
         (next: kferry run --source 127.0.0.1:1 --target 127.0.0.1:2 --yes)"
    );
}

/// A cluster that holds the example, an empty one, and the flags that name them.
fn clusters() -> (Embedded, Embedded, Vec<String>) {
    let [source, target] =
        [Version::V2_8, Version::V4_1].map(|version| Embedded::start(version, 1).expect("a cluster"));
    source.with_core(|core| example::fill(core, now_ms())).expect("the example");
    let flags =
        ["--source", &source.bootstrap().join(","), "--target", &target.bootstrap().join(",")].map(str::to_owned);
    (source, target, flags.to_vec())
}

fn end_of_test3(cluster: &Embedded) -> i64 {
    Client::new(&cluster.bootstrap().join(",")).end("test3", 0).expect("an end")
}

fn logs(outcome: &Outcome) -> Vec<String> {
    let entries = std::fs::read_dir(outcome.dir()).expect("its directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_plan_is_shown_and_kept_as_a_text_log_and_changes_nothing() {
    let (_source, target, flags) = clusters();
    let plan = kferry(&["plan"]).args(&flags).run().expect_code(0);
    assert!(plan.stdout.starts_with("Prepare to migrate\n"), "{plan}");
    assert!(plan.stdout.contains("test3          0  187,800  264,322   76,522  test123-group  unread"), "{plan}");
    assert!(plan.stdout.contains("skip migrate... test1/0: expired: test123-group committed 3,713"), "{plan}");
    let logs = logs(&plan);
    assert!(logs.len() == 1 && logs[0].starts_with("kferry-plan-2"), "{logs:?}");
    let log = std::fs::read_to_string(plan.dir().join(&logs[0])).expect("the log");
    assert!(log.starts_with("kferry 0.") && log.ends_with(&plan.stdout), "{log}");
    assert!(target.with_core(|core| core.topics.is_empty()), "a plan changed the target");
}

#[test]
fn a_plan_as_json_is_one_document_and_no_log_leaves_none() {
    let (_source, _target, flags) = clusters();
    let (plan, document) = kferry(&["plan", "--no-log"]).args(&flags).json();
    let plan = plan.expect_code(0);
    assert_eq!(document["totals"]["records"], 78_772);
    assert_eq!(logs(&plan), Vec::<String>::new());
    assert_eq!(plan.stderr, "");
}

#[test]
fn a_directory_that_takes_no_log_is_a_warning() {
    let (_source, _target, flags) = clusters();
    let folder = tempfile::tempdir().expect("a folder");
    let gone = r#"mkdir gone && cd gone && rmdir ../gone && exec "$0" plan "$@""#;
    let plan = Command::new("sh").args(["-c", gone, BINARY]).args(&flags).current_dir(folder.path()).output();
    let plan = plan.expect("the program");
    let said = [&plan.stdout, &plan.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(plan.status.code(), Some(0), "{said:?}");
    assert!(said[0].ends_with("78,772 records to migrate in 3 partitions of 3 topics\n"), "{said:?}");
    assert!(said[1].contains("warning: no text log in this directory: No such file"), "{said:?}");
}

#[test]
fn a_selection_and_a_file_and_a_variable_work_together() {
    let (_source, _target, flags) = clusters();
    let file = format!("[source]\nbootstrap = ['{}']\n[select]\ntopics = ['test2']\n", flags[1]);
    let call = kferry(&["plan", "--topic", "test*", "--exclude-topic", "/3$/"]).file("kferry.toml", &file);
    let (plan, document) = call.env("KFERRY_TARGET_BOOTSTRAP", &flags[3]).json();
    plan.expect_code(0);
    assert_eq!(document["totals"]["records"], 2_250);
}

#[test]
fn a_run_that_is_refused_says_why_and_leaves_the_target_alone() {
    let (_source, target, flags) = clusters();
    kferry(&["run", "--yes"]).args(&flags).run().expect_code(0);
    let (run, document) = kferry(&["run", "--yes", "--name", "again"]).args(&flags).json();
    let run = run.expect_code(1);
    assert_eq!(document["outcome"], "failed");
    let error = document["error"].as_str().expect("a text");
    assert!(error.contains("not_empty") && error.contains("kferry-default has moved this partition"), "{error}");
    assert!(said_last(&run).starts_with(&format!("error: {error}")), "{run}");
    assert_eq!(end_of_test3(&target), 76_522);
}

#[test]
fn a_finished_migration_that_is_run_again_writes_nothing_and_says_so() {
    let (_source, target, flags) = clusters();
    kferry(&["run", "--yes"]).args(&flags).run().expect_code(0);
    let (run, document) = kferry(&["run", "--yes"]).args(&flags).json();
    run.expect_code(0);
    assert_eq!((&document["outcome"], &document["partitions"][1]["records_written"]), (&json!("done"), &json!(76_522)));
    assert_eq!(end_of_test3(&target), 76_522);
    let text = kferry(&["run"]).args(&flags).args(["--yes"]).run().expect_code(0).stdout;
    assert!(text.contains("Already finished: 78,772 records of 3 partitions are on the target; nothing was written"));
}

#[test]
fn a_run_whose_reader_goes_away_is_finished_all_the_same() {
    let (_source, target, flags) = clusters();
    let mut process = Command::new(BINARY)
        .args(["run", "--yes", "--no-log"])
        .args(&flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    drop(process.stdout.take());
    assert_eq!(process.wait().expect("its end").code(), Some(0));
    assert_eq!(end_of_test3(&target), 76_522);
}

#[test]
fn the_demo_moves_the_example_and_another_client_finds_it_whole() {
    let demo = Command::new(env!("CARGO_BIN_EXE_demo")).output().expect("the demo");
    let shown = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{shown}{}", String::from_utf8_lossy(&demo.stderr));
    let proofs = example::UNREAD.len() + example::COMMITS.len();
    assert_eq!(shown.matches("equal\n").count(), proofs, "{shown}");
    assert!(shown.contains("Verified by records: 78,772 records of 3 partitions"), "{shown}");
}
