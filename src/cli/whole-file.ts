/** A file that appears when it is complete, and not at all when writing it fails. */

import { open, rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** Writes what `source` gives beside `file` and puts it in its place. @throws the error of the source or of the file system. */
export async function writeWholeFile(
  source: AsyncIterable<string | Uint8Array>,
  file: string,
): Promise<void> {
  const partial = `${file}.part`;
  // Opened before anything can fail: a stream that opens it later would leave it behind after the `rm`.
  const handle = await open(partial, 'w');
  try {
    await pipeline(source, handle.createWriteStream());
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
