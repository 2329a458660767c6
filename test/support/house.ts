/** A database, a keyring, operators and customers, and each step of the road as one call. */

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import {
  type ApprovalDocument,
  type ApprovalEnvelope,
  approvalDocument,
  approveBroadcast,
} from '../../src/broadcast/approval.ts';
import { shippedStages } from '../../src/broadcast/block-pool.ts';
import type { BroadcastSettings } from '../../src/broadcast/broadcast.ts';
import { createBroadcast } from '../../src/broadcast/create.ts';
import { HaltSwitch } from '../../src/broadcast/halt.ts';
import { lookBeforeWrite } from '../../src/broadcast/last-look.ts';
import type { NoticeFiles } from '../../src/broadcast/notice.ts';
import { type PrepareReport, prepareBroadcast } from '../../src/broadcast/prepare.ts';
import { Release, type ReleaseEnd } from '../../src/broadcast/release.ts';
import type { ReleaseEnvironment } from '../../src/broadcast/release-start.ts';
import { parseRoute } from '../../src/broadcast/route.ts';
import { readNoticeFolder } from '../../src/cli/notice-folder.ts';
import { type ImportReport, importCustomers } from '../../src/customers/import.ts';
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

const NOTICE = fileURLToPath(new URL('../../demo/notice', import.meta.url));

/** Each step of the road as one call: alice makes and releases, bob approves. */
export interface House {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly alice: OperatorKey;
  readonly bob: OperatorKey;
  readonly environment: ReleaseEnvironment;
  importCsv(csv: string, operator?: string): Promise<ImportReport>;
  create(files: NoticeFiles, port: number, settings?: Partial<BroadcastSettings>): Promise<string>;
  prepare(id: string, operator?: string, stagesModule?: string): Promise<PrepareReport>;
  approve(id: string, by?: OperatorKey): Promise<ApprovalDocument>;
  start(id: string, environment?: Partial<ReleaseEnvironment>): Promise<Release>;
  release(id: string, environment?: Partial<ReleaseEnvironment>): Promise<ReleaseEnd>;
  close(): Promise<void>;
}

function settingsFor(port: number): BroadcastSettings {
  return {
    selection: { where: [] },
    sameAddress: { each: false, chosen: [] },
    route: parseRoute(`smtp://127.0.0.1:${port}?tls=none`),
    rings: { perThousand: [], refusedShareMax: 1 },
    uncertain: 'resend',
    deadlineHours: 24,
    retrySeconds: [1],
    messageIdDomain: 'northwind.example',
    returnPathDomain: 'bounce.northwind.example',
  };
}

export function sealApproval(key: OperatorKey, document: ApprovalDocument): ApprovalEnvelope {
  return {
    kind: 'ed25519',
    operator: key.operator,
    publicKey: key.publicKey.toString('base64'),
    signature: signAs(key, canonicalJson(document)).toString('base64'),
  };
}

export function sampleNotice(): Promise<NoticeFiles> {
  return readNoticeFolder(NOTICE);
}

export async function openHouse(
  db: Database,
  keyring: Keyring = keyringOf(newKeyringDocument(['northwind.example'])),
): Promise<House> {
  await migrate(db);
  const [alice, bob] = ['alice', 'bob'].map((name) => operatorKeyOf(newOperatorKey(name))) as [
    OperatorKey,
    OperatorKey,
  ];
  for (const { operator, publicKey } of [alice, bob])
    await enrol(db, { deed: 'add', operator, publicKey, by: null, now: new Date() });
  const dataDir = await mkdtemp(join(tmpdir(), 'undisclosed-house-'));
  await chmod(dataDir, 0o711);
  const environment: ReleaseEnvironment = {
    db,
    keyring,
    dataDir,
    sender: 'test-sender',
    brake: new HaltSwitch(),
    look: lookBeforeWrite,
    stagesModule: shippedStages(),
  };
  const start: House['start'] = (id, changed = {}) =>
    Release.start({ ...environment, ...changed }, id, 'alice');
  return {
    db,
    keyring,
    alice,
    bob,
    environment,
    importCsv: (csv, operator = 'alice') => {
      const bytes = (async function* () {
        yield Buffer.from(csv);
      })();
      const source = {
        bytes,
        file: 'customers.csv',
        format: 'csv',
        columns: DEFAULT_COLUMNS,
        defaultLanguage: 'en',
      } as const;
      return importCustomers(db, keyring, operator, source, {
        rejected: () => {},
        progress: () => {},
        beforeCommit: () => {},
      });
    },
    create: async (files, port, settings = {}) => {
      const request = {
        name: 'test',
        operator: 'alice',
        files,
        folder: NOTICE,
        settings: { ...settingsFor(port), ...settings },
        progress: () => {},
      };
      return (await createBroadcast(db, keyring, request, new Date())).broadcast;
    },
    prepare: (id, operator = 'alice', stagesModule = shippedStages()) =>
      prepareBroadcast(db, keyring, {
        broadcast: id,
        operator,
        stagesModule,
        progress: () => {},
        cancelled: () => false,
      }),
    approve: async (id, by = bob) => {
      const document = await approvalDocument(db, keyring, id);
      return approveBroadcast(db, keyring, id, sealApproval(by, document), new Date());
    },
    start,
    release: async (id, changed) => (await start(id, changed)).done,
    close: () => rm(dataDir, { recursive: true, force: true }),
  };
}
