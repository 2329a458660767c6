/**
 * Bad input by the command line: each row is one command with one thing wrong. It has to end with the right status, say
 * in one line where and what to do, name no address, show no stack, and leave every table as it was.
 */

import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CommandLine, memoryOf, type Said } from '../support/command-line.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const NOTICE = path.join(import.meta.dirname, '../../demo/notice');
const HEAD = 'id,email,name,language,positions';
const ROUTE = 'smtp://127.0.0.1:9?tls=none';

let database: TestDatabase;
let line: CommandLine;
let serving = 0;
let prepared = '';
let approved = '';

/** Rows of every table that a deed may fill; nonces are spent by every request. */
async function countRows(): Promise<Record<string, number>> {
  const tables = await database.db.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname NOT IN ('request_nonce', 'ledger_checkpoint', 'ledger_leaf', 'ledger_tree',
                              'ledger_anchor') ORDER BY 1`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await database.db.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`);
    counts[name] = row?.n ?? -1;
  }
  return counts;
}

/** What every complaint has to be. */
function assertClear(said: Said, wanted: RegExp, status: number): void {
  const { stderr } = said;
  assert.equal(said.status, status, stderr);
  assert.match(stderr, wanted);
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  assert.match(last, /^undisclosed: .+/, 'the last line is the complaint');
  assert.doesNotMatch(stderr, /^\s+at |node:internal|\bError:/m, 'no stack');
  assert.doesNotMatch(stderr, /\S@\S/, 'no address');
}

async function nothingHappens(act: () => Promise<void>): Promise<void> {
  const rows = await countRows();
  await act();
  assert.deepEqual(await countRows(), rows);
}

function csv(name: string, rows: readonly string[], head: string = HEAD): string {
  return line.file(name, `${[head, ...rows].join('\n')}\n`);
}

function people(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    return `C-${n},person.${n}@mail${n % 3}.example,Person ${n},${n % 2 === 0 ? 'en' : 'de'},${n % 4}`;
  });
}

/** A copy of the sample notice with one file changed. */
function notice(name: string, file: string, change: (text: string) => string | Uint8Array): string {
  const folder = path.join(line.folder, name);
  cpSync(NOTICE, folder, { recursive: true });
  const target = path.join(folder, file);
  writeFileSync(target, change(readFileSync(target, 'utf8')));
  return folder;
}

before(async () => {
  database = await testDatabase();
  line = new CommandLine({ DATABASE_URL: database.url });
  await line.must(['init', '--domain', 'northwind.example']);
  serving = await line.serve();
  for (const name of ['alice', 'bob']) await line.must(['operator', 'add', name]);
  await line.must(['customers', 'import', csv('good.csv', people(60)), '--as', 'alice']);
  const make = async (): Promise<string> => {
    const create = ['broadcast', 'create', notice(`n-${Math.random()}`, 'notice.txt', (t) => t)];
    const { broadcast } = await line.must<{ broadcast: string }>([
      ...[...create, '--route', ROUTE],
      ...['--as', 'alice'],
    ]);
    await line.must(['broadcast', 'prepare', broadcast, '--as', 'alice']);
    return broadcast;
  };
  prepared = await make();
  approved = await make();
  await line.must(['broadcast', 'approve', approved, '--as', 'bob', '--yes']);
});

after(async () => {
  await line?.close();
  await database?.drop();
});

interface Row {
  readonly what: string;
  readonly args: () => readonly string[];
  readonly says: RegExp;
  readonly status?: number;
  readonly env?: () => Record<string, string>;
}

function table(rows: readonly Row[]): void {
  for (const { what, args, says, status, env } of rows)
    test(what, () =>
      nothingHappens(async () => {
        assertClear(await line.run(args(), env?.() ?? {}), says, status ?? 2);
      }),
    );
}

const importing = (file: string, ...more: string[]): readonly string[] => [
  ...['customers', 'import', file, '--as', 'alice'],
  ...more,
];
const bad = (name: string, rows: readonly string[], head?: string): readonly string[] =>
  importing(csv(name, rows, head));

