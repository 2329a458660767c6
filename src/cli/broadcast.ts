/** `undisclosed broadcast create|prepare|approve|release|status|prove`. */

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { canonicalJson } from '../base/canonical-json.ts';
import { Fault } from '../base/errors.ts';
import type { Account } from '../broadcast/account.ts';
import type { ApprovalDocument } from '../broadcast/approval.ts';
import type { BroadcastSettings } from '../broadcast/broadcast.ts';
import type { CreateReport } from '../broadcast/create.ts';
import { readNotice } from '../broadcast/notice.ts';
import type { PrepareReport } from '../broadcast/prepare.ts';
import type { ReleaseEnd } from '../broadcast/release.ts';
import type { ReleaseProgress } from '../broadcast/release-progress.ts';
import { DEFAULT_RING_RULES } from '../broadcast/rings.ts';
import { parseRoute } from '../broadcast/route.ts';
import { toConfig } from '../config.ts';
import { signAs } from '../operators/operator-key.ts';
import { call, callJson, callStream, faultOf, fileFault, loadOperatorKey } from './api-client.ts';
import {
  type CommandIo,
  type ExitStatus,
  type OptionSpecs,
  type Options,
  readOptions,
  wanted,
} from './command.ts';
import { readNoticeFolder } from './notice-folder.ts';
import { readAddresses } from './suppression.ts';
import { writeWholeFile } from './whole-file.ts';

const HELP = `Usage: undisclosed broadcast create NOTICE_DIR --route smtp://HOST:PORT --as OPERATOR
       undisclosed broadcast prepare ID --as OPERATOR
       undisclosed broadcast approve ID --as OPERATOR [--yes]
       undisclosed broadcast release ID --as OPERATOR
       undisclosed broadcast withdraw ID [ADDRESS ...] [--file FILE] --reason TEXT --as OPERATOR
       undisclosed broadcast cancel ID --reason TEXT --as OPERATOR
       undisclosed broadcast status [ID] --as OPERATOR
       undisclosed broadcast prove [ID] --out FILE --as OPERATOR

create    keeps the notice and freezes the audience: everybody selected gets a place
prepare   renders, translates and inspects every message; whoever cannot be written to blocks it, by id
approve   shows what would be sent and signs exactly that; not by who made, imported or prepared it
release   signs and sends ring after ring; Ctrl-C leaves it going on in the server (stop it: halt)
withdraw  leaves people out by name, until they have been written to
cancel    gives the rest up: everybody not reached becomes "cancelled", signatures are destroyed
status    where it stands, and everybody's state; without ID all broadcasts
prove     writes the proof for the one-file verifier

For create:
  --name TEXT              what people call it (default: the notice's name)
  --route URL              smtp://host:port?connections=20&tls=none|opportunistic|required
  --where FIELD=VALUE      only customers with this value; may be repeated
  --same-address each|ID   what to do with records that share an address; ID may be repeated
  --rings N,N              shares of the audience after ring 0, in thousandths (default 10,100)
  --uncertain resend|hold  what to do when a reply is lost (default resend)
  --deadline-hours N       when deferred recipients are given up (default 24)
  --retry-seconds N,N      waits before further attempts (default 60,300,900,3600)
  --message-id-domain D    (default: the From domain)
  --return-path-domain D   (default: bounce. and the From domain)

For release of a held broadcast:
  --reason TEXT            why it may go on
  --resend-uncertain       sends once more to those whose reply was lost

  --as OPERATOR   who acts
  --json          one JSON document
  --help          this text
`;

const SPECS: OptionSpecs = {
  as: { type: 'string' },
  name: { type: 'string' },
  route: { type: 'string' },
  where: { type: 'string', multiple: true },
  'same-address': { type: 'string', multiple: true },
  rings: { type: 'string' },
  uncertain: { type: 'string' },
  'deadline-hours': { type: 'string' },
  'retry-seconds': { type: 'string' },
  'message-id-domain': { type: 'string' },
  'return-path-domain': { type: 'string' },
  reason: { type: 'string' },
  'resend-uncertain': { type: 'boolean' },
  yes: { type: 'boolean' },
  out: { type: 'string' },
  file: { type: 'string' },
};

