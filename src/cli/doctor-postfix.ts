/**
 * Whether mail can pass a Postfix without our milter having judged it: its configuration, read as Postfix reads it.
 * Pure but for `readPostfix` and `readTable`; nothing is changed.
 */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Fault } from '../base/errors.ts';

export interface PostfixSettings {
  /** Of main.cf, without the defaults; `$name` is resolved here. */
  readonly main: ReadonlyMap<string, string>;
  /** Overrides of master.cf: `service/type` and the parameters set there with -o. */
  readonly services: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** '3.7.11'; null where it is not known. */
  readonly version: string | null;
}

/** finding: mail can pass unseen, or nobody can say that it cannot. note: worth knowing. */
export interface Remark {
  readonly kind: 'finding' | 'note' | 'fine';
  /** Stable name of what was looked at: 'smtpd_milters'. */
  readonly check: string;
  readonly text: string;
  readonly remedy?: string;
}

export interface PostfixQuestion {
  /** Our socket as Postfix writes it: `inet:127.0.0.1:8891`, `unix:/run/undisclosed/milter`. */
  readonly milter: string;
  /** Services of master.cf that may be without it: the door by which the relay brings on what was split. */
  readonly allowed: readonly string[];
  /** The text of a lookup table; null where it cannot be read. */
  readonly readTable: (path: string) => Promise<string | null>;
}

const run = promisify(execFile);

/** Asks postconf(1). @param folder of main.cf; null for the machine's own. @throws Fault `doctor.no-postconf`. */
export async function readPostfix(
  folder: string | null,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<PostfixSettings> {
  const config = folder === null ? [] : ['-c', folder];
  const postconf = async (...args: string[]): Promise<string> => {
    try {
      // Debian puts it in sbin, which the PATH of an ordinary user lacks.
      const search = `${environment.PATH ?? '/usr/bin'}:/usr/sbin:/usr/local/sbin`;
      const env = { ...environment, PATH: search, LC_ALL: 'C' };
      return (await run('postconf', [...config, ...args], { env, timeout: 20_000 })).stdout;
    } catch (cause) {
      throw new Fault('doctor.no-postconf', 'postconf does not tell the configuration', {
        where: folder ?? 'postconf',
        remedy: 'name its folder with --config DIR, or a file with --file FILE',
        cause,
      });
    }
  };
  const version = (await postconf('-d', '-h', 'mail_version')).trim();
  return {
    main: parseSettings(await postconf('-n')),
    services: parseServices(await postconf('-P')),
    version,
  };
}

/** `name = value` lines; a line that begins with white space continues the one before, postconf(5). */
export function parseSettings(text: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  let name = '';
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const more = /^\s+(.*)$/.exec(line);
    const [, key, value] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (more !== null && name !== '')
      settings.set(name, `${settings.get(name) ?? ''} ${more[1] ?? ''}`.trim());
    else if (key !== undefined) {
      name = key;
      settings.set(name, (value ?? '').trim());
    }
  }
  return settings;
}

