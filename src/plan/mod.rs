//! What would be moved, and why.
//!
//! [`survey::survey`] looks at both clusters and changes nothing; what it sees is a [`Survey`], plain data. The [`rules`]
//! turn it, together with what the operator asked for, into a [`Plan`] ([`plan()`]). A plan cannot change once it is made:
//! `kferry plan` shows it, `kferry run` runs it unless [`Plan::refusals`] says why not.

pub mod facts;
#[expect(clippy::module_inception, reason = "the room is named after its one product")]
mod plan;
pub mod rules;
pub mod survey;
#[cfg(test)]
pub(crate) mod testing;
mod warning;

pub use facts::Survey;
pub use plan::{Action, GroupCommit, GroupPlan, LanePlan, Mark, Plan, Reason, Totals};
pub use rules::{Rules, plan};
pub use warning::{Permit, Refusal, Warning, WarningCode, Weight};
