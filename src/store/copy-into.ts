/** COPY … FROM STDIN with back-pressure, whose errors are the ones that started it. */

import { once } from 'node:events';
import type pg from 'pg';
import { type CopyStreamQuery, from } from 'pg-copy-streams';

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Rows stored. When `chunks` throws, the copy is given up, the server has answered, and that error is thrown. */
export async function copyInto(
  client: pg.ClientBase,
  sql: string,
  chunks: Chunks,
): Promise<number> {
  const stream = client.query(from(sql));
  let failure: Error | undefined;
  const closed = new Promise<void>((resolve) => {
    stream.once('error', (error: Error) => {
      failure ??= error;
      resolve();
    });
    stream.once('close', resolve);
  });
  try {
    await writeAll(stream, chunks, () => failure !== undefined, closed);
  } catch (error) {
    // destroy() sends CopyFail; the server's answer to it is not what went wrong.
    failure ??= error as Error;
    stream.destroy(error as Error);
    await closed;
    throw error;
  }
  if (failure === undefined) stream.end();
  await Promise.race([once(stream, 'finish').catch(() => {}), closed]);
  if (failure !== undefined) throw failure;
  return stream.rowCount;
}

async function writeAll(
  stream: CopyStreamQuery,
  chunks: Chunks,
  failed: () => boolean,
  closed: Promise<void>,
): Promise<void> {
  for await (const chunk of chunks) {
    if (failed()) return;
    if (chunk.length === 0) continue;
    if (!stream.write(chunk))
      await Promise.race([new Promise((resolve) => stream.once('drain', resolve)), closed]);
  }
}
