/** What stays after the demo: the console on its address, with two sample sign-ins and a broadcast that leaves slowly. */

import { join } from 'node:path';
import { type Created, roadCommands } from './road-commands.ts';
import { answerOf, HERE, MAIN, type Stage, say } from './stage.ts';

export interface SignIn {
  readonly operator: string;
  /** Works once. */
  readonly url: string;
}

/** As long as somebody may look at a demo. */
const SIGN_IN_MINUTES = 720;
/** The far side's time from the final dot to its reply, as published logs of large receivers show it. */
const RECEIVER_MS = 800;
const CONNECTIONS = 8;

export async function signIns(stage: Stage): Promise<readonly SignIn[]> {
  const made: SignIn[] = [];
  for (const operator of ['alice', 'bob']) {
    const words = ['console', '--as', operator, '--minutes', String(SIGN_IN_MINUTES)];
    const { url } = await answerOf<{ url: string }>(stage, words, true);
    // Cookies go by the name of the host: with two names one browser can be both people.
    made.push({ operator, url: operator === 'bob' ? url.replace('127.0.0.1', 'localhost') : url });
  }
  return made;
}

/** Something to watch and to halt: the same notice to those who read Spanish, to a far side that takes its time. */
export async function startSlowBroadcast(stage: Stage): Promise<number> {
  const { processes, settings, env } = stage;
  const sink = await processes.start(
    [join(HERE, 'sink.mjs'), join(settings.out, 'second'), String(RECEIVER_MS)],
    env,
    () => {},
  );
  const route = `smtp://127.0.0.1:${sink.ready}?connections=${CONNECTIONS}&tls=none`;
  const options = ['--where', 'language=es', '--name', 'nxbt-index-weights, Spanish, once more'];
  const made = await answerOf<Created>(
    stage,
    roadCommands.create(join(HERE, 'notice'), route, options),
    true,
  );
  await answerOf(stage, roadCommands.prepare(made.broadcast), true);
  await answerOf(stage, roadCommands.approve(made.broadcast), true);
  // The release goes on in the server, whoever follows it.
  processes.startQuietly([MAIN, ...roadCommands.release(made.broadcast)], env);
  return made.count;
}

export function sayConsole(stage: Stage, signedIn: readonly SignIn[], people: number): void {
  const { io } = stage;
  io.stdout('\n');
  say(
    stage,
    `The console is running, with what this demo did. A second notice is leaving for ${people} people, as slowly as large receivers take mail: watch it, and halt it. What is held takes two people to release: open one link in a tab and the other in another. Each link works once.`,
    '',
  );
  io.stdout('\n');
  for (const { operator, url } of signedIn) io.stdout(`${operator.padEnd(8)} ${url}\n`);
  io.stdout('\nCtrl-C ends it and deletes its keys and its database.\n');
}
