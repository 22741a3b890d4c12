//! The assets that can be traded, with fixed demo prices.

use rust_decimal::Decimal;
use serde::Serialize;

/// One asset of the inventory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Asset {
    pub(crate) asset_id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) category: &'static str,
    pub(crate) price_usd: Decimal,
    pub(crate) is_active: bool,
}

/// The whole catalogue, by asset id.
pub(crate) fn assets() -> Vec<Asset> {
    vec![
        asset("ADA", "Cardano", "altcoin", 45, 2),
        asset("BNB", "BNB", "major", 612, 0),
        asset("BTC", "Bitcoin", "major", 65_000, 0),
        asset("DOGE", "Dogecoin", "altcoin", 125, 3),
        asset("ETH", "Ethereum", "major", 3_200, 0),
        Asset { is_active: false, ..asset("LUNA", "Terra", "altcoin", 1, 4) },
        asset("SOL", "Solana", "major", 14_550, 2),
        asset("USDC", "USD Coin", "stablecoin", 1, 0),
        asset("XRP", "XRP", "altcoin", 523, 3),
    ]
}

/// The asset with this id, in any case.
pub(crate) fn find(asset_id: &str) -> Option<Asset> {
    assets().into_iter().find(|asset| asset.asset_id.eq_ignore_ascii_case(asset_id))
}

/// An active asset that costs `mantissa / 10^scale` dollars.
fn asset(
    asset_id: &'static str,
    name: &'static str,
    category: &'static str,
    mantissa: i64,
    scale: u32,
) -> Asset {
    Asset { asset_id, name, category, price_usd: Decimal::new(mantissa, scale), is_active: true }
}
