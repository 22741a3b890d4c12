//! What the five services share: one set of users, one ledger, one token secret.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    StartError, clock,
    ledger::Ledger,
    password,
    tokens::Tokens,
    users::{User, Users},
};

/// A user that exists from the start.
#[derive(Clone, Copy, Debug)]
pub struct SeededUser {
    /// Login name.
    pub username: &'static str,
    /// Demo password.
    pub password: &'static str,
    /// Role in its tokens.
    pub role: &'static str,
    /// Opening balance in dollars.
    pub balance: i64,
}

/// An ordinary customer with money to trade.
pub const CUSTOMER: SeededUser =
    SeededUser { username: "demo_customer", password: "Customer-Demo-1", role: "customer", balance: 100_000 };

/// An administrator.
pub const ADMIN: SeededUser =
    SeededUser { username: "demo_admin", password: "Admin-Demo-2", role: "admin", balance: 0 };

/// The state behind all services.
pub(crate) struct Platform {
    users: Mutex<Users>,
    ledger: Mutex<Ledger>,
    pub(crate) tokens: Tokens,
}

impl Platform {
    /// A platform with its two seeded users.
    pub(crate) fn new(tokens: Tokens) -> Result<Self, StartError> {
        let platform = Self { users: Mutex::default(), ledger: Mutex::default(), tokens };
        for seed in [CUSTOMER, ADMIN] {
            platform.seed(seed)?;
        }
        Ok(platform)
    }

    pub(crate) fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seed(&self, seed: SeededUser) -> Result<(), StartError> {
        let now = clock::timestamp();
        let user = User {
            username: seed.username.to_owned(),
            email: format!("{}@example.com", seed.username),
            first_name: "Demo".to_owned(),
            last_name: if seed.role == "admin" { "Admin" } else { "Customer" }.to_owned(),
            role: seed.role,
            password_hash: password::hash(seed.password).map_err(|_| StartError::Seed)?,
            created_at: now.clone(),
            updated_at: now,
        };
        self.users().add(user).map_err(|_| StartError::Seed)?;
        if seed.balance > 0 {
            self.ledger().deposit(seed.username, seed.balance.into()).map_err(|_| StartError::Seed)?;
        }
        Ok(())
    }
}
