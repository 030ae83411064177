//! Which Electric answers, from its `electric-server` header.

use std::fmt;

/// The first Electric whose subset queries cannot be made to run SQL of the asker's (CVE-2026-40906).
pub const SUBSETS_SINCE: ServerVersion = ServerVersion(1, 5, 0);

/// A version of Electric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion(pub u32, pub u32, pub u32);

impl ServerVersion {
    /// Reads `ElectricSQL/1.7.12`; what follows the three numbers is not looked at.
    pub fn of_header(value: &str) -> Option<Self> {
        let mut numbers = value.strip_prefix("ElectricSQL/")?.splitn(3, '.');
        let (major, minor) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let rest = numbers.next()?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self(major, minor, rest.get(..digits)?.parse().ok()?))
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered_by_number() {
        let read = |text| ServerVersion::of_header(text);
        assert_eq!(read("ElectricSQL/1.7.12"), Some(ServerVersion(1, 7, 12)));
        assert_eq!(read("ElectricSQL/1.10.0-beta.1"), Some(ServerVersion(1, 10, 0)));
        assert!(read("ElectricSQL/1.10.0") > read("ElectricSQL/1.9.9"));
        for other in [
            "",
            "nginx/1.2.3",
            "ElectricSQL/1.7",
            "ElectricSQL/x.y.z",
            "1.7.12",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
