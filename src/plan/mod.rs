//! What would be moved, and why.
//!
//! A [`Survey`] holds what was seen of both clusters; the [`rules`] turn it, together with what the operator asked for,
//! into a [`Plan`]. A plan cannot change once it is made: `kferry plan` shows it, `kferry run` runs it.

pub mod facts;
#[expect(clippy::module_inception, reason = "the room is named after its one product")]
mod plan;
pub mod rules;
#[cfg(test)]
pub(crate) mod testing;
mod warning;

pub use facts::Survey;
pub use plan::{Action, GroupCommit, GroupPlan, LanePlan, Mark, Plan, Reason, Totals};
pub use rules::{Rules, plan};
pub use warning::{Permit, Refusal, Warning, WarningCode, Weight};
