//! The accounts of the user service. Names are compared without regard to case and shown as they were registered.

use std::collections::HashMap;

use crate::clock;

/// At most this many accounts; the registration after that is refused with 503.
const MAX_USERS: usize = 10_000;

/// An account.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) role: &'static str,
    pub(crate) password_hash: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// What a profile update changes; `None` leaves a field as it is.
#[derive(Default)]
pub(crate) struct ProfileChange {
    pub(crate) email: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
}

/// Why an account was not created or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserError {
    NameTaken,
    EmailTaken,
    Unknown,
    Full,
}

/// All accounts.
#[derive(Default)]
pub(crate) struct Users {
    by_name: HashMap<String, User>,
}

impl Users {
    /// The account of this name.
    pub(crate) fn find(&self, username: &str) -> Option<&User> {
        self.by_name.get(&key(username))
    }

    /// Adds an account whose name and address are still free.
    pub(crate) fn add(&mut self, user: User) -> Result<(), UserError> {
        if self.find(&user.username).is_some() {
            return Err(UserError::NameTaken);
        }
        if self.email_owner(&user.email).is_some() {
            return Err(UserError::EmailTaken);
        }
        if self.by_name.len() >= MAX_USERS {
            return Err(UserError::Full);
        }
        self.by_name.insert(key(&user.username), user);
        Ok(())
    }

    /// Changes a profile, all fields or none, and returns what it is now.
    pub(crate) fn change(&mut self, username: &str, change: ProfileChange) -> Result<User, UserError> {
        let name = key(username);
        if let Some(email) = &change.email
            && self.email_owner(email).is_some_and(|owner| key(&owner.username) != name)
        {
            return Err(UserError::EmailTaken);
        }
        let user = self.by_name.get_mut(&name).ok_or(UserError::Unknown)?;
        replace(&mut user.email, change.email);
        replace(&mut user.first_name, change.first_name);
        replace(&mut user.last_name, change.last_name);
        user.updated_at = clock::timestamp();
        Ok(user.clone())
    }

    fn email_owner(&self, email: &str) -> Option<&User> {
        self.by_name.values().find(|user| user.email.eq_ignore_ascii_case(email))
    }
}

/// What an account is found by.
pub(crate) fn key(username: &str) -> String {
    username.to_ascii_lowercase()
}

fn replace(field: &mut String, value: Option<String>) {
    if let Some(value) = value {
        *field = value;
    }
}
