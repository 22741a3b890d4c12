//! The five services and what they are called.

use serde::{Deserialize, Serialize};

/// One of the order processor's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Accounts, balances, portfolio.
    User,
    /// The asset catalogue.
    Inventory,
    /// Orders and asset transactions.
    Order,
    /// Token validation for the gateway; never routed to.
    Auth,
    /// Summaries of a portfolio.
    Insights,
}

impl Service {
    /// All of them, in the order of their ports.
    pub const ALL: [Service; 5] =
        [Service::User, Service::Inventory, Service::Order, Service::Auth, Service::Insights];

    /// The short name, as in metric names and on the control port.
    pub fn name(self) -> &'static str {
        match self {
            Service::User => "user",
            Service::Inventory => "inventory",
            Service::Order => "order",
            Service::Auth => "auth",
            Service::Insights => "insights",
        }
    }

    /// The service whose short name this is.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Its place in [`Service::ALL`], which is also its distance from the first port.
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
