//! Proof that what was written is what was read.
//!
//! [`Extent`] is what a lane claims: these source offsets became that many records in those target offsets. `offsets`
//! checks the claim against the offsets that the target itself tells. That the content is right too is vouched for by the
//! CRC chain: the checksum that the target's broker checked was derived from the one the source had stored, not
//! recomputed (`batch::pass`).

mod extent;
mod offsets;

pub use extent::Extent;
pub use offsets::{Difference, Level, check_offsets};
