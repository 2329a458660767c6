import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendEntry } from '../../src/ledger/ledger.ts';
import { startSequencer } from '../../src/ledger/sequencer.ts';
import { openDatabase } from '../../src/store/database.ts';
import { startEmbedded } from '../../src/store/embedded.ts';
import { migrate } from '../../src/store/migrate.ts';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import { verifyBundle } from '../../verify/verify.mjs';
import { bundleLines, entry, newKeyPair, ORIGIN } from '../support/ledger-sample.ts';

const folder = mkdtempSync('/tmp/ledger-killed-');
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true, force: true }));

test('with the server killed twice in the middle, every deed that was answered is in the tree once', async (t) => {
  const dataDir = path.join(folder, 'data');
  const anchor = path.join(folder, 'anchor.txt');
  const bundle = path.join(folder, 'bundle.jsonl');
  const key = newKeyPair();
  let server = await startEmbedded({ dataDir });
  const db = await openDatabase(server.connection, { poolMax: 12 });
  const lines: string[] = [];
  await migrate(db);
  const sequencer = await startSequencer({
    db,
    key,
    origin: ORIGIN,
    anchors: [{ kind: 'file', path: anchor }],
    intervalMs: 10,
    log: (line) => lines.push(line),
  });

  const answered: string[] = [];
  let failures = 0;
  let isOver = false;
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (let step = 0; !isOver; step++) {
      const subject = `${worker}/${step}`;
      try {
        await db.transaction((tx) => appendEntry(tx, entry('deed.done', subject, {})));
        answered.push(subject);
      } catch (error) {
        assert.match((error as { code: string }).code, /^database\.(?:gone|failed)$/);
        failures++;
        await sleep(20);
      }
    }
  });
  for (let kill = 0; kill < 2; kill++) {
    await sleep(400);
    process.kill(server.pid, 'SIGKILL');
    await sleep(100);
    server = await startEmbedded({ dataDir });
  }
  await sleep(400);
  isOver = true;
  await Promise.all(workers);

  await sequencer.flush();
  assert.equal(await sequencer.anchored(), true);
  await sequencer.close();
  const bundled = await bundleLines(db, key);
  const subjects = bundled
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === 'entry')
    .map(({ bytes }) => JSON.parse(bytes).subject as string);
  await db.close();
  await server.stop();

  assert.ok(failures > 0, 'the kill hit nothing');
  t.diagnostic(`${answered.length} deeds answered, ${failures} failed, ${subjects.length} entries`);
  assert.equal(new Set(subjects).size, subjects.length);
  const placed = new Set(subjects);
  assert.deepEqual(
    answered.filter((subject) => !placed.has(subject)),
    [],
  );
  writeFileSync(bundle, bundled.join('\n'));
  const result = await verifyBundle({ bundle, anchor });
  assert.deepEqual(result.problems, []);
  assert.ok(lines.some((line) => line.startsWith('ledger: checkpoints are signed again')));
});
