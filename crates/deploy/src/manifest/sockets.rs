//! Where no sockets are promised, what needs them says so instead of failing.

use super::draft::Draft;

pub(super) fn forgo(draft: &mut Draft<'_>) {
    let why = format!("{} promises no raw sockets", draft.target.title());
    for check in draft.checks() {
        if !check.kind.opens_sockets() {
            continue;
        }
        let id = check.id.as_str();
        let ring = draft.text(id, "alert_url").map(str::to_owned);
        draft.change_permissions(id, |entry| {
            (ring.as_deref() == Some(entry)).then(|| entry.to_owned())
        });
        draft.set(id, "not_offered", &why);
        let note = format!("not offered, for {why}; --sockets tries all the same");
        draft.notes.of(id, note);
    }
}
