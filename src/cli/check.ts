/**
 * `undisclosed check FILE...`: what the guard would decide about messages, mailboxes and provider payloads.
 * Needs no server and opens no database. Prints addresses only when asked to.
 */

import { parseArgs } from 'node:util';
import { Fault } from '../base/errors.ts';
import type { FileItem, FileOptions } from '../gates/files.ts';
import { withAttachments } from '../guard/attachments.ts';
import { type Judgement, judgeCopies } from '../guard/judge.ts';
import { parseAddress } from '../mail/address.ts';
import { POLICIES, type Policy, type PolicyName, policyFrom } from '../policy/policy.ts';
import { describeJudgement, describeTotals } from './check-report.ts';
import { placeOf, readMailFile } from './mail-file.ts';

export interface CommandOutput {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly isTerminal: boolean;
}

const HELP = `Usage: undisclosed check [options] FILE...

Reads messages (.eml), mailboxes (mbox) and calls to mail providers (SendGrid, SES, Mailgun,
Postmark: the body of a request, or all of it), told apart by their content, and says for each
whether it would pass, and if not why.

  --policy NAME            bulk (default), transactional or person
  --to ADDRESS             the reader, where the envelope is not in the file; may be repeated
  --role-address ADDRESS   an address every reader may see (support, complaints); may be repeated
  --company-domain DOMAIN  a domain of the sender's; may be repeated
  --json                   one JSON document per message and line
  --show-addresses         also lists the addresses a reader would see
  --help                   this text

Exit status: 0 everything passes, 1 something does not, 2 something could not be read.
`;

interface Request {
  readonly files: readonly string[];
  readonly policy: Policy;
  readonly otherPolicies: readonly Policy[];
  readonly fileOptions: FileOptions;
  readonly json: boolean;
  readonly showAddresses: boolean;
}

/** Runs the command; resolves with its exit status and never rejects. */
export async function runCheck(args: readonly string[], io: CommandOutput): Promise<number> {
  const request = readRequest(args);
  if (request === 'help') {
    io.stdout(HELP);
    return 0;
  }
  if (request instanceof Fault) {
    io.stderr(
      `undisclosed check: ${request.message}${request.remedy ? ` (${request.remedy})` : ''}\n`,
    );
    return 2;
  }
  let status = 0;
  const totals = new Map<string, number>();
  for (const file of request.files) {
    const fileStatus = await checkFile(file, request, io, totals);
    status = Math.max(status, fileStatus);
  }
  if (!request.json) io.stdout(describeTotals(totals));
  return status;
}

async function checkFile(
  file: string,
  request: Request,
  io: CommandOutput,
  totals: Map<string, number>,
): Promise<number> {
  let status = 0;
  const unreadable = (place: string, reason: string): void => {
    io.stderr(`undisclosed check: ${printable(place)}: ${reason}\n`);
    status = 2;
  };
  for await (const item of readMailFile(file, request.fileOptions)) {
    if (item.kind === 'unreadable') {
      unreadable(placeOf(file, item), item.reason);
      continue;
    }
    const copies = await withAttachments(item.copies);
    const judgement = judgeCopies(copies, { policy: request.policy });
    const { kind } = judgement.verdict;
    totals.set(kind, (totals.get(kind) ?? 0) + 1);
    if (kind !== 'pass') status = Math.max(status, 1);
    io.stdout(report({ ...item, copies }, judgement, file, request, io.isTerminal));
  }
  return status;
}

function report(
  item: Extract<FileItem, { copies: unknown }>,
  judgement: Judgement,
  file: string,
  request: Request,
  isTerminal: boolean,
): string {
  if (request.json) return `${JSON.stringify(jsonReport(item.index, judgement, file, request))}\n`;
  const others = isTerminal ? request.otherPolicies : [];
  return describeJudgement({
    place: printable(
      item.kind === 'payload' ? `${placeOf(file, item)} (${item.call})` : placeOf(file, item),
    ),
    judgement,
    others: others.map((policy) => ({
      name: policy.name,
      verdict: judgeCopies(item.copies, { policy }).verdict.kind,
    })),
    showAddresses: request.showAddresses,
    colour: isTerminal,
  });
}

function jsonReport(
  index: number,
  { verdict, findings, visible }: Judgement,
  file: string,
  request: Request,
): unknown {
  return {
    file,
    index,
    verdict: verdict.kind,
    reasons: verdict.kind === 'pass' ? [] : verdict.reasons,
    findings: findings.map(({ id, severity, where }) => ({ id, severity, where })),
    ...(request.showAddresses ? { visible } : {}),
  };
}

function readRequest(args: readonly string[]): Request | 'help' | Fault {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        policy: { type: 'string', default: 'bulk' },
        to: { type: 'string', multiple: true },
        'role-address': { type: 'string', multiple: true, default: [] },
        'company-domain': { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        'show-addresses': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return 'help';
    if (positionals.length === 0) return usage('no file named');
    if (!isPolicyName(values.policy)) return usage('--policy is bulk, transactional or person');
    const readers = values.to;
    if (readers?.some((text) => parseAddress(text).kind === 'invalid')) {
      return usage('--to needs one e-mail address, without a display name');
    }
    const company = {
      roleAddresses: values['role-address'],
      companyDomains: values['company-domain'],
    };
    const names = (Object.keys(POLICIES) as PolicyName[]).filter((name) => name !== values.policy);
    return {
      files: positionals,
      policy: policyFrom(values.policy, company),
      otherPolicies: names.map((name) => policyFrom(name, company)),
      fileOptions: readers === undefined ? {} : { readers },
      json: values.json,
      showAddresses: values['show-addresses'],
    };
  } catch (error) {
    // parseArgs names the option it does not know; policyFrom the entry by its number.
    const message = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error);
    return usage(message.charAt(0).toLowerCase() + message.slice(1));
  }
}

function usage(message: string): Fault {
  return new Fault('usage', message, { remedy: 'undisclosed check --help says more' });
}

function isPolicyName(text: string): text is PolicyName {
  return Object.hasOwn(POLICIES, text);
}

/** A file's name is no place for terminal control characters. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
