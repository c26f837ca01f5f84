//! Whether a component may reach what it is told to reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use watchbell_core::settings::{Host, parse_host, parse_resolvers};
use watchbell_core::target::Url;

use super::kind::Kind;
use super::resolve::Resolved;
use crate::finding::{Report, quoted};
use crate::manifest::Manifest;
use crate::names::suggest;
use crate::permissions::AllowedHosts;
use crate::target::Target;

pub(super) fn check(
    component: &Resolved<'_>,
    manifest: &Manifest,
    target: Target,
    report: &mut Report,
) {
    // What is unreadable is reported where it stands, and allows nothing anyway.
    let Ok(allowed) = &component.allowed_outbound_hosts else {
        return;
    };
    if allowed.has_service_chaining() {
        chaining(component, allowed, manifest, target, report);
    }
    let Some(kind) = component.kind else {
        return;
    };
    if kind.is_check() {
        url(component, allowed, "alert_url", report);
        if allowed.allows_any_host_over_http() {
            let want = "its target and alert_url: only the alert component may reach any channel";
            report.warning(
                "permission-any-host",
                &place(component),
                "any host over HTTP",
                want,
            );
        }
    }
    match kind {
        // What is not offered is not asked.
        _ if component.text("not_offered").is_some() => {}
        Kind::HttpCheck => url(component, allowed, "url", report),
        Kind::Alert => url(component, allowed, "webhook_url", report),
        Kind::TcpCheck | Kind::ControlCheck => socket(component, allowed, "tcp", report),
        // What is switched off reaches nothing.
        Kind::DerpCheck | Kind::StunCheck if component.text("presence") == Some("off") => {}
        Kind::DerpCheck => socket(component, allowed, "tcp", report),
        Kind::StunCheck => socket(component, allowed, "udp", report),
        // Without TLS the check is off and reaches nothing.
        Kind::CertificateCheck if component.text("scheme") != Some("http") => {
            socket(component, allowed, "tcp", report);
        }
        Kind::CertificateCheck => {}
        Kind::Status if !component.entry.allowed_outbound_hosts.is_empty() => {
            let want = "none: it only reads, and is open to everybody";
            let got = "outbound permissions of the status component";
            report.warning("permission-status", &place(component), got, want);
        }
        Kind::Status => {}
    }
}

/// Requests to other components, which are an HTTP trigger's to give: Spin's cron trigger
/// starts no application where a component that it fires may make one.
fn chaining(
    component: &Resolved<'_>,
    allowed: &AllowedHosts,
    manifest: &Manifest,
    target: Target,
    report: &mut Report,
) {
    let got = "a *.spin.internal host";
    if !target.limits().service_chaining {
        let want = format!("another host: {} has no service chaining", target.title());
        report.stop("target-chaining", &place(component), got, &want);
        return;
    }
    let id = &component.entry.id;
    // Where there is no cron trigger at all, that is what is told.
    if target.limits().cron && manifest.cron.iter().any(|t| t.component.0 == *id) {
        let want = "the application's own address: cron components cannot call each other";
        report.stop("permission-chaining", &place(component), got, want);
        return;
    }
    let answering = || manifest.http.iter().map(|t| t.component.0.as_str());
    for name in allowed.services() {
        if !answering().any(|id| id == name) {
            let want = format!("{}, which has an HTTP trigger", suggest(name, answering()));
            let got = quoted(&format!("{name}.spin.internal"));
            denied(component, "permission-service", &got, &want, report);
        }
    }
}

fn url(component: &Resolved<'_>, allowed: &AllowedHosts, name: &str, report: &mut Report) {
    let Some(url) = component.text(name).and_then(Url::parse) else {
        return;
    };
    if allowed.allows_url(&url.to_string(), url.scheme()) {
        return;
    }
    let entry = format!("{}://{}", url.scheme(), url.authority());
    let want = if component.secret.contains(name) {
        format!("the scheme, host and port of {name} among them")
    } else {
        format!("{} among them, for {name}", quoted(&entry))
    };
    denied(component, "permission-target", "other hosts", &want, report);
}

/// A socket's permissions are matched by address: the target's, when it is one, or
/// some address at that port, when it is a name.
fn socket(component: &Resolved<'_>, allowed: &AllowedHosts, scheme: &str, report: &mut Report) {
    let port = component.text("port").and_then(|t| t.parse::<u16>().ok());
    let host = component.text("host").and_then(parse_host);
    let (Some(port), Some(host)) = (port, host) else {
        return;
    };
    let ip = match host {
        Host::Ip(ip) => ip,
        Host::Name(_) => {
            if !allowed.allows_some_address(scheme, port) {
                let want = format!(
                    "\"{scheme}://*:{port}\" or networks at that port: a socket is matched by its address, never by a name"
                );
                denied(component, "permission-socket", "other hosts", &want, report);
            }
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            if scheme == "udp" && !allowed.allows_socket(scheme, any) {
                let want = format!("\"udp://{any}\" among them: a socket is bound before it sends");
                denied(component, "permission-socket", "other hosts", &want, report);
            }
            resolvers(component, allowed, report);
            return;
        }
    };
    let mut addresses = vec![SocketAddr::new(ip, port)];
    if scheme == "udp" {
        addresses.push(SocketAddr::new(any(ip), 0));
    }
    for address in addresses {
        if !allowed.allows_socket(scheme, address) {
            let want = format!("\"{scheme}://{address}\" among them");
            denied(component, "permission-socket", "other hosts", &want, report);
        }
    }
}

/// UDP needs two permissions, the server's and the bind's; TCP is for long answers.
fn resolvers(component: &Resolved<'_>, allowed: &AllowedHosts, report: &mut Report) {
    let list = component.text("dns_resolver").and_then(parse_resolvers);
    for server in list.unwrap_or_default() {
        for address in [server, SocketAddr::new(any(server.ip()), 0)] {
            if !allowed.allows_socket("udp", address) {
                let want = format!("\"udp://{address}\" among them, for dns_resolver");
                denied(
                    component,
                    "permission-resolver",
                    "other hosts",
                    &want,
                    report,
                );
            }
        }
        if !allowed.allows_socket("tcp", server) {
            let place = place(component);
            let want = format!("\"tcp://{server}\" among them, for long answers of dns_resolver");
            report.warning("permission-resolver-tcp", &place, "other hosts", &want);
        }
    }
}

/// UDP binds before it sends, which Spin asks a permission for, too.
fn any(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn denied(component: &Resolved<'_>, id: &'static str, got: &str, want: &str, report: &mut Report) {
    report.error(id, &place(component), got, want);
}

fn place(component: &Resolved<'_>) -> crate::finding::Place {
    let entry = component.entry;
    let key = format!("{}.allowed_outbound_hosts", entry.place.key);
    let line = entry.allowed_outbound_hosts.first();
    crate::finding::Place {
        line: line.map_or(entry.place.line, |(_, p)| p.line),
        ..entry.place.key(key)
    }
}
