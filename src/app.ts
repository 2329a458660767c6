/** The composition root: configuration -> a running system, closed in the reverse order. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from './base/errors.ts';
import { newId } from './base/id.ts';
import { shippedStages } from './broadcast/block-pool.ts';
import { HaltSwitch, restoreHalts, watchHaltFile } from './broadcast/halt.ts';
import { lookBeforeWrite } from './broadcast/last-look.ts';
import { ReleaseDesk } from './broadcast/release-desk.ts';
import type { ReleaseEnvironment } from './broadcast/release-start.ts';
import type { Config, ProviderName, ProviderSetting } from './config.ts';
import { openCustomerIndex } from './customers/customer-index.ts';
import { openRecordNames } from './customers/record-names.ts';
import { readCertificate } from './gates/certificate-files.ts';
import type { Gate } from './gates/gate.ts';
import { startMilter } from './gates/milter.ts';
import { type CopiesOf, startProvider } from './gates/provider.ts';
import { createSmtpCarrier, decodeKept, type SmtpCarrierOptions } from './gates/smtp-carrier.ts';
import { startSmtpRelay } from './gates/smtp-relay.ts';
import { type Callers, callersOf } from './guard/callers.ts';
import { createGuard, type Guard } from './guard/check.ts';
import { createCircumstances } from './guard/circumstances.ts';
import { unknownAudiences } from './guard/declared-audience.ts';
import { createGreetings } from './guard/greetings.ts';
import type { LookDesk } from './guard/hold.ts';
import { type Identity, identityOf, policyOf } from './guard/identity.ts';
import type { JudgeSettings } from './guard/judge.ts';
import { createOutbox, type Outbox } from './guard/outbox.ts';
import { type Keyring, newestTokenKey, readKeyring } from './keys/keyring.ts';
import { token } from './keys/token.ts';
import type { Anchor } from './ledger/anchors.ts';
import { type Sequencer, startSequencer } from './ledger/sequencer.ts';
import type { Policy, PolicyName } from './policy/policy.ts';
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
  readonly outbox: Outbox;
  /** For looking at what is held. */
  readonly desk: LookDesk;
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
  /** What tests change in how the gates judge: detectors switched off, what is known of people. */
  readonly judging?: Judging;
}

type Judging = Pick<JudgeSettings, 'off' | 'recordOf'>;

type Closer = () => Promise<void>;

const HOUR_MS = 3_600_000;

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

