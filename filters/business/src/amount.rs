//! Amounts as exact decimals.

/// A decimal that is not negative: `mantissa` x 10^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: u128,
    exponent: i32,
}

/// Digits of an amount; more than any currency needs.
const MOST_DIGITS: usize = 30;
/// Exponents beyond this are no amounts.
const MOST_EXPONENT: i32 = 60;
/// The largest amount of one event, in whole units: the largest number that readers of metrics take exactly (2^53).
const LARGEST: u128 = 1 << 53;

impl Decimal {
    /// Reads a JSON number (RFC 8259 section 6), or the same as text.
    ///
    /// ```
    /// use portcullis_business::Decimal;
    /// assert_eq!(Decimal::parse("12.50").unwrap().units(2), Some(1250));
    /// assert_eq!(Decimal::parse("1e3").unwrap().units(0), Some(1000));
    /// assert_eq!(Decimal::parse("-1"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (text, 0_i32),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: String = [whole, fraction].concat();
        let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_whole = number.contains('.') != fraction.is_empty();
        let is_small = digits.len() <= MOST_DIGITS && exponent.unsigned_abs() <= MOST_EXPONENT.unsigned_abs();
        if !(is_number && is_whole && is_small) {
            return None;
        }
        let places = i32::try_from(fraction.len()).ok()?;
        Some(Self { mantissa: digits.parse().ok()?, exponent: exponent.checked_sub(places)? })
    }

    /// The product; nothing if it has too many digits.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Some(Self { mantissa, exponent: self.exponent.checked_add(other.exponent)? })
    }

    /// The amount in whole units, of which 10^`decimals` are one; rounded to the nearest, halves up. Nothing if it is larger than 2^53.
    #[must_use]
    pub fn units(self, decimals: u8) -> Option<u64> {
        let shift = self.exponent.checked_add(i32::from(decimals))?;
        let power = |by: i32| 10_u128.checked_pow(by.unsigned_abs());
        let units = if shift >= 0 {
            if self.mantissa == 0 { 0 } else { self.mantissa.checked_mul(power(shift)?)? }
        } else {
            // What is divided by more than it can have digits is less than half a unit.
            match power(shift) {
                Some(divisor) => self.mantissa.checked_add(divisor.checked_div(2)?)?.checked_div(divisor)?,
                None => 0,
            }
        };
        (units <= LARGEST).then(|| u64::try_from(units).ok()).flatten()
    }
}

/// One sign at most.
fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn units(text: &str, decimals: u8) -> Option<u64> {
        Decimal::parse(text).and_then(|decimal| decimal.units(decimals))
    }

    #[test]
    fn decimals_are_exact() {
        let mut sum = 0;
        (0..10).for_each(|_| sum += units("0.1", 2).unwrap());
        assert_eq!(sum, 100);
        assert_eq!(units("19.99", 2), Some(1999));
        assert_eq!(units("0.00", 2), Some(0));
        assert_eq!(units("90071992547409.92", 2), Some(1 << 53));
        assert_eq!(units("1.5E-1", 2), Some(15));
    }

    #[test]
    fn what_is_finer_than_a_unit_is_rounded_to_the_nearest() {
        assert_eq!((units("0.005", 2), units("0.0049", 2)), (Some(1), Some(0)));
        assert_eq!(units("1e-60", 2), Some(0));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for odd in [
            "",
            "-1",
            "-0",
            "+1",
            ".5",
            "5a",
            "1.",
            "1e",
            "e5",
            "1e400",
            "1e+-5",
            "1e++5",
            "1_0",
            "0x10",
            "NaN",
            "Infinity",
            " 1",
            "1e61",
            "90071992547409.93",
        ] {
            assert_eq!(units(odd, 2), None, "{odd}");
        }
        assert_eq!(units(&"9".repeat(31), 0), None);
    }

    #[test]
    fn a_product_is_exact_too() {
        let product = |a: &str, b: &str| Decimal::parse(a)?.times(Decimal::parse(b)?)?.units(2);
        assert_eq!(product("0.5", "43210.99"), Some(2_160_550));
        assert_eq!(product(&"9".repeat(30), &"9".repeat(30)), None);
    }
}
