//! What moving batches from one broker to another costs at least: each batch of each partition is read whole, as whoever
//! wants to know whether it is sound must, and written on unseen. It checks nothing and gives up when anything breaks. Its few requests are written by hand, so that
//! no batch is copied or has memory of its own.
//!
//!     broker-relay SOURCE TARGET [TOPIC:PARTITION:END ...]        copies partitions from offset 0 up to their ends

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use std::{env, thread};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Api key and version of the last Fetch that is encoded the old way.
const FETCH: [i16; 2] = [1, 10];
/// Of a Produce that is.
const PRODUCE: [i16; 2] = [0, 8];

/// One partition's way.
struct Partition {
    source: TcpStream,
    target: TcpStream,
    topic: String,
    index: i32,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [source, target, partitions @ ..] = arguments.as_slice() else { return Err(usage()) };
    let copies: Vec<_> = partitions
        .iter()
        .map(|partition| {
            let [topic, index, end] =
                <[&str; 3]>::try_from(partition.split(':').collect::<Vec<_>>()).map_err(|_| usage())?;
            let (index, end) = (index.parse().map_err(|_| usage())?, end.parse().map_err(|_| usage())?);
            let (source, target) = (connect(source)?, connect(target)?);
            Ok((Partition { source, target, topic: topic.to_owned(), index }, end))
        })
        .collect::<io::Result<_>>()?;
    let threads: Vec<_> =
        copies.into_iter().map(|(partition, end)| thread::spawn(move || partition.copy(end))).collect();
    threads.into_iter().try_for_each(|copy| copy.join().map_err(|_| broken("a thread panicked"))?)
}

fn usage() -> io::Error {
    let usage = "usage: broker-relay SOURCE TARGET [TOPIC:PARTITION:END ...]";
    io::Error::new(io::ErrorKind::InvalidInput, usage)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl Partition {
    fn copy(&self, end: i64) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut next = 0;
        while next < end {
            next = self.copy_batch(next, &mut batch)?;
        }
        Ok(())
    }

    /// The offset behind the batch that was copied.
    fn copy_batch(&self, offset: i64, batch: &mut Vec<u8>) -> io::Result<i64> {
        (&self.source).write_all(&self.fetch(offset))?;
        // Size, correlation id, throttle time, error, session, one topic's name, one partition: index, error, three offsets,
        // no aborted transactions, and how many bytes of records follow.
        let mut front = vec![0; 66 + self.topic.len()];
        (&self.source).read_exact(&mut front)?;
        let error = i16::from_be_bytes(at(&front, 32 + self.topic.len())?);
        let records = i32::from_be_bytes(at(&front, 62 + self.topic.len())?);
        let records = usize::try_from(records).unwrap_or(0);
        if error != 0 || records == 0 {
            return Err(broken(&format!("Fetch at {offset}: error {error}, {records} bytes of records")));
        }
        batch.resize(records, 0);
        (&self.source).read_exact(batch)?;
        let next = i64::from_be_bytes(at(batch, 0)?) + i64::from(i32::from_be_bytes(at(batch, 23)?)) + 1;
        // The one field that brokers want otherwise; the checksum does not cover it.
        batch.get_mut(..8).unwrap_or_default().fill(0);
        (&self.target).write_all(&self.produce(records))?;
        (&self.target).write_all(batch)?;
        self.acknowledged()?;
        Ok(next)
    }

    fn acknowledged(&self) -> io::Result<()> {
        let mut size = [0; 4];
        (&self.target).read_exact(&mut size)?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        (&self.target).read_exact(&mut answer)?;
        match i16::from_be_bytes(at(&answer, 18 + self.topic.len())?) {
            0 => Ok(()),
            error => Err(broken(&format!("Produce: error {error}"))),
        }
    }

    /// For one batch: the first is sent whole, however few bytes are asked for.
    fn fetch(&self, offset: i64) -> Vec<u8> {
        let mut body = Vec::new();
        for number in [-1_i32, 1000, 1, 1] {
            body.extend(number.to_be_bytes());
        }
        // read_uncommitted, no session.
        body.push(0);
        for number in [0_i32, -1, 1] {
            body.extend(number.to_be_bytes());
        }
        self.name(&mut body);
        for number in [1, self.index, -1] {
            body.extend(number.to_be_bytes());
        }
        for number in [offset, -1] {
            body.extend(number.to_be_bytes());
        }
        for number in [1_i32, 0] {
            body.extend(number.to_be_bytes());
        }
        request(FETCH, &body, 0)
    }

    /// All but the records.
    fn produce(&self, records: usize) -> Vec<u8> {
        let mut body = Vec::new();
        // No transaction, all replicas, as long as the broker's own clients wait, one topic.
        body.extend([-1_i16, -1].iter().flat_map(|number| number.to_be_bytes()));
        body.extend([30_000_i32, 1].iter().flat_map(|number| number.to_be_bytes()));
        self.name(&mut body);
        body.extend([1, self.index, records as i32].iter().flat_map(|number| number.to_be_bytes()));
        request(PRODUCE, &body, records)
    }

    fn name(&self, body: &mut Vec<u8>) {
        body.extend((self.topic.len() as i16).to_be_bytes());
        body.extend(self.topic.as_bytes());
    }
}

/// A request that `more` bytes follow.
fn request([key, version]: [i16; 2], body: &[u8], more: usize) -> Vec<u8> {
    // Key, version, correlation id, no client id.
    let size = 10 + body.len() + more;
    let mut frame = Vec::with_capacity(14 + body.len());
    frame.extend((size as u32).to_be_bytes());
    frame.extend([key, version, 0, 0, -1].iter().flat_map(|number| number.to_be_bytes()));
    frame.extend(body);
    frame
}

fn at<const N: usize>(bytes: &[u8], place: usize) -> io::Result<[u8; N]> {
    let found = bytes.get(place..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or_else(|| broken("an answer that ends too soon"))
}

fn broken(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
