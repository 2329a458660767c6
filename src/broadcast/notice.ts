/** A notice: one folder with its settings, an HTML and a text template, and the messages of each language. */

import { createHash } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { jsonFaultLine } from '../base/json-place.ts';

/** `legal` may not be unsubscribed from; `subscribed` carries RFC 8058 one-click unsubscription. */
export type NoticeClass = 'legal' | 'service' | 'subscribed';
export type FieldKind = 'text' | 'number';

export interface Correspondent {
  readonly name: string;
  readonly address: string;
}

export interface NoticeSettings {
  readonly name: string;
  readonly class: NoticeClass;
  readonly from: Correspondent;
  readonly replyTo: Correspondent | null;
  readonly subject: string;
  readonly languages: readonly string[];
  readonly defaultLanguage: string;
  /** Addresses of the company that a reader may see in the body. */
  readonly roleAddresses: readonly string[];
  /** Customer attributes that the templates use. */
  readonly fields: Readonly<Record<string, FieldKind>>;
  /** The page behind List-Unsubscribe; needed for the class `subscribed`. */
  readonly unsubscribeUrl: string | null;
}

/** The folder as text: file name within the folder -> content. */
export type NoticeFiles = Readonly<Record<string, string>>;

export interface Notice {
  readonly settings: NoticeSettings;
  readonly html: string;
  readonly text: string;
  /** language -> key -> ICU MessageFormat text */
  readonly messages: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly digest: Buffer;
}

export const SETTINGS_FILE = 'notice.json';
export const HTML_FILE = 'notice.html';
export const TEXT_FILE = 'notice.txt';

/** SHA-256 over names and contents in name order, each preceded by its length: one changed byte changes it. */
export function noticeDigest(files: NoticeFiles): Buffer {
  const hash = createHash('sha256');
  for (const name of Object.keys(files).sort()) {
    const content = Buffer.from(files[name] ?? '', 'utf8');
    hash.update(`${Buffer.byteLength(name)}:${name}${content.length}:`).update(content);
  }
  return hash.digest();
}

function bad(where: string, message: string, remedy?: string): Fault {
  return new Fault('notice.invalid', message, remedy === undefined ? { where } : { where, remedy });
}