function numbers(
  text: string | null,
  fallback: readonly number[],
  option: string,
): readonly number[] {
  if (text === null) return fallback;
  const list = text.split(',').map((item) => (item.trim() === '' ? Number.NaN : Number(item)));
  if (list.some((value) => !(value >= 0) || !Number.isFinite(value)))
    throw new Fault('cli.usage', 'this is no list of numbers', {
      where: option,
      remedy: 'write such as 10,100',
    });
  return list;
}

function selection(options: Options): BroadcastSettings['selection'] {
  return {
    where: options.list('where').map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new Fault('cli.usage', '--where is FIELD=VALUE');
      return { field: text.slice(0, at), equals: text.slice(at + 1) };
    }),
  };
}

function settingsFrom(options: Options, fromDomain: string): BroadcastSettings {
  const same = options.list('same-address');
  const uncertain = options.text('uncertain') ?? 'resend';
  if (uncertain !== 'resend' && uncertain !== 'hold')
    throw new Fault('cli.usage', '--uncertain is resend or hold');
  return {
    selection: selection(options),
    sameAddress: { each: same.includes('each'), chosen: same.filter((id) => id !== 'each') },
    route: parseRoute(wanted(options.text('route'), '--route')),
    rings: {
      ...DEFAULT_RING_RULES,
      perThousand: numbers(options.text('rings'), DEFAULT_RING_RULES.perThousand, '--rings'),
    },
    uncertain,
    deadlineHours: Number(options.text('deadline-hours') ?? 24),
    retrySeconds: numbers(options.text('retry-seconds'), [60, 300, 900, 3600], '--retry-seconds'),
    messageIdDomain: options.text('message-id-domain') ?? fromDomain,
    returnPathDomain: options.text('return-path-domain') ?? `bounce.${fromDomain}`,
  };
}

async function create(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const folder = resolve(wanted(options.positionals[1], 'the notice folder'));
  const files = await readNoticeFolder(folder);
  const notice = readNotice(files);
  const { address } = notice.settings.from;
  const settings = settingsFrom(options, address.slice(address.lastIndexOf('@') + 1));
  const key = await loadOperatorKey(io, options.text('as'));
  const report = await callStream<CreateReport>(
    socket,
    {
      method: 'POST',
      path: '/v1/broadcasts',
      key,
      body: { name: options.text('name') ?? notice.settings.name, files, folder, settings },
    },
    io,
    undefined,
    options.flag('json'),
  );
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else {
    const people = report.count.toLocaleString('en-GB');
    const rings = report.rings.map((ring) => ring.count.toLocaleString('en-GB')).join(', ');
    io.stdout(
      `Broadcast ${report.broadcast}: ${people} people, frozen; rings of ${rings}.\nNext: undisclosed broadcast prepare ${report.broadcast}\n`,
    );
  }
  return 0;
}

async function prepare(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const id = wanted(options.positionals[1], 'the broadcast');
  const key = await loadOperatorKey(io, options.text('as'));
  const path = `/v1/broadcasts/${encodeURIComponent(id)}/prepare`;
  const json = options.flag('json');
  const report = await callStream<PrepareReport>(
    socket,
    { method: 'POST', path, key, body: {} },
    io,
    undefined,
    json,
  );
  if (json) io.stdout(`${JSON.stringify(report)}\n`);
  if (report.kind === 'prepared') {
    if (!json)
      io.stdout(
        `${report.count.toLocaleString('en-GB')} messages prepared and inspected, every one. Root ${report.manifestRoot}\nNext, by a second person: undisclosed broadcast approve ${id} --as NAME\n`,
      );
    return 0;
  }
  if (!json) {
    for (const row of report.rows)
      io.stderr(
        `customer ${row.record} (row ${row.position}, ${row.language}): ${row.where}: ${row.reason}\n`,
      );
    if (report.blocked > report.rows.length)
      io.stderr(`… and ${report.blocked - report.rows.length} more\n`);
    io.stderr(
      `undisclosed: ${report.blocked} of ${report.count} messages cannot be prepared; nothing can be approved (complete these records, import them again and create the broadcast anew)\n`,
    );
  }
  return 2;
}

