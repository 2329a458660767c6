/** `undisclosed hold list|show|release|refuse`: what the guard holds for people to decide. */

import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { HeldCall, ReleaseReport, ShownCall } from '../guard/hold.ts';
import type { OperatorKey } from '../operators/operator-key.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions, wanted } from './command.ts';

const HELP = `Usage: undisclosed hold list --as OPERATOR
       undisclosed hold show ID --reason TEXT --as OPERATOR
       undisclosed hold release ID|--campaign N --reason TEXT --as OPERATOR
       undisclosed hold refuse ID|--campaign N --reason TEXT --as OPERATOR

Calls that wait for people. A release takes two operators: the first asks, the second runs the same
command. One is enough to refuse; the sender is told. What nobody decides in gates.hold.hours (72) is
given up, with an alarm, and the sender is told. show marks what was found and masks addresses;
looking is an entry of the ledger, with its reason.

  --campaign N    everything that is held of one campaign
  --reason TEXT   why; kept in the ledger
  --as OPERATOR   who looks or decides
  --json          one JSON document
  --help          this text
`;

type Deed = 'list' | 'show' | 'release' | 'refuse';

interface Call {
  readonly socket: string;
  readonly key: OperatorKey;
  readonly json: boolean;
}

function listLine(held: HeldCall): string {
  const { kept, gate, identity, reasons, readers, campaign, expires, askedBy } = held;
  const asked = askedBy === null ? '' : `, release asked by ${askedBy}`;
  const part = campaign === null ? '' : `, campaign ${campaign}`;
  const until = expires === null ? '' : `, until ${expires.slice(0, 16)}Z`;
  const to = readers === 1 ? '1 reader' : `${readers} readers`;
  return `${kept}  ${gate} ${identity}: ${reasons.join(', ')}; ${to}${part}${until}${asked}\n`;
}

async function list({ socket, key, json }: Call, io: CommandIo): Promise<void> {
  const rows = await callJson<HeldCall[]>(socket, { method: 'GET', path: '/v1/guard/held', key });
  if (json) io.stdout(`${JSON.stringify(rows)}\n`);
  else io.stdout(rows.length === 0 ? 'Nothing is held.\n' : rows.map(listLine).join(''));
}

/** What control characters would do to a terminal, they do not do here. */
const plain = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\uFFFD');

function shownText({ content, ...held }: ShownCall): string {
  const lines = [listLine(held)];
  if (content.copies.length === 0) lines.push('\nThis gate cannot show what it kept.\n');
  for (const [i, copy] of content.copies.entries()) {
    const more = copy.readersInAll - copy.readers.length;
    lines.push(`\nMessage ${i + 1} of ${content.copiesInAll}\n`);
    lines.push(`To: ${copy.readers.join(', ')}${more > 0 ? ` and ${more} more` : ''}\n`);
    for (const { id, field, part, count, addresses } of copy.findings) {
      const place = part === '' ? field : `${field} of part ${part}`;
      lines.push(`Found: ${id} (${count}) in ${place}: ${addresses.join(', ')}\n`);
    }
    for (const { part, what, pieces, isCut } of copy.sections) {
      const text = pieces.map((piece) =>
        piece.finding === null ? piece.text : `>>>${piece.text}<<<[${piece.finding}]`,
      );
      const cut = isCut ? '\n(cut here)' : '';
      lines.push(`\n--- ${part === '' ? '' : `part ${part} `}${what}\n${text.join('')}${cut}\n`);
    }
  }
  return plain(lines.join(''));
}

async function show(id: string, reason: string, call: Call, io: CommandIo): Promise<void> {
  const { socket, key, json } = call;
  const path = `/v1/guard/held/${encodeURIComponent(id)}/look`;
  const shown = await callJson<ShownCall>(socket, { method: 'POST', path, key, body: { reason } });
  io.stdout(json ? `${JSON.stringify(shown)}\n` : shownText(shown));
}

function placeOf(options: Options): string {
  const [, id] = options.positionals;
  const campaign = options.text('campaign');
  if ((id === undefined) === (campaign === null))
    throw new Fault('cli.usage', 'name one call, or one campaign', {
      remedy: 'ID, or --campaign N',
    });
  return campaign === null
    ? `/v1/guard/held/${encodeURIComponent(id ?? '')}`
    : `/v1/guard/campaigns/${encodeURIComponent(campaign)}`;
}

async function decide(
  deed: 'release' | 'refuse',
  options: Options,
  reason: string,
  { socket, key, json }: Call,
  io: CommandIo,
): Promise<void> {
  const path = `${placeOf(options)}/${deed}`;
  const call = { method: 'POST', path, key, body: { reason } } as const;
  if (deed === 'refuse') {
    const report = await callJson<{ refused: string[] }>(socket, call);
    if (json) io.stdout(`${JSON.stringify(report)}\n`);
    else io.stdout(`${report.refused.length} refused; the sender is told.\n`);
    return;
  }
  const report = await callJson<ReleaseReport>(socket, call);
  if (json) io.stdout(`${JSON.stringify(report)}\n`);
  else {
    if (report.released.length > 0) io.stdout(`${report.released.length} released.\n`);
    if (report.asked.length > 0)
      io.stdout(`${report.asked.length} asked for. A second operator runs the same command.\n`);
  }
}

function deedOf(word: string | undefined): Deed {
  if (word === 'list' || word === 'show' || word === 'release' || word === 'refuse') return word;
  throw new Fault('cli.usage', 'say list, show, release or refuse', {
    remedy: 'undisclosed hold --help',
  });
}

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {
    as: { type: 'string' },
    reason: { type: 'string' },
    campaign: { type: 'string' },
  });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const [word, id] = options.positionals;
  const deed = deedOf(word);
  const reason = deed === 'list' ? '' : wanted(options.text('reason'), '--reason');
  if (deed === 'release' || deed === 'refuse') placeOf(options);
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  const call = { socket, key, json: options.flag('json') };
  if (deed === 'list') await list(call, io);
  else if (deed === 'show') await show(wanted(id, 'the call'), reason, call, io);
  else await decide(deed, options, reason, call, io);
  return 0;
}
