// Plots. Data come with the page (data-plot) and with the stream of events (`plot`).
{
  const plots = new Map();
  const TICKS = [0, 1, 2, 3, 4, 5].flatMap((ten) => [1, 2, 5].map((one) => one * 10 ** ten));

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function figure(value) {
    if (value === null || value === undefined) return '–';
    return value < 10 && value % 1 !== 0
      ? value.toFixed(1)
      : Math.round(value).toLocaleString('en-US');
  }

  /** Sums from the lowest series up; the highest is drawn first, and the others over it. */
  function stacked(series) {
    const sums = [];
    let below = null;
    for (const { values } of series) {
      const lower = below;
      below = values.map((value, i) => value + (lower === null ? 0 : lower[i]));
      sums.push(below);
    }
    return sums.reverse();
  }

  function columns({ x, series }) {
    return series.length > 1 ? [x, ...stacked(series)] : [x, series[0].values];
  }

  function peakOf({ data }) {
    return Math.max(0, ...data.series[0].values);
  }

  function line(state) {
    const [{ name, colour: variable }] = state.data.series;
    return {
      label: name,
      stroke: () => colour(variable),
      fill: () => colour(`${variable}-fill`),
      width: 2,
      points: { show: false },
      // Where nothing is pointed at: the most of all.
      value: (_, value) => (value === null ? `${figure(peakOf(state))} at most` : figure(value)),
    };
  }

  function seriesOf(state) {
    const { data } = state;
    if (data.series.length === 1) return [line(state)];
    const bars = uPlot.paths.bars({ size: [0.72, 24], radius: 0 });
    return data.series.toReversed().map(({ name, colour: variable }, i) => ({
      label: name,
      fill: () => colour(variable),
      width: 0,
      paths: bars,
      points: { show: false },
      // What is drawn is a sum; what is said is the part, and where nothing is pointed at, all of it.
      value: (_, __, ___, at) => {
        const { values } = state.data.series.at(-1 - i);
        return figure(at === null ? values.reduce((sum, value) => sum + value, 0) : values[at]);
      },
    }));
  }

  function twoDigits(value) {
    return String(value).padStart(2, '0');
  }

  /** UTC, with seconds where the steps are that short. */
  function times(_, ticks) {
    const short = ticks.length > 1 && ticks[1] - ticks[0] < 60;
    return ticks.map((at) => {
      const date = new Date(at * 1000);
      const minutes = `${twoDigits(date.getUTCHours())}:${twoDigits(date.getUTCMinutes())}`;
      return short ? `${minutes}:${twoDigits(date.getUTCSeconds())}` : minutes;
    });
  }

  function axes() {
    const axis = {
      stroke: () => colour('--faint'),
      font: '12px system-ui, sans-serif',
      grid: { stroke: () => colour('--rule'), width: 1 },
      ticks: { show: false },
    };
    return [
      { ...axis, grid: { show: false }, space: 70, size: 30, values: times },
      { ...axis, size: 44, incrs: TICKS, values: (_, ticks) => ticks.map(figure) },
    ];
  }

  function sizeOf(element) {
    return { width: Math.max(200, element.clientWidth), height: 190 };
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) plots.get(target.id)?.state.plot.setSize(sizeOf(target));
  });

  function draw(element, data) {
    const state = { data };
    const whole = data.series.length > 1 ? 'in all' : '–';
    const clock = (_, at) =>
      at === null ? whole : new Date(at * 1000).toISOString().slice(11, 19);
    state.plot = new uPlot(
      {
        ...sizeOf(element),
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
        scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(1, max * 1.08)] } },
        axes: axes(),
        cursor: { y: false, drag: { x: false, y: false } },
        series: [{ label: 'UTC', value: clock, class: 'when' }, ...seriesOf(state)],
      },
      columns(data),
      element,
    );
    plots.set(element.id, { element, state });
    resized.observe(element);
  }

  /** Draws what has come, with the page or in a part of it, and lets go of what is no longer there. */
  function drawNew() {
    for (const [id, { element, state }] of plots)
      if (!element.isConnected) {
        state.plot.destroy();
        plots.delete(id);
      }
    for (const element of document.querySelectorAll('[data-plot]'))
      if (!plots.has(element.id)) draw(element, JSON.parse(element.dataset.plot));
  }

  drawNew();
  document.addEventListener('htmx:sse:after:message', drawNew);
  // The colours are in the canvas: another theme is another drawing.
  document.addEventListener('themed', () => {
    for (const { element, state } of [...plots.values()]) {
      state.plot.destroy();
      draw(element, state.data);
    }
  });
  document.addEventListener('plot', (event) => {
    const { id, data } = JSON.parse(event.detail.data);
    const known = plots.get(id);
    if (known === undefined) return;
    known.state.data = data;
    known.state.plot.setData(columns(data));
  });
}
