//! The house rules that a compiler does not hold: which room may use which, which files stay pure, how long files and
//! functions may get, and what must not appear in the tree at all. Every rule has a test that proves it can fail.

#![allow(clippy::expect_used, reason = "all of this file is tests and their helpers")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// In the order the data flows: a room may use any room before it, none behind it.
const ROOMS: [&str; 16] = [
    "kafka", "config", "wire", "batch", "net", "cluster", "topics", "plan", "state", "offsets", "copy", "verify",
    "migrate", "report", "cli", "main",
];

/// Names that only one room may speak, because that room hides them from the others.
const OWNED: [(&[&str], &str); 7] = [
    (&["kafka_protocol"], "wire"),
    (&["tokio", "net"], "net"),
    (&["std", "net", "TcpStream"], "net"),
    (&["rustls"], "net"),
    (&["tokio_rustls"], "net"),
    (&["clap"], "cli"),
    (&["clap_complete"], "cli"),
];

/// Files, and folders with all their files, that know neither a clock nor the outside world: the same input gives the
/// same output.
const PURE: [&str; 59] = [
    "src/kafka/",
    "src/config/env.rs",
    "src/config/keys.rs",
    "src/config/layer.rs",
    "src/config/resolve.rs",
    "src/config/select.rs",
    "src/wire/",
    "src/batch/",
    "src/cluster/retry.rs",
    "src/topics/codecs.rs",
    "src/topics/configs.rs",
    "src/topics/mirror.rs",
    "src/topics/mirror/",
    "src/plan/facts.rs",
    "src/plan/plan.rs",
    "src/plan/warning.rs",
    "src/plan/rules/",
    "src/state/checkpoint.rs",
    "src/state/error.rs",
    "src/state/holder.rs",
    "src/state/journal.rs",
    "src/state/known.rs",
    "src/state/metadata.rs",
    "src/state/skipped.rs",
    "src/offsets/mark.rs",
    "src/offsets/rules.rs",
    "src/copy/answer.rs",
    "src/copy/lane.rs",
    "src/copy/lane/",
    "src/copy/ledger.rs",
    "src/copy/marks.rs",
    "src/copy/pack.rs",
    "src/copy/pace.rs",
    "src/copy/patience.rs",
    "src/copy/progress.rs",
    "src/copy/reader.rs",
    "src/copy/replay.rs",
    "src/copy/settle.rs",
    "src/copy/tally.rs",
    "src/copy/trail.rs",
    "src/copy/walk.rs",
    "src/copy/writer.rs",
    "src/verify/comparison.rs",
    "src/verify/content.rs",
    "src/verify/extent.rs",
    "src/verify/findings.rs",
    "src/verify/level.rs",
    "src/verify/offsets.rs",
    "src/migrate/agenda.rs",
    "src/verify/search.rs",
    "src/verify/sequence.rs",
    "src/verify/walk.rs",
    "src/migrate/outcome.rs",
    "src/report/groups.rs",
    "src/report/json/",
    "src/report/outcome.rs",
    "src/report/table.rs",
    "src/report/verified.rs",
    "protocol-tests/src/broker/",
];

/// The broker's sockets, the one shell among its files.
const SHELL: &str = "protocol-tests/src/broker/serve.rs";

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// The only hosts that the tree may link to; all else is a machine's own address or will rot.
const HOSTS: [&str; 7] =
    ["apache.org", "docs.rs", "example", "example.com", "github.com", "rfc-editor.org", "rust-lang.org"];

struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// What the rules look for in a file's tokens.
enum Seen {
    /// A path, and each of a `use` group's paths spelt out.
    Path(Vec<String>),
    Select {
        biased: bool,
    },
    Asynchrony,
}

struct Sighting {
    line: usize,
    /// Inside an item under `#[cfg(test)]`.
    test: bool,
    seen: Seen,
}

