//! `std`'s addresses as the host's, and its error codes as kinds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use watchbell_core::outcome::Kind;

pub fn family(ip: IpAddr) -> IpAddressFamily {
    if ip.is_ipv4() {
        IpAddressFamily::Ipv4
    } else {
        IpAddressFamily::Ipv6
    }
}

pub fn to_host(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: v4.port(),
                address: (a, b, c, d),
            })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}

/// The address that binds to any interface and any port.
pub fn any(family: IpAddressFamily) -> SocketAddr {
    let ip = match family {
        IpAddressFamily::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddressFamily::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

/// What a code means for a connection, as a kind and in words.
pub fn meaning(code: ErrorCode) -> (Kind, &'static str) {
    match code {
        ErrorCode::ConnectionRefused => (Kind::ConnectRefused, "connection refused"),
        ErrorCode::Timeout => (Kind::ConnectTimeout, "no answer to the connection attempt"),
        ErrorCode::RemoteUnreachable => (Kind::Unreachable, "unreachable"),
        ErrorCode::AccessDenied => (Kind::Denied, "the permission is denied"),
        ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted => {
            (Kind::Protocol, "the connection was reset")
        }
        // No address of this family on this node, or no route for it.
        ErrorCode::AddressNotBindable | ErrorCode::NotSupported => {
            (Kind::Unreachable, "no such network here")
        }
        ErrorCode::InvalidArgument => (Kind::Unreachable, "no address that can be connected to"),
        ErrorCode::OutOfMemory | ErrorCode::NewSocketLimit => {
            (Kind::Internal, "the host has no socket left")
        }
        _ => (Kind::Internal, "the host failed"),
    }
}
