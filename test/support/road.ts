/** A broadcast walked in this process up to its approval, for flow tests. */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sampleCustomers } from '../../demo/sample-customers.ts';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import { approvalDocument, approveBroadcast } from '../../src/broadcast/approval.ts';
import { shippedStages } from '../../src/broadcast/block-pool.ts';
import type { BroadcastSettings } from '../../src/broadcast/broadcast.ts';
import { createBroadcast } from '../../src/broadcast/create.ts';
import { HaltSwitch } from '../../src/broadcast/halt.ts';
import { lookBeforeWrite } from '../../src/broadcast/last-look.ts';
import type { NoticeFiles } from '../../src/broadcast/notice.ts';
import { prepareBroadcast } from '../../src/broadcast/prepare.ts';
import type { ReleaseEnvironment } from '../../src/broadcast/release-start.ts';
import { DEFAULT_RING_RULES } from '../../src/broadcast/rings.ts';
import { parseRoute } from '../../src/broadcast/route.ts';
import { importCustomers } from '../../src/customers/import.ts';
import { DEFAULT_COLUMNS } from '../../src/customers/read-records.ts';
import { type Keyring, keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { enrol } from '../../src/operators/enrolment.ts';
import {
  newOperatorKey,
  type OperatorKey,
  operatorKeyOf,
  signAs,
} from '../../src/operators/operator-key.ts';
import type { Database } from '../../src/store/database.ts';
import { migrate } from '../../src/store/migrate.ts';

const NOTICE = fileURLToPath(new URL('../../demo/notice/', import.meta.url));

export interface RoadOptions {
  readonly db: Database;
  readonly people: number;
  readonly route: string;
  readonly settings?: Partial<BroadcastSettings>;
  /** A keyring made before; one with the sample's domain otherwise. */
  readonly keyring?: Keyring;
  /** Changes files of the sample notice before they are used. */
  readonly notice?: (files: Record<string, string>) => void;
}

export interface Road {
  readonly broadcast: string;
  readonly keyring: Keyring;
  readonly alice: OperatorKey;
  readonly bob: OperatorKey;
  readonly addresses: readonly string[];
  readonly environment: ReleaseEnvironment;
  /** Removes the folder of intent logs. */
  clean(): Promise<void>;
}

/** The sample notice as text. */
export async function sampleNotice(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of ['notice.json', 'notice.html', 'notice.txt'])
    files[name] = await readFile(join(NOTICE, name), 'utf8');
  for (const name of await readdir(join(NOTICE, 'messages')))
    files[`messages/${name}`] = await readFile(join(NOTICE, 'messages', name), 'utf8');
  return files;
}

function csvOf(people: number): { csv: string; addresses: string[] } {
  const lines = ['id,email,name,language,positions'];
  const addresses: string[] = [];
  for (const { id, email, name, language, positions } of sampleCustomers(people, 7)) {
    lines.push([id, email, `"${name}"`, language, positions].join(','));
    addresses.push(email);
  }
  return { csv: `${lines.join('\n')}\n`, addresses };
}

export function settingsFor(route: string): BroadcastSettings {
  return {
    selection: { where: [] },
    sameAddress: { each: false, chosen: [] },
    route: parseRoute(route),
    rings: DEFAULT_RING_RULES,
    uncertain: 'resend',
    deadlineHours: 24,
    retrySeconds: [1],
    messageIdDomain: 'northwind.example',
    returnPathDomain: 'bounce.northwind.example',
  };
}

/** Import, freeze, prepare and approval: alice makes, bob approves. */
export async function walkToApproval(options: RoadOptions): Promise<Road> {
  const { db, people, route } = options;
  await migrate(db);
  const keyring = options.keyring ?? keyringOf(newKeyringDocument(['northwind.example']));
  const [alice, bob] = ['alice', 'bob'].map((name) => operatorKeyOf(newOperatorKey(name))) as [
    OperatorKey,
    OperatorKey,
  ];
  for (const { operator, publicKey } of [alice, bob])
    await enrol(db, { deed: 'add', operator, publicKey, by: null, now: new Date() });
  const { csv, addresses } = csvOf(people);
  await importCustomers(
    db,
    keyring,
    'alice',
    {
      bytes: (async function* () {
        yield Buffer.from(csv);
      })(),
      file: 'customers.csv',
      format: 'csv',
      columns: DEFAULT_COLUMNS,
      defaultLanguage: 'en',
    },
    { rejected: () => {}, progress: () => {}, beforeCommit: () => {} },
  );
  const files = await sampleNotice();
  options.notice?.(files);
  const { broadcast } = await createBroadcast(
    db,
    keyring,
    {
      name: 'test',
      operator: 'alice',
      files: files as NoticeFiles,
      folder: NOTICE,
      settings: { ...settingsFor(route), ...options.settings },
      progress: () => {},
    },
    new Date(),
  );
  await prepareBroadcast(db, keyring, {
    broadcast,
    operator: 'alice',
    stagesModule: shippedStages(),
    progress: () => {},
    cancelled: () => false,
  });
  const document = await approvalDocument(db, keyring, broadcast);
  const signature = signAs(bob, canonicalJson(document)).toString('base64');
  const publicKey = bob.publicKey.toString('base64');
  const envelope = { kind: 'ed25519', operator: 'bob', publicKey, signature } as const;
  await approveBroadcast(db, keyring, broadcast, envelope, new Date());
  const dataDir = await mkdtemp(join(tmpdir(), 'undisclosed-road-'));
  const environment: ReleaseEnvironment = {
    db,
    keyring,
    dataDir,
    sender: 'test-sender',
    brake: new HaltSwitch(),
    look: lookBeforeWrite,
    stagesModule: shippedStages(),
  };
  const clean = (): Promise<void> => rm(dataDir, { recursive: true, force: true });
  return { broadcast, keyring, alice, bob, addresses, environment, clean };
}
