/** What the browser test runs within a page: each function is sent there as text, and uses nothing from around it. */

/** Whether a payload of the test has run. */
export function hasRun() {
  return window.ran === 1;
}

/** How many people the page says are done. */
export function doneIsAbove(before) {
  const text = document.querySelector('.sending-figures dd b')?.textContent ?? '';
  return Number(text.replace(/,/g, '')) > before;
}

export function finishTimeIsShown() {
  const [, , finish] = document.querySelectorAll('.sending-figures dd');
  return /^\d\d:\d\d:\d\d/.test(finish?.textContent ?? '');
}

export function focusedText() {
  return document.activeElement?.textContent?.trim() ?? '';
}

/** The focused element where no outline shows it; '' where one does. */
export function unseenFocus() {
  const element = document.activeElement;
  if (element === null || element === document.body) return 'nothing';
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const shown = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2;
  return shown ? '' : element.outerHTML.slice(0, 120);
}

export function theme() {
  return document.documentElement.dataset.bsTheme;
}

export function width() {
  return document.documentElement.scrollWidth;
}

/** Something too wide and too faint, to see that the measures find it. */
export function plantFaults() {
  const planted = document.createElement('p');
  planted.textContent = 'planted';
  Object.assign(planted.style, { width: '2000px', color: '#777', background: '#666' });
  document.querySelector('main').append(planted);
}

/** Asks for what the page's policy forbids. */
export function loadForeignImage() {
  const image = document.createElement('img');
  image.src = 'https://nowhere.example/x.png';
  document.body.append(image);
}

/** Fields, buttons and links without a name for a screen reader. */
export function namelessControls() {
  return [...document.querySelectorAll('input:not([type=hidden]), select, button, a')]
    .filter((control) => {
      const name = control.getAttribute('aria-label') ?? control.textContent.trim();
      return name === '' && (control.labels?.length ?? 0) === 0;
    })
    .map((control) => control.outerHTML.slice(0, 100));
}

/** Texts whose contrast with what is behind them is too low: WCAG 2.2, 1.4.3. */
export function faintTexts() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [x, y, z]) => [
    r * a + x * (1 - a),
    g * a + y * (1 - a),
    b * a + z * (1 - a),
    1,
  ];
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (element === null) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (text === '' || !element.checkVisibility() || element.closest('option') !== null) continue;
    const { color, fontSize } = getComputedStyle(element);
    const back = behind(element);
    const [one, two] = [light(over(rgba(color), back)), light(back)];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < (Number.parseFloat(fontSize) >= 24 ? 3 : 4.5))
      faint.push(`${ratio.toFixed(2)} ${element.tagName} ${text.slice(0, 40)}`);
  }
  return faint;
}
