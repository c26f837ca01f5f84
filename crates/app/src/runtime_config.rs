//! The runtime config: where state lives, where variables come from, how the
//! network is used. Keys as Spin 3.5 and 4.0 both have them: the cron plugin's
//! Spin reads the same file as the CLI's.

mod client_tls;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use client_tls::{ClientCertificate, ClientTls, ClientTlsEntry};

use crate::document::{Source, Table};
use crate::finding::{Place, Report, quoted};
use crate::names::{LABEL_WANT, is_label};
use crate::permissions::BlockedNetworks;

/// Where a key-value label keeps its entries.
#[derive(Clone, PartialEq, Eq)]
pub enum Store {
    /// A SQLite file with Spin's table, absolute; `None` for in memory.
    Sqlite { path: Option<PathBuf> },
    /// A Redis server; the URL may hold a password.
    Redis { url: String },
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => f.debug_struct("Sqlite").field("path", path).finish(),
            Self::Redis { .. } => f.write_str("Redis"),
        }
    }
}

/// `[outbound_http]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundHttp {
    /// Whether a request may use a connection that an earlier one opened.
    pub connection_pooling: bool,
    /// `None` for unlimited.
    pub max_concurrent_requests: Option<usize>,
}

impl Default for OutboundHttp {
    /// As Spin's when there is no table. In a table, pooling is off unless asked for.
    fn default() -> Self {
        Self {
            connection_pooling: true,
            max_concurrent_requests: None,
        }
    }
}

/// One `[[variables_provider]]`.
pub(crate) enum Provider {
    Static(BTreeMap<String, (String, Place)>),
    Env {
        prefix: Option<String>,
        dotenv: Option<PathBuf>,
    },
}

/// The file, read.
#[derive(Default)]
pub(crate) struct RuntimeConfig {
    pub stores: BTreeMap<String, Store>,
    pub providers: Vec<Provider>,
    pub outbound_http: OutboundHttp,
    pub client_tls: ClientTls,
    pub blocked_networks: BlockedNetworks,
    /// As written; an empty one means none.
    pub state_dir: Option<String>,
    pub log_dir: Option<String>,
    pub max_instance_memory_bytes: Option<u64>,
    /// Where a warning about `[outbound_http]` belongs.
    pub outbound_http_place: Option<Place>,
    /// `component_ids` of `[[client_tls]]`, each where it stands.
    pub client_tls_components: Vec<(String, Place)>,
}

/// What Spin knows. The last two are for things that no component of ours uses.
const KEYS: &[&str] = &[
    "state_dir",
    "log_dir",
    "max_instance_memory",
    "key_value_store",
    "variables_provider",
    "config_provider",
    "outbound_http",
    "outbound_networking",
    "client_tls",
    "sqlite_database",
    "llm_compute",
];

impl RuntimeConfig {
    /// Reads the text of a file that lies in `dir`: relative paths start there.
    pub fn read(source: &Source, dir: &Path, cwd: &Path, report: &mut Report) -> Self {
        let root = source.parse(report);
        root.only(KEYS, report);
        let http = root.table("outbound_http", report);
        let mut config = Self {
            stores: stores(&root, dir, report),
            providers: providers(&root, cwd, report),
            outbound_http: http
                .as_ref()
                .map(|t| outbound_http(t, report))
                .unwrap_or_default(),
            outbound_http_place: Some(http.map_or_else(
                || Place::file(source.name()).key("outbound_http.connection_pooling"),
                |t| t.place().key("outbound_http.connection_pooling"),
            )),
            blocked_networks: blocked_networks(&root, report),
            state_dir: root.text("state_dir", report).map(|(text, _)| text),
            log_dir: root.text("log_dir", report).map(|(text, _)| text),
            max_instance_memory_bytes: root.number("max_instance_memory", report).map(|(n, _)| n),
            ..Self::default()
        };
        for table in root.tables("client_tls", report) {
            let components = client_tls::read(&table, dir, &mut config.client_tls, report);
            config.client_tls_components.extend(components);
        }
        config
    }
}

