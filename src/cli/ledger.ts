/**
 * `undisclosed ledger verify|export`: the ledger for people outside.
 * `verify` needs no server and no database; `export` asks for the bundle's lines where the caller says they come from.
 */

import { parseArgs } from 'node:util';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import { runVerify } from '../../verify/verify.mjs';
import { describeFault, Fault } from '../base/errors.ts';
import { writeWholeFile } from './whole-file.ts';

export interface LedgerCommandIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

export interface LedgerExportRequest {
  /** How many of the last checkpoints; all when undefined. */
  readonly checkpoints: number | undefined;
}

/** Where the lines of a bundle come from: the server's API. */
export type LedgerExport = (request: LedgerExportRequest) => AsyncIterable<string>;

const HELP = `Usage: undisclosed ledger verify BUNDLE [--anchor FILE] [--key FINGERPRINT] [--json]
       undisclosed ledger export [--out FILE] [--checkpoints N]

verify   checks a bundle with nothing but the bundle: entries, tree, checkpoints, approvals,
         rows, leaves, and that every broadcast adds up. The same as node verify/verify.mjs.
  --anchor FILE        checkpoints seen earlier: finds a ledger cut off or written anew
  --key FINGERPRINT    SHA-256 of the ledger's public key, 16 hexadecimal characters or more
  --json               one JSON document

export   writes the bundle.
  --out FILE           where to; standard output unless given
  --checkpoints N      only the last N checkpoints

  --help               this text

Exit status: 0 verified or written, 1 not verified, 2 cannot run.
`;

/** Runs the command; resolves with its exit status and never rejects. */
export async function runLedger(
  args: readonly string[],
  io: LedgerCommandIo,
  exportLines: LedgerExport,
): Promise<number> {
  const [verb, ...rest] = args;
  if (verb === undefined || args.includes('--help')) {
    (verb === undefined ? io.stderr : io.stdout)(HELP);
    return verb === undefined ? 2 : 0;
  }
  if (verb === 'verify') return runVerify(rest, io);
  if (verb === 'export') return runExport(rest, io, exportLines);
  io.stderr(`ledger: "${verb}" is neither verify nor export\n`);
  return 2;
}

function readExportRequest(args: readonly string[]): LedgerExportRequest & { out?: string } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      out: { type: 'string' },
      checkpoints: { type: 'string' },
      json: { type: 'boolean' },
    },
  });
  const { out, checkpoints } = values;
  if (checkpoints !== undefined && !/^[1-9]\d{0,8}$/.test(checkpoints))
    throw new Fault('cli.option', 'it takes a whole number from 1', { where: '--checkpoints' });
  const request = { checkpoints: checkpoints === undefined ? undefined : Number(checkpoints) };
  return out === undefined ? request : { ...request, out };
}

async function runExport(
  args: readonly string[],
  io: LedgerCommandIo,
  exportLines: LedgerExport,
): Promise<number> {
  try {
    const request = readExportRequest(args);
    const lines = exportLines(request);
    if (request.out === undefined) for await (const text of lines) io.stdout(text);
    else await writeWholeFile(lines, request.out);
    return 0;
  } catch (error) {
    io.stderr(`ledger export: ${describeFault(error)}\n`);
    return 2;
  }
}
