/**
 * The pictures of the account, as inline SVG coloured by the page's CSS variables.
 * Lettering stands beside the SVG as HTML, so that it keeps its size on a narrow screen.
 */

export interface RatePoint {
  /** Seconds since the first message. */
  readonly t: number;
  readonly perSecond: number;
}

const numbers = new Intl.NumberFormat('en');

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** 1234567 as 1,234,567. */
export function count(value: number): string {
  return numbers.format(value);
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Lines that divide the square, thin enough to read as cells. */
function cellLines(cells: number): string {
  let path = '';
  for (let line = 1; line < cells; line++) {
    const at = rounded((line * 100) / cells);
    path += `M${at} 0V100M0 ${at}H100`;
  }
  return `<path class="cells" d="${path}"/>`;
}

/**
 * Who is shown to whom, as a square: one column for each reader, one row for each person shown.
 * `everyone` is filled but for the diagonal (nobody is disclosed to themselves); `oneself` is the diagonal alone.
 */
export function seenMatrix(kind: 'everyone' | 'oneself', description: string): string {
  const body =
    kind === 'everyone'
      ? `<rect class="seen" width="100" height="100"/>${cellLines(25)}<path class="gap" d="M0 0L100 100"/>`
      : `<rect class="unseen" width="100" height="100"/>${cellLines(25)}<path class="own" d="M0 0L100 100"/>`;
  return `<svg class="matrix ${kind}" viewBox="0 0 100 100" role="img" aria-label="${escapeHtml(description)}">${body}<rect class="frame" x=".25" y=".25" width="99.5" height="99.5"/></svg>`;
}

/** A round number at or above the value: 1, 2, 2.5 or 5 times a power of ten. */
export function roundAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value);
  return (step ?? 10) * power;
}

/** Points for drawing: at most `most`, each the mean of its neighbours, so that long runs stay small. */
function thinned(points: readonly RatePoint[], most: number): readonly RatePoint[] {
  if (points.length <= most) return points;
  const size = Math.ceil(points.length / most);
  const result: RatePoint[] = [];
  for (let start = 0; start < points.length; start += size) {
    const group = points.slice(start, start + size);
    const mean = (of: (point: RatePoint) => number): number =>
      group.reduce((sum, point) => sum + of(point), 0) / group.length;
    result.push({ t: mean((point) => point.t), perSecond: mean((point) => point.perSecond) });
  }
  return result;
}

const POINTS_MAX = 240;

/** The highest rate that the plot shows. */
export function peakPerSecond(points: readonly RatePoint[]): number {
  return Math.max(0, ...thinned(points, POINTS_MAX).map((point) => point.perSecond));
}

function seconds(value: number): string {
  if (value >= 120) return `${count(Math.round(value / 60))} min`;
  return `${value >= 10 || Number.isInteger(value) ? count(Math.round(value)) : value.toFixed(1)} s`;
}

/** Messages per second over time: an area under a line, three levels and the time below. */
export function ratePlot(points: readonly RatePoint[]): string {
  const drawn = thinned(points, POINTS_MAX);
  const peak = peakPerSecond(points);
  const top = roundAbove(peak);
  const end = Math.max(1e-9, drawn.at(-1)?.t ?? 0);
  const start = Math.min(drawn[0]?.t ?? 0, end);
  const span = Math.max(1e-9, end - start);
  const spots = drawn.map(
    ({ t, perSecond }) =>
      `${rounded(((t - start) / span) * 1000)} ${rounded(300 - (perSecond / top) * 300)}`,
  );
  const line = spots.length === 0 ? '' : `M${spots.join('L')}`;
  const area = line === '' ? '' : `<path class="area" d="${line}V300H0Z"/>`;
  const levels = [1, 0.5, 0]
    .map((level) => `<span style="top:${(1 - level) * 100}%">${count(top * level)}</span>`)
    .join('');
  const times = [0, 0.5, 1].map((part) => `<span>${seconds(part * end)}</span>`).join('');
  return `<div class="rate"><div class="levels" aria-hidden="true">${levels}</div><svg viewBox="0 0 1000 300" preserveAspectRatio="none" role="img" aria-label="Messages per second over ${seconds(end)}, at most ${count(Math.round(peak))}"><path class="grid" d="M0 0H1000M0 150H1000M0 300H1000"/>${area}<path class="line" d="${line}"/></svg><div class="times" aria-hidden="true">${times}</div></div>`;
}

export interface Bar {
  readonly label: string;
  /** A second, quieter label. */
  readonly note: string;
  readonly value: number;
  readonly shown: string;
}

/** One horizontal bar for each value, the longest the full width. */
export function barPlot(bars: readonly Bar[]): string {
  const longest = Math.max(1e-9, ...bars.map((bar) => bar.value));
  const rows = bars.map(({ label, note, value, shown }) => {
    const width = rounded(Math.max(0.6, (value / longest) * 100));
    return `<li><span class="label"><bdi>${escapeHtml(label)}</bdi> <small>${escapeHtml(note)}</small></span><svg aria-hidden="true"><rect class="track" width="100%" height="10" rx="5"/><rect class="bar" width="${width}%" height="10" rx="5"/></svg><span class="value">${escapeHtml(shown)}</span></li>`;
  });
  return `<ul class="bars">${rows.join('')}</ul>`;
}
