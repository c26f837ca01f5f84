//! Entries in public: who calls them, and who rings, bears a token.

use watchbell_app::Kind;

use super::draft::Draft;

const TOKEN: &str = "check_token";
const KEY: &str = "schedule_key";

pub(super) fn require(draft: &mut Draft<'_>) {
    draft.require(TOKEN);
    let by_key = !draft.target.limits().scheduler_sends_headers;
    if by_key {
        draft.require(KEY);
    }
    for component in draft.ours() {
        let id = component.id.as_str();
        if component.kind == Kind::Status {
            continue;
        }
        if component.kind.is_check() {
            bear(draft, id, TOKEN, TOKEN);
        }
        bear(draft, id, "ring_token", TOKEN);
        if by_key {
            bear(draft, id, KEY, KEY);
        }
    }
}

/// A stanza has the application's token. Another one of its own would shut out what calls: a
/// schedule bears one for all.
fn bear(draft: &mut Draft<'_>, id: &str, name: &str, token: &str) {
    let want = template(token);
    match draft.text(id, name) {
        Some(own) if !own.is_empty() && own != want => {
            let key = format!("component.{id}.variables.{name}");
            let want = format!("none, or \"{want}\": what calls bears one token for all");
            draft.refuse("manifest-token", key, "another token", &want);
        }
        _ => draft.set(id, name, &want),
    }
}

fn template(name: &str) -> String {
    format!("{{{{ {name} }}}}")
}
