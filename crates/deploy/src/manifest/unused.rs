//! Variables that nothing reads any more go.

use std::collections::BTreeSet;

use toml_edit::Item;
use watchbell_app::Template;

use super::draft::Draft;

pub(super) fn drop(draft: &mut Draft<'_>) {
    let used = used(draft);
    let variables = draft.doc.get_mut("variables");
    let Some(variables) = variables.and_then(Item::as_table_like_mut) else {
        return;
    };
    let all: Vec<String> = variables.iter().map(|(name, _)| name.to_owned()).collect();
    for name in all.iter().filter(|name| !used.contains(*name)) {
        variables.remove(name);
    }
}

fn used(draft: &Draft<'_>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for id in draft.components() {
        let variables = draft.component(&id).and_then(|c| c.get("variables"));
        let texts = variables.and_then(Item::as_table_like).map(|variables| {
            let texts = variables.iter().filter_map(|(_, item)| item.as_str());
            texts.map(str::to_owned).collect::<Vec<_>>()
        });
        for text in texts.into_iter().flatten().chain(draft.permissions(&id)) {
            if let Ok(template) = Template::parse(&text) {
                used.extend(template.names().map(str::to_owned));
            }
        }
    }
    used
}
