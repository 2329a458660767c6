/**
 * The table of docs/conformance.md between its `sdk` marks: one block for each package, written from what a run found. A block
 * that was not run stays as it is.
 */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type CallResult, type Sdk, SETTINGS, type Setting } from './sdk-call.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const FILE = path.join(ROOT, 'docs/conformance.md');
const BEGIN = '<!-- sdk:begin -->';
const END = '<!-- sdk:end -->';

/** All blocks in their order. */
export const TITLES: readonly string[] = [
  '@sendgrid/mail',
  'AWS SDK for JavaScript v3, `@aws-sdk/client-sesv2`',
  "nodemailer's SES transport",
  'mailgun.js',
  'postmark',
  "nodemailer's SMTP transport",
  "Python's smtplib",
  'Postfix in front of the relay',
  'Postfix with the milter',
];

const INTRODUCTION = `
Each call is made as a program makes it, by the package as it comes from the registry; the programs of the machine are Debian's. In every cell stand the copies that
reached the far side, and the most people beside the reader that one copy showed, as read by \`postal-mime\` and by a search of the bytes. *Watched* is the mode \`shadow\`, in
which all goes on as it came: what the call does without a guard. *Enforced* is the default; *split* is \`"split": true\`. The tables are written by the tests that make the calls,
\`UNDISCLOSED_WRITE=1 npm test -- test/conformance test/interop/sdk-calls-postfix.test.ts\`, and without that variable the tests fail where the document says anything else.

The far sides refuse what the published schemas do not allow: \`tsg_mail_v3.json\` of twilio/sendgrid-oai and SendGrid's page of errors; \`SendEmailRequest\` and
\`SendBulkEmailRequest\` of the SES model sesv2-2019-09-27, with SigV4 checked by the key that the guard signs with; Mailgun's reference of \`messages\` and \`messages.mime\`;
Postmark's Email and Templates API; RFC 5321 and RFC 5322.
`;

export type Results = Readonly<Record<Setting, CallResult>>;

export interface Ran {
  readonly sdk: Omit<Sdk, 'calls'>;
  readonly calls: readonly {
    readonly call: string;
    readonly people: number;
    readonly results: Results;
  }[];
}

const number = (value: number): string => value.toLocaleString('en-US');

/** The version that the lock file pins. */
export function pinnedVersion({ name, lock }: NonNullable<Sdk['pinned']>): string {
  const file = path.join(ROOT, lock, 'package-lock.json');
  const { packages }: { packages: Record<string, { version?: string }> } = JSON.parse(
    readFileSync(file, 'utf8'),
  );
  const version = packages[`node_modules/${name}`]?.version;
  assert.ok(version !== undefined, `${lock}/package-lock.json does not pin ${name}`);
  return version;
}

function cell({ copies, othersShown, error }: CallResult): string {
  if (copies === 0) return error === null ? 'nothing' : `nothing: \`${error}\``;
  const more = error === null ? '' : `, \`${error}\``;
  return `${number(copies)} copies, ${number(othersShown)} shown${more}`;
}

function blockOf({ sdk, calls }: Ran): string {
  const rows = calls.map(
    ({ call, people, results }) =>
      `| ${[call, number(people), ...SETTINGS.map((setting) => cell(results[setting]))].join(' | ')} |\n`,
  );
  const version = sdk.pinned === null ? '' : `Version ${pinnedVersion(sdk.pinned)}. `;
  return `### ${sdk.title}

${version}Led to the gate by ${sdk.baseUrl}. A refusal is \`${sdk.refusal}\`.

| call | people | watched | enforced | split |
|---|---|---|---|---|
${rows.join('')}`;
}

function documentText(): string {
  const text = existsSync(FILE) ? readFileSync(FILE, 'utf8') : '# Conformance\n';
  return text.includes(BEGIN)
    ? text
    : `${text.trimEnd()}\n\n## Official packages, call by call\n\n${BEGIN}\n${END}\n`;
}

function sectionOf(text: string): string {
  return text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END));
}

/** The blocks of a section by their titles. */
function blocksIn(section: string): Map<string, string> {
  const blocks = section.split(/^(?=### )/m).slice(1);
  return new Map(
    blocks.map((block) => [block.slice(4, block.indexOf('\n')), `${block.trimEnd()}\n`]),
  );
}

/**
 * Holds the document to what these runs found; with UNDISCLOSED_WRITE=1 in the environment it is written instead.
 * A block that did not run is left alone; one that no run knows is a failure.
 */
export function holdTable(runs: readonly Ran[]): void {
  const text = documentText();
  const blocks = blocksIn(sectionOf(text));
  const found = new Map(runs.map((run) => [run.sdk.title, blockOf(run)]));
  if (process.env.UNDISCLOSED_WRITE === '1') {
    for (const [title, block] of found) blocks.set(title, block);
    const ordered = TITLES.flatMap((title) => blocks.get(title) ?? []);
    const section = `${BEGIN}\n${INTRODUCTION}\n${ordered.join('\n')}\n${END}`;
    const rest = text.slice(text.indexOf(END) + END.length);
    writeFileSync(FILE, text.slice(0, text.indexOf(BEGIN)) + section + rest);
    return;
  }
  assert.ok(sectionOf(text).startsWith(`\n${INTRODUCTION}`), 'the introduction is another');
  const remedy =
    'docs/conformance.md is not what this run found: with UNDISCLOSED_WRITE=1 the run writes it';
  for (const [title, block] of found) assert.equal(blocks.get(title), block, remedy);
  assert.deepEqual([...blocks.keys()], TITLES, 'blocks of the table');
}
