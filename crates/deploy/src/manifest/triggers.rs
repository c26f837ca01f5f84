//! Cron triggers become routes that something outside calls.

use toml_edit::{ArrayOfTables, Item, Table, TableLike};
use watchbell_app::Kind;

use super::draft::{Draft, Ours};

/// Takes every cron trigger out, and gives each of our components its route.
pub(super) fn turn(draft: &mut Draft<'_>) {
    refuse_inline(draft);
    let ours = draft.ours();
    take_cron_out(draft, &ours);
    for component in ours {
        give_route(draft, &component);
    }
}

/// Of a component that a trigger writes out there is no stanza to change, and with its
/// trigger it would be lost.
fn refuse_inline(draft: &mut Draft<'_>) {
    for kind in ["http", "cron"] {
        let inline: Vec<usize> = triggers(draft, kind)
            .iter()
            .enumerate()
            .filter(|(_, t)| t.get("component").is_some_and(Item::is_table_like))
            .map(|(i, _)| i)
            .collect();
        for i in inline {
            let key = format!("trigger.{kind}[{i}].component");
            let want = "the id of a component that has a table of its own";
            draft.refuse("manifest-inline", key, "a component written out", want);
        }
    }
}

fn take_cron_out(draft: &mut Draft<'_>, ours: &[Ours]) {
    let foreign = |t: &&dyn TableLike| {
        let id = t.get("component").and_then(Item::as_str);
        id.is_some_and(|id| ours.iter().all(|c| c.id != id))
    };
    let all = triggers(draft, "cron");
    let foreign: Vec<usize> = (0..all.len()).filter(|i| foreign(&all[*i])).collect();
    for i in foreign {
        let key = format!("trigger.cron[{i}].component");
        let want = format!(
            "a component of Watchbell, which a route can run: {} has no cron trigger",
            draft.target.title()
        );
        draft.refuse("target-cron", key, "a cron trigger", &want);
    }
    let Some(trigger) = draft
        .doc
        .get_mut("trigger")
        .and_then(Item::as_table_like_mut)
    else {
        return;
    };
    if let Some(Item::ArrayOfTables(tables)) = trigger.remove("cron") {
        for table in &tables {
            leave_heading(draft.doc.as_item_mut(), table);
        }
    }
}

/// A heading in front of a trigger, told from the trigger's own comment by the blank line
/// behind it, is the whole check's: it goes to the table that follows.
fn leave_heading(root: &mut Item, removed: &Table) {
    let prefix = removed.decor().prefix().and_then(|p| p.as_str());
    let heading = prefix.and_then(|p| Some(&p[..p.rfind("\n\n")? + 1]));
    let (Some(heading), Some(position)) = (heading, removed.position()) else {
        return;
    };
    if let Some(next) = following(root, position) {
        let decor = next.decor_mut();
        let own = decor.prefix().and_then(|p| p.as_str()).unwrap_or_default();
        let both = format!("{heading}{own}");
        decor.set_prefix(both);
    }
}

/// The table with the lowest position above the given one.
fn following(item: &mut Item, position: isize) -> Option<&mut Table> {
    let inside: Vec<&mut Table> = match item {
        Item::Table(table) => vec![table],
        Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
        _ => Vec::new(),
    };
    inside
        .into_iter()
        .filter_map(|table| nearest_in(table, position))
        .min_by_key(|t| t.position())
}

fn nearest_in(table: &mut Table, position: isize) -> Option<&mut Table> {
    let own = !table.is_implicit() && table.position().is_some_and(|p| p > position);
    if own {
        // What stands in it has a higher position still, or stands before it and is found
        // by its own table.
        return Some(table);
    }
    let inside = table.iter_mut().map(|(_, item)| item);
    inside
        .filter_map(|item| following(item, position))
        .min_by_key(|t| t.position())
}

fn give_route(draft: &mut Draft<'_>, component: &Ours) {
    let route = match component.kind {
        Kind::Alert => "/alert".to_owned(),
        Kind::Status => "/...".to_owned(),
        _ => format!("/run/{}", component.id),
    };
    let has = |t: &&dyn TableLike| {
        let is = |key: &str, want: &str| t.get(key).and_then(Item::as_str) == Some(want);
        is("component", &component.id) && is("route", &route)
    };
    if triggers(draft, "http").iter().any(has) {
        return;
    }
    let mut table = Table::new();
    table.insert("component", toml_edit::value(&component.id));
    table.insert("route", toml_edit::value(&route));
    let none = Item::ArrayOfTables(ArrayOfTables::new());
    let trigger = draft.doc.entry("trigger").or_insert(implicit());
    let Some(trigger) = trigger.as_table_like_mut() else {
        return;
    };
    if let Some(list) = trigger
        .entry("http")
        .or_insert(none)
        .as_array_of_tables_mut()
    {
        list.push(table);
    }
}

fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

fn triggers<'a>(draft: &'a Draft<'_>, kind: &str) -> Vec<&'a dyn TableLike> {
    let list = draft.doc.get("trigger").and_then(|t| t.get(kind));
    match list {
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|t| t as &dyn TableLike).collect(),
        Some(item) => item
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_inline_table().map(|t| t as &dyn TableLike))
            .collect(),
        None => Vec::new(),
    }
}
