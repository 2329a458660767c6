/** Settings in three steps: environment -> validated configuration; secrets are kept apart, in the keyring. */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { jsonFaultLine } from './base/json-place.ts';

/** What is wrong with a setting, said with its name and, where it helps, the remedy. */
export class SettingError extends Error {
  readonly setting: string;
  readonly remedy: string | undefined;

  constructor(setting: string, message: string, remedy?: string) {
    super(`${setting}: ${message}`);
    this.name = 'SettingError';
    this.setting = setting;
    this.remedy = remedy;
  }
}

export type PolicySetting = 'bulk' | 'transactional' | 'person';

/** A caller of a gate: the key is ours, its SHA-256 stands here. */
export interface CallerSetting {
  readonly name: string;
  readonly policy: PolicySetting;
  readonly keySha256: string;
}

export interface ListenSetting {
  readonly host: string;
  readonly port: number;
}

export interface GateSettings {
  readonly smtp: {
    /** `tls`: paths of PEM files, read when the gate starts. */
    readonly listen: ListenSetting & {
      readonly tls: { readonly certificate: string; readonly key: string } | null;
    };
    readonly nextHop: ListenSetting & { readonly tls: 'none' | 'opportunistic' | 'required' };
    /** On a loopback address only: the policy of whoever connects without a key. */
    readonly anonymous: PolicySetting | null;
  } | null;
  readonly sendgrid: {
    readonly listen: ListenSetting;
    readonly baseUrl: string;
    /** Name of the environment variable that holds the provider's key. */
    readonly apiKeyEnv: string;
    readonly approvedTemplates: readonly string[] | 'any';
  } | null;
  readonly callers: readonly CallerSetting[];
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
  readonly anchors: readonly AnchorSetting[];
  readonly gates: GateSettings;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Json = Record<string, unknown>;

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
  return value as Json;
}

function texts(value: unknown, setting: string): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new SettingError(setting, 'a list of texts is wanted');
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

function certificate({ certificate, key }: Json): { certificate: string; key: string } | null {
  if (certificate === undefined && key === undefined) return null;
  for (const [name, path] of Object.entries({ certificate, key }))
    if (typeof path !== 'string' || path === '')
      throw new SettingError(
        `gates.smtp.${name}`,
        'the path of a PEM file is wanted',
        'a certificate and its key are named together',
      );
  return { certificate: resolve(String(certificate)), key: resolve(String(key)) };
}

function callers(value: unknown): readonly CallerSetting[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new SettingError('gates.callers', 'a list is wanted');
  return value.map((item: Json, i) => {
    const keySha256 = String(item.keySha256 ?? '');
    if (!/^[0-9a-f]{64}$/.test(keySha256))
      throw new SettingError(`gates.callers.${i}.keySha256`, 'SHA-256 of the key, in hexadecimal');
    return {
      name: String(item.name ?? `caller-${i}`),
      policy: policy(item.policy, `gates.callers.${i}.policy`),
      keySha256,
    };
  });
}

function gates(file: Json): GateSettings {
  const given = (file.gates ?? {}) as Json;
  const smtp = given.smtp as Json | undefined;
  const sendgrid = given.sendgrid as Json | undefined;
  return {
    smtp:
      smtp === undefined
        ? null
        : {
            listen: { ...listen(smtp.listen, 'gates.smtp.listen'), tls: certificate(smtp) },
            nextHop: {
              ...listen(smtp.nextHop, 'gates.smtp.nextHop'),
              tls: tls(smtp.tls),
            },
            anonymous:
              smtp.anonymous === undefined ? null : policy(smtp.anonymous, 'gates.smtp.anonymous'),
          },
    sendgrid:
      sendgrid === undefined
        ? null
        : {
            listen: listen(sendgrid.listen, 'gates.sendgrid.listen'),
            baseUrl: String(sendgrid.baseUrl ?? 'https://api.sendgrid.com'),
            apiKeyEnv: String(sendgrid.apiKeyEnv ?? 'SENDGRID_API_KEY'),
            approvedTemplates:
              sendgrid.approvedTemplates === 'any'
                ? 'any'
                : texts(sendgrid.approvedTemplates, 'gates.sendgrid.approvedTemplates'),
          },
    callers: callers(given.callers),
  };
}

function anchors(value: unknown): readonly AnchorSetting[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new SettingError('anchors', 'a list is wanted');
  return value.map((item: Json, i) => {
    const kind = item.kind;
    if (kind !== 'file' && kind !== 'https' && kind !== 'git')
      throw new SettingError(`anchors.${i}.kind`, 'an anchor is a file, https or git');
    return { kind, place: String(item.place ?? '') };
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
    anchors: anchors(file.anchors),
    gates: gates(file),
  });
}
