/** Halt in the middle of a release: what leaves after it has returned, in which scope, and what it takes to go on. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import { sendMail } from '../../demo/mail-client.mjs';
import { haltRun } from '../support/halt-run.ts';
import { Installation, postgresFamily, postgresPid } from '../support/serve-process.ts';
import { keptCounts, type Sink, startSink } from '../support/sink-process.ts';

const PEOPLE = 300;
const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

test('a halt returns within 250 ms, no content arrives after it, a restart does not lift it, two people do', async (t) => {
  const { measures } = await haltRun({
    people: 600,
    halts: 3,
    connections: 16,
    delayMs: 50,
    seed: 7,
    log: (line) => t.diagnostic(line),
  });
  assert.equal(measures.length, 3);
});

describe('halts by file, and their scopes', () => {
  let at: Installation;
  let sink: Sink;
  let passed: Sink;
  let keys: Record<string, string>;

  before(async () => {
    keys = {};
    at = await Installation.make({
      people: PEOPLE,
      seed: 11,
      env: { SENDGRID_API_KEY: 'held-by-the-guard' },
    });
    sink = await startSink(join(at.folder, 'sink.tsv'), { delayMs: 30, trace: true });
    passed = await startSink(join(at.folder, 'passed.tsv'));
    const callers: object[] = [];
    for (const policy of ['person', 'bulk']) {
      const issued = JSON.parse(
        await at.must(['keys', 'issue', policy, '--policy', policy, '--json']),
      ) as { key: string; caller: object };
      keys[policy] = issued.key;
      callers.push(issued.caller);
    }
    const config = {
      companyDomains: ['northwind.example'],
      gates: {
        smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${passed.port}`, tls: 'none' },
        sendgrid: { listen: '127.0.0.1:0', baseUrl: 'http://127.0.0.1:1' },
        callers,
      },
    };
    await at.stop();
    await writeFile(join(at.folder, 'config.json'), JSON.stringify(config));
    await at.serve();
  });

  after(async () => {
    await sink?.stop();
    await passed?.stop();
    await at?.close();
  });

  const route = (): string => `smtp://127.0.0.1:${sink.port}?tls=none&connections=4`;

  async function underWay(): Promise<string> {
    const id = await at.approved(route(), ['--retry-seconds', '1', '--rings', '100']);
    const from = sink.taken();
    void at.release(id);
    assert.ok(await sink.reaches(from + 100, 30_000), at.serving.lines.slice(-3).join('; '));
    return id;
  }

  /** The last content after this moment, in ms. */
  async function lastContentAfter(us: number): Promise<number> {
    const content = (await sink.events()).filter(({ event }) => event === 'content');
    return ((content.at(-1)?.us ?? 0) - us) / 1000;
  }

  async function lift(halt: string): Promise<void> {
    await at.must(['resume', halt, '--as', 'bob']);
    await at.must(['resume', halt, '--as', 'carol']);
  }

  async function onlyHalt(): Promise<string> {
    const halts = await at.api<{ id: string }[]>('bob', 'GET', '/v1/halts');
    assert.equal(halts.length, 1, JSON.stringify(halts));
    return halts[0]?.id ?? '';
  }

  async function completes(id: string): Promise<void> {
    const { account } = await at.until(id, 'complete', ({ state }) => state === 'complete', 40_000);
    assert.equal(account.addsUp, true);
    const uncertain = (await at.outcomes(id)).filter(({ state }) => state === 'uncertain');
    const attempts = await at.intended(id);
    assert.equal(attempts.size, PEOPLE);
    const twice = [...attempts].filter(([, tries]) => tries.size > 1).map(([position]) => position);
    const listed = new Set(uncertain.map(({ position }) => position));
    for (const position of twice) assert.ok(listed.has(position), `row ${position} is not listed`);
  }

  test('a file HALT in the data directory stops content within half a second, becomes an entry, and two people lift it', async () => {
    const id = await underWay();
    await writeFile(join(at.dataDir, 'HALT'), '');
    const us = nowUs();
    await sleep(1200);
    assert.ok((await lastContentAfter(us)) < 500, `content after ${await lastContentAfter(us)} ms`);
    assert.equal((await at.status(id)).halted, true);
    const halt = await onlyHalt();
    assert.equal(existsSync(join(at.dataDir, 'HALT')), false, 'what is entered needs no file');
    await lift(halt);
    await completes(id);
  });

  test('with the server gone, halt leaves a file that the next start obeys', async () => {
    const id = await underWay();
    await at.kill();
    const said = JSON.parse(await at.must(['halt', '--as', 'alice', '--json'])) as { file: string };
    assert.ok(existsSync(said.file));
    const before = sink.taken();
    await at.serve();
    await sleep(1500);
    assert.ok(sink.taken() <= before + 4, 'nothing leaves');
    assert.equal((await at.status(id)).halted, true);
    await lift(await onlyHalt());
    await completes(id);
  });

  test('with the database stopped, content stops within half a second, and halt does not wait for it', async () => {
    const id = await underWay();
    const postgres = await postgresPid(at.dataDir);
    assert.ok(postgres !== null);
    const family = await postgresFamily(postgres);
    for (const pid of family) process.kill(pid, 'SIGSTOP');
    const us = nowUs();
    try {
      await sleep(1200);
      const last = await lastContentAfter(us);
      assert.ok(last < 500 + 20, `content ${last} ms after the database stopped`);
      const asked = performance.now();
      const { status, stderr } = await at.cli(['halt', '--as', 'alice', '--json']);
      assert.equal(status, 0, stderr);
      assert.ok(performance.now() - asked < 2000);
    } finally {
      for (const pid of family) process.kill(pid, 'SIGCONT');
    }
    await at.until(id, 'halted', ({ halted, release }) => halted && release === null, 20_000);
    await sleep(500);
    const standing = await lastContentAfter(us);
    assert.ok(standing < 520, `the halt holds when the database is back: ${standing}`);
    for (const { id: halt } of await at.api<{ id: string }[]>('bob', 'GET', '/v1/halts'))
      await lift(halt);
    await completes(id);
  });

  test('resumed while a message is still in flight, the release goes on by itself', async () => {
    const id = await underWay();
    sink.set({ delayMs: 2500 });
    await sleep(300);
    const { halt } = await at.api<{ halt: string }>('alice', 'POST', '/v1/halt', { scope: 'bulk' });
    await lift(halt);
    await sleep(300);
    sink.set({ delayMs: 5 });
    await completes(id);
    sink.set({ delayMs: 30 });
  });

  test('scopes: one broadcast, all bulk mail, or everything', async () => {
    const one = await underWay();
    const other = await underWay();
    const { halt } = await at.api<{ halt: string }>('alice', 'POST', '/v1/halt', {
      scope: 'broadcast',
      broadcast: one,
    });
    assert.equal((await at.status(one)).halted, true);
    assert.equal((await at.status(other)).halted, false);
    await completes(other);
    assert.equal(await answer('bulk'), 250);
    await lift(halt);
    await completes(one);

    const bulk = await at.api<{ halt: string }>('alice', 'POST', '/v1/halt', { scope: 'bulk' });
    assert.equal(await answer('person'), 250, 'a person still writes to a person');
    assert.equal(await answer('bulk'), 451, 'a bulk identity does not');
    await lift(bulk.halt);
    assert.equal(await answer('bulk'), 250);

    const all = await at.api<{ halt: string }>('alice', 'POST', '/v1/halt', {
      scope: 'everything',
    });
    assert.equal(await answer('person'), 451);
    assert.equal(await provider(), 503);
    await lift(all.halt);
    assert.equal(await answer('person'), 250);
  });

  function gate(name: string): string {
    const line = at.serving.lines.find((each) => each.startsWith(`gate ${name}`)) ?? '';
    return line.split(' ').at(-1) ?? '';
  }

  async function answer(policy: string): Promise<number> {
    const { code } = await sendMail({
      port: Number(gate('smtp-relay').split(':').at(-1)),
      key: keys[policy] ?? '',
      from: 'office@northwind.example',
      recipients: ['ada@mail.example'],
      message:
        'From: office@northwind.example\r\nTo: ada@mail.example\r\nSubject: Hello\r\nDate: Fri, 01 Nov 2019 10:00:00 +0000\r\nMessage-ID: <1@northwind.example>\r\n\r\nGood day\r\n',
    });
    return code;
  }

  async function provider(): Promise<number> {
    const response = await fetch(`${gate('provider-api:sendgrid')}/v3/mail/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys.bulk}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        personalizations: [{ to: [{ email: 'ada@mail.example' }] }],
        from: { email: 'office@northwind.example' },
        subject: 'Hello',
        content: [{ type: 'text/plain', value: 'Good day' }],
      }),
    });
    return response.status;
  }

  test('nobody was written to who is not a customer, and the far side kept what was recorded', async () => {
    const kept = keptCounts(await sink.events());
    assert.equal(kept.size, PEOPLE);
  });
});