/** What the approver reads before signing. */
function describeDocument(document: ApprovalDocument): string {
  const counts = document.counts as Record<string, Record<string, number>>;
  const plan = document.plan as {
    rings: readonly { count: number }[];
    route: { host: string; port: number; connections: number };
  };
  const list = (group: Record<string, number> | undefined): string =>
    Object.entries(group ?? {})
      .sort(([, a], [, b]) => b - a)
      .slice(0, 12)
      .map(([name, count]) => `${name} ${count.toLocaleString('en-GB')}`)
      .join(', ');
  return [
    `Broadcast   ${String(document.broadcast)}  ${String(document.name)}`,
    `People      ${Number(document.count).toLocaleString('en-GB')}, each alone on the envelope`,
    `Languages   ${list(counts.language)}`,
    `Providers   ${list(counts.provider)}`,
    `Rings       ${plan.rings.map((ring) => ring.count.toLocaleString('en-GB')).join(', ')}`,
    `Route       ${plan.route.host}:${plan.route.port}, ${plan.route.connections} connections`,
    `Made by     ${(document.authors as readonly string[]).join(', ')}`,
    `Root        ${String(document.manifestRoot)}`,
    '',
  ].join('\n');
}

async function approve(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const id = wanted(options.positionals[1], 'the broadcast');
  const key = await loadOperatorKey(io, options.text('as'));
  const path = `/v1/broadcasts/${encodeURIComponent(id)}/approval`;
  const document = await callJson<ApprovalDocument>(socket, { method: 'GET', path, key });
  if ((document.authors as readonly string[]).includes(key.operator))
    throw new Fault(
      'approval.own-work',
      `${key.operator} made, imported or prepared this broadcast`,
      {
        where: id,
        remedy: 'nobody approves their own work: another operator must',
      },
    );
  if (!options.flag('json')) io.stdout(describeDocument(document));
  if (!options.flag('yes') && !options.flag('json') && io.isTerminal && !(await confirmed(io))) {
    io.stdout('Not approved.\n');
    return 1;
  }
  const envelope = {
    kind: 'ed25519',
    operator: key.operator,
    publicKey: key.publicKey.toString('base64'),
    signature: signAs(key, canonicalJson(document)).toString('base64'),
  };
  const answer = await callJson<{ approved: string; by: string }>(socket, {
    method: 'POST',
    path,
    key,
    body: envelope,
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify(answer)}\n`);
  else io.stdout(`Approved by ${answer.by}. Next: undisclosed broadcast release ${id}\n`);
  return 0;
}

async function confirmed(io: CommandIo): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises');
  io.stdout('Type yes to sign exactly this: ');
  const lines = createInterface({ input: process.stdin });
  const answer = await lines.question('');
  lines.close();
  return answer.trim().toLowerCase() === 'yes';
}

async function release(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const id = wanted(options.positionals[1], 'the broadcast');
  const key = await loadOperatorKey(io, options.text('as'));
  const where = `/v1/broadcasts/${encodeURIComponent(id)}`;
  const known = await callJson<{ notice: { folder: string } }>(socket, {
    method: 'GET',
    path: where,
    key,
  });
  // The stored notice is what is sent; a folder that is still there has to be the same.
  const { folder } = known.notice;
  const files = existsSync(folder) ? await readNoticeFolder(folder) : null;
  const reason = options.text('reason');
  const end = await callStream<ReleaseEnd & { progress: ReleaseProgress }>(
    socket,
    {
      method: 'POST',
      path: `${where}/release`,
      key,
      body: {
        files,
        ...(reason === null ? {} : { reason }),
        resendUncertain: options.flag('resend-uncertain'),
      },
    },
    io,
    undefined,
    options.flag('json'),
  );
  if (options.flag('json')) io.stdout(`${JSON.stringify(end)}\n`);
  else io.stdout(describeEnd(id, end));
  return end.kind === 'complete' ? 0 : 1;
}

function describeEnd(id: string, end: ReleaseEnd & { progress: ReleaseProgress }): string {
  const { accepted, refused, sendingSeconds } = end.progress;
  const seconds = sendingSeconds.toFixed(1);
  const sums = `${accepted.toLocaleString('en-GB')} accepted, ${refused.toLocaleString('en-GB')} refused, ${seconds} s of sending`;
  if (end.kind === 'complete')
    return `Complete: ${sums}.\nNext: undisclosed broadcast prove ${id} --out proof.jsonl\n`;
  if (end.kind === 'halted') return `Halted: ${sums}. Two operators resume it.\n`;
  return `${end.kind === 'held' ? 'Held' : 'Stopped'}: ${end.because} (${sums}).\n`;
}

interface Status {
  readonly broadcast: string;
  readonly name: string;
  readonly state: string;
  readonly standsBecause: string | null;
  readonly halted: boolean;
  readonly account: Account;
}

async function status(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const key = await loadOperatorKey(io, options.text('as'));
  const id = options.positionals[1];
  const path = id === undefined ? '/v1/broadcasts' : `/v1/broadcasts/${encodeURIComponent(id)}`;
  const answer = await callJson<unknown>(socket, { method: 'GET', path, key });
  if (options.flag('json')) {
    io.stdout(`${JSON.stringify(answer)}\n`);
    return 0;
  }
  if (id === undefined) {
    for (const row of answer as readonly {
      broadcast: string;
      state: string;
      count: number;
      name: string;
    }[])
      io.stdout(
        `${row.broadcast}  ${row.state.padEnd(10)} ${String(row.count).padStart(9)}  ${row.name}\n`,
      );
    return 0;
  }
  const { state, standsBecause, halted, account, name } = answer as Status;
  io.stdout(
    `${id}  ${name}\nState      ${state}${halted ? ', halted' : ''}${standsBecause === null ? '' : `: ${standsBecause}`}\n`,
  );
  for (const [of, count] of Object.entries(account.states))
    io.stdout(`  ${of.padEnd(14)} ${count.toLocaleString('en-GB').padStart(11)}\n`);
  io.stdout(
    `  ${'audience'.padEnd(14)} ${account.audience.toLocaleString('en-GB').padStart(11)}  ${account.addsUp ? 'adds up' : 'not settled yet'}\n`,
  );
  if (account.uncertain.length > 0) io.stdout(`Uncertain rows: ${account.uncertain.join(', ')}\n`);
  for (const { position, state: now, because } of account.hungUpOn)
    io.stdout(`Row ${position} ${now}: ${because}\n`);
  return 0;
}

async function prove(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const out = resolve(wanted(options.text('out'), '--out'));
  const key = await loadOperatorKey(io, options.text('as'));
  const answer = await call(socket, { method: 'GET', path: '/v1/proof', key });
  if ((answer.statusCode ?? 500) >= 400) {
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    throw faultOf(JSON.parse(text));
  }
  try {
    await writeWholeFile(answer, out);
  } catch (cause) {
    throw fileFault(out, cause);
  }
  if (options.flag('json')) io.stdout(`${JSON.stringify({ proof: out })}\n`);
  else io.stdout(`The proof is in ${out}. Check it: undisclosed ledger verify ${out}\n`);
  return 0;
}

async function withdraw(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const [, id, ...given] = options.positionals;
  const addresses = await readAddresses(given, options.text('file'));
  const key = await loadOperatorKey(io, options.text('as'));
  const report = await callJson<{ withdrawn: number; given: number }>(socket, {
    method: 'POST',
    path: `/v1/broadcasts/${encodeURIComponent(wanted(id, 'the broadcast'))}/withdraw`,
    key,
    body: { addresses, reason: options.text('reason') ?? '' },
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else
    io.stdout(
      `${report.withdrawn} of ${report.given} are left out, unless they have been written to already.\n`,
    );
  return 0;
}

async function cancel(io: CommandIo, options: Options, socket: string): Promise<ExitStatus> {
  const id = wanted(options.positionals[1], 'the broadcast');
  const key = await loadOperatorKey(io, options.text('as'));
  const report = await callJson<{ cancelled: number }>(socket, {
    method: 'POST',
    path: `/v1/broadcasts/${encodeURIComponent(id)}/cancel`,
    key,
    body: { reason: options.text('reason') ?? '' },
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else
    io.stdout(
      `Cancelled: ${report.cancelled.toLocaleString('en-GB')} people are not written to.\n`,
    );
  return 0;
}

const DEEDS: Readonly<
  Record<string, (io: CommandIo, options: Options, socket: string) => Promise<ExitStatus>>
> = { create, prepare, approve, release, withdraw, cancel, status, prove };

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, SPECS);
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const deed = DEEDS[options.positionals[0] ?? ''];
  if (deed === undefined)
    throw new Fault('cli.usage', `say ${Object.keys(DEEDS).join(', ')}`, {
      remedy: 'undisclosed broadcast --help',
    });
  return deed(io, options, toConfig(io.env).socket);
}
