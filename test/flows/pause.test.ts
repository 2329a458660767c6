/** What is missing for a while: the release pauses, says why, and goes on by itself. Nobody is lost. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation } from '../support/serve-process.ts';
import { type Sink, startSink } from '../support/sink-process.ts';

const PEOPLE = 360;
const CONNECTIONS = 4;

describe('pauses', () => {
  let at: Installation;
  let sink: Sink;

  before(async () => {
    at = await Installation.make({ people: PEOPLE, seed: 3 });
    sink = await startSink(join(at.folder, 'sink.tsv'), { delayMs: 25, trace: true });
  });
  after(async () => {
    await sink?.stop();
    await at?.close();
  });

  const approved = (): Promise<string> =>
    at.approved(`smtp://127.0.0.1:${sink.port}?tls=none&connections=${CONNECTIONS}`, [
      ...['--retry-seconds', '1', '--rings', '100'],
    ]);

  async function everybodyOnce(id: string): Promise<void> {
    const { account } = await at.until(id, 'complete', ({ state }) => state === 'complete', 60_000);
    assert.deepEqual(account.states, { accepted: PEOPLE });
    const attempts = await at.intended(id);
    assert.equal(attempts.size, PEOPLE);
    const uncertain = new Set(
      (await at.outcomes(id)).filter(({ state }) => state === 'uncertain').map((o) => o.position),
    );
    for (const [position, tries] of attempts)
      assert.ok(tries.size === 1 || uncertain.has(position), `row ${position}`);
    const { status, output } = await at.verify(id);
    assert.equal(status, 0, output);
  }

  for (const [nth, from] of [50, 150, 280].entries())
    test(`the database is stopped and started again after ${from} messages: stops within a second, goes on by itself`, async () => {
      const id = await approved();
      const before = sink.taken();
      void at.release(id);
      assert.ok(await sink.reaches(before + from, 30_000), at.serving.lines.slice(-3).join('; '));
      await at.closeDb();
      await (await at.postgres()).stop();
      const gone = Number(process.hrtime.bigint() / 1000n);
      await sleep(1500 + nth * 500);
      const content = (await sink.events()).filter(({ event }) => event === 'content');
      const lastMs = ((content.at(-1)?.us ?? 0) - gone) / 1000;
      assert.ok(lastMs < 1000, `content ${lastMs} ms after the database was gone`);
      await at.postgres();
      await everybodyOnce(id);
    });

  test('the server is stopped in the middle and started again: it settles what is in flight and goes on', async () => {
    const id = await approved();
    const before = sink.taken();
    void at.release(id);
    assert.ok(await sink.reaches(before + 150, 30_000));
    await at.stop();
    await at.serve();
    await everybodyOnce(id);
    const uncertain = (await at.outcomes(id)).filter(({ state }) => state === 'uncertain');
    assert.deepEqual(uncertain, [], 'an orderly end leaves nothing unknown');
  });

  test('the disk of the intent log is full: no further content, a clear state, and on when there is room', async (t) => {
    const id = await approved();
    const folder = join(at.dataDir, 'intent', id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', folder], {
        stdio: 'pipe',
      });
    } catch {
      t.skip('no tmpfs can be mounted here: the full disk is not tested');
      return;
    }
    try {
      const before = sink.taken();
      void at.release(id);
      assert.ok(await sink.reaches(before + 60, 30_000));
      // /dev/full in a file's clothes: everything that is left is taken.
      await writeFile(join(folder, 'ballast'), Buffer.alloc(128 * 1024)).catch(() => {});
      const full = await at.until(
        id,
        'paused',
        ({ release }) => release?.phase === 'paused',
        15_000,
      );
      assert.match(full.release?.because ?? '', /intent log/);
      const us = Number(process.hrtime.bigint() / 1000n);
      await sleep(1000);
      const content = (await sink.events()).filter(({ event }) => event === 'content');
      assert.ok(((content.at(-1)?.us ?? 0) - us) / 1000 < 100, 'no content without an intent');
      await rm(join(folder, 'ballast'), { force: true });
      await everybodyOnce(id);
    } finally {
      await at.stop();
      execFileSync('umount', [folder], { stdio: 'pipe' });
    }
  });
});
