/**
 * Sends generated submissions through every gate of a running system, over sockets, and reads every copy that left with three
 * parsers that are not ours. Invariant: what counts as a violation is decided from the submission and these readings alone.
 */

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, startApp } from '../../src/app.ts';
import { type Config, type ProviderName, toConfig } from '../../src/config.ts';
import { importCustomers } from '../../src/customers/import.ts';
import { DEFAULT_COLUMNS } from '../../src/customers/read-records.ts';
import type { RecordOf } from '../../src/detect/detector.ts';
import { sigv4Keys } from '../../src/gates/provider-api/sigv4.ts';
import { keyringOf, newKeyringDocument, writeKeyring } from '../../src/keys/keyring.ts';
import type { Database } from '../../src/store/database.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Delivered, type FarSides, PROVIDERS, startFarSides } from './far-sides.ts';
import { type GenerateOptions, generate, type Submission } from './generator.ts';
import { TEMPLATES } from './generator-doors.ts';
import { COMPANY_DOMAIN, CUSTOMERS, customer, ROLES } from './generator-people.ts';
import { canonical, knownIn, openReaders, READERS, type Readers } from './readers.ts';
import {
  type Answer,
  ApiCaller,
  type ApiKeys,
  Lines,
  openMailServer,
  openSmtp,
} from './submissions-doors.ts';

export type Outcome = 'passed' | 'split' | 'held' | 'refused' | 'later';

export interface Violation {
  readonly submission: number;
  /** shown: somebody's address. fault: it left as it came. twice, lost, stranger: wrong readers. */
  readonly what: 'shown' | 'fault' | 'twice' | 'lost' | 'stranger';
  readonly kind: string;
  readonly door: string;
  readonly policy: string;
  readonly outcome: Outcome | null;
  /** The parser that saw it. */
  readonly by: string;
  /** The copy, for the one who looks. Holds generated addresses. */
  readonly bytes: Buffer | null;
  readonly addresses: readonly string[];
}

export interface Tally {
  readonly submissions: number;
  readonly copies: number;
  readonly clean: number;
  readonly cleanPassed: number;
  readonly outcomes: ReadonlyMap<Outcome, number>;
  /** By door, then outcome. */
  readonly doors: ReadonlyMap<string, ReadonlyMap<Outcome, number>>;
  /** Clean ones that did not pass, and all that were put off: what their callers were told. */
  readonly stopped: readonly { readonly submission: About; readonly answer: string }[];
  readonly violations: readonly Violation[];
  /** What the parsers gave up on. */
  readonly readerFaults: number;
}

export interface Rig {
  /** Detectors that are switched off now, by name. */
  readonly off: Set<string>;
  /** Sends the submissions of these numbers and reads what came of them. */
  run(
    from: number,
    count: number,
    options: GenerateOptions,
    progress?: (done: number) => void,
  ): Promise<Tally>;
  /** The same for these. */
  send(submissions: readonly Submission[]): Promise<Tally>;
  readonly farSides: FarSides;
  close(): Promise<void>;
}

/** What of a submission is needed once it is sent. */
export type About = Omit<Submission, 'request'>;

interface Caller extends ApiKeys {
  readonly name: string;
}

const GROUPS = ['mail', ...PROVIDERS] as const;

function callerName(submission: Submission): string {
  const { request, policy, split } = submission;
  const group = request.kind === 'http' ? request.provider : 'mail';
  return nameOf(group, policy, split);
}

function nameOf(group: string, policy: string, split: boolean): string {
  return `${group}-${policy}-${split ? 'split' : 'whole'}`;
}

function callersFor(issue: (name: string) => { accessKeyId: string; secret: string }): {
  readonly settings: readonly object[];
  readonly callers: ReadonlyMap<string, Caller>;
} {
  const settings: object[] = [];
  const callers = new Map<string, Caller>();
  for (const group of GROUPS)
    for (const policy of ['bulk', 'transactional', 'person'] as const)
      for (const split of [true, false]) {
        const name = nameOf(group, policy, split);
        const { accessKeyId, secret } = issue(name);
        const key = group === 'ses' ? secret : `key-of-${name}`;
        const keySha256 = createHash('sha256').update(key).digest('hex');
        callers.set(name, { name, key, ses: { id: accessKeyId, secret } });
        // The sizes of these submissions are chance: what is usual is a matter of its own tests.
        settings.push({ name, policy, split, keySha256, readersMax: 100_000 });
      }
  return { settings, callers };
}

