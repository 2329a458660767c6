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

  function live(on) {
    document.getElementById('live')?.classList.toggle('off', !on);
  }

  document.addEventListener('signed-out', (event) => location.assign(event.detail.data));
  document.addEventListener('htmx:sse:after:connection', () => live(true));
  document.addEventListener('htmx:sse:after:message', () => live(true));
  document.addEventListener('htmx:sse:error', () => live(false));
  document.addEventListener('htmx:sse:close', () => live(false));
}
