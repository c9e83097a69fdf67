//! Where answers are read into.
//!
//! A frame is read into one vector of its own: reserved once, never filled with zeros, never grown. It becomes [`Bytes`]
//! whose owner gives vector and memory permit back together, when the last slice is dropped: the budget counts what is
//! really held, also where a vector that is used again has room for more than its frame. Free vectors are kept last in,
//! first out, so that the warmest is used next, and only as far as they fit into the budget beside those that are out.

use crate::batch::{Summed, Summing};
use bytes::{BufMut, Bytes};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smaller frames are left to the allocator.
const LEAST_POOLED: usize = 64 << 10;
/// Bytes that are read at a time, so that they are still in the processor's caches when they are summed up.
const AT_ONCE: usize = 256 << 10;
/// Bytes of free vectors that are kept at most.
const MOST_KEPT: usize = 16 << 20;

/// Where vectors come from, with, possibly, a limit on the bytes that are out. Without one none is kept either.
#[derive(Clone, Debug)]
pub struct Pool(Option<Arc<Budget>>);

#[derive(Debug)]
struct Budget {
    permits: Arc<Semaphore>,
    total: usize,
    vectors: Mutex<Vectors>,
}

#[derive(Debug, Default)]
struct Vectors {
    free: Vec<Vec<u8>>,
    /// Bytes of those that are out.
    out: usize,
}

impl Pool {
    /// A pool that limits nothing: for control calls, whose answers are read and dropped at once. They must not wait
    /// for memory that only their own answers can free.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A pool that hands out at most `total` bytes at a time; a frame that is larger gets all of it.
    pub fn limited(total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self(Some(Arc::new(Budget { permits: Arc::new(Semaphore::new(total)), total, vectors: Mutex::default() })))
    }

    /// The bytes that may still be handed out; `None` without a limit.
    #[cfg(test)]
    fn available(&self) -> Option<usize> {
        self.0.as_ref().map(|budget| budget.permits.available_permits())
    }

    /// The right to read a frame of `length` bytes, if the memory for it is there now.
    pub(super) fn try_lease(&self, length: usize) -> Option<Lease> {
        let Some(budget) = &self.0 else { return Some(Lease { length, budget: None }) };
        let permit = Arc::clone(&budget.permits).try_acquire_many_owned(budget.price(length)).ok()?;
        Some(Lease { length, budget: Some((Arc::clone(budget), permit)) })
    }

    /// Waits until a frame of `length` bytes may be read.
    pub(super) async fn lease(&self, length: usize) -> Lease {
        let Some(budget) = &self.0 else { return Lease { length, budget: None } };
        // The semaphore is never closed, so this does not fail.
        let permit = Arc::clone(&budget.permits).acquire_many_owned(budget.price(length)).await.ok();
        Lease { length, budget: permit.map(|permit| (Arc::clone(budget), permit)) }
    }
}

impl Budget {
    /// What so many bytes cost; never more than there is.
    fn price(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }

    fn vectors(&self) -> MutexGuard<'_, Vectors> {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty vector with room for `length` bytes, which `permit` was given for. A free one that has room for up to twice
    /// as much is used again: the permit grows by the rest, or the vector is cut to length.
    fn vector(&self, length: usize, permit: &mut OwnedSemaphorePermit) -> Vec<u8> {
        let mut vectors = self.vectors();
        let mut vector = vectors.find(length).unwrap_or_default();
        let more = self.price(vector.capacity()).saturating_sub(self.price(length));
        match Arc::clone(&self.permits).try_acquire_many_owned(more) {
            Ok(more) => permit.merge(more),
            Err(_) => vector.shrink_to(length),
        }
        vectors.out += vector.capacity().max(length);
        vectors.fit(self.total);
        drop(vectors);
        vector.reserve_exact(length);
        vector
    }

    fn take_back(&self, mut vector: Vec<u8>) {
        vector.clear();
        let mut vectors = self.vectors();
        vectors.out = vectors.out.saturating_sub(vector.capacity());
        if vector.capacity() >= LEAST_POOLED {
            vectors.free.push(vector);
            vectors.fit(self.total);
        }
    }
}

impl Vectors {
    /// The warmest free one with room for `length` bytes, and not for many more.
    fn find(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = length..=length.saturating_mul(2);
        let place = self.free.iter().rposition(|vector| fits.contains(&vector.capacity()))?;
        Some(self.free.remove(place))
    }

    /// Lets go of the coldest free ones until no more than `total` bytes are out or free.
    fn fit(&mut self, total: usize) {
        let most = total.saturating_sub(self.out).min(MOST_KEPT);
        while self.free.iter().map(Vec::capacity).sum::<usize>() > most {
            self.free.remove(0);
        }
    }
}

/// The right to read one frame.
pub(super) struct Lease {
    length: usize,
    budget: Option<(Arc<Budget>, OwnedSemaphorePermit)>,
}

