/** A file that appears when it is complete, and not at all when writing it fails. */

import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Writes what `source` gives beside `file` and puts it in its place. @throws the error of the source or of the file system. */
export async function writeWholeFile(
  source: AsyncIterable<string | Uint8Array>,
  file: string,
): Promise<void> {
  const partial = `${file}.part`;
  const handle = await opened(partial, source);
  try {
    await pipeline(source, handle.createWriteStream());
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Opened before anything can fail: a stream that opens its file later would leave it behind after the `rm`. */
async function opened(file: string, source: AsyncIterable<unknown>): Promise<FileHandle> {
  try {
    return await open(file, 'w');
  } catch (error) {
    // An answer that nobody reads would keep the program waiting.
    if (source instanceof Readable) source.destroy();
    throw error;
  }
}
