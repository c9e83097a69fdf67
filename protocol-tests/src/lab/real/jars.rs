//! Releases from Maven Central, fetched once and kept outside the tree.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::super::Version;

/// Where fetched releases and the compiled Java tool are kept: `$KFERRY_KAFKA_CACHE`, or `~/.cache/kferry/kafka`.
pub fn cache() -> PathBuf {
    if let Some(chosen) = env::var_os("KFERRY_KAFKA_CACHE") {
        return PathBuf::from(chosen);
    }
    let home = env::var_os("HOME").expect("neither KFERRY_KAFKA_CACHE nor HOME is set");
    Path::new(&home).join(".cache/kferry/kafka")
}

/// Where releases log to that bring no logger themselves: to stderr.
const LOGGER: &str = "org.slf4j:slf4j-simple:1.7.36";

/// The release whose MirrorMaker 2 is run: the newest one that Maven Central has whole.
const MIRROR_MAKER: Version = Version::of(4, 1, 0);

/// The directory that holds all jars of `version`, fetched if it isn't there yet.
///
/// # Errors
/// What Maven said, when it can't be run or can't find them.
pub fn of(version: Version) -> Result<PathBuf, String> {
    let broker = format!("org.apache.kafka:kafka_{}:{version}", version.scala());
    let mut wanted = vec![broker.as_str()];
    wanted.extend(company(version));
    kept(&version.to_string(), &wanted).map_err(|cause| format!("cannot fetch Apache Kafka {version}: {cause}"))
}

/// The directory that holds all jars of MirrorMaker 2, fetched if it isn't there yet.
///
/// # Errors
/// What Maven said, when it can't be run or can't find them.
pub fn mirror_maker() -> Result<PathBuf, String> {
    let [mirror, runtime] =
        ["connect-mirror", "connect-runtime"].map(|part| format!("org.apache.kafka:{part}:{MIRROR_MAKER}"));
    kept(&format!("mirror-maker-{MIRROR_MAKER}"), &[&mirror, &runtime, LOGGER])
        .map_err(|cause| format!("cannot fetch MirrorMaker {MIRROR_MAKER}: {cause}"))
}

/// The directory `name` with what is wanted and all that needs.
fn kept(name: &str, wanted: &[&str]) -> Result<PathBuf, String> {
    let whole = cache().join(name);
    if !whole.is_dir() {
        fetch(name, wanted, &whole)?;
    }
    Ok(whole)
}

/// Fetches into a directory of its own and renames it: nobody ever sees half a release, and of two who fetch at once
/// one wins.
fn fetch(name: &str, wanted: &[&str], whole: &Path) -> Result<(), String> {
    fs::create_dir_all(cache()).map_err(|cause| format!("{}: {cause}", cache().display()))?;
    let work = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempdir_in(cache())
        .map_err(|cause| format!("{}: {cause}", cache().display()))?;
    fs::write(work.path().join("pom.xml"), pom(wanted)).map_err(|cause| cause.to_string())?;
    let jars = work.path().join("jars");
    let maven = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .current_dir(work.path())
        .output()
        .map_err(|cause| format!("mvn: {cause}"))?;
    if !maven.status.success() {
        return Err(format!("mvn: {}\n{}", maven.status, String::from_utf8_lossy(&maven.stdout)));
    }
    match fs::rename(&jars, whole) {
        Err(cause) if !whole.is_dir() => Err(format!("{}: {cause}", whole.display())),
        _ => Ok(()),
    }
}

/// A project whose only purpose is its dependencies.
fn pom(wanted: &[&str]) -> String {
    let mut dependencies = String::new();
    for coordinates in wanted {
        let mut part = coordinates.split(':');
        let [group, artifact, release] = [part.next(), part.next(), part.next()].map(Option::unwrap_or_default);
        dependencies += &format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{release}</version></dependency>\n"
        );
    }
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>kferry</groupId><artifactId>lab</artifactId>\
         <version>1</version>\n<dependencies>\n{dependencies}</dependencies></project>\n"
    )
}

/// What a broker needs beside its own dependencies: a place to log to, and what later Java releases dropped.
fn company(version: Version) -> &'static [&'static str] {
    if version >= Version::of(2, 4, 0) {
        &[LOGGER, "log4j:log4j:1.2.17"]
    } else if version >= Version::of(2, 0, 0) {
        // The later 3.4 releases of ZooKeeper can't read how Java prints addresses since 14 (ZOOKEEPER-3779).
        &[LOGGER, "log4j:log4j:1.2.17", "org.apache.zookeeper:zookeeper:3.4.10"]
    } else if version >= Version::of(1, 0, 0) {
        &["javax.xml.bind:jaxb-api:2.3.1", "log4j:log4j:1.2.17", "org.slf4j:slf4j-log4j12:1.7.25"]
    } else {
        &["javax.xml.bind:jaxb-api:2.3.1", "javax.activation:javax.activation-api:1.2.0"]
    }
}
