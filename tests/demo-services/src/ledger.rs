//! Money and assets: balances, holdings, orders and what changed them. Everything is bounded: accounts by
//! [`MAX_ACCOUNTS`], history per account by [`MAX_HISTORY`], where the oldest entry goes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{catalogue::Asset, clock, users::key};

const MAX_ACCOUNTS: usize = 10_000;
const MAX_HISTORY: usize = 1_000;

/// The four kinds of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderType {
    MarketBuy,
    MarketSell,
    LimitBuy,
    LimitSell,
}

impl OrderType {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "market_buy" => Some(Self::MarketBuy),
            "market_sell" => Some(Self::MarketSell),
            "limit_buy" => Some(Self::LimitBuy),
            "limit_sell" => Some(Self::LimitSell),
            _ => None,
        }
    }

    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Self::LimitBuy | Self::LimitSell)
    }

    fn is_buy(self) -> bool {
        matches!(self, Self::MarketBuy | Self::LimitBuy)
    }
}

/// What a customer asks for. `price` is set for limit orders.
pub(crate) struct OrderRequest {
    pub(crate) kind: OrderType,
    pub(crate) quantity: Decimal,
    pub(crate) price: Option<Decimal>,
}

/// An order as the order service shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) order_id: String,
    pub(crate) asset_id: String,
    pub(crate) order_type: OrderType,
    pub(crate) quantity: Decimal,
    pub(crate) price: Decimal,
    pub(crate) total_amount: Decimal,
    /// `completed`, or `pending` for a limit that the market has not reached.
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
}

/// A movement of money.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BalanceTransaction {
    pub(crate) transaction_id: String,
    pub(crate) transaction_type: &'static str,
    pub(crate) amount: Decimal,
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
}

/// A movement of an asset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AssetTransaction {
    pub(crate) transaction_id: String,
    pub(crate) order_id: String,
    pub(crate) asset_id: String,
    pub(crate) transaction_type: &'static str,
    pub(crate) quantity: Decimal,
    pub(crate) price: Decimal,
    pub(crate) total_amount: Decimal,
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
}

/// Why nothing was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LedgerError {
    InsufficientBalance,
    InsufficientHoldings,
    AlreadyClaimed,
    Full,
}

/// What one customer has and did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) balance: Decimal,
    /// When something last moved; empty if nothing ever did.
    pub(crate) updated_at: String,
    pub(crate) holdings: BTreeMap<String, Decimal>,
    /// Newest first, as are the others.
    pub(crate) orders: VecDeque<Order>,
    pub(crate) money_moves: VecDeque<BalanceTransaction>,
    pub(crate) asset_moves: VecDeque<AssetTransaction>,
    claimed: bool,
}

/// All accounts. Users who never moved anything have none, and read as an empty one.
#[derive(Default)]
pub(crate) struct Ledger {
    accounts: HashMap<String, Account>,
    /// What everybody has who has no account.
    nothing: Account,
    issued_ids: u64,
}

impl Ledger {
    /// The account of a user.
    pub(crate) fn account(&self, username: &str) -> &Account {
        self.accounts.get(&key(username)).unwrap_or(&self.nothing)
    }

    /// Adds money.
    pub(crate) fn deposit(
        &mut self,
        username: &str,
        amount: Decimal,
    ) -> Result<BalanceTransaction, LedgerError> {
        self.open(username)?;
        Ok(self.move_money(username, "deposit", amount))
    }

    /// Takes money out.
    pub(crate) fn withdraw(
        &mut self,
        username: &str,
        amount: Decimal,
    ) -> Result<BalanceTransaction, LedgerError> {
        if self.account(username).balance < amount {
            return Err(LedgerError::InsufficientBalance);
        }
        Ok(self.move_money(username, "withdraw", -amount))
    }

