//! Writes the first inputs of every fuzz target into a corpus folder: what real brokers stored and answered
//! (`fixtures/`), in the shape that each target reads.
#![allow(clippy::expect_used, clippy::panic, reason = "a tool of the tests")]

use kferry::batch::{Codec, HEADER_SIZE};
use kferry::cluster::AbortedTransaction;
use kferry::kafka::{Offset, ProducerId, Span};
use kferry::wire::ApiKey;
use kferry_fuzz::items::{ANSWER, CHECKSUM, LENGTH, RIGHT, item};
use kferry_fuzz::lane::Choices;
use protocol_tests::broker::batch::{Header, Next, next_batch};
use protocol_tests::broker::legacy::message_set;
use protocol_tests::broker::{self, NewRecord};
use std::fs;
use std::path::{Path, PathBuf};

/// The last position in the readers of the target `answers`: another request of the API DescribeConfigs or Metadata.
const SHARED: u8 = 15;

fn main() {
    let corpus = PathBuf::from(std::env::args().nth(1).expect("the corpus folder"));
    let seeds = Seeds { corpus, written: 0.into() };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    for file in files(&fixtures.join("batches")).into_iter().filter(|file| file.extension().is_some_and(|e| e == "bin"))
    {
        seeds.log(&name(&file), &fs::read(&file).expect("a fixture"));
    }
    for release in files(&fixtures.join("responses")) {
        for file in files(&release) {
            let label = format!("{}-{}", name(&release), name(&file));
            seeds.answer(&label, &name(&file), &fs::read(&file).expect("a fixture"));
        }
    }
    for file in files(&fixtures.join("defects")) {
        // NAME of a defect begins with the target that found it.
        let target = name(&file).split('-').next().unwrap_or_default().to_owned();
        seeds.write(&target, &name(&file), &fs::read(&file).expect("a fixture"));
    }
    seeds.old_sets();
    seeds.codecs();
    seeds.config();
    println!("{} seeds", seeds.written.get());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

struct Seeds {
    corpus: PathBuf,
    written: std::cell::Cell<usize>,
}

impl Seeds {
    fn write(&self, target: &str, label: &str, bytes: &[u8]) {
        let folder = self.corpus.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("seed-{label}")), bytes).expect("a seed");
        self.written.set(self.written.get() + 1);
    }

    /// A partition's log, as it lies there and with its records in the open.
    fn log(&self, label: &str, log: &[u8]) {
        let mut at = 0;
        let (mut closed, mut open) = (Vec::new(), Vec::new());
        let mut end = 0;
        while let Next::Batch(range) = next_batch(log, at) {
            at = range.end;
            let batch = &log[range];
            let header = Header::read(batch).expect("a header");
            let codec = Codec::from_bits(header.codec()).expect("a codec");
            let payload = batch[HEADER_SIZE..].to_vec();
            if codec != Codec::None {
                self.write(codec.name(), label, &payload);
            }
            let plain = codec.decode(payload.into(), 1 << 20).expect("a sound fixture");
            closed.extend(item(LENGTH | CHECKSUM, batch));
            // Half of the answers hold one batch, the others several.
            let answer = if header.base_offset % 2 == 0 { ANSWER } else { 0 };
            open.extend(item(RIGHT | answer, &[&batch[..HEADER_SIZE], &plain].concat()));
            end = header.last_offset() + 1;
        }
        assert_eq!(at, log.len(), "{label} is no log");
        let aborted = [1_001, 1_002, 2]
            .map(|producer| AbortedTransaction { producer: ProducerId(producer), first_offset: Offset(1) });
        for (kind, items) in [("closed", &closed), ("open", &open)] {
            self.write("batch_walk", &format!("{label}-{kind}"), items);
            for (part, span) in [("whole", Span::new(0, end)), ("inner", Span::new(1, end - 1))] {
                let lane = [&Choices::seed(span, &[])[..], items].concat();
                self.write("lane", &format!("{label}-{kind}-{part}"), &lane);
            }
            let lane = [&Choices::seed(Span::new(0, end), &aborted)[..], items].concat();
            self.write("lane", &format!("{label}-{kind}-aborted"), &lane);
        }
    }

    /// A captured answer: correlation id, perhaps tagged fields, body.
    fn answer(&self, label: &str, file: &str, frame: &[u8]) {
        let (api, version) = file.split_once("-v").expect("API-vVERSION");
        let version: i16 = version.parse().expect("a version");
        let position = ApiKey::ALL.iter().position(|key| key.name() == api).expect("an API");
        let key = ApiKey::ALL[position];
        let number = |number: usize| u8::try_from(number).expect("small");
        let header = [&[0, 1, 0, 0][..], &[number(position), version.to_be_bytes()[1]], frame].concat();
        self.write("frame", label, &header);
        let versions = key.spoken();
        let Some(spoken) = version.checked_sub(versions.min).filter(|_| version <= versions.max) else { return };
        let Ok(spoken) = u8::try_from(spoken) else { return };
        let tagged = key.is_flexible(version) && key != ApiKey::ApiVersions;
        let body = &frame[if tagged { 5 } else { 4 }..];
        if key == ApiKey::Fetch {
            return self.write("fetch_answer", label, &[&[spoken], body].concat());
        }
        let before = ApiKey::ALL[..position].iter().filter(|key| **key != ApiKey::Fetch).count();
        self.write("answers", label, &[&[number(before), spoken], body].concat());
        if key == ApiKey::Metadata {
            self.write("answers", &format!("{label}-rights"), &[&[SHARED, spoken], body].concat());
        }
    }

    /// Messages of the old formats, each alone and in compressed sets.
    fn old_sets(&self) {
        let records: Vec<_> =
            (0..4).map(|n| NewRecord::new(1_600_000_000_000 + n, format!("key-{n}"), "value")).collect();
        for magic in [0, 1] {
            let plain = message_set(magic, broker::Codec::None, &records);
            let mut single = Vec::new();
            let mut at = 0;
            while let Next::Batch(range) = next_batch(&plain, at) {
                at = range.end;
                single.extend(item(LENGTH | CHECKSUM, &plain[range]));
            }
            self.old(&format!("plain-{magic}"), &single);
            let front = if magic == 0 { 18 } else { 26 };
            for codec in broker::Codec::ALL.into_iter().skip(1) {
                let set = message_set(magic, codec, &records);
                self.old(&format!("{}-{magic}-closed", codec.name()), &item(LENGTH | CHECKSUM, &set));
                let open = [&set[..front], &single].concat();
                self.old(&format!("{}-{magic}-open", codec.name()), &item(RIGHT, &open));
            }
        }
    }

    fn old(&self, label: &str, items: &[u8]) {
        self.write("batch_walk", &format!("old-{label}"), items);
        for (part, span) in [("whole", Span::new(0, 4)), ("inner", Span::new(1, 3))] {
            let lane = [&Choices::seed(span, &[])[..], items].concat();
            self.write("legacy", &format!("{label}-{part}"), &lane);
            self.write("lane", &format!("old-{label}-{part}"), &lane);
        }
    }

    fn codecs(&self) {
        let long: Vec<u8> = (0..9_000_u32).flat_map(|n| (n / 3).to_be_bytes()).collect();
        for codec in Codec::ALL.into_iter().skip(1) {
            for (label, plain) in [("empty", &b""[..]), ("short", b"a few bytes, a few bytes"), ("long", &long)] {
                self.write(codec.name(), label, &codec.encode(plain.to_vec()).expect("it compresses"));
            }
        }
    }

    fn config(&self) {
        let least = "[source]\nbootstrap = ['a:9092']\n[target]\nbootstrap = ['b:9092', '[::1]:9093']\n";
        self.write("config", "least", least.as_bytes());
        let more = "name = 'n'\n[select]\ntopics = ['a*', 'b{c,d}']\nexclude_groups = ['x?']\nungrouped = 'earliest'\n\
            [topics]\ncreate = false\nreplication_factor = 3\n[run]\nrate = '10MiB/s'\nmemory = '64MiB'\n\
            late_bound = '30s'\nallow_active = true\n[plan]\nundecided = 'earliest'\n[offsets]\ntranslate = false\n";
        self.write("config", "more", [more, least].concat().as_bytes());
        self.write("config", "password", b"[source.sasl]\npassword = 'x'\n");
    }
}