/// Reads tokens rather than syntax, because a macro's arguments have tokens only.
fn scan(tokens: TokenStream, prefix: &[String], test: bool, sightings: &mut Vec<Sighting>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut under_test = test;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let line = token.span().start().line;
        at += 1;
        match token {
            TokenTree::Group(group) if is_test_attribute(group) => under_test = true,
            TokenTree::Group(group) => {
                scan(group.stream(), &[], under_test, sightings);
                if group.delimiter() == Delimiter::Brace {
                    under_test = test;
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => under_test = test,
            TokenTree::Ident(name) if name == "async" || name == "await" => {
                sightings.push(Sighting { line, test: under_test, seen: Seen::Asynchrony });
            }
            TokenTree::Ident(name) => {
                let mut path = prefix.to_vec();
                path.push(name.to_string());
                at = follow(&tokens, at, &mut path, under_test, sightings);
                if path.last().is_some_and(|name| name == "select")
                    && let [TokenTree::Punct(bang), TokenTree::Group(arms), ..] = &tokens[at..]
                    && bang.as_char() == '!'
                {
                    let biased = arms.stream().to_string().starts_with("biased ;");
                    sightings.push(Sighting { line, test: under_test, seen: Seen::Select { biased } });
                }
                sightings.push(Sighting { line, test: under_test, seen: Seen::Path(path) });
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Appends what follows a path's first name; a group behind `::` is scanned with the path so far in front.
fn follow(tokens: &[TokenTree], mut at: usize, path: &mut Vec<String>, test: bool, out: &mut Vec<Sighting>) -> usize {
    while let [TokenTree::Punct(first), TokenTree::Punct(second), next, ..] = &tokens[at..]
        && (first.as_char(), second.as_char()) == (':', ':')
    {
        match next {
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                scan(group.stream(), path, test, out);
                return at + 3;
            }
            _ => return at,
        }
        at += 3;
    }
    at
}

fn is_test_attribute(group: &proc_macro2::Group) -> bool {
    group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

struct Functions(Vec<(usize, usize, String)>);

impl Functions {
    fn add(&mut self, name: &syn::Signature, body: &syn::Block) {
        let start = name.fn_token.span.start().line;
        let end = body.brace_token.span.close().end().line;
        self.0.push((start, end + 1 - start, name.ident.to_string()));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

fn room(file: &str) -> Option<usize> {
    let inside = file.strip_prefix("src/")?;
    let name = inside.split_once('/').map_or_else(|| inside.trim_end_matches(".rs"), |(room, _)| room);
    ROOMS.iter().position(|room| *room == name)
}

fn is_pure(file: &str) -> bool {
    file != SHELL && PURE.iter().any(|pure| file == *pure || (pure.ends_with('/') && file.starts_with(pure)))
}

fn check_path(file: &str, path: &[String], test: bool) -> Option<String> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    if let (Some(own), ["crate", other, ..]) = (room(file), names.as_slice())
        && let Some(other) = ROOMS.iter().position(|room| room == other)
        && other > own
    {
        let (own, other) = (ROOMS[own], ROOMS[other]);
        return Some(format!("`{own}` uses the room `{other}`, which lies behind it: move what both need forward"));
    }
    for (owned, owner) in OWNED {
        if file.starts_with("src/") && names.starts_with(owned) && room(file).map(|room| ROOMS[room]) != Some(owner) {
            return Some(format!("`{}` belongs to the room `{owner}`: ask that room instead", owned.join("::")));
        }
    }
    if is_pure(file) && !test {
        let outside = [&["tokio"][..], &["std", "fs"], &["std", "net"], &["std", "env"], &["std", "process"]];
        let clock = names.len() > 1 && names.ends_with(&["now"]);
        if clock || outside.iter().any(|outside| names.starts_with(outside)) {
            return Some(format!("a pure file uses `{}`: take the value as an argument", names.join("::")));
        }
    }
    if file.starts_with("protocol-tests/src/broker/")
        && (names.starts_with(&["kferry"]) || names.starts_with(&["crate", "lab"]))
    {
        return Some("the broker uses kferry's code: it must judge kferry by a reading of its own".into());
    }
    None
}

fn check_rust(file: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut add = |line, what| findings.push(Finding { file: file.to_owned(), line, what });
    let lines = text.lines().count();
    if lines > FILE_LINES {
        add(lines, format!("{lines} lines: split the file, {FILE_LINES} are allowed"));
    }
    let (tokens, syntax) = match (text.parse::<TokenStream>(), syn::parse_file(text)) {
        (Ok(tokens), Ok(syntax)) => (tokens, syntax),
        (Err(error), _) => return add(error.span().start().line, format!("does not parse: {error}")),
        (_, Err(error)) => return add(error.span().start().line, format!("does not parse: {error}")),
    };
    let mut functions = Functions(Vec::new());
    functions.visit_file(&syntax);
    for (line, length, name) in functions.0 {
        if length > FUNCTION_LINES {
            add(line, format!("fn {name} has {length} lines: split it, {FUNCTION_LINES} are allowed"));
        }
    }
    let mut sightings = Vec::new();
    scan(tokens, &[], false, &mut sightings);
    for Sighting { line, test, seen } in sightings {
        match seen {
            Seen::Path(path) => check_path(file, &path, test).into_iter().for_each(|what| add(line, what)),
            Seen::Select { biased: false } => add(line, "select! draws lots: begin it with `biased;`".into()),
            Seen::Asynchrony if is_pure(file) && !test => add(line, "a pure file awaits: move that to a shell".into()),
            Seen::Select { biased: true } | Seen::Asynchrony => {}
        }
    }
}

fn check_text(file: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut add = |line, what| findings.push(Finding { file: file.to_owned(), line, what });
    for (index, line) in text.lines().enumerate() {
        // Spelt in halves, or this file would be its own first finding.
        for path in [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")] {
            if line.contains(path) {
                add(index + 1, format!("`{path}` is a place on one machine: derive it or leave it out"));
            }
        }
        for rest in line.split("://").skip(1).filter(|_| line.contains("http")) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c)).unwrap_or(rest.len());
            let host = rest[..end].trim_end_matches('.');
            let known = HOSTS.iter().any(|known| host == *known || host.ends_with(&format!(".{known}")));
            if host.contains('.') && !host.starts_with("127.") && !known {
                add(index + 1, format!("links to {host}: remove it, or add a lasting host to HOSTS in tidy.rs"));
            }
        }
    }
}

fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_text(file, text, &mut findings);
    if file.ends_with(".rs") {
        check_rust(file, text, &mut findings);
    }
    findings
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every text file of the tree, by its path from the root; what builds and tools leave behind does not count.
fn tree() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
            let left_out = [".git", "target", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];
            if left_out.contains(&name.trim_start_matches("protocol-tests/")) || name.ends_with(".log") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                files.push((name, text));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_tree_is_tidy() {
    let tree = tree();
    assert!(tree.iter().any(|(file, _)| file == "src/lib.rs"), "this is not the tree: {}", root().display());
    let findings: Vec<String> =
        tree.iter().flat_map(|(file, text)| check(file, text)).map(|finding| finding.to_string()).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn every_pure_file_still_exists() {
    for pure in PURE {
        assert!(root().join(pure).exists(), "{pure} is gone: name its successor in PURE");
    }
}

#[test]
fn every_room_of_the_library_has_its_place_in_the_order() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("the library");
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert!(ROOMS.contains(&module), "`{module}` is missing in ROOMS: give it its place");
    }
}

/// The one finding that `text` must give as `file`, without the file's name.
fn finding(file: &str, text: &str) -> String {
    let findings: Vec<String> = check(file, text).iter().map(Finding::to_string).collect();
    assert_eq!(findings.len(), 1, "{file}: {findings:?}");
    findings[0].strip_prefix(&format!("{file}:")).expect("the file's name").to_owned()
}

fn clean(file: &str, text: &str) {
    let findings: Vec<String> = check(file, text).iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn a_room_that_uses_a_later_one_is_found() {
    let moved = "`wire` uses the room `plan`, which lies behind it: move what both need forward";
    assert_eq!(finding("src/wire/api.rs", "\nuse crate::plan::Plan;"), format!("2: {moved}"));
    assert_eq!(finding("src/wire/api.rs", "use crate::{\n  kafka::Offset,\n  plan::Plan,\n};"), format!("3: {moved}"));
    assert_eq!(finding("src/wire/api.rs", "fn f() {\n  vec![crate::plan::new()];\n}"), format!("2: {moved}"));
    clean("src/plan/plan.rs", "use crate::wire::api::Key;\nuse crate::plan::facts::Survey;");
}

#[test]
fn a_name_outside_the_room_that_owns_it_is_found() {
    assert!(finding("src/plan/plan.rs", "use kafka_protocol::ResponseError;").contains("belongs to the room `wire`"));
    assert!(finding("src/config/layer.rs", "#[derive(clap::Args)]\nstruct A;").contains("the room `cli`"));
    assert!(finding("src/cluster/client.rs", "use tokio::{net::TcpStream, time};").contains("the room `net`"));
    clean("src/net/dial.rs", "use tokio::net::TcpStream;");
    clean("protocol-tests/src/broker/serve.rs", "use kafka_protocol::messages::ApiKey;\nuse tokio::net::TcpStream;");
}

#[test]
fn a_pure_file_that_awaits_or_asks_for_the_time_is_found() {
    assert!(finding("src/batch/judge.rs", "async fn f() {}").starts_with("1: a pure file awaits"));
    assert!(finding("src/batch/judge.rs", "\nfn f() { Instant::now(); }").starts_with("2: a pure file uses"));
    assert!(finding("src/batch/judge.rs", "use std::fs::File;").contains("`std::fs::File`"));
    clean("src/batch/judge.rs", "#[cfg(test)]\nmod tests {\n  use std::fs;\n  async fn f() {}\n}");
    assert_eq!(check("src/batch/judge.rs", "#[cfg(test)]\nmod tests;\nuse std::fs;").len(), 1);
    clean("src/net/conn.rs", "async fn f() {}");
    clean(SHELL, "use tokio::time;");
    assert!(finding("protocol-tests/src/broker/log.rs", "use tokio::time;").contains("a pure file"));
}

#[test]
fn a_select_that_draws_lots_is_found() {
    let text = "async fn f() {\n  tokio::select! { () = a() => {} }\n}";
    assert!(finding("src/net/conn.rs", text).starts_with("2: select! draws lots"));
    clean("src/net/conn.rs", "async fn f() { tokio::select! { biased; () = a() => {} } }");
}

#[test]
fn a_file_or_function_that_is_too_long_is_found() {
    let long = format!("fn f() {{\n{}}}", "    g();\n".repeat(FUNCTION_LINES));
    assert!(finding("protocol-tests/src/lib.rs", &long).starts_with("1: fn f has 72 lines"));
    assert!(finding("src/kafka/code.rs", &"\n".repeat(FILE_LINES + 1)).starts_with("501: 501 lines"));
    clean("src/kafka/code.rs", &"\n".repeat(FILE_LINES));
}

#[test]
fn a_broker_that_uses_kferry_is_found() {
    let file = "protocol-tests/src/broker/log.rs";
    assert!(finding(file, "use kferry::batch::Header;").contains("the broker uses kferry's code"));
    clean("protocol-tests/src/lab/site.rs", "use kferry::kafka::Offset;");
}

#[test]
fn a_place_on_one_machine_is_found() {
    let path = concat!("see /ro", "ot/notes");
    assert!(finding("README.md", path).contains("is a place on one machine"));
    assert!(
        finding("README.md", concat!("\nhttps:/", "/mirror.corp.internal:8443/x")).starts_with("2: links to mirror")
    );
    clean("README.md", "https://kafka.apache.org/protocol and http://127.0.0.1:80");
}
