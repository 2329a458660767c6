/**
 * Prepare and sign, beside the signing bound of this machine in the same run: SHA-256 of the message and RSA-2048 on
 * every core. Then where the time of one core goes, step by step.
 */

import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type SampleCustomer, sampleCustomers } from '../demo/sample-customers.ts';
import { compileNotice } from '../src/broadcast/compile.ts';
import { type NoticeFiles, readNotice } from '../src/broadcast/notice.ts';
import { sha256 } from '../src/broadcast/prepared-message.ts';
import { stages } from '../src/broadcast/stages.ts';
import { readNoticeFolder } from '../src/cli/notice-folder.ts';
import { newSealingKey, open, seal } from '../src/keys/seal.ts';
import { policyFrom } from '../src/policy/policy.ts';
import { startSink } from './far-side.ts';
import { House, SEED } from './house.ts';
import { walk } from './road.ts';
import { log, peopleOf, report } from './run.ts';

const BOUND_MS = 3000;
const MESSAGE_BYTES = 10_240;
const SPLIT_PEOPLE = 1000;
const ROUNDS = 3;

const SIGNER = `
const { parentPort, workerData } = require('node:worker_threads');
const { createPrivateKey, hash, sign } = require('node:crypto');
const key = createPrivateKey(workerData.pem);
const message = Buffer.alloc(workerData.bytes, 'x');
const end = performance.now() + workerData.ms;
let count = 0;
while (performance.now() < end) {
  for (let i = 0; i < 20; i++) sign('sha256', hash('sha256', message, 'buffer'), key);
  count += 20;
}
parentPort.postMessage(count);
`;

/** Signatures per second of all cores together, doing nothing else. */
async function signingBound(): Promise<number> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const workerData = {
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    bytes: MESSAGE_BYTES,
    ms: BOUND_MS,
  };
  const counts = await Promise.all(
    Array.from(
      { length: availableParallelism() },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(SIGNER, { eval: true, workerData });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  return counts.reduce((sum, count) => sum + count, 0) / (BOUND_MS / 1000);
}

type Split = Record<'open' | 'render' | 'compose' | 'inspect' | 'look' | 'seal' | 'sign', number>;

/** Microseconds of one message in each step, on one core: the least of several rounds. */
function splitByStep(files: NoticeFiles): Split {
  const compiled = compileNotice(readNotice(files), {
    broadcast: 'b-bench',
    messageIdDomain: 'northwind.example',
    returnPathDomain: 'bounce.northwind.example',
    tokenKey: createSecretKey(randomBytes(32)),
  });
  const policy = policyFrom('bulk', {
    roleAddresses: compiled.allowed.addresses,
    companyDomains: [compiled.fromDomain],
  });
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const sign = stages.signer({
    domain: compiled.fromDomain,
    selector: 'bench',
    privateKey,
    signedHeaders: ['From', 'To', 'Subject', 'Date', 'Message-ID'],
    oversigned: ['From'],
  });
  const key = newSealingKey();
  const people = [...sampleCustomers(SPLIT_PEOPLE, SEED)];
  const rounds = Array.from({ length: ROUNDS }, () => {
    const split: Split = { open: 0, render: 0, compose: 0, inspect: 0, look: 0, seal: 0, sign: 0 };
    let at = 0;
    const lap = (step: keyof Split): void => {
      const now = performance.now();
      split[step] += ((now - at) * 1000) / people.length;
      at = now;
    };
    people.forEach((person: SampleCustomer, position) => {
      const fields = Object.fromEntries(Object.entries(person).map(([k, v]) => [k, String(v)]));
      const target = compiled.languages.find((each) => each.language === person.language);
      if (target === undefined) throw new Error(`no language ${person.language}`);
      const frozen = seal(key, 'audience', position, Buffer.from(JSON.stringify(fields)));
      at = performance.now();
      open(key, 'audience', position, frozen);
      lap('open');
      const rendered = stages.render(target, { position, address: person.email, fields });
      lap('render');
      const message = stages.compose(target.layout, rendered.slots);
      lap('compose');
      stages.inspect(message, rendered, policy);
      lap('inspect');
      stages.look(message, rendered, compiled.allowed);
      sha256(message);
      lap('look');
      seal(key, 'prepared', position, Buffer.concat(rendered.slots));
      lap('seal');
      sign(message, 1_700_000_000);
      lap('sign');
    });
    return split;
  });
  const least = (step: keyof Split): number => Math.min(...rounds.map((round) => round[step]));
  const [open_, render, compose] = [least('open'), least('render'), least('compose')];
  const [inspect, look, seal_, sign_] = [
    least('inspect'),
    least('look'),
    least('seal'),
    least('sign'),
  ];
  return { open: open_, render, compose, inspect, look, seal: seal_, sign: sign_ };
}

const people = peopleOf(50_000);
const sink = await startSink();
const house = await House.open(people);
try {
  const before = await signingBound();
  const road = await walk(house, sink.port, 20, log);
  const bound = (before + (await signingBound())) / 2;
  const seconds = road.prepare.seconds + road.sending.signingSeconds;
  const microseconds = splitByStep(await readNoticeFolder(house.notice));
  report('prepare', {
    people,
    perSecond: people / seconds,
    signingBoundPerSecond: bound,
    shareOfBound: people / seconds / bound,
    prepareSeconds: road.prepare.seconds,
    signSeconds: road.sending.signingSeconds,
    prepareOursMb: road.prepare.oursMb,
    microseconds: {
      ...microseconds,
      store: (road.prepare.cpu.postgres * 1e6) / people,
    },
  });
} finally {
  await house.close();
  await sink.stop();
}