impl Lease {
    /// Reads the frame, and sums up what may be record batches. `progress` is told whenever bytes came.
    pub(super) async fn fill(
        mut self,
        reader: &mut (impl AsyncRead + Unpin),
        mut progress: impl FnMut(),
    ) -> io::Result<Summed> {
        let bytes = match &mut self.budget {
            Some((budget, permit)) => budget.vector(self.length, permit),
            None => Vec::with_capacity(self.length),
        };
        let mut frame = Frame { bytes, budget: self.budget };
        let mut summing = Summing::default();
        while frame.bytes.len() < self.length {
            let left = (self.length - frame.bytes.len()).min(AT_ONCE);
            if reader.read_buf(&mut (&mut frame.bytes).limit(left)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if frame.budget.is_some() {
                summing.came(&frame.bytes);
            }
            progress();
        }
        Ok(summing.done(Bytes::from_owner(frame)))
    }
}

/// A frame's memory while any slice of it lives.
struct Frame {
    bytes: Vec<u8>,
    budget: Option<(Arc<Budget>, OwnedSemaphorePermit)>,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some((budget, permit)) = self.budget.take() {
            budget.take_back(std::mem::take(&mut self.bytes));
            drop(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn frame(pool: &Pool, length: usize) -> Bytes {
        let source = vec![7; length + 10];
        let summed = pool.lease(length).await.fill(&mut source.as_slice(), || {}).await.expect("enough bytes");
        summed.bytes().clone()
    }

    #[tokio::test]
    async fn a_frame_ends_where_its_length_says() {
        let bytes = frame(&Pool::unlimited(), 100_000).await;
        assert_eq!(bytes.len(), 100_000);
        assert!(bytes.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn what_counts_against_a_limit_is_summed_up_as_it_comes() {
        let source: Vec<u8> = (0..200_000_u32).map(|n| (n >> 3) as u8).collect();
        let lease = Pool::limited(300_000).lease(source.len()).await;
        // No piece ends where a block does.
        let (first, second) = source.split_at(70_001);
        let read = lease.fill(&mut first.chain(second), || {}).await.expect("enough bytes");
        let mut summing = Summing::default();
        summing.came(read.bytes());
        let whole = summing.done(read.bytes().clone());
        assert_eq!(read, whole);
        assert_ne!(read, Summed::from(read.bytes().clone()), "there are blocks");
        let control = Pool::unlimited().lease(source.len()).await.fill(&mut source.as_slice(), || {}).await;
        assert_eq!(control.map(|read| read == Summed::from(read.bytes().clone())).ok(), Some(true));
    }

    #[tokio::test]
    async fn vector_and_permit_come_back_with_the_last_slice() {
        let pool = Pool::limited(300_000);
        let whole = frame(&pool, 200_000).await;
        let slice = whole.slice(1_000..1_001);
        let address = whole.as_ptr();
        drop(whole);
        assert_eq!(pool.available(), Some(100_000));
        drop(slice);
        assert_eq!(pool.available(), Some(300_000));
        assert_eq!(frame(&pool, 200_000).await.as_ptr(), address, "the same memory is used again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_waits_for_memory_and_one_above_the_limit_gets_all() {
        let pool = Pool::limited(1_000);
        let first = frame(&pool, 600).await;
        assert!(timeout(Duration::from_secs(1), pool.lease(600)).await.is_err());
        drop(first);
        assert_eq!(frame(&pool, 5_000).await.len(), 5_000);
        assert_eq!(pool.available(), Some(1_000));
    }

    #[tokio::test]
    async fn a_small_frame_never_takes_a_large_vector() {
        let pool = Pool::limited(4 << 20);
        let large = frame(&pool, 1 << 20).await;
        let address = large.as_ptr();
        drop(large);
        assert_ne!(frame(&pool, 100_000).await.as_ptr(), address);
        assert_eq!(frame(&pool, 1 << 20).await.as_ptr(), address);
    }

    #[tokio::test]
    async fn a_vector_with_room_for_more_is_counted_as_large_as_it_is() {
        let pool = Pool::limited(300_000);
        let address = frame(&pool, 200_000).await.as_ptr();
        let smaller = frame(&pool, 120_000).await;
        assert_eq!((smaller.as_ptr(), pool.available()), (address, Some(100_000)));
        drop(smaller);
        let other = frame(&pool, 150_000).await;
        assert_eq!(pool.available(), Some(100_000));
        drop(other);
        let lease = pool.lease(120_000).await;
        let cut = frame(&pool, 150_000).await;
        assert_eq!(pool.available(), Some(30_000), "what could not be paid for is let go");
        drop((lease, cut));
        assert_eq!(pool.available(), Some(300_000));
    }

    #[tokio::test]
    async fn what_is_free_has_its_place_beside_what_is_out() {
        let pool = Pool::limited(40 << 20);
        let held = |pool: &Pool| {
            let vectors = pool.0.as_ref().expect("a limit").vectors();
            (vectors.out >> 20, vectors.free.iter().map(Vec::capacity).sum::<usize>() >> 20)
        };
        let mut frames = Vec::new();
        for _ in 0..5 {
            frames.push(frame(&pool, 8 << 20).await);
        }
        frames.truncate(2);
        assert_eq!(held(&pool), (16, 16));
        frames.push(frame(&pool, 12 << 20).await);
        assert_eq!(held(&pool), (28, 8));
        frames.clear();
        assert_eq!(held(&pool), (0, 12), "the warmest");
        assert_eq!(pool.available(), Some(40 << 20));
    }

    #[tokio::test]
    async fn a_frame_that_is_cut_off_is_an_error() {
        let error = Pool::unlimited().lease(10).await.fill(&mut &[1, 2, 3][..], || {}).await;
        assert_eq!(error.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
    }
}
