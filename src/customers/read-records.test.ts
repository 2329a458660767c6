import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_COLUMNS, LINE_BYTES_MAX, type RawRecord, readRecords } from './read-records.ts';

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(
  content: string | Uint8Array,
  format: 'csv' | 'jsonl' = 'csv',
  pieceBytes = 7,
  columns = DEFAULT_COLUMNS,
): Promise<RawRecord[]> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const records: RawRecord[] = [];
  for await (const record of readRecords(inPieces(bytes, pieceBytes), 'f.csv', format, columns))
    records.push(record);
  return records;
}

const one = (email: string, more: Readonly<Record<string, string>> = {}): object => ({
  id: '1',
  email,
  ...more,
});

describe('CSV', () => {
  test('is read with commas, semicolons and tabs, whatever ends its lines', async () => {
    for (const mark of [',', ';', '\t'])
      for (const end of ['\n', '\r\n', '\r']) {
        const text = [`id${mark}email`, `1${mark}a@x.test`, `2${mark}b@x.test`].join(end) + end;
        const records = await read(text);
        assert.deepEqual(
          records.map(({ line, values }) => [line, { ...values }]),
          [
            [2, { id: '1', email: 'a@x.test' }],
            [3, { id: '2', email: 'b@x.test' }],
          ],
          JSON.stringify([mark, end]),
        );
      }
  });

  test('may begin with a byte order mark, lack its last line end and have blank lines', async () => {
    const records = await read('\ufeffid,email\n\n1,a@x.test\n\n\n2,b@x.test');
    assert.deepEqual(
      records.map(({ line, values }) => [line, values.id]),
      [
        [3, '1'],
        [6, '2'],
      ],
    );
  });

  test('keeps commas, quotes and line breaks inside quotes, and names the line where a row begins', async () => {
    const text = 'id,email,note\n1,a@x.test,"one, ""two""\nthree\r\nfour"\n2,b@x.test,-\n';
    const records = await read(text);
    assert.deepEqual(records[0]?.values, one('a@x.test', { note: 'one, "two"\nthree\r\nfour' }));
    assert.deepEqual(
      records.map(({ line }) => line),
      [2, 5],
    );
  });

  test('with a row of another length names the line and both numbers', async () => {
    for (const [row, cells] of [
      ['2', '1 cell'],
      ['2,b@x.test,c', '3 cells'],
    ])
      await assert.rejects(read(`id,email\n1,a@x.test\n${row}\n3,d@x.test\n`), {
        code: 'customers.malformed-csv',
        where: 'f.csv line 3',
        message: `the row has ${cells} and the first line 2`,
      });
  });

  test('with a column without a name takes blank cells there, and nothing else', async () => {
    assert.deepEqual((await read('id,email,\n1,a@x.test,\n'))[0]?.values, one('a@x.test'));
    await assert.rejects(read('id,email,\n1,a@x.test,x\n'), {
      where: 'f.csv line 2',
      message: 'cell 3 stands in a column without a name',
    });
  });

  test('has to have the columns that were named, each once', async () => {
    await assert.rejects(read('id,mail\n'), {
      code: 'customers.no-such-column',
      remedy: /the file has "id", "mail"; name yours with --column-id/,
    });
    const columns = { ...DEFAULT_COLUMNS, language: 'lang' };
    await assert.rejects(read('id,email,language\n', 'csv', 7, columns), {
      message: 'there is no column "lang"',
    });
    assert.equal(
      (await read('id,email\n1,a@x.test\n')).length,
      1,
      'the default ones may be absent',
    );
    await assert.rejects(read('id,email,email\n'), { code: 'customers.column-twice' });
  });

  test('with a quote that is not closed names the row that opens it', async () => {
    const rows = Array.from({ length: 50 }, (_, i) => `${i},p${i}@x.test,x\n`).join('');
    await assert.rejects(read(`id,email,note\n1,a@x.test,-\n2,b@x.test,"open\n${rows}`), {
      where: 'f.csv line 3',
    });
    await assert.rejects(read('id,email\n1,secret"b@x.test\n'), (error) => {
      const fault = error as { code: string; where: string; message: string; cause: unknown };
      assert.deepEqual([fault.code, fault.where], ['customers.malformed-csv', 'f.csv line 2']);
      assert.doesNotMatch(fault.message + String(fault.cause), /secret/);
      return true;
    });
  });

  test('never holds more than a row of a mebibyte', async () => {
    let taken = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('id,email,note\n1,a@x.test,"');
      const line = Buffer.from(`${'x'.repeat(9999)}\n`);
      for (; taken < 100 * LINE_BYTES_MAX; taken += line.length) yield line;
    }
    const records = readRecords(endless(), 'f.csv', 'csv', DEFAULT_COLUMNS);
    await assert.rejects(records.next(), {
      code: 'customers.line-too-long',
      where: 'f.csv line 2',
    });
    assert.ok(taken < 4 * LINE_BYTES_MAX, `${taken} bytes were read`);
  });
});

