//! What `certificate-check` reads.

use super::{Endpoint, Mistake, Reader, common::Common};

/// How long before the end of a certificate's life to speak.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// Days before not-after.
    Days(u32),
    /// Per cent of the lifetime (not-before to not-after) that is left: what fits
    /// certificates of 6 days as well as those of 90.
    LifetimePercent(u32),
}

/// More would not be told apart by anybody.
const THRESHOLDS_MAX: usize = 10;

/// The variables of a certificate check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    pub common: Common,
    /// With `scheme` `http` there is no TLS, and the check is off.
    pub endpoint: Endpoint,
    /// `expiry_thresholds`: widest first; default `30d, 14d, 7d, 3d, 1d`.
    pub thresholds: Vec<Threshold>,
}

impl CertificateSettings {
    /// Widest first.
    pub const THRESHOLDS_DAYS: [u32; 5] = [30, 14, 7, 3, 1];

    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let common = Common::read(&mut r);
        let endpoint = Endpoint::read(&mut r);
        let default = Self::THRESHOLDS_DAYS.map(Threshold::Days).to_vec();
        let settings = Self {
            common,
            endpoint,
            thresholds: r.parsed(
                "expiry_thresholds",
                default,
                THRESHOLDS_WANT,
                parse_thresholds,
            ),
        };
        r.finish(settings)
    }
}

const THRESHOLDS_WANT: &str = "one to ten days before expiry, such as 30d, 14d, 7d, or per cents of the lifetime, such as 33%, 10%, not both";

fn parse_thresholds(text: &str) -> Option<Vec<Threshold>> {
    let mut list: Vec<Threshold> = text
        .split([',', ' '])
        .filter(|t| !t.is_empty())
        .map(|t| {
            if let Some(days) = t.strip_suffix('d') {
                days.parse()
                    .ok()
                    .filter(|d| (1..=3650).contains(d))
                    .map(Threshold::Days)
            } else {
                let percent = t.strip_suffix('%')?.parse().ok()?;
                (1..=99)
                    .contains(&percent)
                    .then_some(Threshold::LifetimePercent(percent))
            }
        })
        .collect::<Option<_>>()?;
    let days = list
        .iter()
        .filter(|t| matches!(t, Threshold::Days(_)))
        .count();
    if days != 0 && days != list.len() {
        return None;
    }
    list.sort_unstable_by(|a, b| b.cmp(a));
    list.dedup();
    (1..=THRESHOLDS_MAX).contains(&list.len()).then_some(list)
}
