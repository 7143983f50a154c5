//! Encodes numbers as `u64` codes that sort like the numbers.

/// The sign bit, which is set in the codes of non-negative numbers.
const SIGN: u64 = 1 << 63;

/// Returns the code of an integer or of milliseconds.
pub(crate) fn of_integer(number: i64) -> u64 {
    number as u64 ^ SIGN
}

pub(crate) fn to_integer(code: u64) -> i64 {
    (code ^ SIGN) as i64
}

/// Returns the code of a number, or `None` for NaN. Both zeros have the same code.
pub(crate) fn of_float(number: f64) -> Option<u64> {
    if number.is_nan() {
        return None;
    }
    // Adding zero turns -0 into 0 and changes no other number.
    let bits = (number + 0.0).to_bits();
    Some(if bits & SIGN == 0 { bits | SIGN } else { !bits })
}

pub(crate) fn to_float(code: u64) -> f64 {
    f64::from_bits(if code & SIGN == 0 { !code } else { code ^ SIGN })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_keep_order_and_value(a in any::<i64>(), b in any::<i64>(), x in any::<f64>(), y in any::<f64>()) {
            prop_assert_eq!(of_integer(a).cmp(&of_integer(b)), a.cmp(&b));
            prop_assert_eq!(to_integer(of_integer(a)), a);
            match (of_float(x), of_float(y)) {
                (Some(code), Some(other)) => {
                    prop_assert_eq!(Some(code.cmp(&other)), x.partial_cmp(&y));
                    prop_assert_eq!(to_float(code), x);
                }
                _ => prop_assert!(x.is_nan() || y.is_nan()),
            }
        }
    }

    #[test]
    fn zeros_are_one_and_infinities_are_the_ends() {
        assert_eq!(of_float(-0.0), of_float(0.0));
        assert!(of_float(f64::NEG_INFINITY) < of_float(f64::MIN));
        assert!(of_float(f64::INFINITY) > of_float(f64::MAX));
        assert_eq!(of_float(f64::NAN), None);
    }
}
