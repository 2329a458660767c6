/**
 * Settings in three steps: environment -> validated configuration; secrets are kept apart, in the keyring.
 * Invariant: every name in the file is read or is an error; a guard with a setting that nobody reads is a trap.
 */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { jsonFaultLine } from './base/json-place.ts';
import { isLoopback } from './base/loopback.ts';
import {
  count,
  domain,
  type Json,
  SettingError,
  settingsIn,
  texts,
  yesOrNo,
} from './base/setting.ts';

export type PolicySetting = 'bulk' | 'transactional' | 'person';

export type ModeSetting = 'shadow' | 'warn' | 'enforce';

/** A caller of a gate: the key is ours, its SHA-256 stands here. */
export interface CallerSetting {
  readonly name: string;
  readonly policy: PolicySetting;
  readonly keySha256: string;
  readonly mode: ModeSetting;
  /** Whether each reader is sent a copy of their own where that cures what is wrong. */
  readonly split: boolean;
  readonly visibleOutsidersMax: number | null;
  /** Environment lock: the only domains that may be written to. */
  readonly recipientDomains: readonly string[] | null;
  /** The declared audience that its readers must be in, or `customers`; null for anybody. */
  readonly audience: string | null;
  readonly readersMax: number | null;
}

export interface ListenSetting {
  readonly host: string;
  readonly port: number;
}

/** `tls`: paths of PEM files, read when the gate starts. */
export interface SecureListenSetting extends ListenSetting {
  readonly tls: { readonly certificate: string; readonly key: string } | null;
}

export type ProviderName = 'sendgrid' | 'ses' | 'mailgun' | 'postmark';

export interface ProviderSetting {
  readonly listen: SecureListenSetting;
  readonly baseUrl: string;
  /** Name of the environment variable that holds the provider's key (for SES: `ID:SECRET`). */
  readonly apiKeyEnv: string;
  readonly approvedTemplates: readonly string[] | 'any';
  /** Where provider-shaped events about kept calls are posted; null: nowhere. */
  readonly eventsUrl: string | null;
}

export interface GateSettings {
  readonly smtp: {
    readonly listen: SecureListenSetting;
    /** TLS from the first byte in place of STARTTLS. */
    readonly implicitTls: boolean;
    readonly nextHop: ListenSetting & { readonly tls: 'none' | 'opportunistic' | 'required' };
    /** On a loopback address only: the policy of whoever connects without a key. */
    readonly anonymous: PolicySetting | null;
    /** The domain of the return paths that private copies get, one each; null: they keep the sender's own. */
    readonly returnPath: string | null;
  } | null;
  readonly milter: {
    /** A TCP address, or the path of a Unix socket. */
    readonly listen: ListenSetting | { readonly path: string };
    /** The policy of mail whose sender Postfix did not authenticate. */
    readonly anonymous: PolicySetting;
    /** Whether To and Cc are emptied where the message would be refused for them. */
    readonly mask: boolean;
  } | null;
  /** How long a held call waits for people before it is given up. */
  readonly hold: { readonly hours: number };
  readonly providers: Readonly<Record<ProviderName, ProviderSetting | null>>;
  readonly callers: readonly CallerSetting[];
}

/** The operators' page. */
export interface ConsoleSetting {
  readonly listen: SecureListenSetting;
  /** By which browsers open it behind a proxy; null: where it listens. */
  readonly origin: string | null;
}

export interface AnchorSetting {
  readonly kind: 'file' | 'https' | 'git';
  readonly place: string;
}

export interface Config {
  readonly dataDir: string;
  /** Unix socket of the API. */
  readonly socket: string;
  /** PostgreSQL by URL; null means the embedded one. */
  readonly databaseUrl: string | null;
  readonly keyring:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'command'; readonly command: string };
  readonly origin: string;
  readonly companyDomains: readonly string[];
  readonly roleAddresses: readonly string[];
  /** Columns of the register that hold people's names; empty: those that are usually called so. */
  readonly nameFields: readonly string[];
  readonly anchors: readonly AnchorSetting[];
  readonly gates: GateSettings;
  /** Null: no page. */
  readonly console: ConsoleSetting | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

