//! What clients asked for and were told, and the one checker that judges a service by it.
//!
//! Each request of a fault test is sent through a [`Ledger`], which writes it down with its outcome: ok, failed, or unknown
//! because the connection broke. Subscribers are [`Witness`]es. After a round, when the clients have ended and the service
//! runs (again), [`Checker::check`] reads it from outside and complains of everything that does not fit:
//!
//! ```text
//! let ledger = Ledger::default();
//! let mut checker = Checker::default();
//! let mut witnesses = [Witness::of("mqtt", subscriber)];
//! Load::new(&ledger, seed).run(&service, requests).await;     // or ledger.send(&service, Request::put(…)) one by one
//! …the fault, the restart…
//! checker.check(&service, &ledger, &mut witnesses, &[]).await.unwrap();
//! println!("{}", checker.total());
//! ```
//!
//! A checker follows one store from its first revision on, over as many rounds as there are. The ledger puts a mark into the
//! member `unit` of every body it sends, so that it knows each change by its event; nothing else may write to the store.

#![expect(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod checker;
mod complaint;
mod entry;
mod history;
mod load;
mod order;
mod round;
mod witness;

pub use checker::{Checker, Report};
pub use complaint::{Complaint, Complaints, Rule};
pub use entry::{Entry, Ledger, Outcome, Request};
pub use load::Load;
pub use witness::Witness;