    /// Gives the one-off bonus.
    pub(crate) fn claim(
        &mut self,
        username: &str,
        amount: Decimal,
    ) -> Result<BalanceTransaction, LedgerError> {
        let account = self.open(username)?;
        if account.claimed {
            return Err(LedgerError::AlreadyClaimed);
        }
        account.claimed = true;
        Ok(self.move_money(username, "bonus", amount))
    }

    /// Places an order; a market order, or a limit that the market already meets, is filled at the market price at once.
    /// A pending limit reserves nothing.
    pub(crate) fn order(
        &mut self,
        username: &str,
        asset: &Asset,
        request: &OrderRequest,
    ) -> Result<Order, LedgerError> {
        let order = self.draft(asset, request);
        check_funds(self.account(username), &order)?;
        self.open(username)?;
        if order.status == "completed" {
            self.fill(username, &order);
        }
        remember(&mut self.open(username)?.orders, order.clone());
        Ok(order)
    }

    fn draft(&mut self, asset: &Asset, request: &OrderRequest) -> Order {
        let met = is_met(request, asset.price_usd);
        let price = if met { asset.price_usd } else { request.price.unwrap_or(asset.price_usd) };
        Order {
            order_id: self.next_id("order"),
            asset_id: asset.asset_id.to_owned(),
            order_type: request.kind,
            quantity: request.quantity,
            price,
            total_amount: price * request.quantity,
            status: if met { "completed" } else { "pending" },
            created_at: clock::timestamp(),
        }
    }

    fn fill(&mut self, username: &str, order: &Order) {
        let (money_type, asset_type, sign) = if order.order_type.is_buy() {
            ("order_payment", "buy", -Decimal::ONE)
        } else {
            ("order_sale", "sell", Decimal::ONE)
        };
        self.move_money(username, money_type, sign * order.total_amount);
        let transaction = AssetTransaction {
            transaction_id: self.next_id("asset_tx"),
            order_id: order.order_id.clone(),
            asset_id: order.asset_id.clone(),
            transaction_type: asset_type,
            quantity: order.quantity,
            price: order.price,
            total_amount: order.total_amount,
            status: "completed",
            created_at: order.created_at.clone(),
        };
        let account = self.accounts.entry(key(username)).or_default();
        let held = account.holdings.entry(order.asset_id.clone()).or_default();
        *held -= sign * order.quantity;
        account.holdings.retain(|_, held| !held.is_zero());
        remember(&mut account.asset_moves, transaction);
    }

    /// The account of a user, made if there is room.
    fn open(&mut self, username: &str) -> Result<&mut Account, LedgerError> {
        let name = key(username);
        if self.accounts.len() >= MAX_ACCOUNTS && !self.accounts.contains_key(&name) {
            return Err(LedgerError::Full);
        }
        Ok(self.accounts.entry(name).or_default())
    }

    fn move_money(&mut self, username: &str, kind: &'static str, amount: Decimal) -> BalanceTransaction {
        let transaction = BalanceTransaction {
            transaction_id: self.next_id("tx"),
            transaction_type: kind,
            amount,
            status: "completed",
            created_at: clock::timestamp(),
        };
        let account = self.accounts.entry(key(username)).or_default();
        account.balance += amount;
        account.updated_at.clone_from(&transaction.created_at);
        remember(&mut account.money_moves, transaction.clone());
        transaction
    }

    fn next_id(&mut self, prefix: &str) -> String {
        self.issued_ids += 1;
        format!("{prefix}_{:08}", self.issued_ids)
    }
}

fn is_met(request: &OrderRequest, market: Decimal) -> bool {
    match (request.kind, request.price) {
        (OrderType::LimitBuy, Some(limit)) => limit >= market,
        (OrderType::LimitSell, Some(limit)) => limit <= market,
        _ => true,
    }
}

fn check_funds(account: &Account, order: &Order) -> Result<(), LedgerError> {
    if order.order_type.is_buy() {
        let enough = account.balance >= order.total_amount;
        return if enough { Ok(()) } else { Err(LedgerError::InsufficientBalance) };
    }
    let held = account.holdings.get(&order.asset_id).copied().unwrap_or_default();
    if held >= order.quantity { Ok(()) } else { Err(LedgerError::InsufficientHoldings) }
}