const FILE_NAMES = 'origin companyDomains roleAddresses nameFields anchors gates console'.split(
  ' ',
);
const CONSOLE_NAMES = ['listen', 'certificate', 'key', 'origin'];
const ANCHOR_NAMES = ['kind', 'place'];
const GATE_NAMES = 'smtp milter sendgrid ses mailgun postmark hold callers'.split(' ');
const SMTP_NAMES = 'listen certificate key implicitTls nextHop tls anonymous returnPath'.split(' ');
const MILTER_NAMES = ['listen', 'anonymous', 'mask'];
const PROVIDER_NAMES = 'listen certificate key baseUrl apiKeyEnv approvedTemplates eventsUrl'.split(
  ' ',
);
const CALLER_NAMES =
  'name policy mode split visibleOutsidersMax recipientDomains audience readersMax keySha256'.split(
    ' ',
  );
const HOLD_HOURS = 72;
const HOLD_HOURS_MAX = 8760;
const SOCKET_PATH_BYTES_MAX = 107;

function socketPath(env: Environment, dataDir: string): string {
  const path = resolve(env.UNDISCLOSED_SOCKET ?? join(dataDir, 'api.sock'));
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX)
    throw new SettingError(
      'UNDISCLOSED_SOCKET',
      `the path of the API socket has more than ${SOCKET_PATH_BYTES_MAX} bytes; name a shorter one`,
    );
  return path;
}

function keyringSource(env: Environment, dataDir: string): Config['keyring'] {
  const command = env.UNDISCLOSED_KEYRING_COMMAND;
  if (command !== undefined) return { kind: 'command', command };
  const credentials = env.CREDENTIALS_DIRECTORY;
  const path =
    env.UNDISCLOSED_KEYRING ??
    (credentials === undefined ? undefined : join(credentials, 'undisclosed-keyring'));
  return { kind: 'file', path: resolve(path ?? `${dataDir}.keyring.json`) };
}

