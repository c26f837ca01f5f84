//! `[[trigger.http]]` and `[[trigger.cron]]`.

use super::{Inline, Manifest, Placed, component};
use crate::document::Table;
use crate::finding::{Report, quoted};
use crate::route;

pub(crate) struct HttpEntry {
    pub route: Placed,
    pub component: Placed,
}

pub(crate) struct CronEntry {
    pub expression: Placed,
    pub component: Placed,
}

const ROUTE_WANT: &str = "a route such as /alert, /run/:id or /files/...";

pub(super) fn read_http(
    table: &Table<'_>,
    inline: &mut Inline,
    manifest: &mut Manifest,
    report: &mut Report,
) -> Option<HttpEntry> {
    table.only(
        &["id", "component", "route", "executor", "static_response"],
        report,
    );
    if let Some(item) = table.get("static_response") {
        let got = "a static response, not supported by the embedded runtime";
        report.stop("trigger-unsupported", &item.place, got, "a component");
    }
    if let Some(executor) = table.table("executor", report)
        && let Some((kind, place)) = executor.text("type", report)
        && !matches!(kind.as_str(), "http" | "spin")
    {
        report.stop("trigger-unsupported", &place, &quoted(&kind), "\"http\"");
    }
    let component = component_of(table, "http", inline, manifest, report);
    let route = match table.get("route") {
        Some(item) if item.is_table() => {
            let got = "a private route, not supported by the embedded runtime";
            report.stop("route-private", &item.place, got, ROUTE_WANT);
            None
        }
        Some(item) => item.text(report),
        None => table.required_text("route", ROUTE_WANT, report),
    };
    if let Some((route, place)) = &route {
        if route::parse(route).is_none() {
            report.stop("route", place, &quoted(route), ROUTE_WANT);
        } else if route::is_unreachable(route) {
            let got = format!("{route:?}, which no request asks for");
            report.warning("route-unreachable", place, &got, ROUTE_WANT);
        }
    }
    Some(HttpEntry {
        route: route?,
        component: component?,
    })
}

pub(super) fn read_cron(
    table: &Table<'_>,
    inline: &mut Inline,
    manifest: &mut Manifest,
    report: &mut Report,
) -> Option<CronEntry> {
    table.only(&["id", "component", "cron_expression"], report);
    let component = component_of(table, "cron", inline, manifest, report);
    let want = "six fields, seconds first, such as */20 * * * * *";
    let expression = table.required_text("cron_expression", want, report);
    Some(CronEntry {
        expression: expression?,
        component: component?,
    })
}

/// A component's id, or the component itself written out.
fn component_of(
    table: &Table<'_>,
    kind: &'static str,
    inline: &mut Inline,
    manifest: &mut Manifest,
    report: &mut Report,
) -> Option<Placed> {
    let id = table.text("id", report).map(|(id, _)| id);
    let item = match table.get("component") {
        Some(item) => item,
        None => {
            let place = table.place_of("component");
            report.stop("missing-key", &place, "nothing", "a component's id");
            return None;
        }
    };
    if !item.is_table() {
        return item.text(report);
    }
    let place = item.place.clone();
    let entry = component::read(String::new(), &item.table(report)?, report);
    let trigger_id = id.unwrap_or_else(|| inline.trigger_id(kind));
    let id = manifest.add_inline(format!("{trigger_id}-component"), entry);
    Some((id, place))
}
