// Keeps the page current: what has changed is replaced in its place, and nothing else moves.
const byId = (page, id) => page.getElementById(id);
const idsOf = (page) => [...page.querySelectorAll('[data-part]')].map((part) => part.id);
const stale = byId(document, 'stale');
// As the server wrote it: ages are added to what is shown.
let known = document.cloneNode(true);
let reached = new Date();

const lasting = (s) => {
  const units = { d: 86400, h: 3600, m: 60, s: 1 };
  const unit = Object.keys(units).find((unit) => s >= units[unit]) ?? 's';
  return Math.floor(s / units[unit]) + unit;
};

const addAges = () => {
  for (const time of document.querySelectorAll('time')) {
    const at = new Date(time.dateTime);
    const s = (Date.now() - at) / 1000;
    if (!time.title) {
      time.title = at.toLocaleString();
      time.insertAdjacentHTML('afterend', '<span class="age"></span>');
    }
    time.nextSibling.textContent = s < 0 ? ` (in ${lasting(-s)})` : ` (${lasting(s)} ago)`;
  }
};

const replace = (old, fresh) => {
  const nameOf = (control) => control.href ?? control.textContent;
  const focus = old.contains(document.activeElement) && nameOf(document.activeElement);
  for (const { id } of old.querySelectorAll('details[open]')) {
    fresh.querySelector('#' + id)?.setAttribute('open', '');
  }
  old.replaceWith(fresh);
  const controls = [...fresh.querySelectorAll('a, button, summary')];
  controls.find((control) => nameOf(control) === focus)?.focus({ preventScroll: true });
};

const show = (page) => {
  // With another set of parts, all of it anew.
  const same = String(idsOf(page)) === String(idsOf(known));
  for (const id of same ? idsOf(page) : ['header', 'main']) {
    const fresh = byId(page, id);
    if (byId(known, id).isEqualNode(fresh)) continue;
    replace(byId(document, id), document.importNode(fresh, true));
  }
  document.title = page.title;
  byId(document, 'icon').href = byId(page, 'icon').href;
  known = page;
};

const refresh = async () => {
  if (document.hidden) return;
  let note = '';
  try {
    const answer = await fetch(location.href, { cache: 'no-cache', signal: AbortSignal.timeout(15_000) });
    if (!answer.ok) throw answer.status;
    show(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    reached = new Date();
  } catch {
    note = `Out of date: no answer since ${reached.toLocaleTimeString()}`;
  }
  if (stale.textContent !== note) stale.textContent = note;
  addAges();
};

addAges();
setInterval(refresh, 20_000);
document.addEventListener('visibilitychange', refresh);
