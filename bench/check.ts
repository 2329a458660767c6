/**
 * How long `undisclosed check` takes to answer about one message, as a user waits for it: the launcher, a process of its own.
 *
 *     node bench/check.ts [--runs N]
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const LAUNCHER = path.join(import.meta.dirname, '../undisclosed');
const { values } = parseArgs({ options: { runs: { type: 'string', default: '20' } } });
const folder = mkdtempSync(path.join(tmpdir(), 'bench-check-'));
try {
  const file = path.join(folder, 'message.eml');
  writeFileSync(file, 'From: n@s.test\r\nTo: a@x.test, b@x.test\r\nSubject: x\r\n\r\nHello\r\n');
  const times: number[] = [];
  // The first run fills the compile cache.
  for (let run = 0; run <= Number(values.runs); run++) {
    const started = performance.now();
    const { status } = spawnSync(LAUNCHER, ['check', '--json', file]);
    if (status !== 1) throw new Error(`check ended with ${status}`);
    if (run > 0) times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(times[Math.floor((times.length - 1) * share)] ?? 0);
  const result = {
    bench: 'check',
    runs: times.length,
    medianMs: at(0.5),
    p90Ms: at(0.9),
    wantedMs: 300,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
