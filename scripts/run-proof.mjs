/** Runs one proof: `node scripts/run-proof.mjs FILE SEED` prints its result as the last line. */
import { pathToFileURL } from 'node:url';

const [, , file = '', seed = ''] = process.argv;
const { run } = await import(pathToFileURL(file).href);
const log = (line) => process.stderr.write(`${line}\n`);
const result = await run({ log, seed: Number(seed) });
process.stdout.write(`\n${JSON.stringify(result)}\n`);