async function configOf(
  folder: string,
  url: string,
  far: FarSides,
  callers: readonly object[],
): Promise<Config> {
  const listen = '127.0.0.1:0';
  const provider = (name: ProviderName): object => ({
    ...{ listen, baseUrl: far.providers[name], apiKeyEnv: `KEY_${name}` },
    approvedTemplates: [TEMPLATES[name]],
  });
  const file = join(folder, 'config.json');
  const settings = {
    origin: 'undisclosed.test',
    companyDomains: [COMPANY_DOMAIN],
    roleAddresses: ROLES,
    gates: {
      smtp: { listen, nextHop: `127.0.0.1:${far.smtpPort}`, tls: 'none' },
      milter: { listen, anonymous: 'bulk' },
      sendgrid: provider('sendgrid'),
      ses: provider('ses'),
      mailgun: provider('mailgun'),
      postmark: provider('postmark'),
      callers,
    },
  };
  await writeFile(file, JSON.stringify(settings));
  return toConfig({
    UNDISCLOSED_CONFIG: file,
    UNDISCLOSED_DATA: join(folder, 'data'),
    UNDISCLOSED_SOCKET: join(folder, 'api.sock'),
    UNDISCLOSED_KEYRING: join(folder, 'keyring.json'),
    DATABASE_URL: url,
  });
}

async function importRegister(database: Database, keyring: App['keyring']): Promise<void> {
  const rows = Array.from({ length: CUSTOMERS }, (_, i) => `c${i},${customer(i).address},customer`);
  const bytes = (async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from(`id,email,kind\n${rows.join('\n')}\n`);
  })();
  const columns = { ...DEFAULT_COLUMNS, key: 'id', address: 'email', kind: 'kind' };
  const source = { bytes, file: 'c.csv', format: 'csv', columns, defaultLanguage: 'en' } as const;
  const events = { rejected: () => {}, progress: () => {}, beforeCommit: () => {} };
  await importCustomers(database, keyring, 'ann', source, events);
}

/** Everything a run has open. */
interface Parts {
  readonly app: App;
  readonly database: TestDatabase;
  readonly readers: Readers;
  readonly callers: ReadonlyMap<string, Caller>;
  readonly api: ApiCaller;
  readonly lines: Map<string, Lines>;
  readonly ports: { readonly smtp: number; readonly milter: number };
  batch: Batch | null;
}

export async function openRig(log: (line: string) => void = () => {}): Promise<Rig> {
  const database = await testDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'undisclosed-conformance-'));
  await mkdir(join(folder, 'data'), { mode: 0o700 });
  const document = newKeyringDocument([]);
  await writeKeyring(join(folder, 'keyring.json'), document);
  const keyring = keyringOf(document);
  await importRegister(database.db, keyring);
  const [token] = keyring.token;
  if (token === undefined) throw new Error('no token key');
  const { settings, callers } = callersFor(sigv4Keys(token.key).issue);
  const late: Delivered[] = [];
  const farSides = await startFarSides((message) => {
    if (parts.batch === null) late.push(message);
    else parts.batch.deliver(message);
  });
  const off = new Set<string>();
  const env = Object.fromEntries(
    PROVIDERS.map((name) => [`KEY_${name}`, 'AKIDTEST:upstream/secret']),
  );
  const recordOf: RecordOf = (address) => {
    const name = parts.batch?.nameOf(address);
    return name === undefined ? null : { names: [name] };
  };
  const config = await configOf(folder, database.url, farSides, settings);
  const app = await startApp({ config, log, env, judging: { off, recordOf } });
  const portOf = (name: string): number => {
    const address = app.gates.find((gate) => gate.name === name)?.address ?? '';
    return Number(/:(\d+)(?:@|$)/.exec(address)?.[1] ?? 0);
  };
  const urls = app.gates.flatMap(({ name, address }) =>
    name.startsWith('provider-api:') ? [[name.slice(13), address] as const] : [],
  );
  const parts: Parts = {
    ...{ app, database, callers, lines: new Map(), batch: null },
    readers: openReaders(),
    api: new ApiCaller(Object.fromEntries(urls)),
    ports: { smtp: portOf('smtp-relay'), milter: portOf('milter') },
  };
  return {
    off,
    farSides,
    run: (from, count, options, progress) =>
      runBatch(parts, count, (index) => generate(from + index, options), progress),
    send: (all) => runBatch(parts, all.length, (index) => all[index] as Submission),
    async close() {
      parts.api.close();
      for (const lines of parts.lines.values()) lines.close();
      await app.close();
      await parts.readers.close();
      await farSides.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
      if (late.length > 0) throw new Error(`${late.length} copies came when nothing was sent`);
    },
  };
}

const SETTLE_MS = 90_000;
const AT_ONCE = 96;
/** Copies that wait for their reading hold up new submissions. */
const UNREAD_MAX = 400;

