/** Reads a notice folder from disk, as text. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../base/errors.ts';
import type { NoticeFiles } from '../broadcast/notice.ts';

/** @throws Fault `notice.unreadable`, `notice.not-utf8`. */
export async function readNoticeFolder(folder: string): Promise<NoticeFiles> {
  const files: Record<string, string> = {};
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const take = async (name: string): Promise<void> => {
    const bytes = await readFile(join(folder, name));
    try {
      files[name] = decoder.decode(bytes);
    } catch (cause) {
      throw new Fault('notice.not-utf8', 'the file is not UTF-8', {
        where: join(folder, name),
        remedy: 'save it as UTF-8',
        cause,
      });
    }
  };
  try {
    for (const entry of await readdir(folder, { withFileTypes: true }))
      if (entry.isFile() && !entry.name.startsWith('.')) await take(entry.name);
    for (const name of await readdir(join(folder, 'messages')).catch(() => []))
      if (name.endsWith('.json')) await take(`messages/${name}`);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('notice.unreadable', 'the notice folder cannot be read', {
      where: folder,
      remedy: 'name the folder that holds notice.json',
      cause,
    });
  }
  return files;
}