interface GateParts {
  readonly options: AppOptions;
  readonly keyring: Keyring;
  readonly guard: Guard;
  readonly outbox: Outbox;
  readonly closers: Closer[];
  readonly copiesOf: Map<string, CopiesOf>;
  readonly settings: (identity: Identity) => JudgeSettings;
  readonly callers: Callers;
  say(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** Which copy it was that came back: derived from the call's id and the copy's number, and stored nowhere. */
function returnPathsOf(
  domain: string,
  { keyring }: GateParts,
): NonNullable<SmtpCarrierOptions['returnPath']> {
  return {
    domain,
    token: (id, number) => token(newestTokenKey(keyring), 'return-path', id, number),
  };
}

async function startRelay(parts: GateParts): Promise<Gate[]> {
  const { options, guard, outbox, closers, callers, say } = parts;
  const { config } = options;
  const { smtp, milter } = config.gates;
  if (smtp !== null) {
    const carrier = createSmtpCarrier({
      nextHop: smtp.nextHop,
      ...(smtp.returnPath === null ? {} : { returnPath: returnPathsOf(smtp.returnPath, parts) }),
      onFault: (fault) => say('relay.carrier', { code: fault.code, message: fault.message }),
    });
    closers.push(() => carrier.close());
    outbox.carry(carrier);
    parts.copiesOf.set(carrier.gate, (kept) => {
      const { envelope, content } = decodeKept(kept);
      return [{ envelope, bytes: content }];
    });
  }
  const gates: Gate[] = [];
  if (smtp !== null) {
    const { listen, anonymous } = smtp;
    gates.push(
      await startSmtpRelay({
        listen: {
          host: listen.host,
          port: listen.port,
          tls: listen.tls === null ? null : { ...listen.tls, implicit: smtp.implicitTls },
        },
        identities: (_user, password) => callers.byKey(password),
        ...(anonymous === null ? {} : { anonymousIdentity: identityOf('anonymous', anonymous) }),
        road: guard.road('smtp'),
        halted: (identity) => guard.halted(identity),
        nextHop: smtp.nextHop,
        log: { warn: say },
      }),
    );
  }
  if (milter !== null) {
    const unknown = identityOf('anonymous', milter.anonymous);
    gates.push(
      await startMilter({
        listen: milter.listen,
        road: guard.road('smtp'),
        identityFor: (macros) => {
          const user = macros.get('{auth_authen}') ?? '';
          return user === '' ? unknown : (callers.named(user) ?? unknown);
        },
        handOver: smtp !== null,
        ...(milter.mask ? { mask: { settings: parts.settings } } : {}),
        log: { warn: say },
      }),
    );
  }
  return gates;
}

async function startProviderGate(
  name: ProviderName,
  setting: ProviderSetting,
  { options, keyring, guard, outbox, callers, copiesOf, say }: GateParts,
): Promise<Gate> {
  const { env } = options;
  const credential = env[setting.apiKeyEnv];
  if (credential === undefined)
    throw new Fault('config.no-provider-key', 'the provider’s key is missing', {
      where: `environment variable ${setting.apiKeyEnv}`,
      remedy: 'set it for `serve` alone',
    });
  const { listen, approvedTemplates, eventsUrl, baseUrl } = setting;
  const tls = listen.tls === null ? {} : { tls: await readCertificate(listen.tls) };
  return startProvider({
    name,
    listen: { host: listen.host, port: listen.port, ...tls },
    approvedTemplates,
    upstream: { baseUrl, credential },
    eventsUrl,
    callers: (key) => callers.byKey(key),
    tokenKey: newestTokenKey(keyring),
    road: guard.road(name),
    log: { info: () => {}, warn: say },
    carry: (carrier, read) => {
      outbox.carry(carrier);
      copiesOf.set(carrier.gate, read);
    },
  });
}

async function startGates(parts: GateParts): Promise<Gate[]> {
  const gates = await startRelay(parts);
  const { providers } = parts.options.config.gates;
  for (const [name, setting] of Object.entries(providers))
    if (setting !== null) gates.push(await startProviderGate(name as ProviderName, setting, parts));
  for (const gate of gates) parts.closers.push(() => gate.close());
  return gates;
}

interface GuardParts {
  readonly config: Config;
  readonly db: Database;
  readonly keyring: Keyring;
  readonly brake: HaltSwitch;
  readonly callers: Callers;
  readonly sender: string;
  readonly log: (line: string) => void;
  readonly judging: Judging | undefined;
}

/** The guard with what stands around it: the customer index, freezes and budgets, and the outbox. */
async function openGuard(
  { config, db, keyring, brake, callers, sender, log, judging }: GuardParts,
  closers: Closer[],
): Promise<{
  guard: Guard;
  outbox: Outbox;
  settings: GateParts['settings'];
  settingsOf: LookDesk['settingsOf'];
}> {
  const index = await openCustomerIndex({ db, keyring, log });
  closers.push(() => index.close());
  const isCustomer = (canonical: string): boolean => index.has(canonical);
  const circumstances = await createCircumstances({
    ...{ db, keyring, log, isCustomer },
    halts: { sender, begin: () => brake.begin() },
  });
  closers.push(() => circumstances.close());
  const policyOfName = new Map(
    config.gates.callers.map((caller) => [caller.name, caller.policy] as const),
  );
  // A bulk halt is for bulk mail by whatever door; people and receipts go on.
  const halted = (policy: PolicyName | undefined): boolean =>
    brake.everything || (policy === 'bulk' && brake.stands(null));
  const outbox = createOutbox({
    db,
    keyring,
    sender,
    log,
    holdMs: config.gates.hold.hours * HOUR_MS,
    frozen: (identity, campaign) =>
      halted(policyOfName.get(identity)) || circumstances.frozen(identity, campaign),
  });
  closers.push(() => outbox.close());
  const policies = new Map<string, Policy>();
  const settings = (identity: Identity): JudgeSettings => {
    let policy = policies.get(identity.name);
    if (policy === undefined) {
      policy = policyOf(identity, config);
      policies.set(identity.name, policy);
    }
    return { policy, isCustomer, ...judging };
  };
  const guard = createGuard({
    db,
    halted: ({ policy }) => halted(policy),
    settings,
    circumstances,
    greetings: createGreetings({
      isCustomer,
      namesOf: openRecordNames({ db, keyring, nameFields: config.nameFields }),
    }),
    keeper: outbox,
    onFault: (error) =>
      log(`guard.fault ${JSON.stringify({ code: error instanceof Fault ? error.code : 'fault' })}`),
  });
  closers.push(() => guard.close());
  const settingsOf = (name: string): JudgeSettings =>
    settings(callers.named(name) ?? identityOf(name, 'bulk'));
  return { guard, outbox, settings, settingsOf };
}

/** Their callers' mail is deferred until somebody declares them: said at the start, so that nobody wonders. */
async function sayUnknownAudiences(
  db: Database,
  { gates }: Config,
  say: GateParts['say'],
): Promise<void> {
  for (const { name, audience } of await unknownAudiences(db, gates.callers))
    say('alarm guard.audience-unknown', { caller: name, audience });
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
    const sender = newId('s');
    const callers = callersOf(config.gates.callers);
    const { guard, outbox, settings, settingsOf } = await openGuard(
      { config, db, keyring, brake, callers, sender, log, judging: options.judging },
      closers,
    );
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
    const say: GateParts['say'] = (event, fields) => log(`${event} ${JSON.stringify(fields)}`);
    const copiesOf = new Map<string, CopiesOf>();
    await outbox.start();
    await sayUnknownAudiences(db, config, say);
    const gates = await startGates({
      ...{ options, keyring, guard, outbox, closers, copiesOf, settings, callers, say },
    });
    const close = (): Promise<void> => closeAll(closers);
    return {
      config,
      db,
      keyring,
      sequencer,
      brake,
      releases,
      guard,
      outbox,
      desk: {
        db,
        openKept: (id) => outbox.openKept(id),
        copiesOf: (gate, kept) => copiesOf.get(gate)?.(kept) ?? null,
        settingsOf,
      },
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
