/** Progress of long work: a bar on a terminal, plain lines elsewhere. */

export interface ProgressOutput {
  readonly isTerminal: boolean;
  readonly columns: number;
  write(text: string): void;
}

export interface ProgressBar {
  /** @param of 0 when the end is not known. */
  update(step: string, done: number, of: number, note?: string): void;
  /** Leaves the last state on the screen and ends its line. */
  finish(): void;
}

const BAR_CELLS = 24;
const LINE_EVERY_MS = 5000;

function figure(value: number): string {
  return value.toLocaleString('en-GB');
}

function text(step: string, done: number, of: number, note: string): string {
  const amount = of === 0 ? figure(done) : `${figure(done)} of ${figure(of)}`;
  return `${step.padEnd(9)} ${amount}${note === '' ? '' : `  ${note}`}`;
}

function bar(done: number, of: number): string {
  const filled = of === 0 ? 0 : Math.round((Math.min(done, of) / of) * BAR_CELLS);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)}`;
}

/** A bar for one command; a new step begins a new line. */
export function progressBar(output: ProgressOutput): ProgressBar {
  let current = '';
  let last = '';
  let lastLineAt = Number.NEGATIVE_INFINITY;
  const endLine = (): void => {
    if (last !== '' && output.isTerminal) output.write('\n');
    if (last !== '' && !output.isTerminal) output.write(`${last}\n`);
    last = '';
  };
  return {
    update: (step, done, of, note = '') => {
      if (step !== current) endLine();
      current = step;
      const line = text(step, done, of, note);
      if (!output.isTerminal) {
        last = line;
        const now = performance.now();
        if (now - lastLineAt < LINE_EVERY_MS) return;
        lastLineAt = now;
        output.write(`${line}\n`);
        last = '';
        return;
      }
      const drawn = output.columns < 60 || of === 0 ? line : `${bar(done, of)} ${line}`;
      last = drawn;
      output.write(`\r\x1b[2K${drawn.slice(0, Math.max(20, output.columns - 1))}`);
    },
    finish: endLine,
  };
}
