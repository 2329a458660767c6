/**
 * Whether a program's provider package still sends to the guard after it was given its key: some set their base URL back.
 * The project's own package is loaded in a process of its own, and nothing is sent.
 */

import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../base/errors.ts';
import type { Remark } from './doctor-postfix.ts';

const run = promisify(execFile);

/** The order of both calls, and the base URL after them. */
interface Orders {
  readonly version: string;
  readonly keyFirst: string;
  readonly urlFirst: string;
}

const PROBE = `
const { createRequire } = require('node:module');
const load = createRequire(process.argv[1]);
const { MailService } = load('@sendgrid/mail');
const url = process.argv[2];
const after = (...steps) => {
  const mail = new MailService();
  for (const step of steps) step(mail);
  return String(mail.client.defaultRequest.baseUrl);
};
const key = (mail) => mail.setApiKey('SG.not-a-key');
const base = (mail) => mail.client.setDefaultRequest('baseUrl', url);
let version = '';
try { version = load('@sendgrid/mail/package.json').version; } catch {}
process.stdout.write('\\n' + JSON.stringify({ version, keyFirst: after(key, base), urlFirst: after(base, key) }));
`;

/** A line for the program itself: only there is it seen what the running program does. */
export function lineToCopy(url: string): string {
  const wanted = JSON.stringify(url);
  return `console.log('sends to', sgMail.client.defaultRequest.baseUrl, sgMail.client.defaultRequest.baseUrl === ${wanted} ? '(the guard)' : '(NOT the guard)');`;
}

/** @throws Fault `doctor.no-sdk` where the project has no `@sendgrid/mail`. */
export async function examineSdk(project: string, url: string): Promise<readonly Remark[]> {
  const { version, keyFirst, urlFirst } = await probe(project, url);
  const check = 'sendgrid-base-url';
  const name = `@sendgrid/mail ${version}`.trim();
  const remarks: Remark[] = [];
  if (keyFirst === url)
    remarks.push({ kind: 'fine', check, text: `${name}: setApiKey, then the base URL: it stays` });
  else
    remarks.push({
      kind: 'finding',
      check,
      text: `${name}: the base URL does not stay, even after setApiKey: it is ${printable(keyFirst)}`,
      remedy: 'use a version whose client keeps setDefaultRequest',
    });
  if (urlFirst === url)
    remarks.push({ kind: 'fine', check, text: `${name}: the base URL, then setApiKey: it stays` });
  else
    remarks.push({
      kind: 'note',
      check,
      text: `${name}: the base URL, then setApiKey: it is set back to ${printable(urlFirst)}, past the guard`,
      remedy: 'set the base URL after every setApiKey',
    });
  return remarks;
}

async function probe(project: string, url: string): Promise<Orders> {
  const folder = path.resolve(project);
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory() !== true)
    throw new Fault('doctor.no-sdk', 'there is no such folder', {
      where: folder,
      remedy: 'name the folder of a Node project',
    });
  try {
    const args = ['-e', PROBE, path.join(folder, 'package.json'), url];
    const { stdout } = await run(process.execPath, args, { cwd: folder, timeout: 20_000 });
    return JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)) as Orders;
  } catch (cause) {
    throw new Fault('doctor.no-sdk', '@sendgrid/mail cannot be loaded from this project', {
      where: folder,
      remedy: 'run npm ci there first',
      cause,
    });
  }
}

function printable(text: string): string {
  return text.replaceAll(/[^ -~]/g, '?').slice(0, 120);
}