test('a line that never ends is given up after a mebibyte, in both formats', async () => {
  for (const format of ['csv', 'jsonl'] as const) {
    let taken = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('id,email\n');
      for (; taken < 100 * LINE_BYTES_MAX; taken += 65_536) yield Buffer.alloc(65_536, 'x');
    }
    const bytes =
      format === 'csv' ? endless() : inPieces(Buffer.alloc(2 * LINE_BYTES_MAX, 'x'), 999);
    await assert.rejects(readRecords(bytes, 'f', format, DEFAULT_COLUMNS).next(), {
      code: 'customers.line-too-long',
      where: `f line ${format === 'csv' ? 2 : 1}`,
    });
    assert.ok(taken < 3 * LINE_BYTES_MAX, `${taken} bytes were read`);
  }
});

describe('JSON Lines', () => {
  test('give texts, numbers and truth values as text, and leave null out', async () => {
    const [record] = await read(
      '{"id":7,"email":"a@x.test","vip":true,"none":null,"tags":["a"]}\r\n\n',
      'jsonl',
    );
    assert.deepEqual(record?.values, { id: '7', email: 'a@x.test', vip: 'true', tags: '["a"]' });
  });

  test('name the line that is no object, and never quote it', async () => {
    for (const bad of ['{"id":"2","email":"secret@x.test"', '["secret"]', '"secret"', 'null'])
      await assert.rejects(read(`{"id":"1","email":"a@x.test"}\n${bad}\n`, 'jsonl'), (error) => {
        const fault = error as { code: string; where: string; message: string; cause: unknown };
        assert.deepEqual(
          [fault.code, fault.where],
          ['customers.malformed-json', 'f.csv line 2'],
          bad,
        );
        assert.doesNotMatch(fault.message + String(fault.cause), /secret/);
        return true;
      });
  });

  test('have the fields of key and address in their first record', async () => {
    await assert.rejects(read('{"id":"1","mail":"a"}', 'jsonl'), {
      code: 'customers.no-such-column',
    });
  });
});

describe('bytes that are not UTF-8', () => {
  const lines = [
    'id,email',
    '1,a@x.test',
    '2,\u00fc\u00e9\u4e2d\ud83d\ude00@x.test',
    '3,c@x.test',
    '4,d@x.test',
  ];

  test('are named by their line wherever the chunks are cut', async () => {
    const good = Buffer.from(lines.join('\n'));
    for (let pieceBytes = 1; pieceBytes <= good.length; pieceBytes++)
      assert.equal((await read(good, 'csv', pieceBytes)).length, 4, `${pieceBytes}`);
    for (let bad = 0; bad < lines.length; bad++) {
      const bytes = Buffer.concat(
        lines.map((line, i) =>
          i === bad ? Buffer.from(`${line}\xff\n`, 'latin1') : Buffer.from(`${line}\n`),
        ),
      );
      for (let pieceBytes = 1; pieceBytes <= bytes.length; pieceBytes++)
        await assert.rejects(
          read(bytes, 'csv', pieceBytes),
          { code: 'customers.not-utf8', where: `f.csv line ${bad + 1}` },
          `line ${bad + 1}, pieces of ${pieceBytes}`,
        );
    }
  });

  test('are found where the file is cut off inside a character', async () => {
    const cut = Buffer.from('id,email\n1,a@x.test\n2,\u4e2d').subarray(0, -1);
    for (const pieceBytes of [1, 4, 1000])
      await assert.rejects(read(cut, 'csv', pieceBytes), {
        code: 'customers.not-utf8',
        where: 'f.csv line 3',
      });
  });
});

test('what was written is what is read, in both formats, however it is cut', async () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((t) => t.replaceAll('\0', ''));
  const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ id: text, email: text, 'full name': text }), { maxLength: 6 }),
      fc.constantFrom(',', ';', '\t'),
      fc.constantFrom('\n', '\r\n'),
      fc.integer({ min: 1, max: 40 }),
      async (given, mark, end, pieceBytes) => {
        const rows = given.map((row) => ({ ...row }));
        const names = ['id', 'email', 'full name'] as const;
        const csv = [
          names.join(mark),
          ...rows.map((row) => names.map((n) => quoted(row[n])).join(mark)),
        ];
        const fromCsv = await read(csv.join(end) + end, 'csv', pieceBytes);
        assert.deepEqual(
          fromCsv.map(({ values }) => values),
          rows,
        );
        const jsonl = rows.map((row) => JSON.stringify(row)).join(end);
        const fromJson = await read(jsonl, 'jsonl', pieceBytes);
        assert.deepEqual(
          fromJson.map(({ values }) => values),
          rows,
        );
      },
    ),
    { numRuns: 150 },
  );
});
