/** `undisclosed guard report`: what the guard has kept from happening, and what it only watched; freezes are freeze.ts's. */

import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { GuardReport, Sum } from '../guard/report.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, readOptions } from './command.ts';
import { FREEZE_HELP, runFreeze } from './freeze.ts';

const HELP = `Usage: undisclosed guard report [--since 24h] --as OPERATOR

Counts of what came to the gates: near misses (stopped or split before people were shown to each other),
refusals, holds, and what the modes shadow and warn have let through; by gate, identity, mode and reason.
A call counts under each of its reasons.

  --since WHEN    30m, 24h, 7d, or a moment such as 2026-01-31T12:00:00Z; default 24h
  --as OPERATOR   who asks
  --json          one JSON document
  --help          this text
`;

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A length of time before now, or a moment. @throws Fault `cli.usage`. */
export function readSince(text: string, now: number): Date {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const at =
    count === undefined || unit === undefined
      ? new Date(/^\d{4}-\d\d-\d\d/.test(text) ? text : Number.NaN)
      : new Date(now - Number(count) * (UNIT_MS[unit] ?? 0));
  if (Number.isNaN(at.getTime()))
    throw new Fault('cli.usage', 'since when?', {
      where: '--since',
      remedy: '30m, 24h, 7d, or a moment such as 2026-01-31T12:00:00Z',
    });
  return at;
}

const number = (value: number): string => value.toLocaleString('en-US');

function sumLine(name: string, { calls, readers, disclosures }: Sum): string {
  const shown = disclosures === 0 ? '' : `, ${number(disclosures)} disclosures`;
  return `${name.padEnd(14)} ${number(calls)} calls to ${number(readers)} readers${shown}\n`;
}

function reportText(report: GuardReport): string {
  const lines = [
    `Since ${report.since}: ${number(report.calls)} calls, ${number(report.passed)} passed.\n`,
    sumLine('near misses', report.nearMisses),
    sumLine('refused', report.refused),
    sumLine('split', report.split),
    sumLine('held', report.held),
    sumLine('deferred', report.deferred),
  ];
  if (report.watched.calls > 0) {
    lines.push(sumLine('only watched', report.watched));
    lines.push(sumLine('of it leaked', report.leaked));
  }
  if (report.rows.length > 0) lines.push('\n');
  for (const { gate, identity, mode, reason, verdict, action, ...sum } of report.rows)
    lines.push(
      `${gate} ${identity} (${mode}): ${reason}, ${verdict}, ${action}: ${sumLine('', sum).trim()}\n`,
    );
  return lines.join('');
}

const FREEZES = ['freeze', 'lift', 'frozen'];

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  if (FREEZES.includes(args[0] ?? '')) return runFreeze(args, io);
  const options = readOptions(args, { as: { type: 'string' }, since: { type: 'string' } });
  if (options.flag('help')) {
    io.stdout(`${HELP}\n${FREEZE_HELP}`);
    return 0;
  }
  if (options.positionals[0] !== 'report')
    throw new Fault('cli.usage', 'say report, freeze, lift or frozen', {
      remedy: 'undisclosed guard --help',
    });
  const since = readSince(options.text('since') ?? '24h', Date.now());
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  const path = `/v1/guard/report?since=${encodeURIComponent(since.toISOString())}`;
  const report = await callJson<GuardReport>(socket, { method: 'GET', path, key });
  io.stdout(options.flag('json') ? `${JSON.stringify(report)}\n` : reportText(report));
  return 0;
}