/** What `postconf -P` prints: `submission/inet/smtpd_milters = value`. */
export function parseServices(text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const services = new Map<string, Map<string, string>>();
  for (const line of text.split(/\r?\n/)) {
    const [, service, name, value] = /^(\S+\/\w+)\/(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (service === undefined || name === undefined) continue;
    const settings = services.get(service) ?? new Map<string, string>();
    services.set(service, settings.set(name, (value ?? '').trim()));
  }
  return services;
}

/** All there is to say, in a fixed order. */
export async function examinePostfix(
  settings: PostfixSettings,
  question: PostfixQuestion,
): Promise<readonly Remark[]> {
  const remarks: Remark[] = [];
  for (const name of ['smtpd_milters', 'non_smtpd_milters'] as const)
    remarks.push(...milterList(name, settingOf(settings, name), 'main.cf', question.milter));
  remarks.push(await milterMaps(settingOf(settings, 'smtpd_milter_maps'), question));
  remarks.push(defaultAction(settings));
  remarks.push(protocol(settingOf(settings, 'milter_protocol')));
  remarks.push(macros(settingOf(settings, 'milter_mail_macros')));
  remarks.push(overrides('main.cf', settingOf(settings, 'receive_override_options')));
  for (const [service, own] of settings.services)
    remarks.push(...(await serviceRemarks(service, own, settings, question)));
  return remarks.filter(({ text }) => text !== '');
}

async function serviceRemarks(
  service: string,
  own: ReadonlyMap<string, string>,
  settings: PostfixSettings,
  question: PostfixQuestion,
): Promise<readonly Remark[]> {
  const resolved = (name: string): string | null =>
    own.has(name) ? expand(own.get(name) ?? '', settings.main, 0) : null;
  const remarks: Remark[] = [];
  for (const name of ['smtpd_milters', 'non_smtpd_milters'] as const) {
    const value = resolved(name);
    if (value !== null) remarks.push(...milterList(name, value, service, question.milter));
  }
  const maps = resolved('smtpd_milter_maps');
  if (maps !== null && maps !== '') remarks.push(await milterMaps(maps, question));
  remarks.push(overrides(service, resolved('receive_override_options') ?? ''));
  const action = resolved('milter_default_action');
  if (action !== null) remarks.push(actionRemark(action, service));
  if (!question.allowed.some((name) => service === name || service.startsWith(`${name}/`)))
    return remarks;
  // What was allowed by name is said all the same.
  return remarks.map((remark) =>
    remark.kind === 'finding' ? { ...remark, kind: 'note' } : remark,
  );
}

function settingOf({ main }: PostfixSettings, name: string): string {
  return expand(main.get(name) ?? '', main, 0);
}

/** `$name`, `$(name)` and `${name}`; what is deeper than a configuration ever is stays as written. */
function expand(value: string, main: ReadonlyMap<string, string>, depth: number): string {
  if (depth > 10) return value;
  return value.replaceAll(/\$(?:(\w+)|\{(\w+)\}|\((\w+)\))/g, (all, plain, braces, parens) => {
    const name = String(plain ?? braces ?? parens ?? '');
    const found = main.get(name);
    if (found === undefined) return name.endsWith('milters') ? '' : all;
    return expand(found, main, depth + 1);
  });
}

interface NamedMilter {
  readonly place: string;
  readonly settings: ReadonlyMap<string, string>;
}

/** A list of milters: `inet:host:port, { unix:path, default_action=tempfail }`. */
export function parseMilters(value: string): readonly NamedMilter[] {
  return [...value.matchAll(/\{([^}]*)\}|([^\s,]+)/g)].map(([, braces, plain]) => {
    const [place, ...rest] = (braces ?? plain ?? '').split(/[\s,]+/).filter((word) => word !== '');
    const settings = rest.map((word): [string, string] => {
      const equals = word.indexOf('=');
      return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)];
    });
    return { place: place ?? '', settings: new Map(settings) };
  });
}

function milterList(
  name: 'smtpd_milters' | 'non_smtpd_milters',
  value: string,
  where: string,
  wanted: string,
): readonly Remark[] {
  const ours = parseMilters(value).find(({ place }) => sameSocket(place, wanted));
  if (ours === undefined) {
    const what =
      name === 'smtpd_milters' ? 'mail that comes in by SMTP' : 'mail of the sendmail command';
    const text = `${where}: ${name} does not name ${wanted}, so ${what} is not judged`;
    return [{ kind: 'finding', check: name, text, remedy: `${name} = ${wanted}` }];
  }
  const remarks: Remark[] = [
    { kind: 'fine', check: name, text: `${where}: ${name} names ${wanted}` },
  ];
  const action = ours.settings.get('default_action');
  if (action !== undefined) remarks.push(actionRemark(action, `${where}: ${name}`));
  const version = ours.settings.get('protocol');
  if (version !== undefined) remarks.push(protocol(version));
  return remarks;
}

/** `localhost` and `127.0.0.1` are the same place; `unix:` paths below the queue folder are not ours to guess. */
function sameSocket(one: string, other: string): boolean {
  const plain = (place: string): string =>
    place
      .toLowerCase()
      .replace(/^inet6?:/, 'inet:')
      .replace(/^inet:\[(.*)\]:/, 'inet:$1:')
      .replace(/^inet:localhost:/, 'inet:127.0.0.1:')
      .replace(/^local:/, 'unix:');
  return plain(one) === plain(other);
}

