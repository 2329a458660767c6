/** The composition root: configuration -> a running system, closed in the reverse order. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from './base/errors.ts';
import { newId } from './base/id.ts';
import { shippedStages } from './broadcast/block-pool.ts';
import { HaltSwitch, restoreHalts, watchHaltFile } from './broadcast/halt.ts';
import { lookBeforeWrite } from './broadcast/last-look.ts';
import { ReleaseDesk } from './broadcast/release-desk.ts';
import type { ReleaseEnvironment } from './broadcast/release-start.ts';
import type { Config } from './config.ts';
import type { Gate } from './gates/gate.ts';
import { startProviderApi } from './gates/provider-api.ts';
import { startSmtpRelay } from './gates/smtp-relay.ts';
import { createGuard, type Guard, type Identity } from './guard/check.ts';
import { type Keyring, readKeyring } from './keys/keyring.ts';
import type { Anchor } from './ledger/anchors.ts';
import { type Sequencer, startSequencer } from './ledger/sequencer.ts';
import { policyFrom } from './policy/policy.ts';
import { type Database, openDatabase } from './store/database.ts';
import { describeOrphans, startEmbedded } from './store/embedded.ts';
import { migrate } from './store/migrate.ts';

export interface App {
  readonly config: Config;
  readonly db: Database;
  readonly keyring: Keyring;
  readonly sequencer: Sequencer;
  readonly brake: HaltSwitch;
  readonly releases: ReleaseDesk;
  readonly guard: Guard;
  readonly gates: readonly Gate[];
  readonly stagesModule: string;
  readonly sender: string;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly config: Config;
  readonly log: (line: string) => void;
  /** Keeps the embedded database running, and is called once, also during the start, when that cannot be done any more. */
  readonly failed?: (fault: Fault) => void;
  /** Environment variables that hold providers' keys. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The stages and the last look; tests put faulty ones in their place. */
  readonly stagesModule?: string;
  readonly look?: ReleaseEnvironment['look'];
}

type Closer = () => Promise<void>;

async function openStore(options: AppOptions, closers: Closer[]): Promise<Database> {
  const { config, log } = options;
  if (config.databaseUrl !== null) return openDatabase({ url: config.databaseUrl });
  for (const line of await describeOrphans()) log(line);
  const server = await startEmbedded({ dataDir: join(config.dataDir, 'postgres'), log });
  closers.push(() => server.stop());
  if (options.failed !== undefined) server.keepRunning(options.failed);
  return openDatabase(server.connection);
}

function anchorsOf(config: Config): readonly Anchor[] {
  return config.anchors.map(({ kind, place }) => {
    if (kind === 'file') return { kind, path: place };
    return kind === 'https' ? { kind, url: place } : { kind, directory: place };
  });
}

/** Whose key this is; compared as hashes, in constant time. */
function callerOf(config: Config, key: string): Identity | null {
  const digest = createHash('sha256').update(key).digest();
  for (const { name, policy, keySha256 } of config.gates.callers)
    if (timingSafeEqual(digest, Buffer.from(keySha256, 'hex'))) return { name, policy };
  return null;
}

async function startGates(options: AppOptions, guard: Guard, closers: Closer[]): Promise<Gate[]> {
  const { config, log, env } = options;
  const gates: Gate[] = [];
  const say = (event: string, fields: Readonly<Record<string, string | number>>): void =>
    log(`${event} ${JSON.stringify(fields)}`);
  const { smtp, sendgrid } = config.gates;
  if (smtp !== null) {
    gates.push(
      await startSmtpRelay({
        listen: smtp.listen,
        identities: (_user, password) => callerOf(config, password),
        ...(smtp.anonymous === null
          ? {}
          : { anonymousIdentity: { name: 'anonymous', policy: smtp.anonymous } }),
        check: guard.road('smtp').check,
        nextHop: smtp.nextHop,
        log: { warn: say },
      }),
    );
  }
  if (sendgrid !== null) {
    const apiKey = env[sendgrid.apiKeyEnv];
    if (apiKey === undefined)
      throw new Fault('config.no-provider-key', 'the provider’s key is missing', {
        where: `environment variable ${sendgrid.apiKeyEnv}`,
        remedy: 'set it for `serve` alone',
      });
    gates.push(
      await startProviderApi({
        listen: sendgrid.listen,
        keys: (bearer) => callerOf(config, bearer),
        check: guard.road('sendgrid').checkCopies,
        upstream: { baseUrl: sendgrid.baseUrl, apiKey },
        approvedTemplates: sendgrid.approvedTemplates,
        log: { info: () => {}, warn: say },
      }),
    );
  }
  for (const gate of gates) closers.push(() => gate.close());
  return gates;
}

async function closeAll(closers: readonly Closer[]): Promise<void> {
  for (const close of [...closers].reverse()) await close();
}

/**
 * Starts the system.
 * @throws Fault of the database, the keyring, the ledger or a gate; whatever had been started is closed again.
 */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, log } = options;
  const closers: Closer[] = [];
  try {
    const keyring = await readKeyring(config.keyring, config.dataDir);
    await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
    const db = await openStore(options, closers);
    closers.push(() => db.close());
    await migrate(db);
    const sequencer = await startSequencer({
      db,
      key: keyring.ledger,
      origin: config.origin,
      anchors: anchorsOf(config),
      log,
    });
    closers.push(() => sequencer.close());
    const brake = new HaltSwitch();
    await restoreHalts(db, config.dataDir, brake);
    const stopWatching = watchHaltFile(db, config.dataDir, brake);
    closers.push(async () => stopWatching());
    const guard = createGuard({
      db,
      // A bulk halt is for bulk mail by whatever door; people and receipts go on.
      halted: ({ policy }) => brake.everything || (policy === 'bulk' && brake.stands(null)),
      settings: ({ policy }) => ({ policy: policyFrom(policy, config) }),
    });
    closers.push(() => guard.close());
    const sender = newId('s');
    const stagesModule = options.stagesModule ?? shippedStages();
    const releases = new ReleaseDesk(
      {
        db,
        keyring,
        dataDir: config.dataDir,
        sender,
        brake,
        look: options.look ?? lookBeforeWrite,
        stagesModule,
      },
      log,
    );
    closers.push(() => releases.close());
    const gates = await startGates(options, guard, closers);
    const close = (): Promise<void> => closeAll(closers);
    return {
      config,
      db,
      keyring,
      sequencer,
      brake,
      releases,
      guard,
      gates,
      stagesModule,
      sender,
      close,
    };
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}
