// Dark or light, before anything is drawn: what was chosen here, else what the system prefers.
(() => {
  const prefersDark = matchMedia('(prefers-color-scheme: dark)');
  const chosen = () => {
    try {
      return localStorage.getItem('theme');
    } catch {
      return null;
    }
  };
  const apply = () => {
    const theme = chosen() ?? (prefersDark.matches ? 'dark' : 'light');
    document.documentElement.dataset.bsTheme = theme === 'dark' ? 'dark' : 'light';
    document.dispatchEvent(new Event('themed'));
  };
  apply();
  prefersDark.addEventListener('change', apply);
  document.addEventListener('click', (event) => {
    if (event.target.closest?.('#theme') === null) return;
    const next = document.documentElement.dataset.bsTheme === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem('theme', next);
    } catch {
      // Not kept: it holds for this page.
    }
    apply();
  });
})();