async function milterMaps(value: string, { readTable }: PostfixQuestion): Promise<Remark> {
  const check = 'smtpd_milter_maps';
  if (value === '') return { kind: 'fine', check, text: 'smtpd_milter_maps is not set' };
  const remedy = 'take smtpd_milter_maps out';
  if (/\bDISABLE\b/i.test(value))
    return { kind: 'finding', check, text: 'smtpd_milter_maps says DISABLE', remedy };
  for (const table of value.split(/[\s,]+/).filter((word) => word !== '')) {
    const path = table.slice(table.indexOf(':') + 1);
    const text = path.startsWith('/') ? await readTable(path) : null;
    if (text === null) {
      const said = `smtpd_milter_maps has a table that cannot be read here: ${table}`;
      return { kind: 'finding', check, text: said, remedy };
    }
    const entries = text.split('\n').filter((line) => !/^\s*(?:#|$)/.test(line));
    // Any entry stands in the place of smtpd_milters for its clients, postconf(5).
    if (entries.length > 0) {
      const off = entries.some((line) => /\bDISABLE\b/i.test(line))
        ? 'says DISABLE'
        : 'has entries';
      const said = `${table} in smtpd_milter_maps ${off}: those clients pass by smtpd_milters`;
      return { kind: 'finding', check, text: said, remedy };
    }
  }
  return { kind: 'fine', check, text: 'smtpd_milter_maps has no entry' };
}

function defaultAction(settings: PostfixSettings): Remark {
  const value = settingOf(settings, 'milter_default_action');
  if (value !== '') return actionRemark(value, 'main.cf');
  const check = 'milter_default_action';
  const { version } = settings;
  const [major, minor] = (version ?? '').split('.').map(Number);
  if (major === undefined || minor === undefined || Number.isNaN(major)) {
    const text =
      'milter_default_action is not set: tempfail up to Postfix 3.10, shutdown from 3.11';
    return { kind: 'note', check, text, remedy: 'milter_default_action = tempfail' };
  }
  const usual = major > 3 || (major === 3 && minor >= 11) ? 'shutdown' : 'tempfail';
  const text = `milter_default_action is not set: Postfix ${version} takes ${usual}`;
  return { kind: 'fine', check, text };
}

function actionRemark(value: string, where: string): Remark {
  const check = 'milter_default_action';
  const action = value.toLowerCase();
  const remedy = 'milter_default_action = tempfail';
  if (action === 'tempfail' || action === 'shutdown')
    return { kind: 'fine', check, text: `${where}: milter_default_action is ${action}` };
  if (action === 'reject') {
    const text = `${where}: milter_default_action is reject: mail is refused for good while the guard is down`;
    return { kind: 'note', check, text, remedy };
  }
  const text =
    action === 'quarantine'
      ? `${where}: milter_default_action is quarantine: unjudged mail waits in the hold queue, and postsuper lets it go`
      : `${where}: milter_default_action is ${printable(action)}: mail leaves unjudged while the guard is down`;
  return { kind: 'finding', check, text, remedy };
}

function protocol(value: string): Remark {
  const check = 'milter_protocol';
  if (value === '' || /^6\b/.test(value))
    return { kind: 'fine', check, text: 'milter_protocol is 6' };
  const text = `milter_protocol is ${printable(value)}: the guard speaks 6 alone, and no mail leaves`;
  return { kind: 'finding', check, text, remedy: 'milter_protocol = 6' };
}

function macros(value: string): Remark {
  const check = 'milter_mail_macros';
  if (value === '' || value.includes('{auth_authen}'))
    return { kind: 'fine', check, text: 'the guard is told who authenticated' };
  const text = 'milter_mail_macros lacks {auth_authen}: everybody is judged as unauthenticated';
  return { kind: 'finding', check, text, remedy: 'take milter_mail_macros out' };
}

function overrides(where: string, value: string): Remark {
  const check = 'receive_override_options';
  if (!/\bno_milters\b/.test(value)) return { kind: 'fine', check, text: '' };
  const text = `${where}: receive_override_options has no_milters, so nothing is judged there`;
  return { kind: 'finding', check, text, remedy: 'take no_milters out' };
}

/** A table's text; for the compiled kinds that of its source, which has the same name. */
export async function readTable(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}

function printable(text: string): string {
  return text.replaceAll(/[^ -~]/g, '?').slice(0, 60);
}