describe('a customer file', () => {
  table([
    {
      what: 'that is missing',
      args: () => importing('absent.csv'),
      says: /absent\.csv: there is no such file \(check its name/,
    },
    {
      what: 'that is a folder',
      args: () => importing(line.folder),
      says: /undisclosed-cli-\w+: .*folder|directory/,
    },
    {
      what: 'without the column of addresses',
      args: () => bad('column.csv', ['C-1,x'], 'id,mail'),
      says: /column\.csv line 1: there is no column "email" \(the file has "id", "mail"; .*--column-email/,
    },
    {
      what: 'with a column twice',
      args: () => bad('twice.csv', ['C-1,a@x.example,b@x.example'], 'id,email,email'),
      says: /twice\.csv line 1: the column "email" stands there twice/,
    },
    {
      what: 'that is not UTF-8, naming the line',
      args: () =>
        importing(
          line.file(
            'latin.csv',
            Buffer.from(
              `${HEAD}\n${people(4).join('\n')}\nC-9,j\xf6rg@x.example,J\xf6rg,de,1\nC-10,z@x.example,Z,de,1\n`,
              'latin1',
            ),
          ),
        ),
      says: /latin\.csv line 6: the file is not UTF-8 \(save it as UTF-8/,
    },
    {
      what: 'that is UTF-16',
      args: () => importing(line.file('wide.csv', Buffer.from(`\ufeff${HEAD}\nC-1`, 'utf16le'))),
      says: /wide\.csv line 1: the file is not UTF-8/,
    },
    {
      what: 'that is empty',
      args: () => importing(line.file('empty.csv', '')),
      says: /empty\.csv: the file holds no records \(/,
    },
    {
      what: 'with a head and nothing else',
      args: () => bad('head.csv', []),
      says: /head\.csv: the file holds no records \(/,
    },
    {
      what: 'with a blank address',
      args: () => bad('blank.csv', [...people(3, 100), 'C-200,,Nobody,en,1']),
      says: /blank\.csv line 5: the cell "email" is blank \(.*shifted/,
    },
    {
      what: 'with a row that lacks a cell, so that all after it would shift',
      args: () =>
        bad('short.csv', [...people(2, 100), 'C-200,c200@x.example,en,1', ...people(2, 300)]),
      says: /short\.csv line 4: the row has 4 cells and the first line 5 \(/,
    },
    {
      what: 'with a row of one cell too many',
      args: () => bad('long.csv', ['C-200,c200@x.example,Doe, John,en,1']),
      says: /long\.csv line 2: the row has 6 cells and the first line 5 \(/,
    },
    {
      what: 'with a quote that never ends',
      args: () =>
        bad('quote.csv', [...people(2, 100), 'C-200,c200@x.example,"Doe,en,1', ...people(9, 300)]),
      says: /quote\.csv line 4: .*quote/,
    },
    {
      what: 'of JSON Lines with a line that is none',
      args: () =>
        importing(line.file('bad.jsonl', '{"id":"1","email":"a@x.example"}\n{"id":"2",\n')),
      says: /bad\.jsonl line 2: the line is not JSON \(one JSON object on each line/,
    },
    {
      what: 'of JSON Lines without the field of addresses',
      args: () => importing(line.file('field.jsonl', '{"id":"1","mail":"a@x.example"}\n')),
      says: /field\.jsonl line 1: there is no column "email"/,
    },
    {
      what: 'in an unknown format',
      args: () => [...bad('format.csv', people(1)), '--format', 'xlsx'],
      says: /the format is csv or jsonl/,
    },
  ]);

  test('with a line of 1 GB: it fails at once, and the server’s memory stays flat', () =>
    nothingHappens(async () => {
      const file = line.file('huge.csv', `${HEAD}\nC-1,`);
      truncateSync(file, 2 ** 30);
      const earlier = memoryOf(serving).most;
      const said = await line.run(importing(file));
      rmSync(file);
      assertClear(said, /huge\.csv line 2: the line is longer than 1 MiB \(/, 2);
      const grown = memoryOf(serving).most - earlier;
      assert.ok(grown < 64, `the server took ${Math.round(grown)} MB more`);
      assert.ok(said.seconds < 10, `${said.seconds.toFixed(1)} s`);
    }));

  test('with a quoted cell of 64 MB: it fails in the server, whose memory stays flat', () =>
    nothingHappens(async () => {
      const rows = Array.from({ length: 6400 }, () => `${'x'.repeat(9999)}\n`);
      const file = line.file('cell.csv', [`${HEAD}\nC-1,"`, ...rows].join(''));
      const earlier = memoryOf(serving).most;
      const said = await line.run(importing(file));
      rmSync(file);
      assertClear(
        said,
        /cell\.csv line 2: the row is longer than 1 MiB \(a quote that is not closed/,
        2,
      );
      const grown = memoryOf(serving).most - earlier;
      assert.ok(grown < 64, `the server took ${Math.round(grown)} MB more`);
    }));

  test('with rows that cannot be taken: each is said with line and reason, the rest is stored', async () => {
    const rows = [
      'C-500,no address,A,en,1',
      'C-501,ok501@x.example,B,en,1',
      'C-501,other@x.example,B,en,1',
    ];
    const said = await line.run(bad('rows.csv', rows));
    assert.equal(said.status, 1);
    assert.match(said.stderr, /rows\.csv line 2: rejected: /);
    assert.match(
      said.stderr,
      /rows\.csv line 4: rejected: the record key stands on line 3 with other data/,
    );
    assert.doesNotMatch(said.stderr, /\S@\S/);
    assert.match(said.stdout, /^3 rows read: 1 added, 0 changed, 0 unchanged, 2 rejected\.\n$/);
  });
});

const creating = (folder: string, ...more: string[]): readonly string[] => [
  ...['broadcast', 'create', folder, '--as', 'alice'],
  ...(more.includes('--route') ? [] : ['--route', ROUTE]),
  ...more,
];

describe('a notice', () => {
  const changed = (file: string, change: (text: string) => string | Uint8Array) => (): string[] => [
    ...creating(notice(`changed-${Math.random()}`, file, change)),
  ];
  table([
    {
      what: 'that is not there',
      args: () => creating('absent'),
      says: /absent: the notice folder cannot be read \(name the folder/,
    },
    {
      what: 'with a key missing in one language',
      args: changed('messages/de.json', (text) => text.replace(/^\s*"todo":.*\n/m, '')),
      says: /messages\/de\.json: the message todo is missing \(translate it/,
    },
    {
      what: 'with broken ICU in one language',
      args: changed('messages/ru.json', (text) => text.replace('{name}', '{name')),
      says: /messages\/ru\.json line \d+ greeting: the message greeting is not ICU MessageFormat/,
    },
    {
      what: 'with broken JSON',
      args: changed('messages/es.json', (text) => text.replace('",\n', '"\n')),
      says: /messages\/es\.json line 3: this is not JSON/,
    },
    {
      what: 'with messages that are a list',
      args: changed('messages/es.json', () => '["a"]'),
      says: /messages\/es\.json: .*object/,
    },
    {
      what: 'with settings that are null',
      args: changed('notice.json', () => 'null'),
      says: /notice\.json: .*object/,
    },
    {
      what: 'that is not UTF-8',
      args: changed('notice.txt', (text) =>
        Buffer.concat([Buffer.from(text), Buffer.from([0xff])]),
      ),
      says: /notice\.txt: the file is not UTF-8 \(save it/,
    },
    {
      what: 'with a tag of Liquid that is not known',
      args: changed('notice.html', (text) => text.replace('<h1', '{% now %}<h1')),
      says: /notice\.html line \d+: .*now/,
    },
    {
      what: 'with a field that is not declared',
      args: changed('notice.txt', (text) => `${text}\n{{ customer.balance }}\n`),
      says: /notice\.txt line \d+: the field customer\.balance is not declared \(declare it/,
    },
    {
      what: 'with a language that is none',
      args: changed('notice.json', (text) => text.replaceAll('"de"', '"de_DE!"')),
      says: /notice\.json languages: .*BCP 47/,
    },
    {
      what: 'whose From domain has no DKIM key',
      args: changed('notice.json', (text) => text.replaceAll('@northwind.', '@other.')),
      says: /from\.address: the keyring holds no DKIM key for other\.example \(undisclosed keys rotate dkim/,
    },
  ]);
});

describe('a broadcast', () => {
  table([
    {
      what: 'whose selection holds nobody',
      args: () => creating(NOTICE, '--where', 'name=Nobody'),
      says: /the selection holds nobody \(import customers first/,
    },
    {
      what: 'with a route that is none',
      args: () => creating(NOTICE, '--route', 'mail.example'),
      says: /--route: .*\(write it as smtp:/,
    },
    {
      what: 'with a deadline that is no number',
      args: () => creating(NOTICE, '--deadline-hours', 'soon'),
      says: /--deadline-hours: .*number/,
    },
    {
      what: 'with rings of more than everybody',
      args: () => creating(NOTICE, '--rings', '600,600'),
      says: /--rings: .*1000/,
    },
    {
      what: 'without waits between attempts',
      args: () => creating(NOTICE, '--retry-seconds', ''),
      says: /--retry-seconds: /,
    },
    {
      what: 'that does not exist',
      args: () => ['broadcast', 'status', 'b-nothing', '--as', 'alice'],
      says: /there is no broadcast b-nothing \(undisclosed broadcast status lists them/,
    },
    {
      what: 'released before its approval',
      args: () => ['broadcast', 'release', prepared, '--as', 'alice'],
      says: /prepared.*\(a second person approves it/,
    },
    {
      what: 'approved by its author',
      args: () => ['broadcast', 'approve', prepared, '--as', 'alice', '--yes'],
      says: /alice made, imported or prepared this broadcast \(nobody approves their own work/,
    },
    {
      what: 'prepared again after its approval',
      args: () => ['broadcast', 'prepare', approved, '--as', 'alice'],
      says: /the broadcast is approved: it cannot be prepared \(release it/,
    },
    {
      what: 'approved twice',
      args: () => ['broadcast', 'approve', approved, '--as', 'bob', '--yes'],
      says: /the broadcast is approved: it cannot be approved/,
    },
    {
      what: 'named by nobody',
      args: () => ['broadcast', 'prepare', '--as', 'alice'],
      says: /the broadcast is missing \(--help says how/,
    },
    {
      what: 'proved into a folder that is not there',
      args: () => ['broadcast', 'prove', approved, '--out', 'no/such/proof.jsonl', '--as', 'alice'],
      says: /no\/such\/proof\.jsonl.*: .*\(/,
    },
  ]);

  for (const [what, change] of [
    ['a byte', (text: string) => text.replace('Harbourline', 'Harbourlime')],
    [
      'a byte that is no UTF-8',
      (text: string) => Buffer.from(text.replace('Har', '\xff'), 'latin1'),
    ],
  ] as const)
    test(`whose template has ${what} changed after the approval`, () =>
      nothingHappens(async () => {
        const { notice: of } = await line.must<{ notice: { folder: string } }>([
          ...['broadcast', 'status', approved, '--as', 'bob'],
        ]);
        const file = path.join(of.folder, 'notice.html');
        const before = readFileSync(file, 'utf8');
        writeFileSync(file, change(before));
        try {
          const said = await line.run(['broadcast', 'release', approved, '--as', 'alice']);
          assertClear(
            said,
            /notice\.html( line \d+)?: the (notice is not the one that was approved|file is not UTF-8)/,
            2,
          );
        } finally {
          writeFileSync(file, before);
        }
      }));

  test('with two records of one address: it waits for a choice and names them by id', async () => {
    const rows = ['D-1,twin@x.example,One,en,1', 'D-2,Twin@X.example,Two,en,1'];
    await line.must(bad('twins.csv', rows));
    await nothingHappens(async () => {
      const said = await line.run(creating(NOTICE));
      assertClear(
        said,
        /1 address stands in several records with different data: D-1 and D-2 \(choose: --same-address each/,
        2,
      );
    });
    const made = await line.must<{ count: number }>(creating(NOTICE, '--same-address', 'D-2'));
    assert.equal(made.count, 62);
  });

  test('with a variable that one customer of many lacks: it is blocked, and the row is named by id', async () => {
    await line.must(bad('hole.csv', ['E-77,e77@x.example,,en,1', 'D-2,twin2@x.example,Two,en,1']));
    const { broadcast } = await line.must<{ broadcast: string }>(creating(NOTICE));
    const rows = await countRows();
    const said = await line.run(['broadcast', 'prepare', broadcast, '--as', 'alice']);
    assertClear(
      said,
      /customer E-77 \(row \d+, en\): notice\.(txt|html) line \d+.*name .*is undefined or empty/,
      2,
    );
    assert.match(
      said.stderr,
      /undisclosed: 1 of 64 messages cannot be prepared; nothing can be approved \(/,
    );
    assert.deepEqual(await countRows(), rows);
    const approval = await line.run(['broadcast', 'approve', broadcast, '--as', 'bob', '--yes']);
    assertClear(approval, /the broadcast is frozen: it cannot be approved \(prepare it/, 2);
  });
});

describe('a command', () => {
  table([
    {
      what: 'that does not exist',
      args: () => ['brodcast'],
      says: /there is no command "brodcast" \(undisclosed --help lists them\)/,
    },
    {
      what: 'whose second word does not exist',
      args: () => ['broadcast', 'relaese'],
      says: /say create, prepare, approve/,
    },
    {
      what: 'with an option that does not exist',
      args: () => ['broadcast', 'status', '--verbose', '--as', 'alice'],
      says: /Unknown option '--verbose'.* \(--help says what there is\)/,
    },
    {
      what: 'by nobody',
      args: () => ['broadcast', 'status'],
      says: /no operator is named \(name yourself: --as NAME/,
    },
    {
      what: 'by somebody without a key here',
      args: () => ['broadcast', 'status', '--as', 'mallory'],
      says: /mallory\.key: there is no key of mallory on this machine \(enrol/,
    },
    {
      what: 'by somebody whose key file is damaged',
      args: () => {
        line.file('operators/broken.key', '{"operator":"broken","privateKey":"AAAA"');
        return ['broadcast', 'status', '--as', 'broken'];
      },
      says: /broken\.key: this is no operator’s key file/,
    },
    {
      what: 'by a name that leads elsewhere',
      args: () => ['broadcast', 'status', '--as', '../../etc/passwd'],
      says: /an operator’s name is 2 to 64 of a-z/,
    },
    {
      what: 'without a server',
      args: () => ['broadcast', 'status', '--as', 'alice'],
      env: () => ({ UNDISCLOSED_SOCKET: path.join(line.folder, 'none.sock') }),
      says: /none\.sock: the server does not answer \(start it: undisclosed serve/,
    },
    {
      what: 'with a configuration that is not JSON',
      args: () => ['broadcast', 'status', '--as', 'alice'],
      env: () => ({ UNDISCLOSED_CONFIG: line.file('broken.json', '{\n "gates": {\n') }),
      says: /broken\.json line 2: this is not JSON/,
    },
    {
      what: 'with a configuration that is not there',
      args: () => ['broadcast', 'status', '--as', 'alice'],
      env: () => ({ UNDISCLOSED_CONFIG: path.join(line.folder, 'none.json') }),
      says: /none\.json: .*\(.*UNDISCLOSED_CONFIG/,
    },
    {
      what: 'with a setting that is wrong',
      args: () => ['broadcast', 'status', '--as', 'alice'],
      env: () => ({
        UNDISCLOSED_CONFIG: line.file('wrong.json', '{"gates":{"smtp":{"listen":"here"}}}'),
      }),
      says: /gates\.smtp\.listen: an address is wanted/,
    },
    {
      what: 'that makes a keyring where there is one',
      args: () => ['init', '--domain', 'northwind.example'],
      says: /keyring\.json: there is a keyring already \(it is not overwritten/,
    },
    {
      what: 'that backs up into a file that is there',
      args: () => ['keys', 'backup', 'good.csv', '--as', 'alice'],
      env: () => ({ UNDISCLOSED_PASSPHRASE: 'a long passphrase' }),
      says: /good\.csv: .*\(/,
    },
  ]);

  test('that halts without a server where there is no data directory says so', async () => {
    const said = await line.run(['halt', '--as', 'alice'], {
      UNDISCLOSED_SOCKET: path.join(line.folder, 'none.sock'),
      UNDISCLOSED_DATA: path.join(line.folder, 'no-data'),
    });
    assertClear(said, /no-data: .*\(.*UNDISCLOSED_DATA/, 2);
    assert.ok(!existsSync(path.join(line.folder, 'no-data')));
  });
});