async function runBatch(
  parts: Parts,
  count: number,
  submissionAt: (index: number) => Submission,
  progress: (done: number) => void = () => {},
): Promise<Tally> {
  const batch = new Batch(parts.readers);
  parts.batch = batch;
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const submission = submissionAt(next++);
      batch.expect(submission);
      while (batch.unread > UNREAD_MAX) await sleep(5);
      const answer = await sendOne(parts, submission);
      batch.answered(submission, answer);
      progress(++done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const kept = await settled(parts);
  await batch.readAll();
  parts.batch = null;
  return batch.tally(kept);
}

function sendOne(parts: Parts, submission: Submission): Promise<Answer> {
  const { request } = submission;
  const caller = parts.callers.get(callerName(submission));
  if (caller === undefined) throw new Error('no such caller');
  if (request.kind === 'http') return parts.api.send(request, caller);
  const name = `${request.kind} ${caller.name}`;
  const lines =
    parts.lines.get(name) ??
    new Lines(() =>
      request.kind === 'smtp'
        ? openSmtp(parts.ports.smtp, caller.key)
        : openMailServer(parts.ports.milter, caller.name),
    );
  parts.lines.set(name, lines);
  return lines.send(request);
}

/** Waits until every split call has been delivered; the kinds of kept calls by id. */
async function settled({ database: { db } }: Parts): Promise<ReadonlyMap<string, string>> {
  const end = performance.now() + SETTLE_MS;
  for (;;) {
    const [row] = await db.query<{ open: number }>(
      "SELECT count(*)::int AS open FROM kept WHERE state = 'sending'",
    );
    if (row?.open === 0) break;
    if (performance.now() > end) throw new Error(`${row?.open} kept calls are not delivered`);
    await sleep(25);
  }
  const rows = await db.query<{ id: string; kind: string }>('SELECT id, kind FROM kept');
  return new Map(rows.map(({ id, kind }) => [id, kind]));
}

/** Of the register, or of no submission at all. */
const NOBODYS = -1;

interface Copy {
  readonly owner: number;
  /** Canonical, distinct. */
  readonly readers: readonly string[];
  /** By parser: whom it shows that it may not. */
  readonly shown: readonly (readonly [by: string, addresses: readonly string[]])[];
  /** Kept only where there is something to look at. */
  readonly bytes: Buffer | null;
}

/** The submissions of one run, and what has come of each. */
class Batch {
  readonly #readers: Readers;
  readonly #submissions = new Map<number, About>();
  readonly #answers = new Map<number, Answer>();
  /** Whose each known address is: the number of its submission. */
  readonly #known = new Map<string, number>();
  readonly #copies: Copy[] = [];
  readonly #strangers: Delivered[] = [];
  readonly #reading = new Set<Promise<void>>();
  readonly #roles = new Set(ROLES.map((role) => canonical(role)));
  readonly #names = new Map<string, string>();
  readonly #faultsBefore: number;

  constructor(readers: Readers) {
    this.#readers = readers;
    this.#faultsBefore = readers.faults.length;
    for (let i = 0; i < CUSTOMERS; i++) {
      const address = canonical(customer(i).address);
      if (address !== null) this.#known.set(address, NOBODYS);
    }
  }

  /** What a company's own record says. */
  nameOf(address: string): string | undefined {
    return this.#names.get(address);
  }

  get unread(): number {
    return this.#reading.size;
  }

  expect({ request: _, ...submission }: Submission): void {
    this.#submissions.set(submission.number, submission);
    for (const reader of submission.readers) {
      const address = canonical(reader);
      if (address !== null && !this.#roles.has(address))
        this.#known.set(address, submission.number);
    }
    for (const [reader, name] of submission.names) {
      const address = canonical(reader);
      if (address !== null) this.#names.set(address, name);
    }
  }

  answered(submission: Submission, answer: Answer): void {
    this.#answers.set(submission.number, answer);
    if (answer.delivers === undefined) return;
    this.deliver({ by: 'milter', readers: submission.readers, bytes: answer.delivers });
  }

  deliver(message: Delivered): void {
    const owners = new Set<number>();
    for (const reader of message.readers) {
      const address = canonical(reader);
      if (address !== null && this.#roles.has(address)) continue;
      owners.add(this.#known.get(address ?? '') ?? NOBODYS);
    }
    const [owner = NOBODYS] = owners;
    if (owners.size > 1 || owner === NOBODYS) {
      if (owners.size > 0) this.#strangers.push(message);
      return;
    }
    const reading = this.#read(message, owner).finally(() => this.#reading.delete(reading));
    this.#reading.add(reading);
  }

  async #read(message: Delivered, owner: number): Promise<void> {
    const readings = await this.#readers.read(message.bytes);
    const about = this.#submissions.get(owner);
    const may = new Set((about?.allowed ?? []).map(canonical));
    const own = new Set(message.readers.map((reader) => canonical(reader) ?? reader));
    const shown: (readonly [string, readonly string[]])[] = [];
    for (const name of READERS) {
      const all = new Set<string>();
      for (const text of readings[name])
        for (const address of knownIn(text, this.#known)) all.add(address);
      const others = [...all].filter(
        (address) => !may.has(address) && !(own.size === 1 && own.has(address)),
      );
      if (others.length > 0) shown.push([name, others]);
    }
    const isOfUse = shown.length > 0 || about?.fault === true;
    const bytes = isOfUse ? message.bytes : null;
    this.#copies.push({ owner, readers: [...own], shown, bytes });
  }

  async readAll(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all(this.#reading);
  }

  tally(kept: ReadonlyMap<string, string>): Tally {
    const violations: Violation[] = [];
    const doors = new Map<string, Map<Outcome, number>>();
    const outcomes = new Map<Outcome, number>();
    const stopped: { submission: About; answer: string }[] = [];
    let clean = 0;
    let cleanPassed = 0;
    const copies = Map.groupBy(this.#copies, ({ owner }) => owner);
    for (const submission of this.#submissions.values()) {
      const own = copies.get(submission.number) ?? [];
      const answer = this.#answers.get(submission.number);
      const outcome = outcomeOf(answer, kept, own.length);
      const counts = doors.get(submission.door) ?? new Map<Outcome, number>();
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      doors.set(submission.door, counts.set(outcome, (counts.get(outcome) ?? 0) + 1));
      const isClean = submission.kind === 'clean';
      if (isClean) clean++;
      if (isClean && outcome === 'passed') cleanPassed++;
      else if (isClean || outcome === 'later')
        stopped.push({ submission, answer: answer?.text ?? '' });
      violations.push(...violationsOf(submission, outcome, own));
    }
    for (const { by, bytes } of this.#strangers)
      violations.push({
        ...{ submission: NOBODYS, what: 'stranger', kind: '', door: by, policy: '', outcome: null },
        ...{ by: 'envelope', bytes, addresses: [] },
      });
    return {
      submissions: this.#submissions.size,
      copies: this.#copies.length,
      ...{ clean, cleanPassed, outcomes, doors, stopped, violations },
      readerFaults: this.#readers.faults.length - this.#faultsBefore,
    };
  }
}

function outcomeOf(
  answer: Answer | undefined,
  kept: ReadonlyMap<string, string>,
  copies: number,
): Outcome {
  if (answer === undefined || answer.kind === 'later') return 'later';
  if (answer.kind === 'refused') return 'refused';
  if (answer.kept === null) return 'passed';
  // A milter says no more than that it keeps it.
  if (answer.kept === 'milter') return copies > 0 ? 'split' : 'held';
  return kept.get(answer.kept) === 'split' ? 'split' : 'held';
}

function violationsOf(
  submission: About,
  outcome: Outcome,
  copies: readonly Copy[],
): readonly Violation[] {
  const { number, kind, door, policy, fault, readers, allowed } = submission;
  const about = { submission: number, kind, door, policy, outcome };
  const violations: Violation[] = [];
  const add = (
    what: Violation['what'],
    by: string,
    bytes: Buffer | null,
    addresses: readonly string[],
  ): void => void violations.push({ ...about, what, by, bytes, addresses });
  const may = new Set(allowed.map(canonical));
  const got = new Map<string | null, number>();
  for (const copy of copies) {
    for (const reader of copy.readers) got.set(reader, (got.get(reader) ?? 0) + 1);
    for (const [by, addresses] of copy.shown) add('shown', by, copy.bytes, addresses);
    if (fault) add('fault', 'label', copy.bytes, []);
  }
  const everybody = new Set(readers.map(canonical));
  const lets = outcome === 'passed' || outcome === 'split';
  for (const reader of everybody) {
    const times = got.get(reader) ?? 0;
    if (may.has(reader) && policy !== 'person') continue;
    if (times > 1) add('twice', 'envelope', null, [reader ?? '']);
    if ((times === 0) === lets) add(lets ? 'lost' : 'stranger', 'envelope', null, [reader ?? '']);
  }
  return violations;
}

/** The first violations as lines for people; '' where there are none. Addresses are left out. */
export function describeViolations({ violations }: Tally): string {
  const lines = violations
    .slice(0, 20)
    .map(
      ({ submission, what, kind, door, policy, outcome, by }) =>
        `submission ${submission} (${kind} at ${door}, ${policy}, ${outcome}): ${what}, by ${by}`,
    );
  if (violations.length > lines.length) lines.push(`and ${violations.length - lines.length} more`);
  return lines.join('\n');
}
