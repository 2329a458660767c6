/**
 * `undisclosed doctor`: whether mail can leave past the guard: Postfix's milter settings, a package's base URL, open ways out, its
 * own configuration. Needs no server (but for the declared audiences), changes nothing, and sends nothing.
 */

import { readFile } from 'node:fs/promises';
import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { ListedAudience } from '../guard/declared-audience.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions } from './command.ts';
import { examineConfig } from './doctor-config.ts';
import { examineEgress, USUAL_PLACES } from './doctor-egress.ts';
import {
  examinePostfix,
  type PostfixSettings,
  parseSettings,
  type Remark,
  readPostfix,
  readTable,
} from './doctor-postfix.ts';
import { examineSdk, lineToCopy } from './doctor-sdk.ts';

const HELP = `Usage: undisclosed doctor [options]
       undisclosed doctor sdk [DIR] [--url URL]
       undisclosed doctor config [--as OPERATOR]

Whether mail can leave past the guard. Changes nothing, and sends nothing.

Without a word it reads Postfix: smtpd_milters and non_smtpd_milters, smtpd_milter_maps,
milter_default_action, milter_protocol, and what single services set otherwise.

  --config DIR        the folder of main.cf; else the machine's own
  --file FILE         a main.cf, or what "postconf -n" printed, in place of postconf
  --milter SOCKET     our socket as Postfix writes it, inet:127.0.0.1:8891 or unix:/PATH;
                      else gates.milter.listen of the configuration
  --allow SERVICE     a service of master.cf that may be without the milter, such as the door
                      by which the relay brings on what was split; may be repeated
  --egress            also tries to connect to providers and to ports 25, 465 and 587
  --egress-to PLACE   HOST:PORT to try in place of the usual ones; may be repeated

sdk loads @sendgrid/mail from the Node project DIR and tries both orders of setApiKey and the
base URL; with --url alone it prints a line to put into a program.

  --url URL           where the guard listens; else http://127.0.0.1:8025

config reads the file that UNDISCLOSED_CONFIG names: callers left in shadow or warn, keys that two
callers share, who may send without a key, templates that nobody has looked at, and audiences that
nobody has declared.

  --as OPERATOR       asks the running server which audiences are declared
  --json              one JSON document
  --help              this text

Exit status: 0 fine, 1 findings, 2 cannot run.
`;

const URL_BY_DEFAULT = 'http://127.0.0.1:8025';

/** Runs the command; resolves with its exit status. @throws Fault `cli.usage`, `doctor.*`. */
export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {
    config: { type: 'string' },
    file: { type: 'string' },
    milter: { type: 'string' },
    allow: { type: 'string', multiple: true },
    egress: { type: 'boolean' },
    as: { type: 'string' },
    'egress-to': { type: 'string', multiple: true },
    url: { type: 'string' },
  });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const [what, project, ...more] = options.positionals;
  if (what === 'config' && project === undefined) return config(options, io);
  if (more.length > 0 || (what !== undefined && what !== 'sdk'))
    throw new Fault('cli.usage', 'say nothing, config, or sdk and one folder', {
      remedy: 'undisclosed doctor --help',
    });
  if (what === 'sdk') return sdk(project, options, io);
  const remarks = [...(await postfix(options, io))];
  const places = options.list('egress-to');
  if (options.flag('egress') || places.length > 0)
    remarks.push(...(await examineEgress(places.length > 0 ? places : USUAL_PLACES)));
  return tell(remarks, options, io);
}

async function config(options: Options, io: CommandIo): Promise<ExitStatus> {
  const settings = toConfig(io.env);
  const as = options.text('as');
  let declared: ReadonlySet<string> | null = null;
  if (as !== null) {
    const key = await loadOperatorKey(io, as);
    const rows = await callJson<readonly ListedAudience[]>(settings.socket, {
      ...{ method: 'GET', path: '/v1/guard/audiences', key },
    });
    declared = new Set(rows.map(({ audience }) => audience));
  }
  return tell(examineConfig(settings, declared), options, io);
}

async function sdk(
  project: string | undefined,
  options: Options,
  io: CommandIo,
): Promise<ExitStatus> {
  const url = options.text('url') ?? URL_BY_DEFAULT;
  if (!URL.canParse(url))
    throw new Fault('cli.usage', '--url is not a URL', { remedy: `such as ${URL_BY_DEFAULT}` });
  if (project !== undefined) return tell(await examineSdk(project, url), options, io);
  if (options.text('url') === null)
    throw new Fault('cli.usage', 'neither a project nor --url is named', {
      remedy: 'undisclosed doctor --help',
    });
  const line = lineToCopy(url);
  if (options.flag('json')) io.stdout(`${JSON.stringify({ line })}\n`);
  else io.stdout(`Put this after the last setApiKey of the program, and run it:\n\n${line}\n`);
  return 0;
}

async function postfix(options: Options, io: CommandIo): Promise<readonly Remark[]> {
  const milter = options.text('milter') ?? ownSocket(io);
  if (!/^(?:inet6?:.+:\d+|unix:.+|local:.+)$/.test(milter))
    throw new Fault('cli.usage', '--milter is no socket as Postfix writes it', {
      remedy: 'such as inet:127.0.0.1:8891 or unix:/run/undisclosed/milter',
    });
  const file = options.text('file');
  const settings =
    file === null ? await readPostfix(options.text('config'), io.env) : await fromFile(file);
  return examinePostfix(settings, { milter, allowed: options.list('allow'), readTable });
}

async function fromFile(file: string): Promise<PostfixSettings> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new Fault('cli.unreadable', 'the file cannot be read', { where: file, cause });
  });
  return { main: parseSettings(text), services: new Map(), version: null };
}

function ownSocket(io: CommandIo): string {
  const { milter } = toConfig(io.env).gates;
  if (milter === null)
    throw new Fault('cli.usage', 'which socket our milter has is not known', {
      remedy: 'name it with --milter SOCKET, or set gates.milter.listen',
    });
  const { listen } = milter;
  if ('path' in listen) return `unix:${listen.path}`;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return `inet:${host}:${listen.port}`;
}

const MARK = { finding: 'FINDING', note: 'note   ', fine: 'fine   ' } as const;

function tell(remarks: readonly Remark[], options: Options, io: CommandIo): ExitStatus {
  const findings = remarks.filter(({ kind }) => kind === 'finding').length;
  if (options.flag('json')) io.stdout(`${JSON.stringify({ findings, remarks })}\n`);
  else {
    for (const { kind, text, remedy } of remarks) {
      io.stdout(`${MARK[kind]}  ${text}\n`);
      if (remedy !== undefined) io.stdout(`         remedy: ${remedy}\n`);
    }
    const count = findings === 1 ? '1 finding' : `${findings} findings`;
    io.stdout(findings === 0 ? 'No finding.\n' : `${count}.\n`);
  }
  return findings === 0 ? 0 : 1;
}
