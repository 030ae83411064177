//! IP networks in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address, or no decimal prefix length.
    #[error("it is no IP address or network")]
    Malformed,
    /// A prefix longer than the address.
    #[error("its prefix is too long")]
    PrefixTooLong,
    /// Bits set behind the prefix: probably not the network that was meant.
    #[error("it has bits set behind its prefix")]
    HostBits,
}

impl Network {
    /// Whether an address lies in this network. An IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (bits(self.address), bits(address.to_canonical())) {
            ((network, 32), (address, 32)) | ((network, 128), (address, 128)) => {
                mask(network, width(self.address), self.prefix)
                    == mask(address, width(self.address), self.prefix)
            }
            _ => false,
        }
    }

    /// Whether every address there is lies in it.
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        let width = width(address);
        let prefix = match prefix {
            None => width,
            Some(text) => super::scalar::decimal(text)
                .ok_or(NetworkError::Malformed)?
                .try_into()
                .unwrap_or(u8::MAX),
        };
        if prefix > width {
            return Err(NetworkError::PrefixTooLong);
        }
        let whole = bits(address).0;
        if mask(whole, width, prefix) != whole {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The bits of the network alone.
fn mask(bits: u128, width: u8, prefix: u8) -> u128 {
    let dropped = u32::from(width.saturating_sub(prefix));
    let kept = bits.checked_shr(dropped).unwrap_or(0);
    kept.checked_shl(dropped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.255.1.2".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.0.0.0".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let one: Network = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        let everything: Network = "::/0".parse().unwrap();
        assert!(everything.is_everything() && everything.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for (text, error) in [
            ("10.0.0.1/8", NetworkError::HostBits),
            ("10.0.0.0/33", NetworkError::PrefixTooLong),
            ("10.0.0.0/08", NetworkError::Malformed),
            ("10.0.0/8", NetworkError::Malformed),
            ("example.com", NetworkError::Malformed),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
}
