//! Where answers are read into.
//!
//! A frame is read into one vector of its own: reserved once, never filled with zeros, never grown. It becomes [`Bytes`]
//! whose owner gives vector and memory permit back together, when the last slice is dropped: the budget counts what is
//! really held. Free vectors are kept last in, first out, so that the warmest is used next.

use bytes::{BufMut, Bytes};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smaller frames are left to the allocator.
const LEAST_POOLED: usize = 64 << 10;
/// Bytes of free vectors that are kept at most.
const MOST_KEPT: usize = 16 << 20;

/// A pool of vectors with, possibly, a limit on the bytes that are out.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Mutex<Vec<Vec<u8>>>,
    budget: Option<Budget>,
}

#[derive(Debug)]
struct Budget {
    permits: Arc<Semaphore>,
    total: usize,
}

impl Pool {
    /// A pool that limits nothing: for control calls, whose answers are read and dropped at once. They must not wait
    /// for memory that only their own answers can free.
    pub fn unlimited() -> Self {
        Self(Arc::new(Inner { free: Mutex::default(), budget: None }))
    }

    /// A pool that hands out at most `total` bytes at a time; a frame that is larger gets all of it.
    pub fn limited(total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let budget = Some(Budget { permits: Arc::new(Semaphore::new(total)), total });
        Self(Arc::new(Inner { free: Mutex::default(), budget }))
    }

    /// The bytes that may still be handed out; `None` without a limit.
    #[cfg(test)]
    fn available(&self) -> Option<usize> {
        self.0.budget.as_ref().map(|budget| budget.permits.available_permits())
    }

    /// The right to read a frame of `length` bytes, if the memory for it is there now.
    pub(super) fn try_lease(&self, length: usize) -> Option<Lease> {
        let permit = match &self.0.budget {
            None => None,
            Some(budget) => Some(Arc::clone(&budget.permits).try_acquire_many_owned(budget.price(length)).ok()?),
        };
        Some(Lease { pool: Arc::clone(&self.0), permit, length })
    }

    /// Waits until a frame of `length` bytes may be read.
    pub(super) async fn lease(&self, length: usize) -> Lease {
        let permit = match &self.0.budget {
            None => None,
            // The semaphore is never closed, so this does not fail.
            Some(budget) => Arc::clone(&budget.permits).acquire_many_owned(budget.price(length)).await.ok(),
        };
        Lease { pool: Arc::clone(&self.0), permit, length }
    }
}

impl Budget {
    /// What a frame costs; never more than there is.
    fn price(&self, length: usize) -> u32 {
        u32::try_from(length.min(self.total)).unwrap_or(u32::MAX)
    }
}

/// The right to read one frame.
pub(super) struct Lease {
    pool: Arc<Inner>,
    permit: Option<OwnedSemaphorePermit>,
    length: usize,
}

impl Lease {
    /// Reads the frame. `progress` is told whenever bytes came.
    pub(super) async fn fill(
        self,
        reader: &mut (impl AsyncRead + Unpin),
        mut progress: impl FnMut(),
    ) -> io::Result<Bytes> {
        let mut frame = Frame { bytes: self.pool.vector(self.length), pool: self.pool, permit: self.permit };
        while frame.bytes.len() < self.length {
            let left = self.length - frame.bytes.len();
            if reader.read_buf(&mut (&mut frame.bytes).limit(left)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            progress();
        }
        Ok(Bytes::from_owner(frame))
    }
}

impl Inner {
    /// An empty vector with room for `length` bytes; not one that would hold much more than is counted for it.
    fn vector(&self, length: usize) -> Vec<u8> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |vector: &Vec<u8>| vector.capacity() >= length && vector.capacity() / 2 <= length;
        let found = free.iter().rposition(fits).map(|index| free.remove(index));
        drop(free);
        found.unwrap_or_else(|| {
            let mut fresh = Vec::new();
            fresh.reserve_exact(length);
            fresh
        })
    }

    fn take_back(&self, mut vector: Vec<u8>) {
        if vector.capacity() < LEAST_POOLED {
            return;
        }
        vector.clear();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(vector);
        while free.iter().map(Vec::capacity).sum::<usize>() > MOST_KEPT {
            free.remove(0);
        }
    }
}

/// A frame's memory while any slice of it lives.
struct Frame {
    bytes: Vec<u8>,
    pool: Arc<Inner>,
    permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.pool.take_back(std::mem::take(&mut self.bytes));
        drop(self.permit.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn frame(pool: &Pool, length: usize) -> Bytes {
        let source = vec![7; length + 10];
        pool.lease(length).await.fill(&mut source.as_slice(), || {}).await.expect("enough bytes")
    }

    #[tokio::test]
    async fn a_frame_ends_where_its_length_says() {
        let bytes = frame(&Pool::unlimited(), 100_000).await;
        assert_eq!(bytes.len(), 100_000);
        assert!(bytes.iter().all(|byte| *byte == 7));
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
        let pool = Pool::unlimited();
        let large = frame(&pool, 1 << 20).await;
        let address = large.as_ptr();
        drop(large);
        assert_ne!(frame(&pool, 100_000).await.as_ptr(), address);
        assert_eq!(frame(&pool, 1 << 20).await.as_ptr(), address);
    }

    #[tokio::test]
    async fn a_frame_that_is_cut_off_is_an_error() {
        let error = Pool::unlimited().lease(10).await.fill(&mut &[1, 2, 3][..], || {}).await;
        assert_eq!(error.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
    }
}