fn stores(root: &Table<'_>, dir: &Path, report: &mut Report) -> BTreeMap<String, Store> {
    let mut stores = BTreeMap::new();
    let Some(tables) = root.table("key_value_store", report) else {
        return stores;
    };
    for (label, item) in tables.items() {
        if !is_label(&label) {
            report.error("store-label", &item.place, &quoted(&label), LABEL_WANT);
        }
        let Some(table) = item.table(report) else {
            continue;
        };
        let want = "\"spin\" (SQLite) or \"redis\"";
        let Some((kind, place)) = table.required_text("type", want, report) else {
            continue;
        };
        match kind.as_str() {
            "spin" => {
                table.ignored_but(&["type", "path"], report);
                let path = table.text("path", report).map(|(path, _)| dir.join(path));
                stores.insert(label, Store::Sqlite { path });
            }
            "redis" => {
                table.ignored_but(&["type", "url"], report);
                if let Some((url, place)) = table.required_text("url", REDIS_URL_WANT, report) {
                    redis_url(&url, &place, report);
                    stores.insert(label, Store::Redis { url });
                }
            }
            "azure_cosmos" | "aws_dynamo" => {
                let got = format!("{kind:?}, not supported by the embedded runtime");
                report.stop("store-unsupported", &place, &got, want);
            }
            _ => report.stop("store-type", &place, &quoted(&kind), want),
        }
    }
    stores
}

const REDIS_URL_WANT: &str = "a URL such as redis://localhost:6379";
/// What Spin's client takes beside `redis`: over TLS, or through a socket in the file system.
const REDIS_SCHEMES_UNSUPPORTED: &[&str] = &[
    "rediss",
    "valkey",
    "valkeys",
    "unix",
    "redis+unix",
    "valkey+unix",
];

/// Never shown but for its scheme: a Redis URL carries its password.
fn redis_url(text: &str, place: &Place, report: &mut Report) {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    if REDIS_SCHEMES_UNSUPPORTED.contains(&scheme) {
        let got = format!("a URL {scheme}:…, not supported by the embedded runtime");
        report.stop("store-unsupported", place, &got, REDIS_URL_WANT);
        return;
    }
    // The path is the number of the database.
    let fits = url::Url::parse(text).is_ok_and(|url| {
        let database = url.path().trim_matches('/');
        url.scheme() == "redis"
            && url.has_host()
            && (database.is_empty() || database.parse::<i64>().is_ok())
    });
    if !fits {
        report.stop("redis-url", place, "another text", REDIS_URL_WANT);
    }
}

fn providers(root: &Table<'_>, cwd: &Path, report: &mut Report) -> Vec<Provider> {
    // Spin looks at the old name only when the new one is absent, and refuses it beside that.
    let [new, old] = ["variables_provider", "config_provider"];
    if root.get(new).is_some() && root.get(old).is_some() {
        let got = "\"config_provider\" beside \"variables_provider\"";
        let want = "all of them under \"variables_provider\"";
        report.stop("two-names", &root.place_of(old), got, want);
    }
    let mut providers = Vec::new();
    let tables = [new, old].map(|name| root.tables(name, report));
    for table in tables.into_iter().flatten() {
        let want = "\"static\" or \"env\"";
        let Some((kind, place)) = table.required_text("type", want, report) else {
            continue;
        };
        match kind.as_str() {
            "static" => {
                table.ignored_but(&["type", "values"], report);
                let values = match table.get("values") {
                    Some(item) => item.table(report),
                    None => {
                        let place = table.place_of("values");
                        report.stop("missing-key", &place, "nothing", "a table of variables");
                        None
                    }
                };
                let entries = values.map(|v| v.text_entries(report)).unwrap_or_default();
                providers.push(Provider::Static(
                    entries
                        .into_iter()
                        .map(|(name, value, place)| (name, (value, place)))
                        .collect(),
                ));
            }
            "env" => {
                table.only(&["type", "prefix", "dotenv_path"], report);
                providers.push(Provider::Env {
                    prefix: table.text("prefix", report).map(|(prefix, _)| prefix),
                    dotenv: table
                        .text("dotenv_path", report)
                        .map(|(path, _)| cwd.join(path)),
                });
            }
            "vault" | "azure_key_vault" => {
                let got = format!("{kind:?}, not supported by the embedded runtime");
                report.stop("provider-unsupported", &place, &got, want);
            }
            _ => report.stop("provider-type", &place, &quoted(&kind), want),
        }
    }
    providers
}

fn outbound_http(table: &Table<'_>, report: &mut Report) -> OutboundHttp {
    table.only(&["connection_pooling", "max_concurrent_requests"], report);
    OutboundHttp {
        connection_pooling: table
            .flag("connection_pooling", report)
            .is_some_and(|(flag, _)| flag),
        max_concurrent_requests: table
            .number("max_concurrent_requests", report)
            .map(|(n, _)| usize::try_from(n).unwrap_or(usize::MAX)),
    }
}

fn blocked_networks(root: &Table<'_>, report: &mut Report) -> BlockedNetworks {
    let mut blocked = BlockedNetworks::default();
    if let Some(table) = root.table("outbound_networking", report) {
        table.only(&["block_networks"], report);
        for (entry, place) in table.texts("block_networks", report) {
            if let Err(want) = blocked.add(&entry) {
                report.stop("blocked-network", &place, &quoted(&entry), want);
            }
        }
    }
    blocked
}
