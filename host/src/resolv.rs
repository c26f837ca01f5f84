//! The system's DNS servers, for guests, which have no name lookup of their own.

use std::net::IpAddr;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The C library asks no more either (resolv.conf(5), MAXNS).
const SERVERS_MAX: usize = 3;

/// A list as the variable `dns_resolver` takes it; `None` where the system names none.
pub fn system() -> Option<String> {
    servers(&std::fs::read_to_string(RESOLV_CONF).ok()?)
}

fn servers(text: &str) -> Option<String> {
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver"))
                .then(|| words.next())
                .flatten()
        })
        // One with a zone (`fe80::1%eth0`) is nothing that a guest could name.
        .filter_map(|word| word.parse::<IpAddr>().ok())
        .take(SERVERS_MAX)
        .map(|ip| ip.to_string())
        .collect();
    (!found.is_empty()).then(|| found.join(","))
}

#[cfg(test)]
mod tests {
    use super::servers;

    #[test]
    fn nameservers_are_taken_as_the_c_library_takes_them() {
        for (text, want) in [
            ("", None),
            ("# nameserver 192.0.2.1\nsearch example.org\n", None),
            ("nameserver 192.0.2.1", Some("192.0.2.1")),
            (
                "nameserver\t192.0.2.1 \nnameserver 2001:db8::1\n",
                Some("192.0.2.1,2001:db8::1"),
            ),
            (
                "nameserver fe80::1%eth0\nnameserver 127.0.0.53\n",
                Some("127.0.0.53"),
            ),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4",
                Some("1.1.1.1,1.1.1.2,1.1.1.3"),
            ),
            (
                "nameservers 192.0.2.1\nnameserver nonsense\nnameserver",
                None,
            ),
        ] {
            assert_eq!(servers(text).as_deref(), want, "{text:?}");
        }
    }
}
