//! Entries in public: who calls them, and who rings, bears a token.

use watchbell_app::{Kind, Target};

use super::draft::Draft;

const TOKEN: &str = "check_token";
const KEY: &str = "schedule_key";

pub(super) fn require(draft: &mut Draft<'_>) {
    draft.require(TOKEN);
    // Akamai's scheduler can send no header, only a query.
    let by_key = draft.target == Target::Akamai;
    if by_key {
        draft.require(KEY);
    }
    for component in draft.ours() {
        let id = component.id.as_str();
        if component.kind == Kind::Status {
            continue;
        }
        if component.kind.is_check() && draft.text(id, TOKEN).is_none() {
            draft.set(id, TOKEN, &template(TOKEN));
        }
        draft.set(id, "ring_token", &template(TOKEN));
        if by_key {
            draft.set(id, KEY, &template(KEY));
        }
    }
}

fn template(name: &str) -> String {
    format!("{{{{ {name} }}}}")
}
