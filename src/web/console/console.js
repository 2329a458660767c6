// Dialogs, and what the stream of events says of itself. It makes no markup and evaluates nothing.
{
  /** Each opener is a link to a page that asks the same, for browsers without this script. */
  function open(opener, dialog) {
    const { scope = 'bulk' } = opener.dataset;
    const choice = dialog.querySelector(`input[name=scope][value=${CSS.escape(scope)}]`);
    if (choice) choice.checked = true;
    dialog.showModal();
    dialog.querySelector('[autofocus]')?.focus();
  }

  document.addEventListener('click', (event) => {
    const { target } = event;
    const opener = target.closest('[data-dialog]');
    const opened = opener && document.getElementById(opener.dataset.dialog);
    if (opened && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      open(opener, opened);
      return;
    }
    const dialog = target.closest('dialog');
    if (dialog && target.closest('[data-close]')) event.preventDefault();
    if (dialog && (target === dialog || target.closest('[data-close]'))) dialog.close();
  });

  // What is announced as a button answers to the space bar too.
  document.addEventListener('keydown', (event) => {
    if (event.key !== ' ' || !event.target.matches('a[role=button]')) return;
    event.preventDefault();
    event.target.click();
  });

  const live = document.getElementById('live');
  const AGAIN_MS = 2000;
  let again;

  function isLive(on) {
    live?.classList.toggle('off', !on);
  }

  // htmx connects again when a stream has ended, but not when the first one was refused or did not come.
  function connectAgain({ target, detail }) {
    if (live === null || target !== live) return;
    isLive(false);
    clearTimeout(again);
    if (detail.ctx?.response?.status === 401) location.assign('/signed-out');
    else again = setTimeout(() => htmx.trigger(live, 'again'), AGAIN_MS);
  }

  document.addEventListener('signed-out', (event) => location.assign(event.detail.data));
  document.addEventListener('htmx:sse:after:connection', () => isLive(true));
  document.addEventListener('htmx:sse:after:message', () => isLive(true));
  document.addEventListener('htmx:sse:error', () => isLive(false));
  for (const lost of ['htmx:sse:close', 'htmx:response:error', 'htmx:error'])
    document.addEventListener(lost, connectAgain);
}
