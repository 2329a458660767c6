/** The whole road by the commands that a user would type: import, freeze, prepare, approve, release. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { count } from './plots.ts';
import {
  type Created,
  type Imported,
  type Prepared,
  type Released,
  roadCommands,
} from './road-commands.ts';
import { command, HERE, MAIN, type Stage, say, showCommand } from './stage.ts';

export interface FarSides {
  readonly sinkPort: number;
  readonly smtpPort: number;
  readonly sendgridUrl: string;
  readonly keys: {
    readonly person: string;
    readonly program: string;
    readonly shop: string;
    readonly club: string;
  };
}

async function issueKey(
  stage: Stage,
  name: string,
  policy: string,
): Promise<{ key: string; caller: object }> {
  const { stdout } = await stage.processes.run(
    [MAIN, 'keys', 'issue', name, '--policy', policy, '--json'],
    stage.env,
  );
  return JSON.parse(stdout) as { key: string; caller: object };
}

export async function startFarSides(stage: Stage): Promise<FarSides> {
  const { processes, work, env, settings } = stage;
  const quiet = (): void => {};
  const sink = await processes.start(
    [join(HERE, 'sink.mjs'), join(settings.out, 'delivered')],
    env,
    quiet,
  );
  const passed = await processes.start(
    [join(HERE, 'sink.mjs'), join(settings.out, 'passed')],
    env,
    quiet,
  );
  const provider = await processes.start([join(HERE, 'provider.mjs')], env, quiet);
  const person = await issueKey(stage, 'office-mail', 'person');
  const program = await issueKey(stage, 'newsletter', 'bulk');
  const shop = await issueKey(stage, 'shop', 'transactional');
  const club = await issueKey(stage, 'members-club', 'bulk');
  const config = {
    origin: 'demo.northwind.example/ledger',
    companyDomains: ['northwind.example'],
    roleAddresses: ['support@northwind.example', 'office@northwind.example'],
    anchors: [{ kind: 'file', place: join(settings.out, 'checkpoints.txt') }],
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${passed.ready}`, tls: 'none' },
      sendgrid: {
        listen: '127.0.0.1:0',
        baseUrl: `http://127.0.0.1:${provider.ready}`,
        apiKeyEnv: 'DEMO_PROVIDER_KEY',
      },
      callers: [
        person.caller,
        // A newsletter is written to as many at once; others are held at ten times what is usual.
        { ...program.caller, readersMax: 1000 },
        shop.caller,
        { ...club.caller, split: true },
      ],
    },
  };
  await writeFile(join(work, 'config.json'), JSON.stringify(config));
  showCommand(stage, ['undisclosed', 'serve']);
  const server = await processes.start([MAIN, 'serve'], env, quiet);
  say(stage, 'The server: its own PostgreSQL, the ledger, a relay and a provider endpoint.');
  const gate = (name: string): string =>
    server.lines
      .find((line) => line.startsWith(`gate ${name} `))
      ?.split(' ')
      .at(-1) ?? '';
  return {
    sinkPort: Number(sink.ready),
    smtpPort: Number(gate('smtp-relay').split(':').at(-1)),
    sendgridUrl: gate('provider-api:sendgrid'),
    keys: { person: person.key, program: program.key, shop: shop.key, club: club.key },
  };
}

export interface Road {
  readonly broadcast: string;
  readonly manifestRoot: string;
}

export async function walkTheRoad(stage: Stage, far: FarSides): Promise<Road> {
  const { work } = stage;
  const csv = join(work, 'customers.csv');
  for (const name of ['alice', 'bob'])
    await command(stage, 'operators', roadCommands.addOperator(name));
  say(stage, 'Two people who work the system, each with a key of their own.');
  const imported = await command<Imported>(stage, 'import', roadCommands.import(csv));
  say(stage, `${count(imported.added)} customers. Their addresses are sealed in the database.`);
  const route = `smtp://127.0.0.1:${far.sinkPort}?tls=none`;
  const create = roadCommands.create(join(HERE, 'notice'), route);
  const made = await command<Created>(stage, 'freeze', create);
  say(
    stage,
    `${count(made.count)} people, each with a place in the order of release: in rings of ${made.rings.map((ring) => count(ring.count)).join(', ')}. Somebody of each mail provider and language goes first; a ring opens when the last went well.`,
  );
  const id = made.broadcast;
  const prepared = await command<Prepared>(stage, 'prepare', roadCommands.prepare(id));
  say(
    stage,
    `${count(prepared.count)} messages, each written for one reader in their language, and each inspected. None has left.`,
  );
  await command(stage, 'approve', roadCommands.approve(id));
  say(stage, 'bob, who made none of it, signed for exactly these messages. Their fingerprint:');
  say(stage, prepared.manifestRoot);
  const before = stage.seconds.length;
  const end = await command<Released>(stage, 'release', roadCommands.release(id));
  if (end.kind !== 'complete') throw new Error(`the release ended as ${end.kind}`);
  stage.seconds.splice(
    before,
    1,
    { step: 'sign', seconds: end.progress.signingSeconds },
    { step: 'release', seconds: end.progress.sendingSeconds },
  );
  say(
    stage,
    `${count(end.progress.accepted)} accepted by the mail server, each alone on the envelope; ${count(Math.round(end.progress.accepted / end.progress.sendingSeconds))} a second.`,
  );
  return { broadcast: id, manifestRoot: prepared.manifestRoot };
}
