/** `undisclosed customers import FILE`. */

import { basename } from 'node:path';
import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { ImportReport, Rejection } from '../customers/import.ts';
import { LINE_BYTES_MAX } from '../customers/read-records.ts';
import { callStream, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, readOptions, wanted } from './command.ts';

const HELP = `Usage: undisclosed customers import FILE --as OPERATOR

Reads customers from CSV (comma, semicolon or tab; the first line names the columns) or JSON Lines,
UTF-8, and stores them sealed. A record that is known is changed, not added. The file is taken whole
or not at all; malformed addresses are rejected row by row, each with its line and reason.

  --as OPERATOR            who imports (and may then not approve)
  --column-id NAME         the company's own id of the record (default id)
  --column-email NAME      the address (default email)
  --column-language NAME   the language, BCP 47 (default language)
  --column-kind NAME       seed, staff, customer or canary (default kind)
  --default-language TAG   for records that name none (default en)
  --format csv|jsonl       where the file's name does not say
  --json                   one JSON document; rejected rows as JSON Lines before it
  --help                   this text

Exit status: 0 every row stored, 1 some rows rejected, 2 nothing stored.
`;

const SPECS = {
  as: { type: 'string' },
  'column-id': { type: 'string' },
  'column-email': { type: 'string' },
  'column-language': { type: 'string' },
  'column-kind': { type: 'string' },
  'default-language': { type: 'string' },
  format: { type: 'string' },
} as const;

const QUERY: Readonly<Record<string, string>> = {
  'column-id': 'key',
  'column-email': 'address',
  'column-language': 'language',
  'column-kind': 'kind',
  'default-language': 'defaultLanguage',
};

function formatOf(file: string, named: string | null): 'csv' | 'jsonl' {
  if (named === 'csv' || named === 'jsonl') return named;
  if (named !== null) throw new Fault('cli.usage', 'the format is csv or jsonl');
  return /\.(?:jsonl|ndjson)$/i.test(file) ? 'jsonl' : 'csv';
}

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, SPECS);
  const [deed, file] = options.positionals;
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  if (deed !== 'import')
    throw new Fault('cli.usage', 'say import', { remedy: 'undisclosed customers --help' });
  const path = wanted(file, 'the file');
  const query = new URLSearchParams({
    file: basename(path),
    format: formatOf(path, options.text('format')),
  });
  for (const [option, name] of Object.entries(QUERY)) {
    const value = options.text(option);
    if (value !== null) query.set(name, value);
  }
  const key = await loadOperatorKey(io, options.text('as'));
  const json = options.flag('json');
  const report = await callStream<ImportReport>(
    toConfig(io.env).socket,
    {
      method: 'POST',
      path: `/v1/customers/import?${query}`,
      file: path,
      lineBytesMax: LINE_BYTES_MAX,
      key,
    },
    io,
    (item) => {
      const { line, reason } = item as Rejection;
      if (json) io.stdout(`${JSON.stringify(item)}\n`);
      else io.stderr(`${path} line ${line}: rejected: ${reason}\n`);
    },
    json,
  );
  if (json) io.stdout(`${JSON.stringify(report)}\n`);
  else
    io.stdout(
      `${report.read} rows read: ${report.added} added, ${report.changed} changed, ${report.unchanged} unchanged, ${report.rejected} rejected.\n`,
    );
  return report.rejected === 0 ? 0 : 1;
}
