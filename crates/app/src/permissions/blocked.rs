//! `[outbound_networking] block_networks`: addresses that no component reaches.

use std::net::IpAddr;

use ip_network::IpNetwork;

/// Networks that are blocked whatever the permissions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockedNetworks {
    networks: Vec<IpNetwork>,
    /// Everything that is not routed on the internet.
    private: bool,
}

impl BlockedNetworks {
    /// Adds an entry: a network in CIDR notation, or `private`.
    pub(crate) fn add(&mut self, entry: &str) -> Result<(), &'static str> {
        if entry == "private" {
            self.private = true;
            return Ok(());
        }
        match IpNetwork::from_str_truncate(entry) {
            Ok(network) => {
                self.networks.push(network);
                Ok(())
            }
            Err(_) => {
                Err("a network such as 192.0.2.0/24 (192.0.2.1/32 for one address), or private")
            }
        }
    }

    pub fn is_blocked(&self, ip: IpAddr) -> bool {
        if self.private && !IpNetwork::from(ip).is_global() {
            return true;
        }
        if self.networks.iter().any(|n| n.contains(ip)) {
            return true;
        }
        // An IPv4 address dressed as IPv6 would get around an IPv4 network.
        match ip {
            IpAddr::V6(v6) => v6
                .to_ipv4()
                .is_some_and(|v4| self.is_blocked(IpAddr::V4(v4))),
            IpAddr::V4(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_network_blocks_its_addresses() {
        for (entries, ip, want) in [
            (&["192.0.2.0/24"][..], "192.0.2.1", true),
            (&["192.0.2.0/24"], "192.0.3.1", false),
            (&["192.0.2.0/24"], "::ffff:192.0.2.1", true),
            (&["192.0.2.7/24"], "192.0.2.1", true),
            (&["2001:db8::/32"], "2001:db8::1", true),
            (&["private"], "10.0.0.1", true),
            (&["private"], "127.0.0.1", true),
            (&["private"], "::1", true),
            (&["private"], "::ffff:10.0.0.1", true),
            (&["private"], "1.1.1.1", false),
            (&["private", "1.1.1.1/32"], "1.1.1.1", true),
            (&[], "127.0.0.1", false),
        ] {
            let mut blocked = BlockedNetworks::default();
            for entry in entries {
                blocked.add(entry).unwrap();
            }
            assert_eq!(
                blocked.is_blocked(ip.parse().unwrap()),
                want,
                "{entries:?} for {ip}"
            );
        }
        for entry in ["everything", "192.0.2.1", "::1", "192.0.2.0/33", ""] {
            assert!(BlockedNetworks::default().add(entry).is_err(), "{entry:?}");
        }
    }
}
