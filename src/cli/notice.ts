/** `undisclosed notice check DIR`: needs no server. */

import { createSecretKey } from 'node:crypto';
import { resolve } from 'node:path';
import { Fault } from '../base/errors.ts';
import { checkMessages } from '../broadcast/check-messages.ts';
import { compileNotice } from '../broadcast/compile.ts';
import { readNotice } from '../broadcast/notice.ts';
import { type CommandIo, type ExitStatus, readOptions, wanted } from './command.ts';
import { readNoticeFolder } from './notice-folder.ts';

const HELP = `Usage: undisclosed notice check DIR

Compiles a notice folder for every language: notice.json, notice.html, notice.txt and
messages/LANGUAGE.json. Says what is missing or wrong, with file and line. Needs no server.

  --json   one JSON document
  --help   this text
`;

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {});
  const [deed, dir] = options.positionals;
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  if (deed !== 'check')
    throw new Fault('cli.usage', 'say check', { remedy: 'undisclosed notice check DIR' });
  const folder = resolve(wanted(dir, 'the folder'));
  const files = await readNoticeFolder(folder);
  const notice = readNotice(files);
  checkMessages(notice, files);
  const compiled = compileNotice(notice, {
    broadcast: 'check',
    messageIdDomain: 'check.invalid',
    returnPathDomain: 'check.invalid',
    tokenKey: createSecretKey(Buffer.alloc(32)),
  });
  const languages = compiled.languages.map(({ language, layout }) => ({
    language,
    slots: layout.slots.length,
    bytes: layout.literalBytes,
  }));
  if (options.flag('json'))
    io.stdout(
      `${JSON.stringify({ notice: notice.settings.name, digest: notice.digest.toString('base64'), languages })}\n`,
    );
  else {
    io.stdout(`${notice.settings.name}: ${languages.length} languages, all complete.\n`);
    for (const { language, slots, bytes } of languages)
      io.stdout(`  ${language.padEnd(8)} ${String(bytes).padStart(6)} bytes and ${slots} slots\n`);
  }
  return 0;
}
