/** The embedded PostgreSQL dies under a running `serve`: it is started again, unless somebody has stopped it or it cannot be. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandLine } from '../support/command-line.ts';
import { Installation, postgresPid } from '../support/serve-process.ts';
import { type Sink, startSink } from '../support/sink-process.ts';

const PEOPLE = 360;

async function until<T>(what: string, look: () => Promise<T | null>, ms: number): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`not ${what} within ${ms} ms`);
    await sleep(20);
  }
}

const anotherThan = (dataDir: string, pid: number) => async (): Promise<number | null> => {
  const now = await postgresPid(dataDir);
  return now === pid ? null : now;
};

describe('the database of a running server', () => {
  let at: Installation;
  let sink: Sink;

  before(async () => {
    at = await Installation.make({ people: PEOPLE, seed: 9 });
    sink = await startSink(join(at.folder, 'sink.tsv'), { delayMs: 25 });
  });
  after(async () => {
    await sink?.stop();
    await at?.close();
  });

  const postgres = async (): Promise<number> => {
    const pid = await postgresPid(at.dataDir);
    assert.ok(pid !== null, 'PostgreSQL is running');
    return pid;
  };
  const said = (text: RegExp): number => at.serving.lines.filter((line) => text.test(line)).length;

  test('killed twice in the middle of a release, it is started again, and the release goes on by itself', async () => {
    const id = await at.approved(`smtp://127.0.0.1:${sink.port}?tls=none&connections=4`, [
      ...['--retry-seconds', '1', '--rings', '100'],
    ]);
    const before = sink.taken();
    void at.release(id);
    for (const [times, kept] of [80, 200].entries()) {
      assert.ok(await sink.reaches(before + kept, 30_000), at.serving.lines.slice(-3).join('; '));
      await at.closeDb();
      const pid = await postgres();
      process.kill(pid, 'SIGKILL');
      await until('started again', anotherThan(at.dataDir, pid), 20_000);
      await until('said', async () => (said(/runs again/) > times ? true : null), 20_000);
      assert.equal(said(new RegExp(`PostgreSQL \\(process ${pid}\\) has ended by itself`)), 1);
    }
    const { account } = await at.until(id, 'complete', ({ state }) => state === 'complete', 60_000);
    assert.deepEqual(account.states, { accepted: PEOPLE });
    const outcomes = await at.outcomes(id);
    assert.equal(outcomes.length, PEOPLE, 'everybody once');
    const { status, output } = await at.verify(id);
    assert.equal(status, 0, output);
  });

  test('stopped by somebody else it stays stopped, and is taken up when they start it', async () => {
    await at.closeDb();
    const pid = await postgres();
    await (await at.postgres()).stop();
    await until('said', async () => (said(/was stopped by somebody else/) > 0 ? true : null), 5000);
    await sleep(1500);
    assert.equal(await postgresPid(at.dataDir), null);
    const again = await at.postgres();
    assert.notEqual(again.pid, pid);
    await until(
      'answering',
      () => at.api('alice', 'GET', '/v1/broadcasts').catch(() => null),
      5000,
    );
    process.kill(again.pid, 'SIGKILL');
    await until('started again', anotherThan(at.dataDir, again.pid), 20_000);
  });

  test('a server that ends in order stops it, and nothing starts it again', async () => {
    await until(
      'answering',
      () => at.api('alice', 'GET', '/v1/broadcasts').catch(() => null),
      5000,
    );
    await at.stop();
    assert.equal(await postgresPid(at.dataDir), null);
    await sleep(1000);
    assert.equal(await postgresPid(at.dataDir), null);
    await at.serve();
  });

  test('lost for good in the middle of a release: the server ends, and the next one goes on without a copy too many', async () => {
    const id = await at.approved(`smtp://127.0.0.1:${sink.port}?tls=none&connections=4`, [
      ...['--retry-seconds', '1', '--rings', '100'],
    ]);
    const before = sink.taken();
    void at.release(id);
    assert.ok(await sink.reaches(before + 100, 30_000));
    await at.closeDb();
    const settings = join(at.dataDir, 'postgres', 'postgres', 'postgresql.conf');
    const text = await readFile(settings);
    await writeFile(settings, 'no such setting = [\n');
    process.kill(await postgres(), 'SIGKILL');
    const { exited } = at.serving;
    await Promise.race([exited, sleep(60_000).then(() => assert.fail('serve goes on'))]);
    assert.match(at.serving.lines.at(-1) ?? '', /PostgreSQL has ended and does not stay up/);
    await writeFile(settings, text);
    await at.serve();
    const { account } = await at.until(id, 'complete', ({ state }) => state === 'complete', 60_000);
    assert.deepEqual(account.states, { accepted: PEOPLE });
    assert.equal(sink.taken(), before + PEOPLE);
  });

  test('a server that is ended while it starts it again leaves none behind', async () => {
    process.kill(await postgres(), 'SIGKILL');
    await until('said', async () => (said(/has ended by itself/) > 0 ? true : null), 5000);
    await at.stop();
    await sleep(1000);
    assert.equal(await postgresPid(at.dataDir), null);
  });
});

describe('a database that cannot be started any more: serve says so and ends with a failure', {
  concurrency: true,
}, () => {
  async function ends(spoil: (cluster: string) => Promise<void>): Promise<string> {
    const line = new CommandLine();
    const dataDir = join(line.folder, 'data');
    const cluster = join(dataDir, 'postgres', 'postgres');
    try {
      // The embedded database runs as another user when we are root and must be able to reach its folder.
      for (const folder of [line.folder, dataDir, join(dataDir, 'postgres')]) {
        await mkdir(folder, { recursive: true });
        await chmod(folder, 0o711);
      }
      await line.must(['init', '--domain', 'northwind.example']);
      const serving = line.run(['serve'], {}, 90_000);
      const socket = line.env.UNDISCLOSED_SOCKET ?? '';
      await until('ready', async () => (existsSync(socket) ? true : null), 60_000);
      const pid = await postgresPid(dataDir);
      assert.ok(pid !== null);
      await spoil(cluster);
      process.kill(pid, 'SIGKILL');
      const { status, stderr } = await serving;
      assert.equal(status, 2, stderr);
      assert.match(stderr, /\nundisclosed: [^\n]*postgres\.log: PostgreSQL has ended [^\n]+\n$/);
      assert.equal(await postgresPid(dataDir), null);
      return `${stderr}${existsSync(cluster) ? '' : 'no cluster'}`;
    } finally {
      await line.close();
    }
  }

  test('its configuration is broken', async () => {
    const stderr = await ends((cluster) =>
      appendFile(join(cluster, 'postgresql.conf'), 'no such setting = [\n'),
    );
    assert.match(stderr, /try 5 of 5: PostgreSQL did not start: /);
  });

  test('its data is gone: no empty database is made in its place', async () => {
    const stderr = await ends((cluster) => rename(cluster, `${cluster}.away`));
    assert.match(stderr, /does not stay up: the data is not there any more/);
    assert.match(stderr, /no cluster$/);
  });
});
