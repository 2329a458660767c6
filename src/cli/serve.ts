/** `undisclosed serve`: the one process that holds the database's credentials and the keys. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type App, startApp } from '../app.ts';
import { Fault } from '../base/errors.ts';
import { type Config, toConfig } from '../config.ts';
import { type Api, startApi } from '../web/api.ts';
import { claimDataDirectory, refuseSecondServer } from '../web/claim.ts';
import { type Console, startConsole } from '../web/console.ts';
import { type CommandIo, type ExitStatus, readOptions } from './command.ts';

const HELP = `Usage: undisclosed serve

Starts the system: the database (embedded, or DATABASE_URL), the ledger, the sender, the gates that
the configuration names, the operators' page (undisclosed console signs in), and the API on a Unix
socket, of which the other commands are clients.
Ctrl-C or SIGTERM ends it: what is in flight is settled first. A broadcast that was being released
goes on when it is started again; a halt stays in force.

  UNDISCLOSED_DATA      the data directory (default ~/.undisclosed/data)
  UNDISCLOSED_KEYRING   the keyring (default beside the data directory)
  UNDISCLOSED_SOCKET    the API socket (default api.sock in the data directory)
  UNDISCLOSED_CONFIG    a JSON file with gates, the page, company domains, role addresses and anchors
  DATABASE_URL          a PostgreSQL >= 15 instead of the embedded one

  --help                this text
`;

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {});
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const config = toConfig(io.env);
  // Listened for from the start: a signal during the start ends the process as soon as it can be ended cleanly.
  let stop: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  await refuseSecondServer(config.socket);
  const release = await claimDataDirectory(config.dataDir);
  try {
    await serveUntil(stopped, stop, config, io);
  } finally {
    await release();
  }
  return 0;
}

async function serveUntil(
  stopped: Promise<void>,
  stop: () => void,
  config: Config,
  io: CommandIo,
): Promise<void> {
  let lost: Fault | null = null;
  let page: Console | null = null;
  let api: Api | null = null;
  const app = await startApp({
    config,
    env: io.env,
    log: (line) => io.stderr(`${line}\n`),
    failed: (fault) => {
      lost = fault;
      stop();
    },
  });
  try {
    if (config.console !== null) page = await startConsole(app, config.console);
    api = await startApi(app, stop, page?.origin ?? null);
    for (const gate of app.gates) io.stdout(`gate ${gate.name} ${gate.address}\n`);
    if (page !== null) {
      const { origin, address } = page;
      io.stdout(`console ${origin}${origin === address ? '' : `, at ${address}`}\n`);
    }
    io.stdout(`ready ${config.socket}\n`);
    await Promise.race([takeUp(app, io), stopped]);
    await stopped;
  } finally {
    // Whatever went wrong: a listener that is left keeps the process.
    await api?.close();
    await page?.close();
    await app.close();
  }
  if (lost !== null) throw lost;
}

const TAKE_UP_MS = 1000;

/** Broadcasts that were being released go on, as soon as the database says which. */
async function takeUp(app: App, io: CommandIo): Promise<void> {
  for (;;) {
    try {
      await app.releases.takeUp();
      return;
    } catch (error) {
      const code = error instanceof Fault ? error.code : 'fault';
      io.stderr(`release.not-taken-up ${JSON.stringify({ code })}\n`);
      await sleep(TAKE_UP_MS, undefined, { ref: false });
    }
  }
}
