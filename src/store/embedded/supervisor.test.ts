import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Fault } from '../../base/errors.ts';
import type { Postmaster } from './postmaster.ts';
import { Supervisor } from './supervisor.ts';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

const ready = (pid: number): Postmaster => ({ pid, port: 1, socketDir: '', status: 'ready' });

/** A cluster whose server is what a test says it is. */
class Cluster {
  running: Postmaster | null = ready(1);
  inOrder = false;
  /** What a start comes to. */
  starts: () => Postmaster = () => ready(this.started + 1);
  started = 0;
  readonly lines: string[] = [];
  readonly faults: Fault[] = [];
  readonly supervisor: Supervisor = new Supervisor(1, {
    find: async () => this.running,
    wasShutDown: async () => this.inOrder,
    start: async () => {
      this.started++;
      this.running = this.starts();
      return this.running;
    },
    log: (line) => this.lines.push(line),
    logFile: 'postgres.log',
    failed: (fault) => this.faults.push(fault),
  });
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    mock.timers.tick(50);
    for (let i = 0; i < 5; i++) await turn();
  }
}

test('one that has died is started again, and its successor is known', async () => {
  const cluster = new Cluster();
  await pass(1000);
  assert.equal(cluster.started, 0);
  cluster.running = null;
  await pass(500);
  assert.equal(cluster.started, 1);
  assert.equal(cluster.supervisor.pid, 2);
  assert.deepEqual(cluster.lines, [
    'PostgreSQL (process 1) has ended by itself',
    'PostgreSQL runs again (process 2)',
  ]);
  await cluster.supervisor.close();
});

test('one that was stopped in order is waited for, which is said once', async () => {
  const cluster = new Cluster();
  cluster.inOrder = true;
  cluster.running = null;
  await pass(5000);
  assert.equal(cluster.started, 0);
  assert.equal(cluster.lines.length, 1);
  cluster.running = ready(77);
  await pass(500);
  assert.equal(cluster.supervisor.pid, 77);
  await cluster.supervisor.close();
});

test('one that does not start is tried five times in a quarter of a minute, and then given up once', async () => {
  const cluster = new Cluster();
  cluster.starts = () => {
    throw new Fault('embedded.start', 'PostgreSQL did not start: broken');
  };
  cluster.running = null;
  await pass(14_000);
  assert.equal(cluster.started, 4);
  assert.deepEqual(cluster.faults, []);
  await pass(60_000);
  assert.equal(cluster.started, 5);
  assert.deepEqual(
    cluster.faults.map(({ code, message }) => `${code}: ${message}`),
    ['embedded.lost: PostgreSQL has ended and does not stay up: PostgreSQL did not start: broken'],
  );
  await cluster.supervisor.close();
});

test('one that starts and dies again and again is given up as well', async () => {
  const cluster = new Cluster();
  for (let i = 0; i < 20; i++) {
    cluster.running = null;
    await pass(10_000);
  }
  assert.equal(cluster.started, 5);
  assert.deepEqual(
    cluster.faults.map(({ code }) => code),
    ['embedded.lost'],
  );
  await cluster.supervisor.close();
});

test('closed while it waits for the next try, it tries no more and complains of nothing', async () => {
  const cluster = new Cluster();
  cluster.starts = () => {
    throw new Fault('embedded.start', 'broken');
  };
  cluster.running = null;
  await pass(1000);
  const { started } = cluster;
  await cluster.supervisor.close();
  await pass(60_000);
  assert.equal(cluster.started, started);
  assert.deepEqual(cluster.faults, []);
});
