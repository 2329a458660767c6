/**
 * `undisclosed extent FILE...`: who was exposed to whom by messages that have left already.
 * Needs no server and opens no database. Prints addresses only when asked about a person.
 */

import { existsSync } from 'node:fs';
import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { createExtent, type Extent, type ExtentCounts } from '../guard/extent.ts';
import type { Submission } from '../guard/judge.ts';
import { parseAddress } from '../mail/address.ts';
import { type Policy, policyFrom } from '../policy/policy.ts';
import { type CommandIo, type Options, readOptions } from './command.ts';
import { placeOf, readMailFile } from './mail-file.ts';
import { writeWholeFile } from './whole-file.ts';

const HELP = `Usage: undisclosed extent [options] FILE...

Reads leaked messages (.eml), mailboxes (mbox, of any size) and calls to mail providers (SendGrid,
SES, Mailgun, Postmark), told apart by their content, and says how many people were exposed, to
how many, in how many different pairs: certain ones, and possible ones (Bcc readers, lists, answers
that may quote).

  --person ADDRESS         whom this person saw, and who saw this person; may be repeated
  --audience FILE          writes one CSV row per exposed person, for \`customers import\`:
                           id, email, extent, first_exposed, seen_by, messages. Readable by you
                           alone; a file that is there already is not written over
  --to ADDRESS             a reader of every message, where the files do not tell; may be repeated
  --role-address ADDRESS   an address every reader may see (support, complaints); may be repeated
  --company-domain DOMAIN  a domain of the sender's; may be repeated
  --json                   one JSON document
  --help                   this text

Exit status: 0 nobody was exposed, 1 somebody was, 2 something could not be read or written.
`;

interface Request {
  readonly files: readonly string[];
  readonly policy: Policy;
  readonly readers: readonly string[];
  readonly people: readonly string[];
  readonly audience: string | null;
  readonly json: boolean;
}

/** Runs the command; resolves with its exit status. @throws Fault `cli.usage`. */
export async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const options = readOptions(args, {
    person: { type: 'string', multiple: true },
    audience: { type: 'string' },
    to: { type: 'string', multiple: true },
    'role-address': { type: 'string', multiple: true },
    'company-domain': { type: 'string', multiple: true },
  });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const request = readRequest(options);
  const extent = createExtent(request.policy);
  let unreadable = 0;
  const complain = (place: string, reason: string): void => {
    unreadable++;
    io.stderr(`undisclosed extent: ${printable(place)}: ${reason}\n`);
  };
  const { audience } = request;
  if (audience !== null && existsSync(audience)) {
    complain(audience, `${THERE_ALREADY}; nothing was read`);
    return 2;
  }
  for (const file of request.files) {
    for await (const item of readMailFile(file, { readers: request.readers })) {
      const problem = item.kind === 'unreadable' ? item.reason : await addTo(extent, item.copies);
      if (problem !== null) complain(placeOf(file, item), problem);
    }
  }
  const counts = extent.count();
  const failure = audience === null ? null : await writeAudience(extent, audience);
  if (audience !== null && failure !== null) complain(audience, failure);
  const unread = extent.messagesWithUnread();
  if (unread > 0) io.stderr(`undisclosed extent: ${unreadNote(unread)}\n`);
  io.stdout(request.json ? asJson(counts, extent, request) : asText(counts, extent, request));
  if (unreadable > 0) return 2;
  return counts.exposed > 0 ? 1 : 0;
}

function readRequest(options: Options): Request {
  if (options.positionals.length === 0) throw usage('no file named');
  const readers = options.list('to');
  const people = options.list('person');
  for (const [name, list] of [
    ['--to', readers],
    ['--person', people],
  ] as const) {
    if (list.some((text) => parseAddress(text).kind === 'invalid')) {
      throw usage(`${name} needs one e-mail address, without a display name`);
    }
  }
  try {
    const policy = policyFrom('bulk', {
      roleAddresses: options.list('role-address'),
      companyDomains: options.list('company-domain'),
    });
    const audience = options.text('audience');
    return {
      files: options.positionals,
      policy,
      readers,
      people,
      audience,
      json: options.flag('json'),
    };
  } catch (error) {
    throw error instanceof RangeError ? usage(error.message) : error;
  }
}

function usage(message: string): Fault {
  return new Fault('cli.usage', message, { remedy: 'undisclosed extent --help says more' });
}

function asJson(counts: ExtentCounts, extent: Extent, { people }: Request): string {
  if (people.length === 0) return `${JSON.stringify(counts)}\n`;
  const persons = people.map((address) => ({
    address,
    ...(extent.person(address) ?? { saw: [], seenBy: [] }),
  }));
  return `${JSON.stringify({ ...counts, persons })}\n`;
}

function asText(counts: ExtentCounts, extent: Extent, { people }: Request): string {
  const { messages, exposed, saw, pairs, certain, possible } = counts;
  const lines =
    exposed === 0
      ? [`Nobody was exposed by ${amount(messages, 'message', 'messages')}.`]
      : [
          `${amount(exposed, 'person was', 'people were')} exposed to ${amount(saw, 'person', 'people')} by ${amount(messages, 'message', 'messages')}.`,
          `${amount(pairs, 'pair', 'pairs')}: ${number(certain)} certain, ${number(possible)} possible.`,
        ];
  for (const address of people) {
    const person = extent.person(address);
    if (person === null) {
      lines.push('', `${printable(address)} is in none of these messages.`);
      continue;
    }
    lines.push('', `${printable(address)} saw ${amount(person.saw.length, 'person', 'people')}:`);
    lines.push(...person.saw.map((each) => `  ${printable(each)}`));
    lines.push(`and was seen by ${amount(person.seenBy.length, 'person', 'people')}:`);
    lines.push(...person.seenBy.map((each) => `  ${printable(each)}`));
  }
  return `${lines.join('\n')}\n`;
}

function amount(count: number, one: string, many: string): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

function number(count: number): string {
  return count.toLocaleString('en-US');
}

/** Takes every copy in; null, or what is wrong with one. */
async function addTo(extent: Extent, copies: readonly Submission[]): Promise<string | null> {
  try {
    for (const copy of copies) await extent.addWithFiles(copy);
    return null;
  } catch {
    return 'the message could not be read';
  }
}

function unreadNote(count: number): string {
  const where = count === 1 ? 'one message' : `${number(count)} messages`;
  return `in ${where} an attachment could not be read in full; whom it shows is not counted`;
}

const THERE_ALREADY = 'there is a file already, which is not written over';

/** Null, or why it could not be written. */
async function writeAudience(extent: Extent, file: string): Promise<string | null> {
  try {
    await writeWholeFile(audienceRows(extent), file, { isPersonal: true });
    return null;
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    return exists ? THERE_ALREADY : 'the audience could not be written there';
  }
}

async function* audienceRows(extent: Extent): AsyncGenerator<string> {
  const id = newId('x');
  let rows = 'id,email,extent,first_exposed,seen_by,messages\r\n';
  let row = 0;
  for (const { address, firstExposed, seenBy, messages } of extent.exposed()) {
    const date = firstExposed === null ? '' : new Date(firstExposed).toISOString();
    rows += `${id}-${++row},${cell(address)},${id},${date},${seenBy},${messages}\r\n`;
    if (rows.length < 65_536) continue;
    yield rows;
    rows = '';
  }
  yield rows;
}

/** RFC 4180 section 2. */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A file's name is no place for terminal control characters. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