fn remember<T>(history: &mut VecDeque<T>, entry: T) {
    history.push_front(entry);
    history.truncate(MAX_HISTORY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn buy(quantity: i64) -> OrderRequest {
        OrderRequest { kind: OrderType::MarketBuy, quantity: quantity.into(), price: None }
    }

    fn eth() -> Asset {
        catalogue::find("ETH").unwrap()
    }

    #[test]
    fn buying_and_selling_back_leaves_balance_and_holdings_as_they_were() {
        let mut ledger = Ledger::default();
        ledger.deposit("alice", 10_000.into()).unwrap();
        ledger.order("alice", &eth(), &buy(2)).unwrap();
        let owner = ledger.account("alice");
        assert_eq!((owner.balance, owner.holdings["ETH"]), (3_600.into(), 2.into()));
        ledger.order("alice", &eth(), &OrderRequest { kind: OrderType::MarketSell, ..buy(2) }).unwrap();
        let owner = ledger.account("alice");
        assert_eq!((owner.balance, owner.holdings.len()), (10_000.into(), 0));
        assert_eq!((owner.money_moves.len(), owner.asset_moves.len(), owner.orders.len()), (3, 2, 2));
    }

    #[test]
    fn an_order_beyond_the_balance_changes_nothing() {
        let mut ledger = Ledger::default();
        ledger.deposit("alice", 3_199.into()).unwrap();
        assert_eq!(ledger.order("alice", &eth(), &buy(1)).unwrap_err(), LedgerError::InsufficientBalance);
        assert_eq!(ledger.account("alice").balance, 3_199.into());
        assert!(ledger.account("alice").orders.is_empty());
    }

    #[test]
    fn selling_what_one_does_not_hold_is_refused() {
        let sell = OrderRequest { kind: OrderType::MarketSell, ..buy(1) };
        let error = Ledger::default().order("alice", &eth(), &sell).unwrap_err();
        assert_eq!(error, LedgerError::InsufficientHoldings);
    }

    #[test]
    fn a_limit_below_the_market_waits_and_one_above_it_fills_at_the_market_price() {
        let mut ledger = Ledger::default();
        ledger.deposit("alice", 10_000.into()).unwrap();
        let limit =
            |price: i64| OrderRequest { kind: OrderType::LimitBuy, price: Some(price.into()), ..buy(1) };
        assert_eq!(ledger.order("alice", &eth(), &limit(3_000)).unwrap().status, "pending");
        assert_eq!(ledger.account("alice").balance, 10_000.into());
        let filled = ledger.order("alice", &eth(), &limit(3_500)).unwrap();
        assert_eq!((filled.status, filled.price), ("completed", 3_200.into()));
        assert_eq!(ledger.account("alice").balance, 6_800.into());
    }

    #[test]
    fn history_is_bounded_and_forgets_the_oldest() {
        let mut ledger = Ledger::default();
        for amount in 1..=MAX_HISTORY + 1 {
            ledger.deposit("alice", amount.into()).unwrap();
        }
        let moves = &ledger.account("alice").money_moves;
        assert_eq!((moves.len(), moves.back().unwrap().amount), (MAX_HISTORY, 2.into()));
    }

    #[test]
    fn reading_an_unknown_account_makes_none_and_the_number_of_accounts_is_bounded() {
        let mut ledger = Ledger::default();
        for user in 0..MAX_ACCOUNTS {
            ledger.account(&format!("reader{user}"));
            ledger.deposit(&format!("owner{user}"), 1.into()).unwrap();
        }
        assert_eq!(ledger.deposit("one_more", 1.into()).unwrap_err(), LedgerError::Full);
        assert!(ledger.deposit("OWNER7", 1.into()).is_ok());
    }
}