/** 1-based line of the n-th character. */
export function lineOf(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < index; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

/** The JSON object that a file holds. */
function parseJson(files: NoticeFiles, name: string): Record<string, unknown> {
  const text = files[name];
  if (text === undefined) throw bad(name, 'the file is missing', `add ${name} to the folder`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad(`${name} line ${jsonFaultLine(text)}`, 'this is not JSON', 'mend the JSON');
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw bad(name, 'a JSON object is wanted', 'begin the file with { and end it with }');
  return value as Record<string, unknown>;
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string' || value.trim() === '')
    throw bad(where, 'a text is wanted here and there is none', 'write it between quotes');
  return value;
}

function correspondent(value: unknown, where: string): Correspondent {
  const given = (value ?? {}) as Record<string, unknown>;
  return {
    name: text(given.name, `${where}.name`),
    address: text(given.address, `${where}.address`),
  };
}

const CLASSES: readonly string[] = ['legal', 'service', 'subscribed'];

/** Each of them once, and a language that the formatter of plurals and dates knows how to read. */
function checkLanguages(languages: readonly unknown[], where: string): void {
  for (const language of languages) {
    let canonical: string | undefined;
    try {
      canonical = Intl.getCanonicalLocales(text(language, where))[0];
    } catch {
      // Said below.
    }
    if (canonical !== language)
      throw bad(
        where,
        `"${language}" is not a language tag as BCP 47 writes it`,
        canonical === undefined ? 'write such as en, zh-Hans or pt-BR' : `write ${canonical}`,
      );
  }
  if (new Set(languages).size < languages.length)
    throw bad(where, 'a language stands there twice', 'name each once');
}

function texts(value: unknown, where: string): readonly string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw bad(where, 'a list of texts is wanted', 'write [ … ]');
  return value.map((item: unknown) => text(item, where));
}

function settingsFrom(given: Readonly<Record<string, unknown>>): NoticeSettings {
  const at = (name: string): string => `${SETTINGS_FILE} ${name}`;
  const kind = text(given.class, at('class'));
  if (!CLASSES.includes(kind))
    throw bad(at('class'), `the class is not one of ${CLASSES.join(', ')}`);
  const languages = given.languages;
  if (!Array.isArray(languages) || languages.length === 0)
    throw bad(at('languages'), 'a list of languages (BCP 47) is wanted');
  checkLanguages(languages, at('languages'));
  const defaultLanguage = text(given.defaultLanguage, at('defaultLanguage'));
  if (!languages.includes(defaultLanguage))
    throw bad(at('defaultLanguage'), 'the default language is not among the languages');
  const fields = (given.fields ?? {}) as Record<string, FieldKind>;
  for (const [name, field] of Object.entries(fields))
    if (field !== 'text' && field !== 'number')
      throw bad(at(`fields.${name}`), 'a field is either "text" or "number"');
  const unsubscribeUrl = given.unsubscribeUrl;
  if (kind === 'subscribed' && typeof unsubscribeUrl !== 'string')
    throw bad(at('unsubscribeUrl'), 'a subscribed notice needs the URL of its unsubscribe page');
  return {
    name: text(given.name, at('name')),
    class: kind as NoticeClass,
    from: correspondent(given.from, at('from')),
    replyTo: given.replyTo === undefined ? null : correspondent(given.replyTo, at('replyTo')),
    subject: text(given.subject, at('subject')),
    languages: texts(languages, at('languages')),
    defaultLanguage,
    roleAddresses: texts(given.roleAddresses, at('roleAddresses')),
    fields,
    unsubscribeUrl: typeof unsubscribeUrl === 'string' ? unsubscribeUrl : null,
  };
}

function someOf(keys: readonly string[]): string {
  const more = keys.length - 5;
  return `${keys.slice(0, 5).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function messagesFrom(
  files: NoticeFiles,
  settings: NoticeSettings,
): Record<string, Record<string, string>> {
  const messages: Record<string, Record<string, string>> = {};
  for (const language of settings.languages) {
    const name = `messages/${language}.json`;
    const own: Record<string, string> = {};
    for (const [key, value] of Object.entries(parseJson(files, name)))
      own[key] = text(value, `${name} ${key}`);
    messages[language] = own;
  }
  const wanted = messages[settings.defaultLanguage] ?? {};
  for (const language of settings.languages) {
    const own = messages[language] ?? {};
    const missing = Object.keys(wanted).filter((key) => !Object.hasOwn(own, key));
    const extra = Object.keys(own).filter((key) => !Object.hasOwn(wanted, key));
    const file = `messages/${language}.json`;
    if (missing.length > 0)
      throw bad(file, `the message ${someOf(missing)} is missing`, `translate it in ${file}`);
    if (extra.length > 0)
      throw bad(
        file,
        `the message ${someOf(extra)} is not in ${settings.defaultLanguage}`,
        'remove it',
      );
  }
  return messages;
}

/**
 * Reads a notice folder's files. Says the file, the line or key, and the remedy.
 * @throws Fault `notice.invalid`.
 */
export function readNotice(files: NoticeFiles): Notice {
  const settings = settingsFrom(parseJson(files, SETTINGS_FILE));
  for (const name of [HTML_FILE, TEXT_FILE])
    if (files[name] === undefined)
      throw bad(name, 'the file is missing', `add ${name} to the folder`);
  return {
    settings,
    html: files[HTML_FILE] ?? '',
    text: files[TEXT_FILE] ?? '',
    messages: messagesFrom(files, settings),
    digest: noticeDigest(files),
  };
}

/** The domain that the notice is from, in lower case: the one whose DKIM key signs. */
export function fromDomainOf(notice: Notice): string {
  const { address } = notice.settings.from;
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

/** The first difference between two sets of files, as a place a person can open; null when they are equal. */
export function firstDifference(approved: NoticeFiles, now: NoticeFiles): string | null {
  for (const name of [...new Set([...Object.keys(approved), ...Object.keys(now)])].sort()) {
    const before = approved[name];
    const after = now[name];
    if (before === after) continue;
    if (before === undefined || after === undefined) return name;
    let at = 0;
    while (before[at] === after[at]) at++;
    return `${name} line ${lineOf(after, at)}`;
  }
  return null;
}
