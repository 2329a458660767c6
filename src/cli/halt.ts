/** `undisclosed halt` and `undisclosed resume`. */

import { writeFile } from 'node:fs/promises';
import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { type HaltReport, type HaltScope, haltFile, type ResumeReport } from '../broadcast/halt.ts';
import { toConfig } from '../config.ts';
import type { HaltRow } from '../store/permits-and-halts.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions } from './command.ts';

const HELP = `Usage: undisclosed halt [--scope broadcast|bulk|everything] [ID] --as OPERATOR [--reason TEXT]

Stops mail from leaving, at once. After it returns no message content is handed to any socket in its
scope. With an ID its scope is that broadcast; without one it is bulk: every broadcast. "everything"
halts the gates too. When the server does not answer, the halt is written as a plain file that every
sender of this data directory obeys, and is entered in the ledger later. Two people resume.

  --scope SCOPE   broadcast, bulk (default without an ID) or everything
  --as OPERATOR   who halts
  --reason TEXT   why; kept in the ledger
  --json          one JSON document
  --help          this text
`;

/** Longer than a halt takes: milliseconds as a rule, half a second where another process stands still or has just died. */
const ANSWER_MS_MAX = 1300;

function scopeOf(options: Options): { scope: HaltScope; broadcast: string | null } {
  const id = options.positionals[0] ?? null;
  const scope = options.text('scope') ?? (id === null ? 'bulk' : 'broadcast');
  if (scope !== 'broadcast' && scope !== 'bulk' && scope !== 'everything')
    throw new Fault('cli.usage', 'the scope is broadcast, bulk or everything');
  if (scope === 'broadcast' && id === null)
    throw new Fault('cli.usage', 'which broadcast?', { remedy: 'undisclosed halt ID' });
  return { scope, broadcast: scope === 'broadcast' ? id : null };
}

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {
    scope: { type: 'string' },
    as: { type: 'string' },
    reason: { type: 'string' },
  });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const { scope, broadcast } = scopeOf(options);
  const { socket, dataDir } = toConfig(io.env);
  const reason = options.text('reason') ?? 'not given';
  const json = options.flag('json');
  const as = options.text('as') ?? io.env.UNDISCLOSED_AS ?? null;
  try {
    const key = await loadOperatorKey(io, as);
    const report = await callJson<HaltReport>(socket, {
      method: 'POST',
      path: '/v1/halt',
      key,
      timeoutMs: ANSWER_MS_MAX,
      body: { scope, reason, ...(broadcast === null ? {} : { broadcast }) },
    });
    if (json) io.stdout(`${JSON.stringify(report)}\n`);
    else
      io.stdout(
        `Halted (${scope}${broadcast === null ? '' : ` ${broadcast}`}) in ${Math.ceil(report.milliseconds)} ms: ${report.halt}${report.recorded ? '' : '; the database is down, the halt stands in the local journal'}\nTwo operators resume: undisclosed resume ${report.halt} --as NAME\n`,
      );
    return 0;
  } catch (error) {
    // A server that is gone, that hangs on its database, or that cannot ask it who we are.
    if (!(error instanceof Fault) || !/^(?:api\.unreachable|database\.)/.test(error.code))
      throw error;
    const halt = newId('h');
    const entry = {
      halt,
      at: new Date().toISOString(),
      scope,
      broadcast,
      operator: as ?? 'halt-file',
      reason,
    };
    await writeFile(haltFile(dataDir), `${JSON.stringify(entry)}\n`, { mode: 0o600 }).catch(
      (cause: unknown) => {
        throw new Fault('halt.no-place', 'nothing is halted: the halt file cannot be written', {
          where: dataDir,
          remedy: 'name the data directory of the server with UNDISCLOSED_DATA, or its socket',
          cause,
        });
      },
    );
    if (json) io.stdout(`${JSON.stringify({ halt, recorded: false, file: haltFile(dataDir) })}\n`);
    else
      io.stdout(
        `The server does not answer. Halted by file: ${haltFile(dataDir)}\nEvery sender of this data directory stops within half a second.\n`,
      );
    return 0;
  }
}

const RESUME_HELP = `Usage: undisclosed resume [HALT] --as OPERATOR

Lifts a halt; two different operators must say so. Without HALT it lists the halts in force.

  --as OPERATOR   who resumes
  --json          one JSON document
  --help          this text
`;

export async function runResume(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { as: { type: 'string' } });
  if (options.flag('help')) {
    io.stdout(RESUME_HELP);
    return 0;
  }
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  const json = options.flag('json');
  const [halt] = options.positionals;
  if (halt === undefined) {
    const rows = await callJson<HaltRow[]>(socket, { method: 'GET', path: '/v1/halts', key });
    if (json) io.stdout(`${JSON.stringify(rows)}\n`);
    else if (rows.length === 0) io.stdout('No halt is in force.\n');
    else
      for (const row of rows)
        io.stdout(
          `${row.id}  ${row.scope} ${row.broadcast_id ?? ''}  by ${row.by}: ${row.reason}\n`,
        );
    return 0;
  }
  const report = await callJson<ResumeReport>(socket, {
    method: 'POST',
    path: '/v1/resume',
    key,
    body: { halt },
  });
  if (json) io.stdout(`${JSON.stringify(report)}\n`);
  else if (report.kind === 'lifted') io.stdout(`${halt} is lifted.\n`);
  else
    io.stdout(`${report.by.join(', ')} would resume. A second operator runs the same command.\n`);
  return 0;
}
