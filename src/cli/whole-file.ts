/** A file that appears when it is complete, and not at all when writing it fails. */

import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface WholeFileOptions {
  /** Of a file with personal data: its owner alone reads it, and a file that is there already stays as it is (`EEXIST`). */
  readonly isPersonal?: boolean;
}

/** Writes what `source` gives beside `file` and puts it in its place. @throws the error of the source or of the file system. */
export async function writeWholeFile(
  source: AsyncIterable<string | Uint8Array>,
  file: string,
  { isPersonal = false }: WholeFileOptions = {},
): Promise<void> {
  const partial = `${file}.part`;
  // One that a killed run left behind may be open to others.
  if (isPersonal) await rm(partial, { force: true });
  const handle = await opened(partial, source, isPersonal);
  try {
    await pipeline(source, handle.createWriteStream());
    if (isPersonal) {
      await link(partial, file);
      await rm(partial);
    } else await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Opened before anything can fail: a stream that opens its file later would leave it behind after the `rm`. */
async function opened(
  file: string,
  source: AsyncIterable<unknown>,
  isPersonal: boolean,
): Promise<FileHandle> {
  try {
    return isPersonal ? await open(file, 'wx', 0o600) : await open(file, 'w');
  } catch (error) {
    // An answer that nobody reads would keep the program waiting.
    if (source instanceof Readable) source.destroy();
    throw error;
  }
}
