//! RSA public keys from their numbers.

use aws_lc_rs::signature::RsaPublicKeyComponents;
use jsonwebtoken::DecodingKey;

use super::super::algorithm::Algorithm;
use super::KeyError;

const BITS_MIN: usize = 2048;
const BITS_MAX: usize = 8192;
const EXPONENT_BITS_MAX: usize = 33;

/// The key of modulus `n` and exponent `e`, big-endian.
pub(super) fn key(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<DecodingKey, KeyError> {
    let parameters = algorithm
        .rsa_parameters()
        .ok_or(KeyError::AlgorithmMismatch(algorithm))?;
    let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
    if !(BITS_MIN..=BITS_MAX).contains(&bits(n)) {
        return Err(KeyError::RsaSize(bits(n)));
    }
    let odd = e.last().is_some_and(|last| last & 1 == 1);
    if !odd || e == [1] || bits(e) > EXPONENT_BITS_MAX {
        return Err(KeyError::RsaExponent);
    }
    if is_weak(n) {
        return Err(KeyError::RsaWeak);
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(parameters)
        .map_err(|_| KeyError::Invalid)?;
    Ok(DecodingKey::from_rsa_raw_components(n, e))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// How many bits a number without leading zeros has.
fn bits(number: &[u8]) -> usize {
    let first = number.first().map_or(8, |first| first.leading_zeros());
    number.len() * 8 - usize::try_from(first).unwrap_or(0).min(number.len() * 8)
}

/// Small primes modulo which the weak keys betray themselves.
const FINGERPRINT: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the modulus has the fingerprint of CVE-2017-15361: modulo each small prime it is a power of
/// 65537 (Nemec et al., "The Return of Coppersmith's Attack", §2). A random modulus is not, but for one in
/// more than 2¹⁰⁰.
fn is_weak(modulus: &[u8]) -> bool {
    FINGERPRINT
        .iter()
        .all(|&prime| is_power_of_65537(remainder(modulus, prime), prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime)
}

fn is_power_of_65537(value: u32, prime: u32) -> bool {
    let generator = 65_537 % prime;
    let mut power = 1;
    loop {
        if power == value {
            return true;
        }
        power = power * generator % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modulus_of_the_weak_form_is_told_from_others() {
        // Powers of 65537 modulo every prime: 65537³² itself, as a number.
        let mut number = vec![1u8];
        for _ in 0..32 {
            number = times_65537(&number);
        }
        assert!(is_weak(&number));
        assert!(!is_weak(&[0xa5; 256]));
    }

    fn times_65537(number: &[u8]) -> Vec<u8> {
        let mut digits: Vec<u32> = vec![0; number.len() + 3];
        for (place, &byte) in number.iter().rev().enumerate() {
            digits[place] += u32::from(byte);
            digits[place + 2] += u32::from(byte);
        }
        for place in 0..digits.len() - 1 {
            digits[place + 1] += digits[place] / 256;
            digits[place] %= 256;
        }
        digits
            .iter()
            .rev()
            .map(|&digit| u8::try_from(digit).unwrap())
            .collect()
    }

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        assert_eq!(bits(without_leading_zeros(&[0, 0, 1, 0])), 9);
        assert_eq!(bits(without_leading_zeros(&[0, 0])), 0);
        assert_eq!(bits(&[0x80, 0]), 16);
    }
}
