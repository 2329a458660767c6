/** `undisclosed guard freeze`, `guard lift` and `guard frozen`. */

import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { FreezeReport, ListedFreeze } from '../guard/freeze.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions, wanted } from './command.ts';

/** The lines of `guard --help` about freezes. */
export const FREEZE_HELP = `Usage: undisclosed guard freeze IDENTITY [--campaign ID] --reason TEXT --as OPERATOR
       undisclosed guard lift FREEZE --reason TEXT --as OPERATOR
       undisclosed guard frozen --as OPERATOR

Stops mail of one identity, or of one campaign of it, at every gate within a second: new calls are
deferred, queued copies wait. The guard itself freezes a campaign whose calls together would show too
many people to each other. One named operator lifts a freeze; the campaign is then counted anew.

  --campaign ID   only what says nearly the same as this campaign
  --reason TEXT   why; kept in the ledger
  --as OPERATOR   who freezes, lifts or asks
  --json          one JSON document
  --help          this text
`;

type Freeze = (options: Options, io: CommandIo) => Promise<ExitStatus>;

/** @param args the words after `guard`: freeze, lift or frozen, and theirs. */
export async function runFreeze(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {
    as: { type: 'string' },
    campaign: { type: 'string' },
    reason: { type: 'string' },
  });
  if (options.flag('help')) {
    io.stdout(FREEZE_HELP);
    return 0;
  }
  const deeds: Readonly<Record<string, Freeze>> = { freeze, lift, frozen };
  const [word = ''] = options.positionals;
  const deed = Object.hasOwn(deeds, word) ? deeds[word] : undefined;
  if (deed === undefined)
    throw new Fault('cli.usage', 'say freeze, lift or frozen', {
      remedy: 'undisclosed guard freeze --help',
    });
  return deed(options, io);
}

async function post(
  options: Options,
  io: CommandIo,
  path: string,
  body: object,
): Promise<FreezeReport> {
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  return callJson<FreezeReport>(socket, { method: 'POST', path, key, body });
}

async function freeze(options: Options, io: CommandIo): Promise<ExitStatus> {
  const identity = wanted(options.positionals[1], 'the identity');
  const reason = wanted(options.text('reason'), '--reason');
  const campaign = campaignOf(options.text('campaign'));
  const body = { identity, reason, ...(campaign === null ? {} : { campaign }) };
  const report = await post(options, io, '/v1/guard/freeze', body);
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else
    io.stdout(
      `${report.isNew ? 'Frozen' : 'Frozen already'}: ${whose(report)} (${report.freeze})\nLift it: undisclosed guard lift ${report.freeze} --reason TEXT --as NAME\n`,
    );
  return 0;
}

async function lift(options: Options, io: CommandIo): Promise<ExitStatus> {
  const id = wanted(options.positionals[1], 'the freeze');
  const reason = wanted(options.text('reason'), '--reason');
  const report = await post(options, io, '/v1/guard/lift', { freeze: id, reason });
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else io.stdout(`${report.freeze} is lifted: ${whose(report)}\n`);
  return 0;
}

async function frozen(options: Options, io: CommandIo): Promise<ExitStatus> {
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  const path = '/v1/guard/freezes';
  const rows = await callJson<readonly ListedFreeze[]>(socket, { method: 'GET', path, key });
  if (options.flag('json')) io.stdout(`${JSON.stringify(rows)}\n`);
  else if (rows.length === 0) io.stdout('Nothing is frozen.\n');
  else
    for (const row of rows)
      io.stdout(`${row.freeze}  ${row.at}  ${whose(row)}  by ${row.by}: ${row.reason}\n`);
  return 0;
}

function campaignOf(text: string | null): number | null {
  if (text === null) return null;
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new Fault('cli.usage', 'a campaign is named by its number', {
    remedy: 'undisclosed guard report names campaigns',
  });
}

function whose({ identity, campaign }: Pick<FreezeReport, 'identity' | 'campaign'>): string {
  return campaign === null ? `everything of ${identity}` : `campaign ${campaign} of ${identity}`;
}
