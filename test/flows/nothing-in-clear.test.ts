/** Nobody's address stands in the database, its log of changes, our logs or the proof, in any of the usual codings. */

import assert from 'node:assert/strict';
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { sampleCustomers } from '../../demo/sample-customers.ts';
import { proofBundle } from '../../src/broadcast/prove.ts';
import { ReleaseDesk } from '../../src/broadcast/release-desk.ts';
import { startSequencer } from '../../src/ledger/sequencer.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/store/embedded.ts';
import { FORMS, finderOf, searchFolder } from '../support/faults/clear-text.ts';
import { startQuotingSink } from '../support/faults/quoting-sink.ts';
import { type House, openHouse, sampleNotice } from '../support/house.ts';

const PEOPLE = 400;
const PLANTED = 'greta.planted@mail.example';

describe('after import, freeze, prepare, approval, release and refusals', () => {
  let folder = '';
  let server: EmbeddedServer;
  let db: Database;
  let house: House;
  const people = [...sampleCustomers(PEOPLE, 11)].map(({ email }) => email);
  const finder = finderOf([...people, PLANTED]);
  const logs: string[] = [];
  const log = (line: string): void => {
    logs.push(line);
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-clear-'));
    await chmod(folder, 0o711);
    await mkdir(join(folder, 'postgres'), { mode: 0o711 });
    server = await startEmbedded({ dataDir: join(folder, 'postgres'), log });
    db = await openDatabase(server.connection);
    house = await openHouse(db);
    const sequencer = await startSequencer({
      db,
      key: house.keyring.ledger,
      origin: 'test.example/ledger',
      anchors: [{ kind: 'file', path: join(house.environment.dataDir, 'checkpoints.txt') }],
      log,
    });
    const sink = await startQuotingSink();
    try {
      const lines = ['id,email,name,language,positions'];
      for (const { id, email, name, language, positions } of sampleCustomers(PEOPLE, 11))
        lines.push([id, email, `"${name}"`, language, positions].join(','));
      // A row that is rejected is reported by line, and it is nobody's business who it was.
      lines.push(`bad,${PLANTED} and more,"Greta",en,1`);
      const report = await house.importCsv(`${lines.join('\n')}\n`);
      log(JSON.stringify(report));
      assert.deepEqual([report.added, report.rejected], [PEOPLE, 1]);
      const id = await house.create(await sampleNotice(), sink.port, { retrySeconds: [0.1] });
      log(JSON.stringify(await house.prepare(id)));
      log(JSON.stringify(await house.approve(id)));
      const desk = new ReleaseDesk(house.environment, log);
      const end = await (await desk.start(id, 'alice')).done;
      assert.equal(end.kind, 'complete');
      await desk.close();
      assert.ok(sink.quoted.size > PEOPLE / 2, 'refusals quote more than half of them');
      assert.deepEqual([...sink.refusals.keys()].sort(), [450, 451, 550, 552]);
      await sequencer.flush();
      const bundle: string[] = [];
      for await (const line of proofBundle(db, house.keyring, 'test.example/ledger', new Date()))
        bundle.push(line);
      await writeFile(join(house.environment.dataDir, 'proof.jsonl'), bundle.join(''));
    } finally {
      await sink.stop();
      await sequencer.close();
    }
    await db.query('CHECKPOINT');
  });

  after(async () => {
    await db.close();
    await server.stop();
    await house.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Every table as COPY writes it, text and binary values as they are. */
  async function dump(): Promise<Buffer> {
    const tables = await db.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    assert.ok(tables.length > 15);
    const pieces: Buffer[] = [];
    for (const { name } of tables)
      for (const format of ['TEXT', 'BINARY'])
        for await (const piece of db.copyOut(
          `COPY (SELECT * FROM ${name}) TO STDOUT (FORMAT ${format})`,
        ))
          pieces.push(piece);
    return Buffer.concat(pieces);
  }

  const everything = FORMS.map(({ name }) => name).sort();

  test('a planted address is found in each form: in a table, in the files and the changes, in a log', async () => {
    const forms = FORMS.flatMap(({ spell }) => spell(PLANTED));
    await db.query('CREATE TABLE planted (value bytea)');
    await db.query('INSERT INTO planted SELECT unnest($1::bytea[])', [forms]);
    await db.query('CHECKPOINT');
    const pieces: Buffer[] = [];
    for await (const piece of db.copyOut(
      'COPY (SELECT value FROM planted) TO STDOUT (FORMAT BINARY)',
    ))
      pieces.push(piece);
    assert.deepEqual([...finder.find(Buffer.concat(pieces))].sort(), everything);
    const { found } = searchFolder(finder, folder);
    const wal = [...found].filter(([name]) => name.includes('pg_wal'));
    const heap = [...found].filter(([name]) => name.includes('/base/'));
    assert.deepEqual([...(wal[0]?.[1] ?? [])].sort(), everything, 'in the WAL');
    assert.deepEqual([...(heap[0]?.[1] ?? [])].sort(), everything, 'in the table’s file');
    const path = join(house.environment.dataDir, 'planted.log');
    for (const form of forms) await appendFile(path, Buffer.concat([form, Buffer.from('\n')]));
    const planted = searchFolder(finder, house.environment.dataDir).found;
    assert.deepEqual([...(planted.get('planted.log') ?? [])].sort(), everything);
    await rm(path);
    assert.ok(finder.find(Buffer.from('x GRETA.Planted y')).has('plain'));
    assert.equal(finder.find(Buffer.from('greta.plante@mail.exampl')).size, 0);
    await db.query('DROP TABLE planted');
  });

  test('no dump of any table shows anybody', async () => {
    const bytes = await dump();
    assert.ok(bytes.length > PEOPLE * 1000);
    assert.deepEqual([...finder.find(bytes)], []);
  });

  test('no intent log, checkpoint, proof or line of our logs shows anybody', async () => {
    const { files, found } = searchFolder(finder, house.environment.dataDir);
    assert.ok(files >= 3);
    assert.deepEqual([...found], []);
    assert.match(
      await readFile(join(house.environment.dataDir, 'proof.jsonl'), 'utf8'),
      /outcomes\.recorded/,
    );
    assert.ok(logs.length > 3);
    assert.deepEqual([...finder.find(Buffer.from(logs.join('\n')))], []);
  });

  test('no file of the database, its WAL and the server’s log among them, shows anybody but the planted one', async () => {
    // The plant is still in the WAL: what is looked for now is everybody else.
    const others = finderOf(people);
    const { files, bytes, found } = searchFolder(others, folder);
    assert.ok(files > 500 && bytes > 30_000_000, `${files} files, ${bytes} bytes`);
    assert.deepEqual([...found], []);
  });
});
