//! What the configuration says of traces.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use rustls::pki_types::CertificateDer;

/// What the gateway is called in traces where nothing else is said.
pub const SERVICE_NAME_DEFAULT: &str = "shapegate";
/// How long an export may take where nothing else is said.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Which requests are recorded, where they are told of, and under which name.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// Who is told.
    pub collector: CollectorSettings,
    /// The part of requests that is recorded.
    pub sample_ratio: SampleRatio,
    /// Whether the sampled flag of a `traceparent` decides where a trusted proxy sent it.
    pub believes_trusted_proxies: bool,
    /// `service.name`.
    pub service_name: String,
    /// More of what is said of the process.
    pub resource: Vec<(String, String)>,
}

/// A collector that speaks OTLP/HTTP.
#[derive(Clone, PartialEq)]
pub struct CollectorSettings {
    /// Where it is, without the path of traces.
    pub url: Arc<str>,
    /// What every export carries, never shown.
    pub headers: HeaderMap,
    /// Whom to trust instead of the machine's authorities, in DER.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// How long an export may take.
    pub timeout: Duration,
}

impl fmt::Debug for CollectorSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CollectorSettings")
            .field("url", &self.url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A part of a whole, exact to the billionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRatio(u32);

impl SampleRatio {
    /// One in a hundred.
    pub const DEFAULT: Self = Self(10_000_000);
    const WHOLE: u32 = 1_000_000_000;

    /// Reads `0`, `1`, or a decimal fraction between with nine places at most.
    pub fn read(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !matches!(whole, "0" | "1") || !(1..=9).contains(&places.len()) || !digits(places) {
            return None;
        }
        let billionths: u32 = format!("{places:0<9}").parse().ok()?;
        let whole = if whole == "1" { Self::WHOLE } else { 0 };
        Some(Self(whole + billionths)).filter(|ratio| ratio.0 <= Self::WHOLE)
    }

    /// Whether what was drawn is within it.
    pub fn takes(self, drawn: u64) -> bool {
        u128::from(drawn) * u128::from(Self::WHOLE) < u128::from(self.0) << u64::BITS
    }
}

impl fmt::Display for SampleRatio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, places) = (self.0 / Self::WHOLE, self.0 % Self::WHOLE);
        let places = format!("{places:09}");
        match places.trim_end_matches('0') {
            "" => write!(formatter, "{whole}"),
            places => write!(formatter, "{whole}.{places}"),
        }
    }
}