function readFile(path: string | undefined): Json {
  if (path === undefined) return {};
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as { code?: string };
    const why = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`;
    throw new SettingError(path, why, 'UNDISCLOSED_CONFIG names it');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SettingError(`${path} line ${jsonFaultLine(text)}`, 'this is not JSON', 'mend it');
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new SettingError(path, 'a JSON object is wanted', 'see undisclosed serve --help');
  return settingsIn(value, '', FILE_NAMES);
}

function listen(value: unknown, setting: string): ListenSetting {
  const match = /^(?:smtp:\/\/)?\[?([^\]\s]+?)\]?:(\d{1,5})$/.exec(String(value ?? ''));
  if (match === null || Number(match[2]) > 65_535)
    throw new SettingError(setting, 'an address is wanted, such as 127.0.0.1:2525');
  return { host: match[1] as string, port: Number(match[2]) };
}

function policy(value: unknown, setting: string): PolicySetting {
  if (value === 'bulk' || value === 'transactional' || value === 'person') return value;
  throw new SettingError(setting, 'the policy is bulk, transactional or person');
}

function tls(value: unknown): 'none' | 'opportunistic' | 'required' {
  if (value === undefined) return 'opportunistic';
  if (value === 'none' || value === 'opportunistic' || value === 'required') return value;
  throw new SettingError('gates.smtp.tls', 'it is none, opportunistic or required');
}

function certificate(
  { certificate, key }: Json,
  setting: string,
): { certificate: string; key: string } | null {
  if (certificate === undefined && key === undefined) return null;
  for (const [name, path] of Object.entries({ certificate, key }))
    if (typeof path !== 'string' || path === '')
      throw new SettingError(
        `${setting}.${name}`,
        'the path of a PEM file is wanted',
        'a certificate and its key are named together',
      );
  return { certificate: resolve(String(certificate)), key: resolve(String(key)) };
}

function mode(value: unknown, setting: string): ModeSetting {
  if (value === undefined) return 'enforce';
  if (value === 'shadow' || value === 'warn' || value === 'enforce') return value;
  throw new SettingError(setting, 'the mode is shadow, warn or enforce');
}

function audienceName(value: unknown, setting: string): string | null {
  if (value === undefined) return null;
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new SettingError(setting, 'the name of a declared audience is wanted, or customers');
}

function callers(value: unknown): readonly CallerSetting[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new SettingError('gates.callers', 'a list is wanted');
  return value.map((given: unknown, i) => {
    const at = `gates.callers.${i}`;
    const item = settingsIn(given, at, CALLER_NAMES);
    const keySha256 = String(item.keySha256 ?? '');
    if (!/^[0-9a-f]{64}$/.test(keySha256))
      throw new SettingError(`${at}.keySha256`, 'SHA-256 of the key, in hexadecimal');
    return {
      name: String(item.name ?? `caller-${i}`),
      policy: policy(item.policy, `${at}.policy`),
      keySha256,
      mode: mode(item.mode, `${at}.mode`),
      split: yesOrNo(item.split, `${at}.split`),
      visibleOutsidersMax: count(item.visibleOutsidersMax, `${at}.visibleOutsidersMax`),
      recipientDomains:
        item.recipientDomains === undefined
          ? null
          : texts(item.recipientDomains, `${at}.recipientDomains`),
      audience: audienceName(item.audience, `${at}.audience`),
      readersMax: count(item.readersMax, `${at}.readersMax`),
    };
  });
}

const PROVIDERS: Readonly<Record<ProviderName, { baseUrl: string; apiKeyEnv: string }>> = {
  sendgrid: { baseUrl: 'https://api.sendgrid.com', apiKeyEnv: 'SENDGRID_API_KEY' },
  ses: { baseUrl: 'https://email.us-east-1.amazonaws.com', apiKeyEnv: 'SES_KEY' },
  mailgun: { baseUrl: 'https://api.mailgun.net', apiKeyEnv: 'MAILGUN_API_KEY' },
  postmark: { baseUrl: 'https://api.postmarkapp.com', apiKeyEnv: 'POSTMARK_SERVER_TOKEN' },
};

function provider(name: ProviderName, value: unknown): ProviderSetting | null {
  if (value === undefined) return null;
  const at = `gates.${name}`;
  const given = settingsIn(value, at, PROVIDER_NAMES);
  const usual = PROVIDERS[name];
  return {
    listen: { ...listen(given.listen, `${at}.listen`), tls: certificate(given, at) },
    baseUrl: String(given.baseUrl ?? usual.baseUrl),
    apiKeyEnv: String(given.apiKeyEnv ?? usual.apiKeyEnv),
    approvedTemplates:
      given.approvedTemplates === 'any'
        ? 'any'
        : texts(given.approvedTemplates, `${at}.approvedTemplates`),
    eventsUrl: given.eventsUrl === undefined ? null : String(given.eventsUrl),
  };
}

function milter(value: unknown): GateSettings['milter'] {
  if (value === undefined) return null;
  const given = settingsIn(value, 'gates.milter', MILTER_NAMES);
  const place = String(given.listen ?? '');
  return {
    listen: place.startsWith('/') ? { path: place } : listen(place, 'gates.milter.listen'),
    anonymous: policy(given.anonymous ?? 'person', 'gates.milter.anonymous'),
    mask: yesOrNo(given.mask, 'gates.milter.mask'),
  };
}

function smtpRelay(value: unknown): GateSettings['smtp'] {
  if (value === undefined) return null;
  const smtp = settingsIn(value, 'gates.smtp', SMTP_NAMES);
  return {
    listen: { ...listen(smtp.listen, 'gates.smtp.listen'), tls: certificate(smtp, 'gates.smtp') },
    implicitTls: yesOrNo(smtp.implicitTls, 'gates.smtp.implicitTls'),
    nextHop: { ...listen(smtp.nextHop, 'gates.smtp.nextHop'), tls: tls(smtp.tls) },
    anonymous: smtp.anonymous === undefined ? null : policy(smtp.anonymous, 'gates.smtp.anonymous'),
    returnPath: domain(smtp.returnPath, 'gates.smtp.returnPath'),
  };
}

function gates(file: Json): GateSettings {
  const given = settingsIn(file.gates ?? {}, 'gates', GATE_NAMES);
  const hold = settingsIn(given.hold ?? {}, 'gates.hold', ['hours']);
  return {
    smtp: smtpRelay(given.smtp),
    milter: milter(given.milter),
    hold: {
      hours: count(hold.hours, 'gates.hold.hours', { min: 1, max: HOLD_HOURS_MAX }) ?? HOLD_HOURS,
    },
    providers: {
      sendgrid: provider('sendgrid', given.sendgrid),
      ses: provider('ses', given.ses),
      mailgun: provider('mailgun', given.mailgun),
      postmark: provider('postmark', given.postmark),
    },
    callers: callers(given.callers),
  };
}

function consoleOrigin(value: unknown): string | null {
  if (value === undefined) return null;
  const url = URL.parse(String(value));
  if (url === null || !/^https?:$/.test(url.protocol) || url.origin !== String(value))
    throw new SettingError('console.origin', 'an origin is wanted, such as https://mail.example');
  return url.origin;
}

function operatorsPage(value: unknown): ConsoleSetting | null {
  if (value === false) return null;
  if (value !== undefined && (value === null || typeof value !== 'object'))
    throw new SettingError('console', 'an object of settings is wanted, or false for no page');
  const given = settingsIn(value ?? {}, 'console', CONSOLE_NAMES);
  const tls = certificate(given, 'console');
  const place = listen(given.listen ?? '127.0.0.1:0', 'console.listen');
  const origin = consoleOrigin(given.origin);
  const local = isLoopback(place.host);
  if (!local && tls === null)
    throw new SettingError(
      'console.listen',
      'without a certificate the page listens on a loopback address only',
      'give console.certificate and console.key, or put a proxy before 127.0.0.1',
    );
  if (!local && origin === null)
    throw new SettingError(
      'console.origin',
      'it is needed where the page does not listen on a loopback address',
      'say by which name browsers open it, such as https://mail.example:8443',
    );
  return { listen: { ...place, tls }, origin };
}

function anchors(value: unknown): readonly AnchorSetting[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new SettingError('anchors', 'a list is wanted');
  return value.map((given: unknown, i) => {
    const { kind, place } = settingsIn(given, `anchors.${i}`, ANCHOR_NAMES);
    if (kind !== 'file' && kind !== 'https' && kind !== 'git')
      throw new SettingError(`anchors.${i}.kind`, 'an anchor is a file, https or git');
    return { kind, place: String(place ?? '') };
  });
}

/** The data directory alone: what `halt` by file needs when nothing else works. */
export function dataDirOf(env: Environment): string {
  return resolve(env.UNDISCLOSED_DATA ?? join(homedir(), '.undisclosed', 'data'));
}

/**
 * The configuration of this process: environment variables, and the JSON file that UNDISCLOSED_CONFIG names.
 * @throws SettingError naming the setting.
 */
export function toConfig(env: Environment): Config {
  const dataDir = dataDirOf(env);
  const file = readFile(env.UNDISCLOSED_CONFIG);
  return Object.freeze({
    dataDir,
    socket: socketPath(env, dataDir),
    databaseUrl: env.DATABASE_URL ?? null,
    keyring: keyringSource(env, dataDir),
    origin: String(file.origin ?? env.UNDISCLOSED_ORIGIN ?? 'undisclosed.local/ledger'),
    companyDomains: texts(file.companyDomains, 'companyDomains'),
    roleAddresses: texts(file.roleAddresses, 'roleAddresses'),
    nameFields: texts(file.nameFields, 'nameFields'),
    anchors: anchors(file.anchors),
    gates: gates(file),
    console: operatorsPage(file.console),
  });
}
