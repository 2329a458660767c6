/** `undisclosed demo`: starts the demo beside the sources; it is a program of its own. */

import { extname } from 'node:path';
import type { CommandIo, ExitStatus } from './command.ts';

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const module = new URL(`../../demo/main${extname(import.meta.url)}`, import.meta.url);
  const { runDemo } = (await import(module.href)) as {
    runDemo: (args: readonly string[], io: CommandIo) => Promise<ExitStatus>;
  };
  return runDemo(args, io);
}
