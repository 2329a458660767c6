/** `undisclosed demo` as a stranger starts it: it does the main job, stays with the console, and leaves nothing behind. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const LAUNCHER = path.join(import.meta.dirname, '../../undisclosed');
const DEMO_MS = 120_000;

const folder = mkdtempSync(path.join(tmpdir(), 'demo-test-'));
// The database runs as another user when we are root and must be able to reach its folder.
chmodSync(folder, 0o711);
after(() => rmSync(folder, { recursive: true, force: true }));

interface Demo {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown[]>;
  said(): string;
}

function startDemo(out: string, ...options: readonly string[]): Demo {
  const args = ['demo', '--people', '1200', '--out', path.join(folder, out), ...options];
  // In a temporary folder of its own: another demo on this machine is not counted.
  const env = { ...process.env, TMPDIR: folder };
  const child = spawn(LAUNCHER, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += String(chunk);
    });
  return { child, ended: once(child, 'close'), said: () => text };
}

async function until(demo: Demo, pattern: RegExp): Promise<void> {
  const started = performance.now();
  while (!pattern.test(demo.said())) {
    assert.equal(demo.child.exitCode, null, demo.said());
    assert.ok(performance.now() - started < DEMO_MS, `not said in time: ${demo.said()}`);
    await sleep(50);
  }
}

const workFolders = (): number =>
  readdirSync(folder).filter((name) => name.startsWith('undisclosed-demo-')).length;

test('the demo tells everybody, stops each mistake, and ends with a console that two people can sign in to', async () => {
  const before = workFolders();
  const demo = startDemo('whole');
  try {
    await until(demo, /Ctrl-C ends it/);
    assert.equal(workFolders(), before + 1);
    const text = demo.said();
    assert.match(text, /0 {2}disclosures: nobody can read of anybody else/);
    assert.equal(text.match(/REFUSED:/g)?.length, 4);
    assert.match(text, /sent as private copies\./);
    for (const operator of ['alice', 'bob']) {
      const url = new RegExp(
        `^${operator} +(http://(?:127\\.0\\.0\\.1|localhost):\\S+)$`,
        'm',
      ).exec(text)?.[1];
      assert.ok(url !== undefined, text);
      const answer = await fetch(url);
      assert.equal(answer.status, 200);
      assert.match(await answer.text(), new RegExp(operator));
    }
  } finally {
    demo.child.kill('SIGINT');
  }
  const [status] = await demo.ended;
  assert.equal(status, 0, demo.said());
  assert.equal(workFolders(), before);
  const result = JSON.parse(readFileSync(path.join(folder, 'whole/result.json'), 'utf8'));
  assert.deepEqual(
    [result.people, result.messages, result.disclosures, result.wouldHaveDisclosed],
    [1200, 1200, 0, 999_000],
  );
});

test('Ctrl-C in the middle of the demo leaves no folder and no process behind', async () => {
  const before = workFolders();
  const demo = startDemo('halfway', '--no-console');
  await until(demo, /broadcast prepare/);
  demo.child.kill('SIGINT');
  const [status] = await demo.ended;
  assert.equal(status, 130, demo.said());
  assert.equal(workFolders(), before);
  assert.equal(existsSync(path.join(folder, 'halfway')), false);
});
