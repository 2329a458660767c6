import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { takeProcessLock } from './process-lock.ts';

const SUBJECT = `process-lock.test ${process.pid}`;
const MODULE = new URL('process-lock.ts', import.meta.url).href;

test('a lock is held by one at a time, for one purpose and one subject', async () => {
  const lock = await takeProcessLock('test', SUBJECT);
  assert.ok(lock !== null);
  assert.equal(await takeProcessLock('test', SUBJECT), null);
  for (const [purpose, subject] of [
    ['other', SUBJECT],
    ['test', `${SUBJECT}/`],
  ] as const) {
    const other = await takeProcessLock(purpose, subject);
    assert.ok(other !== null);
    await other.release();
  }
  await lock.release();
  const again = await takeProcessLock('test', SUBJECT);
  assert.ok(again !== null);
  await again.release();
});

test('who waits gets it when it is given back, and gives up after the time named', async () => {
  const lock = await takeProcessLock('test', SUBJECT);
  assert.equal(await takeProcessLock('test', SUBJECT, 60), null);
  const waiting = takeProcessLock('test', SUBJECT, 10_000);
  await lock?.release();
  const taken = await waiting;
  assert.ok(taken !== null);
  await taken.release();
});

test('a lock ends with the process that held it, killed or at its end, and keeps none running', {
  timeout: 20_000,
}, async (t) => {
  for (const end of ['killed', 'at its end'] as const) {
    const script = `
      const { takeProcessLock } = await import(${JSON.stringify(MODULE)});
      await takeProcessLock('test', ${JSON.stringify(SUBJECT)});
      process.stdout.write('held');
      process.stdin.on('data', () => process.stdin.destroy());`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    assert.equal(await takeProcessLock('test', SUBJECT), null, 'the other process has it');
    if (end === 'killed') child.kill('SIGKILL');
    else child.stdin.write('end');
    const [status] = await exited;
    assert.equal(status, end === 'killed' ? null : 0);
    const lock = await takeProcessLock('test', SUBJECT);
    assert.ok(lock !== null, end);
    await lock.release();
  }
});
