//! What a component may reach, asked for sockets and for HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, TcpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};
use watchbell_app::{AllowedHosts, BlockedNetworks, PermissionError};

use crate::imitation::{Imitation, Refusal};

/// `allowed_outbound_hosts` of one component, the networks that the operator blocks for all,
/// and what the target refuses whatever is permitted.
pub struct Permissions {
    pub component: String,
    hosts: Option<AllowedHosts>,
    blocked: Arc<BlockedNetworks>,
    imitation: Arc<Imitation>,
}

impl Permissions {
    /// With an entry that cannot be read, everything is denied, as on Spin.
    pub fn new(
        component: &str,
        hosts: &Result<AllowedHosts, PermissionError>,
        blocked: Arc<BlockedNetworks>,
        imitation: Arc<Imitation>,
    ) -> Self {
        let hosts = match hosts {
            Ok(hosts) => Some(hosts.clone()),
            Err(error) => {
                crate::say::warn(&format!(
                    "component {component:?}: every outbound call is denied: {error}"
                ));
                None
            }
        };
        Self {
            component: component.to_owned(),
            hosts,
            blocked,
            imitation,
        }
    }

    pub fn allows_url(&self, url: &str) -> bool {
        self.hosts
            .as_ref()
            .is_some_and(|hosts| hosts.allows_url(url, "https"))
    }

    /// A request to the application itself.
    pub fn allows_self(&self) -> bool {
        self.hosts
            .as_ref()
            .is_some_and(|hosts| hosts.allows_relative(&["http", "https"]))
    }

    pub fn is_blocked(&self, address: SocketAddr) -> bool {
        self.blocked.is_blocked(address.ip())
    }

    /// Counts a request that leaves the application, while the target lets one out.
    pub fn lets_request_out(&self) -> bool {
        self.imitation.request().map_err(|r| self.refuse(r)).is_ok()
    }

    /// Whether a request goes to another component, if it names one.
    pub fn chains(&self) -> bool {
        let chains = self.imitation.limits.service_chaining;
        if !chains {
            self.refuse(Refusal::Chaining);
        }
        chains
    }

    fn refuse(&self, refusal: Refusal) {
        // The guest has a code for it instead of the words.
        self.imitation.refuse(&self.component, refusal);
    }

    fn allows_socket(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        if !self.imitation.limits.sockets {
            self.refuse(Refusal::Sockets);
            return false;
        }
        let scheme = match purpose {
            // Connecting asks for the implicit bind too. An explicit one to the same
            // address cannot be told from it, and gains nothing: listening is refused.
            SocketAddrUse::TcpBind => return address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => return false,
            SocketAddrUse::TcpConnect => "tcp",
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend => "udp",
            // Spin asks when a socket is bound and when it sends, not for what arrives.
            SocketAddrUse::UdpReceive => return true,
        };
        self.hosts
            .as_ref()
            .is_some_and(|hosts| hosts.allows_socket(scheme, address))
            && !self.is_blocked(address)
    }
}

/// Name lookup stays denied, whatever the permissions: Spin denies it (spinframework/spin #2181).
pub fn permit(wasi: &mut WasiCtxBuilder, permissions: Arc<Permissions>) {
    // Both are off by default in wasmtime; which addresses, the check decides.
    wasi.allow_tcp(true).allow_udp(true);
    wasi.allow_ip_name_lookup(false)
        .socket_addr_check(move |address, purpose| {
            let allowed = permissions.allows_socket(address, purpose);
            Box::pin(std::future::ready(allowed))
        });
}

/// Denies a connection where Spin denies it: when it is begun. wasmtime-wasi (48.0) says so
/// only when it is awaited, where a guest cannot tell it from the network's own prohibition
/// (ICMPv6 "administratively prohibited" is EACCES on Linux).
pub fn deny_at_start<T: WasiView + 'static>(
    linker: &mut Linker<T>,
    permissions: fn(&T) -> &Permissions,
) -> anyhow::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TCP)?.func_wrap(
        START_CONNECT,
        move |mut store: StoreContextMut<'_, T>, (socket, network, address): StartConnect| {
            let to = SocketAddr::from(address);
            if !permissions(store.data()).allows_socket(to, SocketAddrUse::TcpConnect) {
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            let mut sockets = store.data_mut().sockets();
            match sockets.start_connect(socket, network, address) {
                Ok(()) => Ok((Ok(()),)),
                Err(error) => Ok((Err(error.downcast()?),)),
            }
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

type StartConnect = (Resource<TcpSocket>, Resource<Network>, IpSocketAddress);

/// As wasmtime-wasi links it.
const TCP: &str = "wasi:sockets/tcp@0.2.12";
const START_CONNECT: &str = "[method]tcp-socket.start-connect";
