//! Permissions without templates: the values are written into them.
//!
//! A variable of one gets its value as the default, so that what a check asks for and what it
//! may reach are the same.

use std::collections::BTreeSet;

use super::draft::{Draft, Lacking, PERMISSIONS, put};

pub(super) fn resolve(draft: &mut Draft<'_>) {
    let mut used = BTreeSet::new();
    for id in draft.components() {
        for entry in draft.permissions(&id) {
            match draft.literal(&entry) {
                Ok((_, names)) => used.extend(names),
                Err(lacking) => refuse(draft, &id, &entry, lacking),
            }
        }
        let entries = draft.permissions(&id).into_iter();
        let literals: Vec<(String, String)> = entries
            .filter_map(|entry| Some((entry.clone(), draft.literal(&entry).ok()?.0)))
            .collect();
        draft.change_permissions(&id, |entry| {
            let literal = literals.iter().find(|(from, _)| from == entry);
            Some(literal.map_or(entry, |(_, to)| to).to_owned())
        });
    }
    for name in used {
        bake(draft, &name);
    }
}

fn bake(draft: &mut Draft<'_>, name: &str) {
    let Some(value) = draft.application_value(name).map(str::to_owned) else {
        return;
    };
    draft.declare(name, |variable| {
        variable.remove("required");
        put(variable, "default", value.into());
    });
}

fn refuse(draft: &mut Draft<'_>, id: &str, entry: &str, lacking: Vec<Lacking>) {
    let title = draft.target.title();
    for lacking in lacking {
        let key = format!("component.{id}.{PERMISSIONS}");
        match lacking {
            Lacking::Value(name) => {
                let got = format!("no value for {name:?} in {entry:?}");
                let want = format!(
                    "--variable {name}=…: {title} takes no templates in permissions, so it is written down"
                );
                draft.refuse("manifest-permission-value", key, &got, &want);
            }
            Lacking::Secret(name) => {
                let got = format!("the secret variable {name:?} in {entry:?}");
                let want = format!(
                    "one that is no secret: {title} takes no templates in permissions, so it would be written down"
                );
                draft.refuse("manifest-permission-secret", key, &got, &want);
            }
        }
    }
}
